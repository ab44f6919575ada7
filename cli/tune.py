"""`sottovoce tune`: search for settings on the validation split, with the same effort for every contender."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sottovoce.cli import options

if TYPE_CHECKING:
    from rich.table import Table


def tune(
    out: Annotated[Path, typer.Option("--out", help="The folder of the search; started again, it goes on.")],
    data: options.Data = "ml-100k",
    epsilon: Annotated[list[str] | None, typer.Option("--epsilon", help="A budget, or inf; may be repeated.")] = None,
    delta: options.Delta = 1e-5,
    contender: Annotated[
        list[str] | None, typer.Option("--contender", help="Who is tuned, all by default; may be repeated.")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", help="Trials of every search.")] = 20,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs per trial, where runs differ by their noise.")] = 1,
    confirm: Annotated[int, typer.Option("--confirm", help="Runs of each finalist, with fresh noise.")] = 4,
    seed: options.Seed = 0,
    workers: Annotated[int, typer.Option("--workers", help="Worker processes, one thread each.")] = 1,
    settings: options.Set = None,
) -> int:
    """Choose clip, rounds, split, learning rate and the like on validation, for every contender with equal effort.

    It sees validation data outside of any privacy budget, and says so.
    """
    from sottovoce.common.config import override, parse
    from sottovoce.simulations.contenders import CONTENDERS
    from sottovoce.simulations.tune import Effort
    from sottovoce.simulations.tune import tune as run_tune

    budgets = [options.number("--epsilon", text) for text in epsilon or ["1", "8", "inf"]]
    base: list[dict[str, Any]] = [
        {"data": {"source": data}, "privacy": {"epsilon": budget, "delta": delta}, "federation": {"nodes": 1}}
        for budget in budgets
    ]
    console = Console(stderr=True)
    columns = (TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, speed_estimate_period=3600) as progress:
        task = progress.add_task("", total=None)
        found = run_tune(
            [parse(override(table, settings or [])) for table in base],
            contender or [each.name for each in CONTENDERS],
            out,
            Effort(trials, seeds, confirm=confirm, seed=seed),
            workers,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    Console().print(_table(found))
    Console().print(f"written to {out}: tuning.json, trials.parquet, study.sqlite", highlight=False)
    return 0


def _table(found: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title=f"{found['dataset']}: {found['metric']} on validation", caption=found["says"])
    for heading in ("contender", "ε", "trials", "best [95 %]", "committed [95 %]", "the best values"):
        table.add_column(heading)
    for search in found["searches"]:
        values = ", ".join(f"{name} {_short(value)}" for name, value in search["best"]["values"].items())
        cells = (_told(search["best"]), _told(search["committed"]), values)
        table.add_row(search["contender"], str(search["epsilon"] or "no DP"), str(search["trials"]), *cells)
    return table


def _told(finalist: dict[str, Any]) -> str:
    if "error" in finalist:
        return "failed"
    return f"{finalist['mean']:.4f} [{finalist['low']:.4f}, {finalist['high']:.4f}]"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
