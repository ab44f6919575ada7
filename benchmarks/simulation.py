"""Time one round of user-level private training three ways, in one run on one machine.

    flower_opacus   Flower's runtime with one SuperNode per user, and Opacus in each client
    pfl             Apple's pfl, one user per simulated client
    sottovoce       `sottovoce simulate`: Flower's runtime, the users batched on a node

The same head, users and loss for all, start-up left out for all. The figure is users ÷ the median wall time of a round,
as the server sees it. `sottovoce_10k` repeats it with 10,000 made-up users; one SuperNode for each would take hours, so
that Flower is timed on a sample of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
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
CONTENDERS = ("flower_opacus", "pfl", "sottovoce", "sottovoce_10k", "flower_opacus_10k")


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
        if "flower_opacus" in names:
            results["flower_opacus"], tried["flower_opacus"] = fastest(flower_variants(workers), real, rounds)
        if "pfl" in names:
            results["pfl"], tried["pfl"] = fastest(pfl_variants(workers), real, rounds)
        if "sottovoce" in names:
            results["sottovoce"] = sottovoce(REAL, rounds)
        if "flower_opacus_10k" in names:
            variants = flower_variants(workers[-1:])
            results["flower_opacus_10k"], tried["flower_opacus_10k"] = fastest(variants, made_up, rounds)
        if "sottovoce_10k" in names:
            results["sottovoce_10k"] = sottovoce(MADE_UP, rounds)
    return results, tried


def show(results: dict[str, Figures], tried: dict[str, dict[str, float]]) -> None:
    """Print absolutes, beside them how many times as fast sottovoce is, and below them what each variant reached."""
    console = Console()
    table = Table(title="One round of user-level private training")
    for column in ("", "users", "workers", "rounds", "updates/s", "MiB (PSS)", "sottovoce"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, figures in results.items():
        own = results.get("sottovoce_10k" if name.endswith("10k") else "sottovoce")
        speed = figures["user_updates_per_s"]
        ratio = f"× {own['user_updates_per_s'] / speed:.1f}" if own and own is not figures else ""
        counts = (str(figures[key]) for key in ("users", "workers", "rounds"))
        table.add_row(name, *counts, f"{speed:,.0f}", f"{figures['peak_pss_mib']:,.0f}", ratio)
    console.print(table)
    for name, speeds in tried.items():
        console.print(f"{name}: " + "; ".join(f"{label}: {speed:,.0f}/s" for label, speed in speeds.items()))


if __name__ == "__main__":
    main()
