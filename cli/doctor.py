"""`sottovoce doctor`: what is installed, what can be had, and what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sottovoce.common.errors import InputError, SottovoceError

EXTRAS = {
    "recommend": "",
    "show a page": "device",
    "read wishes": "wishes",
    "write texts": "language",
    "export": "export",
    "serve": "server",
    "train on a node": "node",
    "simulate": "simulation",
    "try other readings": "contenders",
}
"""By use: which extra of this package installs what it needs."""

_START_RUNTIME = """
import logging, os, warnings
from sottovoce.simulations.runtime import QUIET
os.environ.update(QUIET)
warnings.simplefilter("ignore")
from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation
from sottovoce.server.strategy import wait_for_nodes
logging.getLogger("flwr").setLevel(logging.ERROR)
client, server = ClientApp(), ServerApp()
@client.train()
def train(message, context):
    return Message(RecordDict(), reply_to=message)
@server.main()
def main(grid, context):
    [node] = wait_for_nodes(grid.get_node_ids, 1, 60)
    [reply] = grid.send_and_receive([Message(RecordDict(), dst_node_id=node, message_type="train")], timeout=60)
    print("answered" if not reply.has_error() else reply.error)
run_simulation(server, client, 1, backend_config={
    "init_args": {"num_cpus": 1, "logging_level": "error", "log_to_driver": False},
    "client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    advice: str = ""


def doctor() -> int:
    """Look at what is installed, which encoder can be had and whether Flower's runtime starts."""
    findings = [
        *_packages(),
        _check("encoder minilm", _encoder),
        _check("cache folder", _cache),
        _check("Flower's runtime", _runtime),
    ]
    table = Table(title=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for heading in ("", "found", "what to do"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(
            finding.what, escape(finding.found), escape(finding.advice), style="red" if finding.advice else None
        )
    Console().print(table)
    missing = sum(bool(finding.advice) for finding in findings)
    Console().print("all is there" if not missing else f"{missing} things need attention")
    return InputError.exit_code if missing else 0


def _packages() -> list[Finding]:
    findings = []
    for use, extra in EXTRAS.items():
        versions = {name: _version(name) for name in sorted(needed(extra))}
        absent = [name for name, version in versions.items() if version is None]
        found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        install = f"sottovoce[{extra}]" if extra else "sottovoce"
        findings.append(
            Finding(f"to {use}", found, f"pip install '{install}' (lacks {', '.join(absent)})" if absent else "")
        )
    return findings


def needed(extra: str) -> set[str]:
    """The packages that an extra of this one asks for itself, or with no extra everybody needs, as its metadata say.

    What one extra takes from another is looked at under that one; Flower's own extra brings Ray.
    """
    condition = f'extra == "{extra}"' if extra else ""
    asked = [text.partition(";")[::2] for text in importlib.metadata.requires("sottovoce") or ()]
    found = {re.split(r"[^\w.-]", text.strip())[0] for text, marker in asked if marker.strip() == condition}
    return (found | ({"ray"} if extra == "simulation" else set())) - {"sottovoce"}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except SottovoceError as error:
        return Finding(what, "no", str(error))
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return Finding(what, "no", f"{type(error).__name__}: {error}")


def _encoder() -> str:
    from sottovoce.common.encoder import find_encoder

    return f"fingerprint {find_encoder().fingerprint[:16]}"


def _cache() -> str:
    from sottovoce.common.cache import cache_folder

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".probe"
    probe.write_bytes(b"")
    probe.unlink()
    return str(folder)


def _runtime() -> str:
    command = [sys.executable, "-c", _START_RUNTIME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    if "answered" not in done.stdout:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OSError(f"a node did not answer: {last}")
    return "started, and a node answered"
