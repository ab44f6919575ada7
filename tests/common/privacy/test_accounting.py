"""ε against independent accountants, and a search for noise that never overshoots."""

from __future__ import annotations

import itertools
import math

import mpmath
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant

from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy import accounting
from sottovoce.common.privacy.accounting import ReleaseEvent, calibrate, epsilon, noise_for


def gaussian_delta(sigma: float, eps: float) -> mpmath.mpf:
    """The exact δ of one Gaussian mechanism of sensitivity one (Balle & Wang 2018, theorem 8)."""
    mpmath.mp.dps = 50
    s, e = mpmath.mpf(sigma), mpmath.mpf(eps)
    cdf = mpmath.ncdf
    return cdf(1 / (2 * s) - e * s) - mpmath.exp(e) * cdf(-1 / (2 * s) - e * s)


def head(noise: float, rate: float = 1.0, count: int = 1) -> ReleaseEvent:
    return ReleaseEvent("head", noise, rate, count)


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0, 3.73, 20.0])
@pytest.mark.parametrize("delta", [1e-7, 1e-5, 1e-3])
def test_one_gaussian_agrees_with_an_exact_oracle(sigma: float, delta: float) -> None:
    eps = epsilon([head(sigma)], delta)
    assert gaussian_delta(sigma, eps * (1 + 1e-6) + 1e-9) <= delta
    if eps > 0:
        assert gaussian_delta(sigma, eps * (1 - 1e-6)) >= delta


@pytest.mark.parametrize("counts", [(1, 1), (8, 1), (3, 40)])
def test_unsampled_releases_agree_with_the_oracle_of_the_gaussian_that_they_are(counts: tuple[int, int]) -> None:
    """μ² adds up: T releases of noise σ are one of σ/√T."""
    first, second = counts
    eps = epsilon([head(2.0, 1.0, first), ReleaseEvent("popularity", 1.1, 1.0, second)], 1e-5)
    alone = 1 / math.sqrt(first / 2.0**2 + second / 1.1**2)
    assert gaussian_delta(alone, eps * (1 + 1e-6)) <= 1e-5 <= gaussian_delta(alone, eps * (1 - 1e-6))


@pytest.mark.parametrize("sigma", [0.7, 1.0, 3.73, 20.0])
@pytest.mark.parametrize("delta", [1e-7, 1e-3])
def test_privacy_loss_distributions_never_say_less_than_the_exact_value_nor_much_more(
    sigma: float, delta: float
) -> None:
    """What sampled releases are computed with, where there is an exact value to compare with."""
    found = accounting._pld_epsilon([head(sigma)], delta)
    assert gaussian_delta(sigma, found) <= delta
    assert found <= epsilon([head(sigma)], delta) + 1e-5


GRID = [*itertools.product((1.0, 2.0, 5.0), (0.01, 0.2, 0.7), (1, 40)), (1.5, 0.01, 500)]


@pytest.mark.parametrize(("sigma", "rate", "count"), GRID)
def test_sampled_releases_agree_with_opacus_prv(sigma: float, rate: float, count: int) -> None:
    """Within 1 %, beside what PRV adds for its own error."""
    other = PRVAccountant()
    other.history = [(sigma, rate, count)]
    theirs = other.get_epsilon(1e-5, eps_error=1e-3)
    assert epsilon([head(sigma, rate, count)], 1e-5) == pytest.approx(theirs, rel=0.01, abs=1.1e-3)


def test_the_comparison_with_prv_can_tell_a_wrong_rate_noise_or_count() -> None:
    other = PRVAccountant()
    other.history = [(2.0, 0.2, 40)]
    theirs = other.get_epsilon(1e-5, eps_error=1e-3)
    for wrong in (head(2.0, 0.21, 40), head(1.95, 0.2, 40), head(2.0, 0.2, 42)):
        assert epsilon([wrong], 1e-5) != pytest.approx(theirs, rel=0.01, abs=1.1e-3)


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_unsampled_rounds_agree_with_opacus_prv(sigma: float) -> None:
    other = PRVAccountant()
    other.history = [(sigma, 1.0, 8), (1.1, 1.0, 1)]
    ours = epsilon([head(sigma, 1.0, 8), ReleaseEvent("popularity", 1.1, 1.0, 1)], 1e-5)
    assert ours == pytest.approx(other.get_epsilon(1e-5, eps_error=1e-3), rel=0.01)


WEAK = [(1e-6, 0.5, 1), (0.001, 0.5, 1), (0.02, 0.5, 100), (1.0, 0.01, 1_000_000), (5.0, 0.9, 10_000)]


@pytest.mark.parametrize(("sigma", "rate", "count"), WEAK)
def test_a_cost_beyond_use_is_told_without_filling_the_memory(sigma: float, rate: float, count: int) -> None:
    """The exact answer of each would take gigabytes or hours."""
    found = epsilon([head(sigma, rate, count)], 1e-5)
    assert accounting.COARSE_BEYOND < found <= epsilon([head(sigma, 1.0, count)], 1e-5)


@pytest.mark.parametrize(("sigma", "rate", "count"), GRID)
def test_the_coarse_answer_never_says_less_than_the_close_one(
    sigma: float, rate: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = accounting._pld_epsilon([head(sigma, rate, count)], 1e-5)
    monkeypatch.setattr(accounting, "COARSE_BEYOND", 0.0)
    assert close <= accounting._finite_epsilon.__wrapped__((head(sigma, rate, count),), 1e-5) + 1e-5


def test_sampling_rate_one_is_the_limit_of_sampling() -> None:
    assert epsilon([head(2.0, 1.0, 4)], 1e-5) == pytest.approx(epsilon([head(2.0, 1 - 1e-9, 4)], 1e-5), rel=1e-3)


def test_more_releases_cost_more_and_a_forgotten_one_shows() -> None:
    costs = [epsilon([head(2.0, 1.0, count)], 1e-5) for count in (1, 2, 4, 8)]
    assert all(later > 1.2 * earlier for earlier, later in itertools.pairwise(costs))


def test_no_noise_is_no_privacy_and_no_release_is_free() -> None:
    assert epsilon([head(1.0), head(0.0)], 1e-5) == math.inf
    assert epsilon([head(0.0, 1.0, 0)], 1e-5) == 0.0
    assert epsilon([], 1e-5) == 0.0


@settings(max_examples=60)
@given(
    target=st.floats(0.05, 30),
    delta=st.floats(1e-9, 1e-2),
    weights=st.lists(st.tuples(st.floats(0.2, 5), st.integers(1, 20)), min_size=1, max_size=4),
)
def test_calibration_never_overshoots_and_wastes_little(
    target: float, delta: float, weights: list[tuple[float, int]]
) -> None:
    def releases(scale: float) -> list[ReleaseEvent]:
        return [head(scale * weight, 1.0, count) for weight, count in weights]

    scale = calibrate(releases, target, delta)
    assert epsilon(releases(scale), delta) <= target
    assert epsilon(releases(scale * (1 - 2e-5)), delta) > target


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=st.floats(0.3, 8), rate=st.floats(0.02, 0.9), count=st.integers(1, 30))
def test_calibration_of_sampled_releases_never_overshoots(
    target: float, rate: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as coarse:
        # Errs upwards, and is quick.
        coarse.setattr(accounting, "PLD_INTERVAL", 5e-3)
        sigma = noise_for("head", target, 1e-5, sampling_rate=rate, count=count)
    assert 0.98 * target < epsilon([head(sigma, rate, count)], 1e-5) <= target


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan])
def test_impossible_targets_are_refused(target: float) -> None:
    with pytest.raises(ConfigError, match="epsilon"):
        noise_for("head", target, 1e-5)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_impossible_deltas_are_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta"):
        epsilon([head(1.0)], delta)


@pytest.mark.parametrize(
    ("noise", "rate", "count"),
    [(-1, 1, 1), (math.nan, 1, 1), (math.inf, 1, 1), (1, 0, 1), (1, 1.1, 1), (1, 1, -1), (1, 1, 10**6 + 1)],
)
def test_impossible_releases_are_refused(noise: float, rate: float, count: int) -> None:
    with pytest.raises(ConfigError, match="head"):
        head(noise, rate, count)
