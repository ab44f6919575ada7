"""`sottovoce budget`: the noise that a target ε needs, or the ε that some noise costs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sottovoce.cli.options import number
from sottovoce.common.errors import ConfigError

if TYPE_CHECKING:
    from sottovoce.common.privacy.accounting import ReleaseEvent


def budget(
    release: Annotated[
        list[str],
        typer.Option("--release", help="noise=σ,rate=q,count=T[,name=…]; with --epsilon, σ is a relative weight."),
    ],
    epsilon: Annotated[
        str | None, typer.Option("--epsilon", help="Target: scale all noises together to meet it.")
    ] = None,
    delta: Annotated[float, typer.Option("--delta", help="δ of the guarantee.")] = 1e-5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> int:
    """What a list of releases costs together; or, with a target ε, how much noise they need."""
    from sottovoce.common.privacy import accounting

    releases = [_release(text, place) for place, text in enumerate(release, start=1)]
    if epsilon is not None:
        if not all(each.noise_multiplier for each in releases):
            raise ConfigError("--release", "noise=0", "some noise: with --epsilon it is scaled, and zero cannot be")
        scale = accounting.calibrate(lambda factor: _scaled(releases, factor), number("--epsilon", epsilon), delta)
        releases = _scaled(releases, scale)
    spent = accounting.epsilon(releases, delta)
    if as_json:
        finite = spent if math.isfinite(spent) else None
        print(
            json.dumps({"epsilon": finite, "delta": delta, "releases": [each.public() for each in releases]}, indent=2)
        )
        return 0
    table = Table(title=f"ε = {spent:.6g} at δ = {delta:g}", caption="user level, add or remove one; PLD accountant")
    for heading in ("release", "noise multiplier", "sampling rate", "count"):
        table.add_column(heading, justify="left" if heading == "release" else "right")
    for each in releases:
        table.add_row(each.name, f"{each.noise_multiplier:.6g}", f"{each.sampling_rate:g}", str(each.count))
    Console().print(table)
    return 0


def _scaled(releases: list[ReleaseEvent], factor: float) -> list[ReleaseEvent]:
    return [replace(each, noise_multiplier=each.noise_multiplier * factor) for each in releases]


def _release(text: str, place: int) -> ReleaseEvent:
    from sottovoce.common.privacy.accounting import ReleaseEvent

    form = "noise=σ,rate=q,count=T[,name=…]"
    fields = {"name": f"release {place}", "noise": "1", "rate": "1", "count": "1"}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in fields:
            raise ConfigError("--release", text, form)
        fields[key] = value
    try:
        return ReleaseEvent(fields["name"], float(fields["noise"]), float(fields["rate"]), int(fields["count"]))
    except ValueError as error:
        raise ConfigError("--release", text, form) from error
