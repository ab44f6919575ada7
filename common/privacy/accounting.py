"""What a list of releases costs, and how much noise a budget needs.

The guarantee: (ε, δ)-differential privacy of the composition of all releases, for adding or removing one user's whole
history. Releases of a sampled sum are composed as privacy loss distributions (Koskela, Jälkö, Honkela 2020; Doroshenko
et al. 2022) by `dp_accounting`, which rounds up. Where nothing is sampled the composition is itself one Gaussian
mechanism with μ² = Σ 1/σ² (Dong, Roth, Su 2019), whose curve is known in closed form (Balle & Wang 2018). A cost beyond
use (`COARSE_BEYOND`) is told by an upper bound: Rényi's (Mironov 2017), or what it would be without sampling.
`dp_accounting` is loaded with the first question: it takes 70 MB, which a device that releases nothing does without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sottovoce.common.errors import ConfigError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

MAX_NOISE_MULTIPLIER = 1e6
"""A search for noise ends here: no useful release needs more."""

MIN_NOISE_MULTIPLIER = 0.01
"""Less noise is none, and would make the accountant's grid of privacy losses endless."""

MAX_COUNT = 1_000_000
"""More releases of one kind are refused: no plan has them, and their composition would fill the memory."""

PLD_INTERVAL = 5e-4
"""Grid of the discretised privacy loss; coarser is faster, and errs upwards (here by some 1e-6 of ε)."""

COARSE_BEYOND = 40.0
"""An ε that Rényi's bound puts above this is not computed closer: it promises nothing, and its privacy losses spread so
far that their grid would fill the memory."""

RENYI_ORDERS = tuple(range(2, 65))


@dataclass(frozen=True)
class ReleaseEvent:
    """Some releases of one kind, as the accountant sees them.

    Attributes:
        name: `popularity` or `head`.
        noise_multiplier: Standard deviation of the noise ÷ L2 sensitivity of the sum; zero means no privacy.
        sampling_rate: The probability with which each user takes part in one release (Poisson sampling).
        count: How many such releases touch one user.
    """

    name: str
    noise_multiplier: float
    sampling_rate: float
    count: int

    def __post_init__(self) -> None:
        require(
            self.name + ".noise_multiplier", self.noise_multiplier, 0 <= self.noise_multiplier < math.inf, "[0, inf)"
        )
        require(self.name + ".sampling_rate", self.sampling_rate, 0 < self.sampling_rate <= 1, "(0, 1]")
        require(self.name + ".count", self.count, 0 <= self.count <= MAX_COUNT, f"[0, {MAX_COUNT}]")

    def public(self) -> dict[str, str | float | int]:
        """The event as it stands in a result file."""
        return asdict(self)


def require(name: str, value: object, holds: bool, expected: str) -> None:
    """Refuse a value outside its range.

    Raises:
        ConfigError: `holds` is false (which a NaN makes every comparison).
    """
    if not holds:
        raise ConfigError(name, value, f"a number in {expected}" if expected[0] in "[(" else expected)


def epsilon(releases: Sequence[ReleaseEvent], delta: float) -> float:
    """The ε of all `releases` together at `delta`; infinite if one of them has no noise.

    Raises:
        ConfigError: `delta` is outside (0, 1).
    """
    require("delta", delta, 0 < delta < 1, "(0, 1)")
    made = [release for release in releases if release.count > 0]
    if not made:
        return 0.0
    if any(release.noise_multiplier == 0 for release in made):
        return math.inf
    return _finite_epsilon(tuple(made), delta)


def calibrate(releases_at: Callable[[float], Sequence[ReleaseEvent]], target: float, delta: float) -> float:
    """The smallest scale of the noise, to a relative 1e-5, at which `releases_at(scale)` costs at most `target`.

    The search ends on the safe side: the ε of what it returns never passes `target`.

    Raises:
        ConfigError: `target` is not a finite number above zero, or no scale below `MAX_NOISE_MULTIPLIER` reaches it.
    """
    require("epsilon", target, 0 < target < math.inf, "(0, inf)")
    high = 1.0
    while epsilon(releases_at(high), delta) > target:
        high *= 2
        require("epsilon", target, high < MAX_NOISE_MULTIPLIER, "reach of the noise that may be added")
    while epsilon(releases_at(high / 2), delta) <= target:
        high /= 2
        require("epsilon", target, high > 1 / MAX_NOISE_MULTIPLIER, "reach of the noise that may be added")
    low = high / 2
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        if epsilon(releases_at(middle), delta) > target:
            low = middle
        else:
            high = middle
    return high


def noise_for(name: str, target: float, delta: float, sampling_rate: float = 1.0, count: int = 1) -> float:
    """The noise multiplier at which `count` releases of one kind cost at most `target` at `delta`."""
    return calibrate(lambda scale: [ReleaseEvent(name, scale, sampling_rate, count)], target, delta)


@lru_cache(maxsize=1024)
def _finite_epsilon(made: tuple[ReleaseEvent, ...], delta: float) -> float:
    """Remembered, since a ledger asks for the same sum of releases before and after each of them."""
    if all(release.sampling_rate == 1 for release in made):
        return _unsampled_epsilon(made, delta)
    bound = _renyi_epsilon(made, delta)
    if bound > COARSE_BEYOND:
        return min(bound, _unsampled_epsilon(made, delta))
    return _pld_epsilon(made, delta)


def _unsampled_epsilon(made: Sequence[ReleaseEvent], delta: float) -> float:
    """What the releases cost if everybody takes part in all of them: exact where it is so, else an upper bound."""
    from dp_accounting.gaussian_mechanism import get_epsilon_gaussian

    mu = math.sqrt(sum(release.count / release.noise_multiplier**2 for release in made))
    with np.errstate(divide="ignore"):  # at ε = 0 it takes the logarithm of a zero, which is as it should be
        return float(get_epsilon_gaussian(1 / mu, delta, tol=1e-12))


def _renyi_epsilon(made: Sequence[ReleaseEvent], delta: float) -> float:
    """An upper bound that takes little time and memory whatever the releases are."""
    from dp_accounting.rdp import RdpAccountant

    return float(RdpAccountant(RENYI_ORDERS).compose(_event(made)).get_epsilon(delta))


def _pld_epsilon(made: Sequence[ReleaseEvent], delta: float) -> float:
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=PLD_INTERVAL)
    return float(accountant.compose(_event(made)).get_epsilon(delta))


def _event(made: Sequence[ReleaseEvent]) -> DpEvent:
    """The releases in the words of `dp_accounting`."""
    from dp_accounting import ComposedDpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    events = []
    for release in made:
        gaussian = GaussianDpEvent(release.noise_multiplier)
        sampled = release.sampling_rate < 1
        event = PoissonSampledDpEvent(release.sampling_rate, gaussian) if sampled else gaussian
        events.append(SelfComposedDpEvent(event, release.count))
    return ComposedDpEvent(events)
