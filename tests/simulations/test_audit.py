"""The statistics of the audit, against slow oracles and on mechanisms whose ε is known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy.accounting import noise_for
from sottovoce.simulations import audit

DELTA, CONFIDENCE = 1e-5, 0.999


def binomial(k: int, n: int, p: Fraction) -> Fraction:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def slow_p_value(correct: int, guesses: int, canaries: int, odds: int, delta: Fraction) -> float:
    """Theorem 5.2 of Steinke et al. in exact arithmetic, for e^ε = `odds`."""
    p = Fraction(odds, odds + 1)
    tail = sum((binomial(k, guesses, p) for k in range(correct, guesses + 1)), Fraction(0))
    worst = Fraction(0)
    for i in range(1, correct + 1):
        below = sum((binomial(k, guesses, p) for k in range(correct - i, correct)), Fraction(0))
        worst = max(worst, below / i)
    return float(min(Fraction(1), tail + 2 * canaries * delta * worst))


@pytest.mark.parametrize("odds", [1, 2, 7])
@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1, 10_000), Fraction(1, 50)])
def test_the_p_value_of_one_run_is_that_of_exact_arithmetic(odds: int, delta: Fraction) -> None:
    for correct, guesses, canaries in ((1, 1, 1), (3, 9, 20), (9, 9, 20), (30, 40, 100), (0, 5, 5)):
        found = audit.one_run_p_value(correct, guesses, canaries, math.log(odds), float(delta))
        expected = slow_p_value(correct, guesses, canaries, odds, delta) if correct else 1.0
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_bound_from_one_run_is_the_edge_of_what_is_refuted() -> None:
    bound = audit.one_run_epsilon(57, 60, 300, DELTA, CONFIDENCE)
    assert audit.one_run_p_value(57, 60, 300, bound - 1e-6, DELTA) < 1 - CONFIDENCE
    assert audit.one_run_p_value(57, 60, 300, bound + 1e-6, DELTA) > 1 - CONFIDENCE
    assert audit.one_run_epsilon(30, 60, 300, DELTA, CONFIDENCE) == 0
    assert audit.one_run_epsilon(60, 60, 300, 0.0, CONFIDENCE) == pytest.approx(
        -math.log(0.001 ** (-1 / 60) - 1), abs=1e-6
    )


def test_more_right_guesses_than_guesses_are_refused() -> None:
    with pytest.raises(ConfigError, match="v ≤ r ≤ m"):
        audit.one_run_p_value(6, 5, 10, 1.0, 0.0)


def test_the_bound_holds_for_randomised_response_and_is_not_far() -> None:
    """Every coin told truly with probability e^ε / (1 + e^ε): ε-DP, and nothing tells more."""
    rng = np.random.default_rng(0)
    bounds = [
        audit.one_run_epsilon(int(rng.binomial(2000, 1 / (1 + math.exp(-1)))), 2000, 2000, 0.0, CONFIDENCE)
        for _ in range(100)
    ]
    assert max(bounds) <= 1
    assert np.median(bounds) > 0.8


def test_extremes_are_guessed_and_the_rest_is_not() -> None:
    chosen, guessed = audit.guess_extremes(np.array([0.3, -2.0, 5.0, 0.0, 4.0, -1.0]), 4)
    assert {(int(place), bool(said)) for place, said in zip(chosen, guessed, strict=True)} == {
        (2, True),
        (4, True),
        (1, False),
        (5, False),
    }


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (20, 20), (3, 20), (250, 1000)])
def test_an_exact_interval_is_where_binomial_tails_reach_half_of_what_may_fail(hits: int, trials: int) -> None:
    share, tail = audit.clopper_pearson(hits, trials, 0.99), 0.005
    assert share.low <= share.value <= share.high
    above = sum(math.comb(trials, k) * share.low**k * (1 - share.low) ** (trials - k) for k in range(hits, trials + 1))
    below = sum(math.comb(trials, k) * share.high**k * (1 - share.high) ** (trials - k) for k in range(hits + 1))
    assert above == pytest.approx(tail, rel=1e-6) if hits else share.low == 0
    assert below == pytest.approx(tail, rel=1e-6) if hits < trials else share.high == 1


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_error_rates_of_the_best_attack_give_the_accountants_epsilon(epsilon: float) -> None:
    """For a Gaussian mechanism, the best threshold makes the inequality an equality; any other proves less."""
    mu = 1 / noise_for("gaussian", epsilon, DELTA)
    thresholds = np.linspace(-6, 6, 3_001)
    bounds = [audit.epsilon_from_errors(stats.norm.sf(t), stats.norm.cdf(t - mu), DELTA) for t in thresholds]
    assert max(bounds) == pytest.approx(epsilon, rel=1e-3)
    assert audit.gaussian_epsilon(audit.mu_from_errors(stats.norm.sf(0.3), stats.norm.cdf(0.3 - mu)), DELTA) == (
        pytest.approx(epsilon, rel=1e-4)
    )


def test_an_attack_that_fails_proves_nothing() -> None:
    assert audit.epsilon_from_errors(0.5, 0.5, 0.0) == 0
    assert audit.epsilon_from_errors(1.0, 0.2, 0.0) == 0
    assert audit.mu_from_errors(0.9, 0.4) == 0
    assert audit.gaussian_epsilon(0.0, DELTA) == 0


@pytest.mark.parametrize(("epsilon", "near"), [(1.0, 0.5), (8.0, 0.75)])
def test_on_a_gaussian_of_known_epsilon_the_bounds_stay_below_and_come_near(epsilon: float, near: float) -> None:
    mu = 1 / noise_for("gaussian", epsilon, DELTA)
    plain, gaussian = [], []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        out, inside = rng.normal(size=20_000), rng.normal(size=20_000) + mu
        plain.append(audit.repeated_epsilon(out, inside, DELTA, CONFIDENCE))
        gaussian.append(audit.repeated_gaussian_epsilon(out, inside, DELTA, CONFIDENCE))
    assert max(plain) <= epsilon
    assert max(gaussian) <= epsilon
    assert np.median(gaussian) > near * epsilon
    assert np.median(plain) > 0.1 * epsilon


def test_on_many_gaussian_canaries_one_run_stays_below() -> None:
    mu, m = 1 / noise_for("gaussian", 8.0, DELTA), 400
    bounds = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        coins = rng.random(m) < 0.5
        chosen, guessed = audit.guess_extremes(rng.normal(size=m) + mu * coins, 120)
        bounds.append(audit.one_run_epsilon(int((coins[chosen] == guessed).sum()), 120, m, DELTA, CONFIDENCE))
    assert max(bounds) <= 8
    assert np.median(bounds) > 1


def test_half_the_noise_is_told_from_the_claimed_one() -> None:
    mu = 1 / noise_for("gaussian", 8.0, DELTA)
    rng = np.random.default_rng(0)
    out, inside = rng.normal(size=10_000) / 2, rng.normal(size=10_000) / 2 + mu
    assert audit.repeated_gaussian_epsilon(out, inside, DELTA, CONFIDENCE) > 8


def test_coverage_of_the_held_out_half() -> None:
    """At a confidence that may fail one time in two it does fail, and not more often."""
    truth, failed = 1 / noise_for("gaussian", 1.0, DELTA), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        out, inside = rng.normal(size=400), rng.normal(size=400) + truth
        failed += audit.repeated_gaussian_epsilon(out, inside, DELTA, 0.5) > 1
    assert 0 < failed <= 50


def test_the_true_positive_rate_keeps_to_the_false_ones_allowed() -> None:
    rng = np.random.default_rng(0)
    others, members = np.round(rng.normal(size=1000), 1), np.round(rng.normal(size=400) + 1, 1)
    share = audit.true_positive_rate(members, others, 0.01, 0.95)
    allowed = [t for t in np.unique(others) if (others > t).sum() <= 10]
    assert share.value == max((members > t).mean() for t in allowed)


def test_the_area_is_the_chance_that_a_member_ranks_higher() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 6, 30).astype(float), rng.integers(0, 5, 40).astype(float)
    pairs = [(one > other) + 0.5 * (one == other) for one in members for other in others]
    assert audit.area_under_curve(members, others) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("factor", "alarm"), [(1.0, False), (2 / 3, True), (3 / 2, True), (0.0, True)])
def test_the_noise_has_the_claimed_size(factor: float, alarm: bool) -> None:
    residuals = factor * np.random.default_rng(0).normal(size=500)
    assert (audit.noise_p_value(residuals) < 1e-6) is alarm
