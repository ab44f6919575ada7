"""A report that can be put before a review board: one HTML file that needs no network.

Beside it lie its figures as SVG and PNG, and their data as CSV. It is made from the tables that `sottovoce sweep`
leaves and from what `sottovoce audit` and `sottovoce tune` say, and from nothing else. Each figure stands with its
caption, the command that made its data, and the data.
"""

from __future__ import annotations

import html
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from sottovoce.common.errors import DataError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.simulations.summary import OWN, budget, monotony, series, summarise
from sottovoce.simulations.sweep.store import read_table
from sottovoce.simulations.tune import read_tuning

NOISE = "noise"
PLACES = {
    "epsilon": "privacy budget ε (user level)",
    "dataset.users": "users",
    "federation.nodes": "nodes that share the users",
}
METRICS = {"full.ndcg@10": "NDCG@10, whole catalogue", "sampled.hr@10": "HR@10 against 99 items"}
SPREAD = {"full.coverage@10": "share of the catalogue shown", "full.long_tail@10": "share of long-tail items shown"}
TRAFFIC = {
    "communication.upload_bytes_per_node": "upload per node, MB",
    "communication.download_bytes_per_node": "download per node, MB",
}


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Attributes:
        name: Its file's name, less the ending.
        title: Its heading.
        caption: What it shows, and how to read it.
        command: What made its data.
        canvas: The drawing.
        data: The numbers that are drawn.
        notes: What the data say beside the drawing, a line each.
    """

    name: str
    title: str
    caption: str
    command: str
    canvas: Canvas
    data: pd.DataFrame
    notes: tuple[str, ...] = ()


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
        DataError: a table is missing, of another version, or has no row without an error.
    """
    figures: list[Figure] = []
    broken: list[str] = []
    for folder in experiments:
        table = read_results(folder)
        failed = table["error"].notna()
        broken += [f"{folder.name}: {line}" for line in table.loc[failed, "error"]]
        figures += experiment_figures(folder.name, table[~failed])
    if audits:
        figures.append(audit_figure([_read_json(path) for path in audits]))
    (out.parent / "figures").mkdir(parents=True, exist_ok=True)
    for figure in figures:
        for ending in ("svg", "png"):
            figure.canvas.savefig(out.parent / "figures" / f"{figure.name}.{ending}", dpi=120)
        figure.data.to_csv(out.parent / "figures" / f"{figure.name}.csv", index=False, float_format="%.6g")
    unfinished = out.with_suffix(".part")
    unfinished.write_text(page(figures, broken, [read_tuning(path) for path in tunings]), encoding="utf-8")
    unfinished.replace(out)
    return figures


def read_results(folder: Path) -> pd.DataFrame:
    """The table of an experiment.

    Raises:
        DataError: it is missing, damaged, of another version, or holds no result.
    """
    path = folder / "results.parquet"
    table = read_table(path)
    if table["error"].notna().all():
        raise DataError(path, f"every run failed; the first said: {table['error'].iloc[0]}")
    return table


def experiment_figures(name: str, table: pd.DataFrame) -> Iterator[Figure]:
    """The figures of one experiment: one set for each of its data sets, or one over their sizes."""
    command = f"sottovoce sweep experiments/{name}.toml --out runs/experiments/{name}"
    runs = table[table["model"] == OWN]
    if runs.empty:
        return
    made_up = all(str(source).startswith("synthetic") for source in runs["data.source"])
    if made_up and runs["dataset.users"].nunique() > 2:
        yield scaling_figure(name, table, command)
        return
    for source, part in table.groupby("dataset.name"):
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
        {"full.ndcg@10": METRICS["full.ndcg@10"], NOISE: "noise of one step over the clip, σ/N"},
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
        if metric in TRAFFIC or metric == NOISE:
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
    if x == "epsilon" and "full.ndcg@10" in panels:
        notes = tuple(monotony(table, "full.ndcg@10"))
    return Figure(name, title, caption, command, canvas, data, notes)


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


def page(figures: Sequence[Figure], broken: Sequence[str], tunings: Sequence[dict[str, Any]] = ()) -> str:
    """The HTML, whole: style and figures inside, nothing fetched."""
    parts = [_HEAD, "<h1>What a privacy budget buys</h1>"]
    parts.append(
        "<p>Every figure below stands with the command that made its data, and with the data. The unit of privacy is"
        " a user's whole history, added or removed; ε is the budget that a run was given, which it never passes.</p>"
    )
    parts += [_tuning(tuning) for tuning in tunings] or [f"<p>{html.escape(UNTOLD)}</p>"]
    if broken:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in broken)
        parts.append(f"<section class='broken'><h2>Runs that failed</h2><ul>{items}</ul></section>")
    for figure in figures:
        numbers = figure.data.to_html(index=False, float_format=lambda value: f"{value:.4g}", border=0, na_rep="")
        parts.append(
            f"<section id='{html.escape(figure.name)}'><h2>{html.escape(figure.title)}</h2>"
            f"<figure>{_svg(figure)}<figcaption>{html.escape(figure.caption)}</figcaption></figure>"
            f"{_notes(figure)}<pre>{html.escape(figure.command)}</pre>"
            f"<details><summary>the data</summary><div class='data'>{numbers}</div></details></section>"
        )
    return "\n".join([*parts, "</body></html>\n"])


def _notes(figure: Figure) -> str:
    if not figure.notes:
        return ""
    lines = "".join(f"<li>{html.escape(note)}</li>" for note in figure.notes)
    heading = "does more budget buy more? (NDCG@10, whole catalogue)"
    return f"<details open><summary>{heading}</summary><ul>{lines}</ul></details>"


UNTOLD = (
    "Settings of the runs and of their references were chosen on validation splits of these data, outside any privacy"
    " budget; no file of `sottovoce tune` was given that says with how many trials."
)


def _tuning(found: dict[str, Any]) -> str:
    """What a search saw, how long it took for each contender, and what it found."""
    lines = [
        {
            "contender": search["contender"],
            "ε": "no DP" if search["epsilon"] is None else f"{search['epsilon']:g}",
            "trials": search["trials"],
            "best found": _interval(search["best"]),
            "committed before": _interval(search["committed"]),
            "its values": ", ".join(
                f"{key.split('.')[-1]} {_short(value)}" for key, value in search["best"]["values"].items()
            ),
        }
        for search in found["searches"]
    ]
    table = pd.DataFrame(lines).to_html(index=False, border=0)
    return (
        f"<section class='tuning'><h2>{html.escape(found['dataset'])}: how settings were chosen</h2>"
        f"<p>{html.escape(found['says'])} Every contender had {found['trials']} trials of {found['seeds']} run each;"
        f" the {found['finalists']} best of them, and the values committed before, were measured again over"
        f" {found['confirm']} runs with fresh noise ({html.escape(found['metric'])} on validation, 95 % interval over"
        " runs).</p>"
        f"<details><summary>trials and values</summary><div class='data'>{table}</div></details></section>"
    )


def _interval(finalist: dict[str, Any]) -> str:
    if "error" in finalist:
        return "failed"
    spread = "" if finalist["runs"] == 1 else f" [{finalist['low']:.4f}, {finalist['high']:.4f}]"
    return f"{finalist['mean']:.4f}{spread}"


def _short(value: Any) -> str:  # noqa: ANN401 - a number or a text
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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


def _svg(figure: Figure) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": figure.name}):
        text = io.StringIO()
        figure.canvas.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = found["claimed_epsilon"], found["confidence"], found["attacks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"not what `sottovoce audit --json` writes: {error}") from error
    return dict(found)


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What a privacy budget buys</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
figure { margin: 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9rem; }
pre { background: #f4f4f4; padding: 0.4rem 0.7rem; overflow-x: auto; font-size: 0.85rem; }
table { border-collapse: collapse; font-size: 0.8rem; } th, td { padding: 0.15rem 0.6rem; text-align: right; }
tr:nth-child(even) { background: #f7f7f7; } .data { overflow-x: auto; }
.broken { border-left: 4px solid #b00; padding-left: 1rem; }
section { margin: 2.5rem 0; }
</style></head><body>"""
