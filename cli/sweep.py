"""`sottovoce sweep`: every run of an experiment's file, in parallel, into one table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from sottovoce.simulations.sweep.cell import Outcome

CELLS_BROKE = 5
"""The status of a sweep that came to its end, and has a table, but not a result in every row."""


def sweep(
    file: Annotated[Path, typer.Argument(help="The experiment: a TOML file with [base], [grid] and [[also]].")],
    out: Annotated[Path, typer.Option("--out", help="The folder of its results; started again, it goes on.")],
    workers: Annotated[
        int | None, typer.Option("--workers", help="Worker processes, one thread each; as many as cores by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="A name or path of data, instead of the file's base.data.source.")
    ] = None,
) -> int:
    """Run every cell of an experiment that is not finished yet; results go to OUT/results.parquet.

    Leaves with 5 if cells broke: the table is there, and names them. Started again, it tries them again.

    With RAY_ADDRESS set, cells run as tasks on that Ray cluster instead of in processes of this machine.
    """
    from sottovoce.simulations.sweep.sweep import sweep as run_sweep

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=3600) as progress:
        task = progress.add_task("cells", total=None)

        def watch(finished: int, total: int, last: Outcome | None) -> None:
            if last is None:
                # What was finished before says nothing about the time that is left.
                progress.update(task, total=total - finished, description=f"cells ({finished} were finished)")
                return
            progress.advance(task)
            if last.error is not None:
                progress.console.print(f"cell {last.key}: {last.error}", style="yellow", markup=False, highlight=False)

        outcomes = run_sweep(
            file,
            out,
            os.cpu_count() or 1 if workers is None else workers,
            lambda text: progress.console.print(text, style="dim", markup=False, highlight=False),
            watch,
            data,
        )
    if not outcomes:
        console.print(f"nothing was run, and {out} is as it was", markup=False, highlight=False)
        return 0
    failed = sum(outcome.error is not None for outcome in outcomes)
    told = f"{len(outcomes)} cells, {failed} of them broken (see the column `error`; start again to retry them)"
    console.print(told if failed else f"{len(outcomes)} cells", markup=False, highlight=False)
    console.print(f"written to {out / 'results.parquet'}", markup=False, highlight=False)
    return CELLS_BROKE if failed else 0
