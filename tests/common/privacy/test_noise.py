"""Noise of the right size, and none of a wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gaussian import P_VALUE, has_std
from scipy import stats

from sottovoce.common.privacy.noise import (
    GRID_STEPS,
    OsRandom,
    SeededRandom,
    add_gaussian,
    poisson_sample,
    random_source,
    standard_normal,
)

SAMPLES = 20_000


@pytest.mark.parametrize("std", [1e-4, 0.37, 1.0, 512.0])
@pytest.mark.parametrize("kind", ["os", "seeded"])
def test_noise_has_the_planned_std_and_no_other(std: float, kind: str) -> None:
    noise = add_gaussian(np.zeros(SAMPLES), std, random_source(kind, 3, "test"))
    assert has_std(noise, std)
    assert not has_std(noise, std * 2 / 3)
    assert not has_std(noise, std * 3 / 2)


def test_noise_keeps_the_sum() -> None:
    noised = add_gaussian(np.full(SAMPLES, 5.0), 1.0, OsRandom())
    assert abs(noised.mean() - 5.0) < 6 / math.sqrt(SAMPLES)


@pytest.mark.parametrize("std", [0.9, 1e-3, 77.0])
def test_noised_sums_lie_on_a_grid_that_does_not_depend_on_them(std: float) -> None:
    step = 2.0 ** math.floor(math.log2(std / GRID_STEPS))
    for exact in (np.zeros(100), np.linspace(-9, 9, 100) * std):
        noised = add_gaussian(exact, std, OsRandom()) / step
        assert np.array_equal(noised, np.round(noised))
    assert std / GRID_STEPS / 2 < step <= std / GRID_STEPS


def test_the_grid_survives_float32() -> None:
    noised = add_gaussian(np.zeros(SAMPLES), 0.1, OsRandom())
    assert np.array_equal(noised.astype(np.float32).astype(np.float64), noised)


def test_without_noise_nothing_changes() -> None:
    values = np.array([0.1, 0.2, 1 / 3])
    assert np.array_equal(add_gaussian(values, 0.0, OsRandom()), values)


def test_seeded_streams_repeat_and_do_not_share_bits() -> None:
    first = standard_normal(100, SeededRandom(1, "a"))
    assert np.array_equal(first, standard_normal(100, SeededRandom(1, "a")))
    for other in (SeededRandom(2, "a"), SeededRandom(1, "b")):
        assert not np.isin(first, standard_normal(100, other)).any()


def test_os_noise_never_repeats() -> None:
    assert not np.isin(standard_normal(100, OsRandom()), standard_normal(100, OsRandom())).any()


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_poisson_sampling_draws_each_user_independently_at_the_rate(rate: float) -> None:
    counts = np.zeros(200)
    sizes = []
    for _ in range(300):
        rows = poisson_sample(200, rate, OsRandom())
        counts[rows] += 1
        sizes.append(len(rows))
    between_users = np.var(counts) / (300 * rate * (1 - rate))
    assert 0.6 < between_users < 1.6
    assert stats.binomtest(int(counts.sum()), 200 * 300, rate).pvalue > P_VALUE
    assert stats.binomtest(int(counts.sum()), 200 * 300, rate * 0.8).pvalue < P_VALUE
    # Independent draws: the cohort's size varies as a binomial does, which a fixed-size sample would not.
    spread = np.var(sizes) / (200 * rate * (1 - rate))
    assert 0.6 < spread < 1.6


def test_full_participation_takes_everybody() -> None:
    assert np.array_equal(poisson_sample(7, 1.0, OsRandom()), np.arange(7))
