"""What the presets are worth on MovieLens-100K: the table and the picture of the README.

Every figure is the mean over seeds on the test split; its interval is over users (95 %, bootstrap of the users' means
over seeds), and the deviation between seeds stands beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sottovoce.common.config import parse
from sottovoce.common.evaluation import Evaluation, bootstrap
from sottovoce.simulations.run import Simulation, make_run, references, simulate

BUDGETS = (1.0, 2.0, 4.0, 8.0, math.inf)
METRICS = (("sampled", "hr@10"), ("sampled", "ndcg@10"), ("full", "hr@10"), ("full", "ndcg@10"))
HEADINGS = ("sampled HR@10", "sampled NDCG@10", "full HR@10", "full NDCG@10")

Row = dict[str, dict[str, float]]


def main() -> None:
    """Run every budget with every seed, print the table, write the figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epsilon", type=float, nargs="+", default=BUDGETS)
    parser.add_argument("--held-out", choices=("test", "validation"), default="test")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="section.key=value, for a search")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    for budget in given.epsilon:
        seeds = [run_once(given.data, budget, seed, given.held_out, given.settings) for seed in range(given.seeds)]
        rows[f"ε = {budget:g}"] = summary([run.evaluation for run, _ in seeds])
        if math.isfinite(budget):
            rows[f"DP popularity, ε = {budget:g}"] = summary([others["DP popularity"] for _, others in seeds])
        for name in ("popularity", "item-kNN", "EASE"):
            rows[name] = summary([seeds[0][1][name]])
    show(rows, given.seeds)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if given.picture:
        draw(rows, given.picture)


def run_once(
    data: str, budget: float, seed: int, held_out: str, settings: list[str]
) -> tuple[Simulation, dict[str, Evaluation]]:
    """One whole run through Flower's runtime, and its references."""
    from sottovoce.common.config import override

    table: dict[str, Any] = {
        "seed": seed,
        "data": {"source": data, "held_out": held_out},
        "privacy": {"epsilon": budget},
    }
    with TemporaryDirectory() as folder:
        finished = simulate(make_run(parse(override(table, settings)), Path(folder) / "run"))
        return finished, references(finished)


def summary(evaluations: list[Evaluation]) -> Row:
    """Mean over seeds, interval over users, deviation between seeds, for each metric."""
    row: Row = {}
    for heading, (protocol, metric) in zip(HEADINGS, METRICS, strict=True):
        values = np.stack([evaluation.per_user[protocol][metric] for evaluation in evaluations])
        estimate = bootstrap(values.mean(axis=0))
        deviation = float(values.mean(axis=1).std(ddof=1)) if len(values) > 1 else 0.0
        row[heading] = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "seeds": deviation}
    return row


def show(rows: dict[str, Row], seeds: int) -> None:
    """Print the table in Markdown, as the README has it."""
    table = Table(title=f"mean of {seeds} seeds [95 % over users] ± deviation between seeds")
    table.add_column("")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        cells = [f"{c['mean']:.3f} [{c['low']:.3f}, {c['high']:.3f}] ± {c['seeds']:.3f}" for c in row.values()]
        table.add_row(name, *cells)
    Console(width=160, file=sys.stdout).print(table)


def draw(rows: dict[str, Row], path: Path) -> None:
    """Draw HR@10 and NDCG@10 over the budget, with the references as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    budgets = [name for name in rows if name.startswith("ε")]
    labels = [name.removeprefix("ε = ").replace("inf", "no DP") for name in budgets]
    for axis, heading in zip(axes, ("sampled HR@10", "full NDCG@10"), strict=True):
        cells = [rows[name][heading] for name in budgets]
        means = np.array([cell["mean"] for cell in cells])
        reach = np.array([[cell["mean"] - cell["low"], cell["high"] - cell["mean"]] for cell in cells]).T
        axis.errorbar(labels, means, reach, marker="o", capsize=4, label="Sottovoce")
        noised = [f"DP popularity, {name}" for name in budgets]
        known = [
            (label, rows[name][heading]["mean"]) for label, name in zip(labels, noised, strict=True) if name in rows
        ]
        axis.plot(*zip(*known, strict=True), marker="s", linestyle="--", label="DP popularity")
        for name, style in (("EASE", "-."), ("item-kNN", ":"), ("popularity", "--")):
            axis.axhline(rows[name][heading]["mean"], color="grey", linestyle=style, linewidth=1)
            axis.annotate(
                f"{name} (not private)", (0.99, rows[name][heading]["mean"]), xycoords=("axes fraction", "data"),
                ha="right", va="bottom", fontsize=8, color="grey",
            )  # fmt: skip
        axis.set_xlabel("privacy budget ε (user level, δ = 1e-5)")
        axis.set_title(heading)
        axis.set_ylim(bottom=0)
        axis.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
