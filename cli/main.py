"""The `sottovoce` command: its verbs, and what becomes of an error."""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Annotated

import click
import typer

from sottovoce.cli.audit import audit
from sottovoce.cli.budget import budget
from sottovoce.cli.client import client
from sottovoce.cli.data import data
from sottovoce.cli.doctor import doctor
from sottovoce.cli.evaluate import evaluate
from sottovoce.cli.export import export
from sottovoce.cli.language import language
from sottovoce.cli.prepare import prepare
from sottovoce.cli.report import report
from sottovoce.cli.serve import serve
from sottovoce.cli.server import server
from sottovoce.cli.simulate import simulate
from sottovoce.cli.sweep import sweep
from sottovoce.cli.tune import tune
from sottovoce.common.errors import SottovoceError

app = typer.Typer(
    help="A federated recommender that learns under user-level differential privacy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False) -> None:
    """A federated recommender that learns under user-level differential privacy."""


client.command()(serve)

app.add_typer(data, name="data")
app.add_typer(server, name="server")
app.add_typer(client, name="client")
app.add_typer(language, name="language")
app.command()(simulate)
app.command()(prepare)
app.command()(evaluate)
app.command()(sweep)
app.command()(tune)
app.command()(audit)
app.command()(budget)
app.command()(report)
app.command()(export)
app.command()(doctor)


def run() -> None:
    """Run the command line; leave with 2 for the user's mistake, 3 for a spent budget, 4 for a failed federation.

    A verb may have a status of its own: `audit` leaves with 1 if a claim falls, `sweep` with 5 if cells broke.
    """
    try:
        status = app(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError:
        sys.exit(2)  # the help was printed already
    except click.ClickException as error:
        _fail(f"{error.format_message()} (see --help)", 2, error)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except SottovoceError as error:
        _fail(f"{error}", error.exit_code, error)
    except ImportError as error:
        _fail(f"{error}: this verb needs an extra, see `sottovoce doctor`", 2, error)
    except Exception as error:
        if place := _place(error):
            _fail(place, 2, error)
        _fail(f"a defect of ours: {type(error).__name__}: {error} (see it whole with --debug)", 1, error)
    sys.exit(status if isinstance(status, int) else 0)


def _place(error: Exception) -> str | None:
    """A file that the system does not give us, or a full disk: what is wrong, since neither is ours to mend."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return f"{error.filename or 'the disk'}: {error.strerror}"
    return None


def _fail(line: str, status: int, error: Exception) -> None:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    print(f"sottovoce: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    run()
