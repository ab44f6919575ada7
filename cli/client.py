"""`sottovoce client`: a device of a federation, and what its owner can see and decide."""

from __future__ import annotations

import json
import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sottovoce.common.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sottovoce.client.histories import Event
    from sottovoce.client.home import Home

client = typer.Typer(no_args_is_help=True, help="Be a node of a federation.")

Folder = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="The device's folder ($SOTTOVOCE_HOME, ~/.sottovoce).")
]
User = Annotated[str | None, typer.Option("--user", help="Whose (everybody's).")]


@client.command()
def join(invitation: Annotated[Path, typer.Argument(help="The file from the operator.")], home: Folder = None) -> int:
    """Accept an invitation; histories and ledger stay as they are."""
    from sottovoce.common.invitation import Invitation

    joined = _home(home).join(Invitation.load(invitation)).joined
    print(f"joined {joined.federation} as {joined.node}, for up to {joined.capacity} users")
    print(f"signing key {joined.signing_key}: ask the operator whether it is theirs; then: sottovoce client run")
    return 0


@client.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="JSON lines (.jsonl) from an app, or a data set as for `simulate`.")],
    home: Folder = None,
    items: Annotated[Path | None, typer.Option("--items", help="The file of items that a data set needs.")] = None,
    shard: Annotated[str | None, typer.Option("--shard", help="i/n: only every n-th user, from the i-th on.")] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Leave out lines that cannot be used.")] = False,
) -> int:
    """Read a history into the device; the same file again adds nothing."""
    if file.endswith((".jsonl", ".ndjson")):
        from sottovoce.client.imports import read_json_lines

        events, notes = read_json_lines(Path(file), lenient)
    else:
        events, notes = _read_data_set(file, items, lenient)
    chosen = _shard(events, shard)
    added = _home(home).histories.add(chosen)
    for note in notes:
        print(note)
    print(f"{added} of {len(chosen)} events are new, of {len({event.user for event in chosen})} users")
    return 0


@client.command()
def run(
    home: Annotated[
        list[Path] | None, typer.Option("--home", metavar="DIR", help="The device's folder; repeat for several.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Messages answered at a time, 330 MB each.")] = 1,
) -> int:
    """Take part until stopped: answer the server's requests, and receive its models."""
    from sottovoce.client.executor import Workers
    from sottovoce.client.supervisor import NodeSupervisor, keep_up

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sottovoce").setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    shared = Workers(workers)
    homes = [_home(folder) for folder in home] if home else [_home(None)]
    keep_up([NodeSupervisor(each, shared) for each in homes], stop)
    return 0


@client.command()
def status(home: Folder = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """Show what was spent of the owner's cap, which model is here, and what left this device."""
    facts = _facts(_home(home))
    if as_json:
        print(json.dumps(facts, indent=1))
        return 0
    console, owner = Console(), facts["owner"]
    console.print(
        f"{facts['node'] or 'no node'} of {facts['federation'] or 'no federation'}, model version {facts['model']},"
        f" {facts['users']} users\n"
        f"ε {facts['epsilon_spent']:.4g} of {owner['max_epsilon']:g} spent, at δ = {owner['max_delta']:g};"
        f" trust allowed: {', '.join(owner['trust'])}; conditions hold now: {'yes' if facts['conditions'] else 'no'}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    table = Table("when (UTC)", "release", "bytes", "sha256", title="What left this device for a model")
    for sent in facts["sent"]:
        table.add_row(sent["at"], escape(sent["release"]), str(sent["bytes"]), sent["sha256"][:16] or "forgotten")
    console.print(table if facts["sent"] else "nothing left this device for a model")
    return 0


@client.command()
def budget(
    home: Folder = None,
    max_epsilon: Annotated[float | None, typer.Option("--max-epsilon", help="Over all releases ever.")] = None,
    max_delta: Annotated[float | None, typer.Option("--max-delta", help="At which ε is counted.")] = None,
    trust: Annotated[list[str] | None, typer.Option("--trust", help="server, node: repeat for both.")] = None,
    hours: Annotated[str | None, typer.Option("--hours", help="22:00-07:00; empty for always.")] = None,
    max_load: Annotated[float | None, typer.Option("--max-load", help="Load per processor.")] = None,
    on_power: Annotated[bool | None, typer.Option("--on-power/--on-battery", help="Only while plugged in.")] = None,
) -> int:
    """Set what the owner allows: the cap, on whose word, and when the device may work."""
    device = _home(home)
    owner = device.owner
    conditions = {"hours": hours, "max_load": max_load, "on_power": on_power}
    given = {name: value for name, value in conditions.items() if value is not None}
    changes: dict[str, Any] = {"max_epsilon": max_epsilon, "max_delta": max_delta, "trust": trust}
    changes = {name: value for name, value in changes.items() if value is not None}
    changed = owner.with_changes(**changes, conditions={**owner.conditions.model_dump(), **given})
    changed.save(device.owner_file)
    spent = device.ledger.epsilon(changed.max_delta)
    print(f"cap ε = {changed.max_epsilon:g} at δ = {changed.max_delta:g}; ε = {spent:.4g} is spent")
    return 0


@client.command()
def forget(
    item: Annotated[str, typer.Argument(metavar="ITEM|all", help="An item's id, or everything.")],
    home: Folder = None,
    user: User = None,
) -> int:
    """Delete from the device's histories, and from what was said to its page, for good; the ledger stays."""
    gone = _home(home).forget(user, None if item == "all" else item)
    print(
        f"{gone} events are deleted and overwritten, and the hashes of the exact sums that left until now with them;"
        " what was released before cannot be taken back"
    )
    return 0


@client.command()
def export(home: Folder = None, user: User = None) -> int:
    """Print what people did, all of it, as JSON lines that `import` reads again."""
    for line in _home(home).histories.export(user):
        print(line)
    return 0


@client.command()
def verify(
    home: Folder = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many items, drawn by this device.")] = 20,
) -> int:
    """Compare item vectors of the newest model with what this device's own encoder makes of their texts."""
    from sottovoce.client.verify import disagreeing_items, drawn_items, own_encoder
    from sottovoce.common.bundle import open_bundle

    device = _home(home)
    bundle = device.bundles.current()
    if bundle is None:
        raise DataError(device.folder, "no model was received yet")
    published = open_bundle(bundle)
    encoder, rows = own_encoder(published), drawn_items(published, sample)
    wrong = [published.catalogue.ids[row] for row in disagreeing_items(published, encoder, rows)]
    if wrong:
        listed = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        raise DataError(bundle, f"{len(wrong)} of {len(rows)} item vectors are not near to their texts: {listed}")
    print(f"{len(rows)} of {len(published.catalogue)} item vectors are near to where {encoder.name} places their texts")
    return 0


def _home(folder: Path | None) -> Home:
    from sottovoce.client.home import find_home

    return find_home(folder)


def _facts(home: Home) -> dict[str, Any]:
    """What `status` shows."""
    joined, owner = home.invitation, home.owner
    return {
        "federation": joined and joined.federation,
        "node": joined and joined.node,
        "model": home.bundles.version if joined else 0,
        "users": len(home.histories.users()),
        "owner": owner.model_dump(mode="json"),
        "conditions": owner.conditions.hold(),
        "epsilon_spent": home.ledger.epsilon(owner.max_delta),
        "sent": [vars(sent) for sent in home.sent()],
    }


def _read_data_set(source: str, items: Path | None, lenient: bool) -> tuple[list[Event], list[str]]:
    """Events of what a reader of the simulation reads; where no time is told, the order of the file counts."""
    try:
        from sottovoce.simulations.datasets import ReadOptions, load_interactions
    except ImportError as error:
        raise DataError(source, "needs `pip install 'sottovoce[simulation]'`; JSON lines need not") from error
    from sottovoce.client.histories import Event

    read = load_interactions(source, ReadOptions(lenient=lenient, items=items))
    events = []
    for row, (user, item) in enumerate(zip(read.users.codes.tolist(), read.items.codes.tolist(), strict=True)):
        events.append(
            Event(
                user=read.users.names[user],
                item=read.items.names[item],
                at=float(row) if read.times is None else float(read.times[row]),
                rating=None if read.ratings is None else float(read.ratings[row]),
                words="" if read.words is None else str(read.words[row]),
            )
        )
    return events, list(read.notes)


def _shard(events: list[Event], shard: str | None) -> list[Event]:
    if shard is None:
        return events
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ConfigError("--shard", shard, "i/n with i below n")
    kept = set(sorted({event.user for event in events})[int(index) :: int(count)])
    return [event for event in events if event.user in kept]
