"""Time one round of user-level private training three ways, in one run on one machine.

    flower_opacus   Flower's runtime with one SuperNode per user, and Opacus in each client
    flower_inline   the same with an undocumented limit of Ray's raised, so that a head travels in the call itself
    pfl             Apple's pfl, one user per simulated client
    sottovoce       `sottovoce simulate`: Flower's runtime, the users batched on a node

The same head, users and loss for all, start-up left out for all, and each with its best number of workers. The figure
is users ÷ the median wall time of a round, as the server sees it. What ends in `_10k` repeats it with 10,000 made-up
users; one SuperNode for each would take hours, so that Flower is timed on a sample of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

if not __package__:  # run as a file: `python benchmarks/simulation.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contenders import fastest, flower_variants, pfl_variants, sottovoce
from benchmarks.prepare import prepare
from benchmarks.rounds import Figures

REAL = "ml-100k"
MADE_UP = "synthetic:users=10000,items=1682,seed=0"
CONTENDERS = (
    *("flower_opacus", "flower_inline", "pfl", "sottovoce"),
    *("flower_opacus_10k", "flower_inline_10k", "sottovoce_10k"),
)


def main() -> None:
    """Run what was asked for, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are timed, 5 or more for a report")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers to try")
    parser.add_argument("--sample", type=int, default=500, help="how many of the 10,000 users Flower is timed on")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS, help="leave the others out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    results, tried = measure(given.only, given.rounds, given.workers, given.sample)
    show(results, tried)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(
    names: Sequence[str], rounds: int, workers: Sequence[int], sample: int
) -> tuple[dict[str, Figures], dict[str, dict[str, float]]]:
    """The figures of each contender at its best, and what each of its variants reached."""
    results: dict[str, Figures] = {}
    tried: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as folder:
        real, made_up = Path(folder) / "real", Path(folder) / "made-up"
        prepare(REAL).save(real)
        prepare(MADE_UP, sample).save(made_up)
        flower, inline = flower_variants(workers, inline=False), flower_variants(workers, inline=True)
        contenders: dict[str, Callable[[], tuple[Figures, dict[str, float]]]] = {
            "flower_opacus": lambda: fastest(flower, real, rounds),
            "flower_inline": lambda: fastest(inline, real, rounds),
            "pfl": lambda: fastest(pfl_variants(workers), real, rounds),
            "sottovoce": lambda: (sottovoce(REAL, rounds), {}),
            "flower_opacus_10k": lambda: fastest(flower[-1:], made_up, rounds),
            "flower_inline_10k": lambda: fastest(inline[-1:], made_up, rounds),
            "sottovoce_10k": lambda: (sottovoce(MADE_UP, rounds), {}),
        }
        for name in names:
            results[name], tried[name] = contenders[name]()
    return results, tried


def show(results: dict[str, Figures], tried: dict[str, dict[str, float]]) -> None:
    """Print absolutes, beside them how many times as fast sottovoce is, and below them what each variant reached."""
    console = Console(width=100)
    table = Table(title="One round of user-level private training")
    for column in ("", "users", "workers", "rounds", "updates/s", "PSS, MiB", "sottovoce"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, figures in results.items():
        own = results.get("sottovoce_10k" if name.endswith("10k") else "sottovoce")
        speed = figures["user_updates_per_s"]
        ratio = f"× {own['user_updates_per_s'] / speed:.1f}" if own and own is not figures else ""
        counts = (str(figures[key]) for key in ("users", "workers", "rounds"))
        table.add_row(name, *counts, f"{speed:,.0f}", f"{figures['peak_pss_mib']:,.0f}", ratio)
    console.print(table)
    for name, speeds in ((name, speeds) for name, speeds in tried.items() if len(speeds) > 1):
        console.print(f"{name}: " + "; ".join(f"{label}: {speed:,.0f}/s" for label, speed in speeds.items()))


if __name__ == "__main__":
    main()
