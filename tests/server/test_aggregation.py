"""Robust rules against slow oracles, their scale and their noise, and what lying nodes can do to them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.common.config import AggregationRule as Rule
from sottovoce.common.messages import Arrays
from sottovoce.server.aggregation import Aggregation, nearest, trimmed_mean
from sottovoce.server.reclip import Sums

ROBUST: tuple[Rule, ...] = ("trimmed_mean", "krum", "multi_krum")


def parts_of(count: int, seed: int = 0, spread: float = 1.0) -> list[Arrays]:
    rng = np.random.default_rng(seed)
    return [
        {
            "V": (3 + spread * rng.normal(size=(4, 3))).astype(np.float32),
            "W": (-1 + spread * rng.normal(size=(2, 2))).astype(np.float32),
        }
        for _ in range(count)
    ]


def flat(sums: Sums | Arrays) -> np.ndarray:
    return np.concatenate([sums[name].ravel() for name in sorted(sums)]).astype(np.float64)


def slow_trimmed_mean(values: list[float], trimmed: int) -> float:
    """Take the largest and the smallest away, one at a time."""
    left = list(values)
    for _ in range(trimmed):
        left.remove(max(left))
        left.remove(min(left))
    return sum(left) / len(left)


def slow_krum_score(parts: list[np.ndarray], place: int, malicious: int) -> float:
    """The smallest sum over any n - f - 2 others of the squared distance to them."""
    others = [float(np.sum((parts[place] - part) ** 2)) for other, part in enumerate(parts) if other != place]
    return min(sum(chosen) for chosen in itertools.combinations(others, len(parts) - malicious - 2))


@settings(max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.integers(0, 4))
def test_the_trimmed_mean_is_the_slow_one(values: list[float], trimmed: int) -> None:
    trimmed = min(trimmed, (len(values) - 1) // 2)
    found = float(trimmed_mean(np.array(values)[:, None], trimmed)[0])
    assert found == pytest.approx(slow_trimmed_mean(values, trimmed), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("malicious", [0, 1, 2])
def test_krum_is_the_slow_one(seed: int, malicious: int) -> None:
    parts = [flat(part) for part in parts_of(8, seed)]
    scores = [slow_krum_score(parts, place, malicious) for place in range(8)]
    order = sorted(range(8), key=lambda place: scores[place])
    for count in (1, 3, 8 - malicious):
        assert nearest(np.stack(parts), malicious, count).tolist() == sorted(order[:count])


def test_the_sum_is_the_sum() -> None:
    parts = parts_of(5)
    assert np.allclose(flat(Aggregation().total(parts)), sum(flat(part) for part in parts))


@pytest.mark.parametrize("rule", ROBUST)
def test_a_rule_returns_a_sum_and_not_a_mean(rule: Rule) -> None:
    """Parts that all say the same are summed, so that the public divisor stays the cohort."""
    parts = parts_of(1) * 9
    assert np.allclose(flat(Aggregation(rule, 2).total(parts)), 9 * flat(parts[0]))


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("lie", [1e6, -1e6, 1e30])
def test_lying_nodes_move_a_robust_total_no_further_than_honest_parts_differ(rule: Rule, lie: float) -> None:
    parts = parts_of(11, spread=0.1)
    for part in parts[:3]:
        part["V"] = np.full_like(part["V"], lie)
    total = flat(Aggregation(rule, 3).total(parts)) / 11
    honest = np.stack([flat(part) for part in parts[3:]])
    assert np.all(total >= honest.min(axis=0) - 1e-9)
    assert np.all(total <= honest.max(axis=0) + 1e-9)
    assert np.abs(flat(Aggregation().total(parts))).max() > 1e5


def test_one_more_liar_than_withstood_spoils_the_trimmed_mean() -> None:
    parts = parts_of(11, spread=0.1)
    for part in parts[:4]:
        part["V"] = np.full_like(part["V"], 1e6)
    assert np.abs(flat(Aggregation("trimmed_mean", 3).total(parts))).max() > 1e5


@pytest.mark.parametrize(("rule", "fewest"), [("sum", 1), ("trimmed_mean", 5), ("krum", 7), ("multi_krum", 7)])
def test_too_few_parts_are_refused(rule: Rule, fewest: int) -> None:
    aggregation = Aggregation(rule, 2)
    assert aggregation.fewest == fewest
    aggregation.total(parts_of(fewest))
    with pytest.raises(ValueError, match=f"needs {fewest}"):
        aggregation.total(parts_of(fewest - 1))


@pytest.mark.parametrize(("rule", "malicious"), [("sum", 0), ("trimmed_mean", 2), ("trimmed_mean", 9)])
def test_the_noise_of_a_total_is_as_said(rule: Rule, malicious: int) -> None:
    rng = np.random.default_rng(3)
    parts: list[Arrays] = [{"V": (0.7 * rng.normal(size=20_000)).astype(np.float32)} for _ in range(20)]
    aggregation = Aggregation(rule, malicious)
    measured = float(np.std(aggregation.total(parts)["V"]))
    assert measured == pytest.approx(aggregation.noise_std(0.7, 20), rel=0.03)


def test_the_noise_of_krums_choice_is_that_of_the_parts_it_averages() -> None:
    assert Aggregation("krum", 1).noise_std(0.5, 9) == pytest.approx(4.5)
    assert Aggregation("multi_krum", 5).noise_std(0.5, 9) == pytest.approx(9 * 0.5 / math.sqrt(4))
    assert Aggregation("sum").noise_std(0.5, 9) == pytest.approx(1.5)
    assert Aggregation("trimmed_mean", 0).noise_std(0.5, 9) == pytest.approx(1.5)
