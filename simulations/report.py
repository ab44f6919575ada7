"""A report that can be put before a review board: one HTML file that needs no network.

Beside it lie its figures as SVG and PNG, and their data as CSV. It is made from the tables that `sottovoce sweep`
leaves and from what `sottovoce audit` and `sottovoce tune` say, and from nothing else. Each figure stands with its
caption, the command that made its data, and the data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from sottovoce.common.errors import DataError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.simulations.findings import read_audit, read_tuning
from sottovoce.simulations.report_page import Figure, page
from sottovoce.simulations.summary import OWN, Ratio, budget, monotony, ratios, series, summarise
from sottovoce.simulations.sweep.store import COMMAND, read_table, replace_file

NOISE = "noise"
UNTOLD = "(the table does not say which command made it)"
PLACES = {
    "epsilon": "privacy budget ε (user level)",
    "dataset.users": "users",
    "federation.nodes": "nodes that share the users",
}
NDCG = "full.ndcg@10"
METRICS = {NDCG: "NDCG@10, whole catalogue", "sampled.hr@10": "HR@10 against 99 items"}
SPREAD = {"full.coverage@10": "share of the catalogue shown", "full.long_tail@10": "share of long-tail items shown"}
TRAFFIC = {
    "communication.upload_bytes_per_node": "upload per node, MB",
    "communication.download_bytes_per_node": "download per node, MB",
}


def write_report(
    experiments: Sequence[Path], audits: Sequence[Path], out: Path, tunings: Sequence[Path] = ()
) -> list[Figure]:
    """Draw every figure that the data allow, and write `out` (HTML) with the figures beside it in `figures/`.

    Args:
        experiments: Folders that `sottovoce sweep` wrote, each with its `results.parquet`.
        audits: JSON files that `sottovoce audit` wrote.
        out: The HTML file.
        tunings: JSON files that `sottovoce tune` wrote.

    Raises:
        DataError: a table is missing or of another version, no run of any table succeeded, or a file is not what an
            audit or a search writes; nothing is written then.
    """
    tables = [(folder.name, read_results(folder)) for folder in experiments]
    if tables and all(table["error"].notna().all() for _, table in tables):
        said = tables[0][1]["error"].iloc[0]
        raise DataError(experiments[0] / "results.parquet", f"every run failed; the first said: {said}")
    audited, tuned = [read_audit(path) for path in audits], [read_tuning(path) for path in tunings]
    figures = [each for name, table in tables for each in experiment_figures(name, table)]
    if audited:
        figures.append(audit_figure(audited))
    (out.parent / "figures").mkdir(parents=True, exist_ok=True)
    for figure in figures:
        for ending in ("svg", "png"):
            figure.canvas.savefig(out.parent / "figures" / f"{figure.name}.{ending}", dpi=120)
        figure.data.to_csv(out.parent / "figures" / f"{figure.name}.csv", index=False, float_format="%.6g")
    broken = [f"{name}: {line}" for name, table in tables for line in table["error"].dropna()]
    replace_file(out, page(figures, broken, tuned).encode())
    return figures


def read_results(folder: Path) -> pd.DataFrame:
    """The table of an experiment.

    Raises:
        DataError: it is missing, damaged or of another version.
    """
    return read_table(folder / "results.parquet")


def experiment_figures(name: str, table: pd.DataFrame) -> Iterator[Figure]:
    """The figures of one experiment: one set for each of its data sets, or one over their sizes."""
    command, table = table.attrs.get(COMMAND, UNTOLD), table[table["error"].isna()]
    runs = table[table["model"] == OWN]
    if runs.empty:
        return
    made_up = all(str(source).startswith("synthetic") for source in runs["data.source"])
    if made_up and runs["dataset.users"].nunique() > 2:
        yield scaling_figure(name, table, command)
        return
    for (data, split), part in table.groupby(["dataset.name", "data.held_out"]):
        source = data if split == "test" else f"{data}-{split}"
        title, own = f"{name}, {source}", part[part["model"] == OWN]
        if own["privacy.trust"].nunique() > 1 and own["federation.nodes"].nunique() > 1:
            yield curves(
                f"{name}-{source}-trust",
                f"{title}: what trusting nobody costs",
                part,
                "federation.nodes",
                METRICS,
                command,
            )
            continue
        yield curves(f"{name}-{source}-utility", f"{title}: utility over the budget", part, "epsilon", METRICS, command)
        worth = ratios(part, NDCG)
        if worth:
            yield ratio_figure(f"{name}-{source}-ratio", f"{title}: how many times DP popularity", worth, command)
        if not series(own).nunique() > 1:
            yield curves(
                f"{name}-{source}-spread", f"{title}: coverage and long tail", part, "epsilon", SPREAD, command
            )
            yield curves(f"{name}-{source}-traffic", f"{title}: communication", part, "epsilon", TRAFFIC, command)
            yield budget_figure(f"{name}-{source}-budget", f"{title}: where the budget goes", part, command)


def scaling_figure(name: str, table: pd.DataFrame, command: str) -> Figure:
    """Utility over the number of people, and how small the noise of a step becomes."""
    table = table.assign(noise=[_relative_noise(row) for _, row in table.iterrows()])
    return curves(
        f"{name}-scaling",
        "How utility grows, and noise falls, with the number of people",
        table,
        "dataset.users",
        {NDCG: METRICS[NDCG], NOISE: "noise of one step over the clip, σ/N"},
        command,
    )


def _relative_noise(row: pd.Series[Any]) -> float:
    """Deviation of the noise on the mean gradient, in units of the clip; NaN without rounds or noise."""
    if row["model"] != OWN or not row["releases"]:
        return math.nan
    found = [each["noise_multiplier"] for each in json.loads(row["releases"]) if each["name"] == "head"]
    return found[0] / float(row["dataset.users"]) if found and found[0] else math.nan


def curves(name: str, title: str, table: pd.DataFrame, x: str, panels: dict[str, str], command: str) -> Figure:
    """One panel per metric: mean over seeds, the band the 95 % interval over users (mean of the seeds' intervals)."""
    data = summarise(table, x, list(panels))
    canvas = Canvas(figsize=(5 * len(panels), 3.8), layout="constrained")
    axes = canvas.subplots(1, len(panels), squeeze=False)
    for axis, (metric, label) in zip(axes[0], panels.items(), strict=True):
        scale = 1e-6 if metric in TRAFFIC else 1.0
        _draw_curves(axis, data, metric, scale)
        axis.set_title(label, fontsize=10)
        axis.set_xlabel(PLACES[x])
        if (metric in TRAFFIC or metric == NOISE) and data[metric].max() > 10 * data[metric].min() > 0:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
    axes[0][0].legend(fontsize=8)
    caption = (
        "Means over seeds; the band is the 95 % interval over users. Dashed grey: references that see every history."
        if any(f"{metric}.low" in data for metric in panels)
        else "Means over seeds."
    )
    notes: tuple[str, ...] = ()
    if x == "epsilon" and NDCG in panels:
        notes = tuple(monotony(table, NDCG))
    question = "does more budget buy more? (NDCG@10, whole catalogue)"
    return Figure(name, title, caption, command, canvas, data, question, notes)


def ratio_figure(name: str, title: str, worth: Sequence[Ratio], command: str) -> Figure:
    """How many times a reference our runs are worth, with the interval over seeds."""
    data = pd.DataFrame([asdict(ratio) for ratio in worth])
    references = list(data["reference"].unique())
    canvas = Canvas(figsize=(5 * len(references), 3.8), layout="constrained")
    axes = canvas.subplots(1, len(references), squeeze=False)[0]
    for axis, reference in zip(axes, references, strict=True):
        for curve, line in data[data["reference"] == reference].groupby("series"):
            mean, low, high = (line[name].to_numpy() for name in ("ratio", "low", "high"))
            reach = (mean - low, high - mean)
            axis.errorbar(line["epsilon"].to_numpy(), mean, yerr=reach, marker="o", capsize=3, label=str(curve))
        axis.axhline(1, color="grey", linestyle="--", linewidth=1)
        axis.set_title(f"NDCG@10 over {reference}", fontsize=10)
        axis.set_xlabel(PLACES["epsilon"])
        axis.set_xscale("log")
        budgets = sorted(set(data["epsilon"]))
        axis.set_xticks(budgets, [f"{each:g}" for each in budgets], minor=False)
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    caption = (
        "NDCG@10 in the whole catalogue: each run over DP popularity of the same budget and seed, and over the same"
        " curve without privacy. Means over seeds; the bars are the 95 % interval over seeds (Student's t)."
    )
    question = "how many times? (NDCG@10, whole catalogue; 95 % interval over seeds)"
    return Figure(name, title, caption, command, canvas, data, question, tuple(map(str, worth)))


def budget_figure(name: str, title: str, table: pd.DataFrame, command: str) -> Figure:
    """ε after each release of a run, recomputed from its releases and δ alone."""
    runs = table[(table["model"] == OWN) & table["releases"].notna()].drop_duplicates("privacy.epsilon")
    lines = []
    for _, run in runs.iterrows():
        events = [ReleaseEvent(**event) for event in json.loads(run["releases"])]
        if any(event.noise_multiplier == 0 for event in events):
            continue
        for step, spent in enumerate(spending(events, float(run["spent.delta"]))):
            lines.append({"budget": budget(run["privacy.epsilon"]), "release": step, "epsilon": spent})
    data = pd.DataFrame(lines, columns=["budget", "release", "epsilon"])
    canvas = Canvas(figsize=(5.5, 3.8), layout="constrained")
    axis = canvas.subplots()
    for given, line in data.groupby("budget"):
        axis.step(line["release"], line["epsilon"], where="post", marker="o", markersize=3, label=f"ε = {given:g}")
    axis.set_xlabel("release (0 is popularity, then the rounds of the head)")
    axis.set_ylabel("ε spent")
    axis.legend(fontsize=8)
    return Figure(name, title, "Cumulative ε, recomputed from the releases and δ.", command, canvas, data)


def spending(events: Iterable[ReleaseEvent], delta: float) -> Iterator[float]:
    """ε after each single release, in order."""
    made: list[ReleaseEvent] = []
    for event in events:
        for count in range(1, event.count + 1):
            yield epsilon([*made, ReleaseEvent(event.name, event.noise_multiplier, event.sampling_rate, count)], delta)
        made.append(event)


def audit_figure(audits: Sequence[dict[str, Any]]) -> Figure:
    """What attacks show of ε, against what is claimed."""
    lines = [
        {"claimed ε": audit["claimed_epsilon"], "attack": attack, "lower bound on ε": found["epsilon_lower_bound"]}
        for audit in audits
        for attack, found in audit["attacks"].items()
        if found.get("epsilon_lower_bound") is not None
    ]
    data = pd.DataFrame(lines, columns=["claimed ε", "attack", "lower bound on ε"])
    canvas = Canvas(figsize=(5.5, 3.8), layout="constrained")
    axis = canvas.subplots()
    reach = max(data["claimed ε"].max(), data["lower bound on ε"].max(), 1.0) * 1.1
    axis.plot([0, reach], [0, reach], color="grey", linestyle="--", linewidth=1, label="claim")
    for attack, found in data.groupby("attack"):
        axis.plot(found["claimed ε"], found["lower bound on ε"], marker="o", linestyle="", label=str(attack))
    axis.set_xlabel("claimed ε")
    axis.set_ylabel("lower bound that an attack proves")
    axis.legend(fontsize=8)
    confidence = min(float(audit["confidence"]) for audit in audits)
    caption = f"A point above the dashed line would refute the claim. Each bound holds with confidence {confidence:g}."
    return Figure("audit", "Audit against claim", caption, "sottovoce audit RUN --json", canvas, data)


def _draw_curves(axis: Axes, data: pd.DataFrame, metric: str, scale: float) -> None:
    finite = sorted({value for value in data["x"] if math.isfinite(value)})
    # Without DP there is no ε: its place is to the right of all others.
    beyond = 2 * finite[-1] if finite else 1.0
    levels: dict[str, float] = {}
    for name, line in sorted(data.groupby("series"), key=lambda pair: str(pair[0]) != OWN):
        line = line.sort_values("x")
        values = line[metric] * scale
        if values.isna().all():
            continue
        if line["x"].isna().all():
            levels[str(name)] = float(values.iloc[0])
            continue
        places = line["x"].replace(math.inf, beyond)
        [drawn] = axis.plot(places, values, marker="o", markersize=4, label=str(name))
        if f"{metric}.low" in line:
            axis.fill_between(
                places, line[f"{metric}.low"], line[f"{metric}.high"], color=drawn.get_color(), alpha=0.15
            )
    _draw_levels(axis, levels)
    if finite and min(finite) > 0:
        axis.set_xscale("log")
        ticks = [*finite, *([beyond] if math.inf in set(data["x"]) else [])]
        axis.set_xticks(ticks, [f"{tick:g}" if tick in finite else "no DP" for tick in ticks], minor=False)
        axis.minorticks_off()


def _draw_levels(axis: Axes, levels: dict[str, float]) -> None:
    """Lines of what has no place on the axis; those that lie too close for two labels share one."""
    apart = 0.05 * max(axis.get_ylim()[1], *levels.values(), 0.0) if levels else 0.0
    labels: list[tuple[float, str]] = []
    for name, value in sorted(levels.items(), key=lambda pair: pair[1]):
        axis.axhline(value, color="grey", linestyle="--", linewidth=1)
        if labels and value - labels[-1][0] < apart:
            labels[-1] = value, f"{labels[-1][1]}, {name}"
        else:
            labels.append((value, name))
    for value, text in labels:
        axis.annotate(
            text,
            (0.99, value),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            color="grey",
            ha="right",
            va="bottom",
        )
