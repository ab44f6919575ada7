"""`sottovoce server`: set up a federation, keep it up, and see how it is."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sottovoce.cli import options
from sottovoce.common.errors import ConfigError

if TYPE_CHECKING:
    from sottovoce.common.catalogue import Catalogue

server = typer.Typer(no_args_is_help=True, help="Run the server of a federation.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The server's folder.")]
NodeName = Annotated[
    str, typer.Argument(metavar="NAME", help="The node's public name: lower-case letters, digits and any of . _ -")
]
Catalog = Annotated[str, typer.Option("--items", help="A file of items (CSV, Parquet), or a public data set's name.")]


@server.command()
def init(
    folder: Folder,
    items: Catalog,
    population: Annotated[int, typer.Option("--population", help="How many people there are: public, an upper bound.")],
    address: Annotated[list[str], typer.Option("--address", help="host:port where nodes find the server.")],
    federation: Annotated[
        str, typer.Option("--federation", help="Its name: lower-case letters, digits and any of . _ -")
    ] = "sottovoce",
    listen: Annotated[str | None, typer.Option("--listen", help="Where nodes are listened to (0.0.0.0:9092).")] = None,
    control: Annotated[str | None, typer.Option("--control", help="Loopback address of Flower's control.")] = None,
    status_address: Annotated[str | None, typer.Option("--status", help="Loopback address of metrics.")] = None,
    epsilon: Annotated[str, typer.Option("--epsilon", help="Budget of one run.")] = "2",
    total_epsilon: Annotated[str | None, typer.Option("--total-epsilon", help="Budget of all runs together.")] = None,
    delta: options.Delta = 1e-5,
    trust: options.Trust = None,
    nodes: Annotated[int, typer.Option("--nodes", help="How many nodes a round waits for at first.")] = 4,
    minimum_nodes: Annotated[int, typer.Option("--minimum-nodes", help="How many answers a round needs.")] = 1,
    capacity: Annotated[int | None, typer.Option("--capacity", help="How many users a node may hold.")] = None,
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds that a round waits for answers.")] = 300.0,
    rounds: options.Rounds = None,
    encoder: options.Encoder = "minilm",
    settings: options.Set = None,
) -> int:
    """Make a server: authority, certificate, signing key, settings, catalogue."""
    from sottovoce.common.config import override, parse
    from sottovoce.common.encoder import find_encoder
    from sottovoce.server.deployment.settings import check
    from sottovoce.server.deployment.setup import check_deployable, make_server
    from sottovoce.simulations.prepare import item_space, wish_readers

    console = Console()
    table: dict[str, Any] = {
        "encoder": {"name": encoder},
        "privacy": {"epsilon": options.number("--epsilon", epsilon), "delta": delta, "population": population},
        "train": {},
        "federation": {"nodes": nodes, "minimum_nodes": minimum_nodes, "deadline_s": deadline},
    }
    if trust is not None:
        table["privacy"]["trust"] = trust
    if rounds is not None:
        table["train"]["rounds"] = rounds
    training = parse(override(table, settings or [])).resolve(population, items)
    addresses = {"listen": listen, "control": control, "status": status_address}
    total = training.privacy.epsilon if total_epsilon is None else options.number("--total-epsilon", total_epsilon)
    checked = check(
        {
            "federation": federation,
            "addresses": address,
            "total_epsilon": total,
            "capacity": capacity or math.ceil(population / nodes),
            "training": training.model_dump(),
            **{name: value for name, value in addresses.items() if value is not None},
        }
    )
    check_deployable(checked)
    catalogue = _catalogue(items, console)
    console.print(f"encoding {len(catalogue)} items with {encoder}", highlight=False)
    found = find_encoder(training.encoder.name, training.encoder.revision)
    space = item_space(catalogue, training, found)
    made = make_server(folder, checked, catalogue, space, wish_readers(space, found, catalogue.texts))
    console.print(
        f"made {folder}: federation {checked.federation}, {len(catalogue)} items, one run spends ε ="
        f" {training.privacy.epsilon:g} of {checked.total_epsilon:g} at δ = {delta:g}\n"
        f"signing key {made.signing_key.public}\n"
        f"back up {folder}/signing.key, {folder}/tls and {folder}/ledger.sqlite, then: sottovoce server up {folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0


@server.command()
def up(folder: Folder) -> int:
    """Keep the server up until it is told to stop; goes on with whatever was unfinished."""
    from sottovoce.server.deployment.logs import log_as_json
    from sottovoce.server.deployment.supervisor import Supervisor, stop_on_signals

    opened = _open(folder)
    log_as_json(opened.log / "server.jsonl", echo=True)
    Supervisor(opened).run(stop_on_signals())
    return 0


@server.command()
def invite(
    folder: Folder,
    name: NodeName,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write (NAME.invitation.json).")] = None,
    capacity: Annotated[int | None, typer.Option("--capacity", help="How many users it may hold.")] = None,
    days: Annotated[float | None, typer.Option("--days", help="How long the invitation is good for.")] = None,
) -> int:
    """Write a one-file invitation for a node; it holds the node's key, so hand it over like a password."""
    from sottovoce.server.deployment.setup import invite as make_invitation

    file = out or Path(f"{name}.invitation.json")
    if file.exists():
        raise ConfigError("--out", str(file), "a file that is not there yet")
    invitation = make_invitation(_open(folder), name, capacity, days, file)
    print(f"wrote {file}: {name}, up to {invitation.capacity} users, until {invitation.expires:%Y-%m-%d %H:%M} UTC")
    return 0


@server.command()
def revoke(folder: Folder, name: NodeName) -> int:
    """Shut a node out for good, within a second; its name is never used again."""
    _open(folder).registry.revoke(name)
    print(f"{name} is revoked: it can neither send nor receive any more; what it holds already stays with it")
    return 0


@server.command("start-run")
def start_run(
    folder: Folder,
    every: Annotated[float | None, typer.Option("--every", help="Repeat every so many hours; 0 ends that.")] = None,
    settings: options.Set = None,
) -> int:
    """Begin a training run, now or on a schedule; `sottovoce server up` carries it out."""
    from sottovoce.common.config import override, parse
    from sottovoce.server.deployment.runs import request_run
    from sottovoce.server.deployment.schedule import check_interval, repeat_every

    opened = _open(folder)
    config = parse(override(opened.settings.training.model_dump(), settings or []))
    check_interval(every or 0.0)
    if every != 0:
        print(f"run {request_run(opened, config).name} is laid out")
    if every is not None:
        repeat_every(opened, every, settings or [])
        print(f"a run begins every {every:g} hours" if every > 0 else "no run begins by itself any more")
    return 0


@server.command("cancel-run")
def cancel_run(folder: Folder) -> int:
    """End the unfinished run: nothing of it is published, and what it has spent stays spent."""
    from sottovoce.server.deployment.runs import cancel

    print(f"run {cancel(_open(folder)).name} is cancelled; what it has spent of the budget stays spent")
    return 0


@server.command()
def catalogue(folder: Folder, items: Catalog) -> int:
    """Publish a changed catalogue: new items are recommended by their texts, without training and without budget."""
    from sottovoce.common.encoder import find_encoder
    from sottovoce.server.deployment.setup import update_catalogue

    opened = _open(folder)
    encoder = opened.settings.training.encoder
    encode = find_encoder(encoder.name, encoder.revision).encode_cached
    version = update_catalogue(opened, _catalogue(items, Console()), encode)
    print(f"version {version} is published; nodes get it when they are next there")
    return 0


@server.command()
def status(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """Show nodes, runs, budget and publications."""
    from sottovoce.server.deployment.monitoring import status_of

    facts = status_of(_open(folder))
    if as_json:
        print(json.dumps(facts, indent=1))
        return 0
    console, budget = Console(), facts["budget"]
    nodes = Table("node", "standing", "capacity", "model", "last seen (UTC)", title=escape(facts["federation"]))
    for node in facts["nodes"]:
        nodes.add_row(
            *(node["name"], node["standing"], str(node["capacity"]), str(node["bundle"] or "–"), _when(node["seen_at"]))
        )
    runs = Table("run", "outcome", "round", "model", "last fault")
    for run in facts["runs"]:
        reached = f"{0 if run['round'] is None else run['round']} of {run['rounds']}"
        runs.add_row(run["run"], run["outcome"], reached, str(run["version"] or "–"), escape(run["error"]))
    console.print(nodes, runs)
    if budget["epsilon_total"] is not None:
        console.print(
            f"budget: ε {budget['epsilon_spent']:.3f} of {budget['epsilon_total']:g} spent,"
            f" {budget['epsilon_left']:.3f} left, at δ = {budget['delta']:g}",
            highlight=False,
        )
    console.print(f"published: {len(facts['published'])} models, newest {max(facts['published'], default=0)};"
                  f" certificate until {_when(facts['certificate_expires_at'])}", highlight=False)  # fmt: skip
    return 0


@server.command()
def certificate(folder: Folder) -> int:
    """Renew the server's certificate, for the addresses in server.toml; the next start uses it."""
    from sottovoce.server.deployment.certificates import make_server_certificate

    opened = _open(folder)
    make_server_certificate(opened.tls, opened.settings.federation, opened.settings.hosts)
    print(f"the certificate is renewed for {', '.join(opened.settings.hosts)}; restart the server to use it")
    return 0


def _open(folder: Path) -> Any:  # noqa: ANN401 - named where flwr is there
    """A server's folder, whose settings were read once: a folder that is none is refused before anything happens.

    So is another user's: what root writes there, the server itself could neither read nor replace.
    """
    from sottovoce.server.deployment.folder import ServerFolder

    opened = ServerFolder(folder.absolute())
    _ = opened.settings
    owner = opened.path.stat().st_uid
    if owner != os.geteuid():
        raise ConfigError("DIR", str(folder), f"a folder of your own: `sudo -u '#{owner}' sottovoce server …`")
    return opened


def _catalogue(items: str, console: Console) -> Catalogue:
    from sottovoce.simulations.datasets import load_catalogue

    found, notes = load_catalogue(items)
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False)
    return found


def _when(seconds: float | None) -> str:
    return "–" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
