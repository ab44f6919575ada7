"""What an attack proves about ε: lower bounds with a stated confidence, from right and wrong guesses.

Three bounds, each with what it assumes of the mechanism:

- `one_run_epsilon`: m independent coins in one run (Steinke, Nasr, Jagielski 2023); assumes nothing.
- `repeated_epsilon`: error rates of one attack over many runs, by Clopper and Pearson (1934); assumes nothing.
- `repeated_gaussian_epsilon`: the same rates, if the mechanism is known to be a Gaussian one (Nasr et al. 2023).

A bound above the claimed ε refutes the claim; one below it does not prove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon, require

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

THRESHOLDS = 100
"""How many thresholds are tried on the half of the trials on which one is chosen."""

MAX_EPSILON = 50.0
"""A search ends here: no number of trials that fits a machine proves more."""


@dataclass(frozen=True)
class Interval:
    """A share with its Clopper-Pearson interval."""

    value: float
    low: float
    high: float


# --- one run -------------------------------------------------------------------------------------------------------


def one_run_p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """How likely `correct` or more of `guesses` right ones are at most, if one run is (ε, δ)-DP for each canary.

    Steinke, Nasr, Jagielski (2023), Theorem 5.2: without δ the number of right guesses is dominated by a binomial with
    success probability e^ε / (e^ε + 1); δ adds at most 2 m δ max_i P[v - i ≤ B < v] / i.

    Args:
        correct: v right guesses.
        guesses: r guesses, fixed before the coins were tossed; the auditor abstains on the other canaries.
        canaries: m, each in or out by a fair coin of its own.
        epsilon: ε under test.
        delta: δ of the guarantee.

    Raises:
        ConfigError: not 0 ≤ v ≤ r ≤ m.
    """
    require("correct guesses", (correct, guesses, canaries), 0 <= correct <= guesses <= canaries, "0 ≤ v ≤ r ≤ m")
    probability = float(1 / (1 + np.exp(-epsilon)))
    tail = float(stats.binom.sf(correct - 1, guesses, probability))
    if correct == 0:
        return 1.0
    below = np.cumsum(stats.binom.pmf(np.arange(correct - 1, -1, -1), guesses, probability))
    worst = float(np.max(below / np.arange(1, correct + 1)))
    return min(1.0, tail + 2 * canaries * delta * worst)


def one_run_epsilon(correct: int, guesses: int, canaries: int, delta: float, confidence: float) -> float:
    """The largest ε that `correct` right guesses refute with `confidence`; zero if they refute none."""
    return _largest(lambda value: one_run_p_value(correct, guesses, canaries, value, delta) < 1 - confidence)


def guess_extremes(scores: FloatArray, guesses: int) -> tuple[NDArray[np.int64], BoolArray]:
    """The canaries that are guessed about, and whether each is guessed to be in.

    Half of the guesses say that the highest scores are in, half that the lowest are out.
    """
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    chosen = np.concatenate([order[len(order) - half :], order[:half]])
    return chosen, np.arange(2 * half) < half


# --- many runs -----------------------------------------------------------------------------------------------------


def clopper_pearson(hits: int, trials: int, confidence: float) -> Interval:
    """A share with its exact two-sided interval (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Interval(hits / trials if trials else math.nan, low, high)


def epsilon_from_errors(false_positive: float, false_negative: float, delta: float) -> float:
    """The least ε that allows an attack with these error rates at most, if a mechanism is (ε, δ)-DP.

    By Kairouz, Oh, Viswanath (2015): FPR + e^ε FNR ≥ 1 - δ, and with both exchanged.
    """
    bounds = [
        math.log((1 - delta - other) / one)
        for one, other in ((false_positive, false_negative), (false_negative, false_positive))
        if one > 0 and 1 - delta - other > one
    ]
    return max(bounds, default=0.0)


def mu_from_errors(false_positive: float, false_negative: float) -> float:
    """The least μ that allows an attack with these error rates at most, if a mechanism is μ-GDP.

    By Dong, Roth, Su (2019), as Nasr et al. (2023) audit with it: Φ⁻¹(1 - FPR) - Φ⁻¹(FNR).
    """
    return max(0.0, float(stats.norm.ppf(1 - false_positive) - stats.norm.ppf(false_negative)))


def repeated_epsilon(out: FloatArray, inside: FloatArray, delta: float, confidence: float) -> float:
    """A lower bound on ε from scores of runs without and with a canary; assumes nothing of the mechanism.

    Args:
        out: Scores of independent runs without the canary, shape [n].
        inside: Scores of independent runs with it, shape [n'].
        delta: δ of the guarantee.
        confidence: That the bound is one.
    """
    return _on_held_out_half(out, inside, confidence, lambda fpr, fnr: epsilon_from_errors(fpr, fnr, delta))


def repeated_gaussian_epsilon(out: FloatArray, inside: FloatArray, delta: float, confidence: float) -> float:
    """The same, if the mechanism is Gaussian (no sampling): one point of its trade-off curve then gives the whole."""
    mu = _on_held_out_half(out, inside, confidence, mu_from_errors)
    return gaussian_epsilon(mu, delta)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The ε of a Gaussian mechanism of sensitivity μ times its noise, as our own accountant says."""
    return epsilon([ReleaseEvent("gaussian", 1 / mu, 1.0, 1)], delta) if mu > 1e-6 else 0.0


def _on_held_out_half(
    out: FloatArray, inside: FloatArray, confidence: float, bound: Callable[[float, float], float]
) -> float:
    """Fix the threshold on the first half of the trials, and bound with the second alone."""
    choose_out, choose_in = out[: len(out) // 2], inside[: len(inside) // 2]
    pooled = np.concatenate([choose_out, choose_in])
    thresholds = np.unique(np.quantile(pooled, np.linspace(0, 1, THRESHOLDS)))
    middles = np.append((thresholds[1:] + thresholds[:-1]) / 2, thresholds[-1])
    chosen = max(middles, key=lambda at: bound(*_errors(choose_out, choose_in, at, confidence)))
    return bound(*_errors(out[len(out) // 2 :], inside[len(inside) // 2 :], chosen, confidence))


def _errors(out: FloatArray, inside: FloatArray, threshold: float, confidence: float) -> tuple[float, float]:
    """Upper bounds on FPR and FNR that hold together with `confidence`: each has half of what may fail."""
    return (
        clopper_pearson(int(np.sum(out > threshold)), len(out), confidence).high,
        clopper_pearson(int(np.sum(inside <= threshold)), len(inside), confidence).high,
    )


# --- membership and ranking ----------------------------------------------------------------------------------------


def true_positive_rate(
    members: FloatArray, others: FloatArray, false_positive_rate: float, confidence: float
) -> Interval:
    """TPR at the lowest threshold whose FPR on `others` is at most `false_positive_rate`, scores above it being hits.

    The interval takes scores to be independent and the threshold to be given.
    """
    allowed = math.floor(false_positive_rate * len(others))
    threshold = np.sort(others)[len(others) - 1 - allowed]
    return clopper_pearson(int(np.sum(members > threshold)), len(members), confidence)


def area_under_curve(members: FloatArray, others: FloatArray) -> float:
    """The chance that a member's score is above another's, ties counting half (Mann and Whitney 1947)."""
    ranks = stats.rankdata(np.concatenate([members, others]))[: len(members)]
    return float((ranks.sum() - len(members) * (len(members) + 1) / 2) / (len(members) * len(others)))


# --- the noise itself ----------------------------------------------------------------------------------------------


def noise_p_value(residuals: FloatArray) -> float:
    """Two-sided chi-square test that `residuals`, in units of the claimed standard deviation, have that deviation."""
    square = float(np.sum(residuals**2))
    return float(min(1.0, 2 * min(stats.chi2.cdf(square, residuals.size), stats.chi2.sf(square, residuals.size))))


def _largest(refuted: Callable[[float], bool]) -> float:
    """The supremum of the ε that are refuted, from below; `refuted` is monotone."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high) and high < MAX_EPSILON:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
