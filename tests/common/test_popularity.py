"""Noised counts become log popularity by public constants alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.common.popularity import counts_of, log_popularity

COUNTS = st.lists(st.floats(-100, 1000, width=32), min_size=1, max_size=20)
STDS = st.just(0.0) | st.floats(1e-3, 50)


def decode(counts: list[float], std: float) -> list[float]:
    return [float(each) for each in log_popularity(np.array(counts, dtype=np.float32), std, 1.3)]


@given(COUNTS, STDS)
def test_the_prior_is_finite_and_keeps_the_order(counts: list[float], std: float) -> None:
    prior = decode(counts, std)
    assert all(math.isfinite(each) for each in prior)
    for low, high in zip(np.argsort(counts)[:-1], np.argsort(counts)[1:], strict=True):
        assert prior[low] <= prior[high]


def test_it_follows_the_formula() -> None:
    exact = [1.3 * math.log(10), 1.3 * math.log(0.3), 1.3 * math.log(0.3)]
    assert decode([9.7, 0.0, -5.0], 0.0) == pytest.approx(exact, rel=1e-5)
    assert decode([6.0, 0.0, -5.0], 2.0) == pytest.approx(
        [1.3 * math.log(10), 1.3 * math.log(4), 1.3 * math.log(4)], rel=1e-5
    )


def test_what_noise_alone_can_make_says_little() -> None:
    quiet, loud = decode([0.0, 5.0], 0.1), decode([0.0, 5.0], 5.0)
    assert quiet[1] - quiet[0] > 4
    assert loud[1] - loud[0] < 0.6


@given(COUNTS, STDS)
def test_an_items_prior_depends_on_its_own_count_alone(counts: list[float], std: float) -> None:
    alone = [decode([each], std)[0] for each in counts]
    assert decode(counts, std) == pytest.approx(alone)


@given(COUNTS, STDS)
def test_counts_are_known_from_the_prior(counts: list[float], std: float) -> None:
    prior = log_popularity(np.array(counts, dtype=np.float32), std, 1.3)
    known = counts_of(prior, std, 1.3)
    assert np.allclose(known, np.maximum(counts, 0), rtol=1e-4, atol=1e-4 * (1 + std))
