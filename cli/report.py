"""`sottovoce report`: the tables of experiments as one page with its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report(
    experiments: Annotated[list[Path], typer.Argument(help="Folders that `sottovoce sweep` wrote.")],
    audit: Annotated[list[Path] | None, typer.Option("--audit", help="JSON that `sottovoce audit` wrote.")] = None,
    tuning: Annotated[list[Path] | None, typer.Option("--tuning", help="JSON that `sottovoce tune` wrote.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The HTML file; its figures go into figures/ beside it.")] = Path(
        "report.html"
    ),
) -> int:
    """Write one self-contained HTML page: utility, budget, communication, spread, and audit against claim.

    Prints what the tables say of each curve: whether more budget buys more, and how many times
    DP popularity it is worth.
    """
    from sottovoce.simulations.report import write_report

    figures = write_report(experiments, audit or [], out, tuning or [])
    for figure in figures:
        for note in figure.notes:
            Console().print(f"{figure.name}: {note}", markup=False, highlight=False, soft_wrap=True)
    Console().print(f"{len(figures)} figures in {out} and {out.parent / 'figures'}", highlight=False)
    return 0
