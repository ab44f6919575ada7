"""`sottovoce audit`: attack a run's federation, and hold what is found against the ε that it claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table


def audit(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    seed: Annotated[int, typer.Option("--seed", help="Of coins, canaries and all noise of the audit.")] = 0,
    confidence: Annotated[float, typer.Option("--confidence", help="Of each lower bound and interval.")] = 0.999,
    canaries: Annotated[int, typer.Option("--canaries", help="Canary users of the audit in one run.")] = 400,
    trials: Annotated[int, typer.Option("--trials", help="Repetitions without and with one canary.")] = 10_000,
    shadows: Annotated[int, typer.Option("--shadows", help="Models of the membership attack; 0: none.")] = 16,
    readers: Annotated[int, typer.Option("--readers", help="Users whose updates are read; 0: none.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> int:
    """Attack a run: lower bounds on its ε, membership and interaction inference. Leaves with 1 if a claim falls.

    The federation is made again with seeded noise; audit.json in the run folder keeps what is found.
    """
    from sottovoce.common.runfolder import RunFolder
    from sottovoce.simulations.audit_run import Effort, audit_run

    effort = Effort(
        seed=seed, confidence=confidence, canaries=canaries, trials=trials, shadows=shadows, readers=readers
    )
    console = Console(stderr=as_json)
    with console.status("auditing") as status:
        found = audit_run(RunFolder(run.absolute()), effort, status.update)
    if as_json:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        for table in tables(found):
            console.print(table)
    return 1 if found["refuted"] else 0


def tables(found: dict[str, Any]) -> list[Table]:
    """What a person reads of an audit: bounds, checks, membership, interactions, as far as they were made."""
    attacks = found["attacks"]
    shown = [_bounds(found)]
    if found["checks"]:
        shown.append(_checks(found["checks"]))
    if "membership" in attacks:
        shown.append(_membership(attacks["membership"]))
    if "interactions" in attacks:
        shown.append(_interactions(attacks["interactions"]))
    return shown


def _bounds(found: dict[str, Any]) -> Table:
    claim = (
        "no privacy is claimed" if found["claimed_epsilon"] is None else f"claimed: ε = {found['claimed_epsilon']:.4g}"
    )
    verdict = f"refuted by: {', '.join(found['refuted'])}" if found["refuted"] else "nothing here contradicts the claim"
    table = _table(
        f"{claim} at δ = {found['delta']:g}, trust {found['trust']}",
        f"{verdict}\nseeded with {found['seed']}; each bound holds with confidence {found['confidence']:g}",
        ("attack", "ε is at least", "assumes"),
    )
    for name, attack in found["attacks"].items():
        if attack["epsilon_lower_bound"] is not None:
            table.add_row(name, f"{attack['epsilon_lower_bound']:.3f}", attack["assumes"])
    return table


def _checks(checks: dict[str, Any]) -> Table:
    table = _table("against the claim directly", "", ("check", "alarm", "found"))
    for name, check in checks.items():
        facts = ", ".join(f"{key} {_short(value)}" for key, value in check.items() if key != "alarm")
        table.add_row(name, "yes" if check["alarm"] else "no", facts)
    return table


def _membership(attack: dict[str, Any]) -> Table:
    caption = f"LiRA on the published model, {attack['shadows']} shadow models, AUC {attack['auc']:.3f}"
    table = _table("who was in?", caption, ("false positives", "true positives", "interval"))
    for rate, share in attack["true_positive_rate"].items():
        table.add_row(f"{float(rate):.1%}", f"{share['value']:.2%}", f"{share['low']:.2%} – {share['high']:.2%}")
    return table


def _interactions(attack: dict[str, Any]) -> Table:
    table = _table(
        f"which items did a node's only user meet? ({attack['users']} users)",
        attack["says"],
        ("seen by", "release", "AUC", "precision@|history|", "by chance"),
    )
    for observer, releases in attack["seen_by"].items():
        for release, reading in releases.items():
            cells = (f"{reading[key]:.3f}" for key in ("auc", "precision", "chance"))
            table.add_row(observer, release, *cells)
    return table


def _table(title: str, caption: str, headings: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for heading in headings:
        table.add_column(heading)
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
