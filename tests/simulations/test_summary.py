"""Curves are named by what tells them apart, and a fall is told with its interval and its reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sottovoce.simulations.summary import monotony, ratios, series, summarise

METRIC = "full.ndcg@10"


def rows(
    values: dict[float, list[float]],
    model: Any = "sottovoce",  # noqa: ANN401 - a text; `changes` by dotted names look like it to a type checker
    **changes: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    return [
        {"name": "utility", "model": model, "privacy.epsilon": budget, "seed": seed, "dataset.name": "d",
         "dataset.users": 943, "head.rank": 8, METRIC: value, f"{METRIC}.low": value - 0.01,
         f"{METRIC}.high": value + 0.01, **changes}
        for budget, seeds in values.items() for seed, value in enumerate(seeds)
    ]  # fmt: skip


def said(*curves: list[dict[str, Any]]) -> list[str]:
    return list(monotony(pd.DataFrame([row for curve in curves for row in curve]), METRIC))


def test_a_curve_that_rises() -> None:
    assert said(rows({1.0: [0.1, 0.11], 8.0: [0.2, 0.21], math.inf: [0.3]})) == ["sottovoce: rises at every step."]


def test_a_fall_within_the_interval_is_told_with_it() -> None:
    [line] = said(rows({1.0: [0.1, 0.12, 0.11], 8.0: [0.105, 0.1, 0.12]}))
    assert line.startswith("sottovoce: monotone within its interval (ε = 1 to 8 by 0.0017, interval ± 0.0")


def test_a_fall_beyond_the_interval_is_told_with_what_changed() -> None:
    known = {"privacy.popularity_length": 20, "privacy.popularity_share": 0.5, "head.window": pd.NA, "head.rank": 8}
    others = known | {"privacy.popularity_length": 60, "privacy.popularity_share": 0.1, "head.rank": 16}
    smaller, larger = ({1.0: [0.2, 0.201, 0.199]}, known), ({8.0: [0.1, 0.101, 0.099]}, others)
    [line] = said(*(rows(values, **settings) for values, settings in (smaller, larger)))
    assert line.startswith("sottovoce: not monotone: ε = 1 to 8 by 0.1000, beyond ± 0.002")
    assert line.endswith("its settings change there (rank, popularity length, popularity share).")
    # A reference depends on little.
    [line] = said(*(rows(values, "DP popularity", **settings) for values, settings in (smaller, larger)))
    assert line.endswith("its settings change there (popularity length).")


@pytest.mark.parametrize("model", ["sottovoce", "DP popularity"])
def test_where_the_table_knows_no_reason_none_is_made_up(model: str) -> None:
    [line] = said(rows({1.0: [0.2, 0.201], 8.0: [0.1, 0.101]}, model))
    assert line.endswith("its settings are the same there, and the table tells no reason.")


def test_a_ratio_is_one_of_pairs_with_its_interval() -> None:
    """Seeds that are good for both cancel: paired, the ratio is surer than either mean."""
    luck = np.array([1.0, 1.2, 0.8, 1.1])
    ratio = np.array([1.5, 1.52, 1.48, 1.5])
    table = pd.DataFrame(
        rows({1.0: list(0.04 * luck * ratio), math.inf: [0.1]}) + rows({1.0: list(0.04 * luck)}, "DP popularity")
    )
    over_popularity, of_exact = ratios(table, METRIC)
    reach = stats.t.ppf(0.975, 3) * ratio.std(ddof=1) / 2
    assert (over_popularity.reference, over_popularity.epsilon, over_popularity.seeds) == ("DP popularity", 1.0, 4)
    interval = over_popularity.ratio, over_popularity.low, over_popularity.high
    assert interval == pytest.approx((1.5, 1.5 - reach, 1.5 + reach))
    assert of_exact.reference == "no DP"
    assert of_exact.ratio == pytest.approx(np.mean(0.4 * luck * ratio))


def test_seeds_without_a_partner_are_in_no_ratio() -> None:
    table = pd.DataFrame(rows({1.0: [0.06, 0.9]}) + rows({1.0: [0.04], 8.0: [0.04, 0.04]}, "DP popularity"))
    [found] = ratios(table, METRIC)
    assert found.seeds == 1
    assert str(found) == "sottovoce, ε = 1: 1.500 × DP popularity, 1 seed"
    assert ratios(pd.DataFrame(rows({1.0: [0.06]})), METRIC) == []


def test_one_run_alone_has_the_interval_over_users() -> None:
    [line] = said(rows({8.0: [0.2], math.inf: [0.19]}))
    assert "within its interval" in line and "± 0.0141" in line


def test_every_contender_is_told_of_and_those_without_a_budget_are_not() -> None:
    lines = said(
        rows({1.0: [0.1], 8.0: [0.2]}), rows({1.0: [0.09, 0.0901], 8.0: [0.05, 0.0501]}, "DP popularity"),
        rows({math.nan: [0.3]}, "EASE"),
    )  # fmt: skip
    assert [line.partition(":")[0] for line in lines] == ["DP popularity", "sottovoce"]
    assert "not monotone" in lines[0]


def test_curves_are_named_by_what_differs_or_by_their_grid() -> None:
    table = pd.DataFrame(
        [*rows({1.0: [0.1]}), *rows({1.0: [0.1]}, **{"head.rank": 16}), *rows({1.0: [0.1]}, **{"name": "heads / + V"})]
    )
    assert series(table).tolist() == ["rank 8", "rank 16", "+ V"]


@pytest.mark.parametrize("x", ["federation.nodes", "dataset.users"])
def test_where_the_budget_is_not_the_axis_it_names_the_curve(x: str) -> None:
    table = pd.DataFrame(
        [
            *rows({1.0: [0.1], 8.0: [0.2], math.inf: [0.3]}, **{"federation.nodes": 1, "dataset.users": 10}),
            *rows({1.0: [0.1]}, **{"federation.nodes": 4, "dataset.users": 40}),
            *rows({math.nan: [0.3]}, "EASE"),
        ]
    )
    summary = summarise(table, x, [METRIC])
    assert set(summary["series"]) == {"sottovoce, ε = 1", "sottovoce, ε = 8", "sottovoce, no DP", "EASE"}
    assert len(summary[summary["series"] == "sottovoce, ε = 1"]) == 2


def test_grids_that_ask_different_questions_of_one_place_are_curves_of_their_own() -> None:
    table = pd.DataFrame([*rows({1.0: [0.1, 0.11]}, name="texts"), *rows({1.0: [0.2, 0.21]}, name="texts and genres")])
    assert set(series(table)) == {"texts", "texts and genres"}
    parts = pd.DataFrame([*rows({1.0: [0.1, 0.11]}, name="between"), *rows({math.inf: [0.2]}, name="no privacy")])
    assert set(series(parts)) == {"sottovoce"}
