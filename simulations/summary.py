"""What the table of an experiment says: means over seeds by curve, and whether a curve rises with the budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

OWN = "sottovoce"
"""How the table calls a run of ours, beside its references."""

DP_POPULARITY = "DP popularity"
NO_DP = "no DP"

VARIED = ("privacy.trust", "federation.nodes", "head.rank", "head.mix", "head.loss", "head.state", "train.rounds",
          "train.clip_norm", "train.sampling_rate", "encoder.name", "encoder.dimensions", "encoder.word_dimensions",
          "encoder.whitening")  # fmt: skip
"""Settings that tell two curves of a figure apart, if they differ within an experiment."""

SETTINGS = ("privacy.", "head.", "train.", "encoder.", "federation.", "reference")
"""Beginnings of the columns whose values a preset may change from one budget to the next."""

OF_REFERENCES = ("reference", "privacy.popularity_length")
"""The same of references, which depend on nothing else."""

BUDGET = ("privacy.epsilon", "privacy.trust")
"""Settings that make the budget: without one, `trust` is another too."""


@dataclass(frozen=True)
class Ratio:
    """How many times a reference a curve is worth at a budget.

    Attributes:
        series: The curve.
        epsilon: The budget.
        reference: `DP popularity`, or `no DP` for the same curve without privacy.
        seeds: Number of pairs.
        ratio: Mean of the pairs' ratios.
        low: Lower end of its 95 % interval over seeds (Student's t); NaN for one seed.
        high: Upper end.
    """

    series: str
    epsilon: float
    reference: str
    seeds: int
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.series}, ε = {self.epsilon:g}: {self.ratio:.3f} × {self.reference}{interval}, {seeds}"


def summarise(table: pd.DataFrame, x: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Means over seeds by series and `x`: columns `series`, `x`, `seeds`, and the metrics with their intervals."""
    table = with_series(table, x)
    wanted = [name for metric in metrics for name in (metric, f"{metric}.low", f"{metric}.high") if name in table]
    grouped = table.groupby(["series", "x"], dropna=False)
    summary = grouped[wanted].mean()
    summary.insert(0, "seeds", grouped.size())
    return summary.reset_index()


def with_series(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """The table with each row's curve (`series`) and place on it (`x`: `epsilon`, or a column)."""
    table = table.copy()
    table["series"] = series(table, x)
    table["x"] = table["privacy.epsilon"].map(budget) if x == "epsilon" else table[x].astype(float)
    return table


def series(table: pd.DataFrame, x: str = "epsilon") -> pd.Series[str]:
    """A name for each row's curve: what its grid says after ` / `, else the model and the settings that differ.

    Grids whose runs would share a place give their own names: they ask different questions.
    """
    table = table.assign(given=_given_names(table))
    unnamed = table[(table["model"] == OWN) & (table["given"] == "")]
    if "name" in table and _told_apart(unnamed, "name", x):
        table["given"] = table["given"].mask(table["given"] == "", table["name"].astype(str))
    own = table[(table["model"] == OWN) & (table["given"] == "")]
    varied = [name for name in VARIED if name in table and name != x and _told_apart(own, name, x)]

    def label(row: pd.Series[Any]) -> str:
        if row["model"] != OWN:
            told = str(row["model"])
        else:
            told = row["given"] or ", ".join(_setting(name, row[name]) for name in varied) or OWN
        place = budget(row["privacy.epsilon"])
        if x == "epsilon" or math.isnan(place):
            return told
        return f"{told}, no DP" if math.isinf(place) else f"{told}, ε = {place:g}"

    return table.apply(label, axis=1)


def _given_names(table: pd.DataFrame) -> pd.Series[str]:
    """The curve that a grid's name gives its runs, as in `heads / + V`; empty where it gives none."""
    names = table["name"].astype(str) if "name" in table else pd.Series("", index=table.index)
    return names.map(lambda name: name.partition(" / ")[2])


def monotony(table: pd.DataFrame, metric: str) -> Iterator[str]:
    """One sentence per curve over the budget: it rises, it falls within its interval, or it falls beyond it.

    Of a fall beyond it the sentence says what the table knows, which is no cause.

    A fall from one budget to the next counts if it exceeds the 95 % interval of the difference of the means over seeds
    (Welch's t); where a budget has one run alone, the wider interval over users.
    """
    placed = with_series(table, "epsilon").dropna(subset=["x"])
    for name, curve in placed.groupby("series"):
        groups = [group for _, group in sorted(curve.groupby("x"), key=lambda pair: float(str(pair[0])))]
        if len(groups) < 2:
            continue
        falls = list(_falls(groups, metric))
        beyond = [fall for fall in falls if fall.endswith(".")]
        if not falls:
            yield f"{name}: rises at every step."
        elif not beyond:
            yield f"{name}: monotone within its interval ({'; '.join(falls)})."
        else:
            yield f"{name}: not monotone: {' '.join(beyond)}"


def ratios(table: pd.DataFrame, metric: str) -> list[Ratio]:
    """How many times a reference our private runs are worth, by curve, budget and reference.

    A run is divided by DP popularity of the same budget and seed, and by the same curve without privacy (the mean of
    its runs, which have no noise to differ by).
    """
    placed = with_series(table, "epsilon").dropna(subset=["x"])
    popularity = placed[placed["model"] == DP_POPULARITY]
    found = []
    for (name, _), runs in placed[(placed["model"] == OWN) & np.isfinite(placed["x"])].groupby(["series", "x"]):
        x = float(runs["x"].iloc[0])
        exact = placed[(placed["series"] == name) & np.isinf(placed["x"])][metric].mean()
        noised = popularity[popularity["x"] == x].groupby("seed")[metric].mean()
        values = runs.groupby("seed")[metric].mean()
        for reference, divided in ((DP_POPULARITY, values / noised), (NO_DP, values / exact)):
            if divided.notna().any():
                found.append(Ratio(str(name), x, reference, *_mean_over_seeds(divided.dropna())))
    return found


def _mean_over_seeds(values: pd.Series[float]) -> tuple[int, float, float, float]:
    mean, count = float(values.mean()), len(values)
    reach = float(stats.t.ppf(0.975, count - 1) * values.std() / math.sqrt(count)) if count > 1 else math.nan
    return count, mean, mean - reach, mean + reach


def budget(value: Any) -> float:  # noqa: ANN401 - a number, text, or nothing
    """A budget as the table holds it, as a number; NaN where there is none."""
    return math.nan if value is None else float(value)


def _falls(groups: Sequence[pd.DataFrame], metric: str) -> Iterator[str]:
    """Where a curve falls: a phrase if within the interval, a whole sentence if beyond it."""
    for before, after in itertools.pairwise(groups):
        fall = float(before[metric].mean() - after[metric].mean())
        if fall <= 0:
            continue
        reach = _reach(before, after, metric)
        step = f"ε = {before['x'].iloc[0]:g} to {after['x'].iloc[0]:g}"
        if fall <= reach:
            yield f"{step} by {fall:.4f}, interval ± {reach:.4f}"
        else:
            yield f"{step} by {fall:.4f}, beyond ± {reach:.4f}: {_why(before, after)}."


def _reach(before: pd.DataFrame, after: pd.DataFrame, metric: str) -> float:
    """Half the 95 % interval of the difference of two means."""
    if min(len(before), len(after)) < 2:
        halves = [(group[f"{metric}.high"] - group[f"{metric}.low"]).mean() / 2 for group in (before, after)]
        return float(math.hypot(*halves))
    parts = [float(group[metric].var()) / len(group) for group in (before, after)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(group) - 1) for part, group in zip(parts, (before, after), strict=True)
    )
    return float(stats.t.ppf(0.975, freedom)) * math.sqrt(sum(parts))


def _why(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """What the table knows of a fall: whether settings change with the budget, and no cause."""
    known = SETTINGS if before["model"].iloc[0] == OWN else OF_REFERENCES
    settings = [name for name in before if str(name).startswith(known) and name not in BUDGET]
    changed = [name for name in settings if not _same(before[name].iloc[0], after[name].iloc[0])]
    if changed:
        told = ", ".join(str(name).rsplit(".", maxsplit=1)[-1].replace("_", " ") for name in changed)
        return f"its settings change there ({told})"
    return "its settings are the same there, and the table tells no reason"


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - what a cell of a table holds
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    return bool(one == other)


def _told_apart(own: pd.DataFrame, name: str, x: str) -> bool:
    """Whether a setting differs between runs that would share a place: presets differ between budgets."""
    place = ["dataset.name", "privacy.epsilon", *([x] if x in own else [])]
    return bool((own.groupby(place)[name].nunique() > 1).any())


def _setting(name: str, value: Any) -> str:  # noqa: ANN401
    if name == "privacy.trust":
        return "aggregate (simulated)" if value == "aggregate" else str(value)
    return f"{name.split('.')[-1]} {value:g}" if isinstance(value, (int, float)) else f"{name.split('.')[-1]} {value}"
