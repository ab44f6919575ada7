"""The privacy of a run, in one frozen object.

The guarantee: a run that makes the releases of its plan, and no others, is (ε, δ)-differentially private for adding or
removing one user's whole history, with ε = `plan.epsilon`. A release is the sum over users of a vector whose L2 norm is
at most `clip_norm`, plus Gaussian noise of standard deviation `noise_multiplier` × `clip_norm`.

The same numbers build the clipping (`clip_norm`), the sampling (`sampling_rate`), the noise (`node_noise_std`,
`server_noise_std`) and the accounting (`event`), so that what is done and what is accounted cannot drift apart.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy.accounting import MIN_NOISE_MULTIPLIER, ReleaseEvent, calibrate, epsilon, require

CLIP_NORMS = 1e-6, 1e6
"""Clip norms that a private plan may have: far inside the range of float32, in which gradients are clipped."""


class Trust(StrEnum):
    """Who is trusted with exact sums, and so who adds the noise."""

    NONE = "none"
    """No privacy: nothing is clipped, nothing is noised."""
    SERVER = "server"
    """The server sees every node's exact clipped sum, and adds the noise once."""
    NODE = "node"
    """Every node noises its own sum; the server sees noised sums only."""
    AGGREGATE = "aggregate"
    """Every node adds a share of the noise; the server sees only the total, by secure aggregation (simulated here)."""


@dataclass(frozen=True)
class Mechanism:
    """One kind of release: a clipped, sampled, noised sum over users, made `count` times."""

    name: str
    clip_norm: float
    noise_multiplier: float
    sampling_rate: float
    count: int

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on one accounted sum, per coordinate."""
        return self.noise_multiplier * self.clip_norm if self.noise_multiplier else 0.0

    def event(self, count: int | None = None) -> ReleaseEvent:
        """What the accountant charges for `count` such releases (the planned number by default)."""
        return ReleaseEvent(
            self.name, self.noise_multiplier, self.sampling_rate, self.count if count is None else count
        )


@dataclass(frozen=True)
class PrivacyPlan:
    """What a run may release, and at what price.

    Attributes:
        trust: Who adds the noise.
        target_epsilon: The cap that no release may pass; infinite exactly under `Trust.NONE`.
        delta: The δ of the guarantee, below 1 / `population`.
        population: The public, configured number of people; never counted from private data.
        noise: `os`, or `seeded` for a repeatable simulation.
        seed: Where seeded noise starts; unused otherwise.
        minimum_nodes: With fewer answers a release is abandoned. Under `Trust.AGGREGATE` that many are assumed honest:
            their shares alone add up to the accounted noise, and more answers only add to it.
        popularity: The release of the popularity histogram.
        head: The releases of the scoring head's gradient sums.
    """

    trust: Trust
    target_epsilon: float
    delta: float
    population: int
    noise: str
    seed: int
    minimum_nodes: int
    popularity: Mechanism
    head: Mechanism

    @property
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """All kinds of release that are made at least once, in the order in which they are made."""
        return tuple(kind for kind in (self.popularity, self.head) if kind.count)

    def mechanism(self, name: str) -> Mechanism:
        """The kind of release called `name`."""
        return {kind.name: kind for kind in (self.popularity, self.head)}[name]

    @property
    def noised_on_nodes(self) -> bool:
        """Whether what leaves a node is noised: then it is kept there and given again, and is never re-clipped."""
        return self.trust in (Trust.NODE, Trust.AGGREGATE)

    @property
    def simulated_only(self) -> str:
        """Why nobody but a simulation may follow this plan; empty if a deployment may."""
        if self.noise != "os":
            return "seeded noise protects nobody; only the operating system's is taken"
        if self.trust is Trust.AGGREGATE:
            return "trust = aggregate needs secure aggregation, which is only simulated; use server or node"
        return ""

    @property
    def epsilon(self) -> float:
        """What the whole plan costs."""
        return epsilon([kind.event() for kind in self.mechanisms], self.delta)

    def node_noise_std(self, name: str) -> float:
        """Standard deviation of the noise that every node adds to its own sum."""
        if not self.noised_on_nodes:
            return 0.0
        share = 1 / math.sqrt(self.minimum_nodes) if self.trust is Trust.AGGREGATE else 1.0
        return share * self.mechanism(name).noise_std

    def server_noise_std(self, name: str) -> float:
        """Standard deviation of the noise that the server adds to the total."""
        return self.mechanism(name).noise_std if self.trust is Trust.SERVER else 0.0

    def total_noise_std(self, name: str, nodes: int) -> float:
        """Standard deviation of the noise in the total over `nodes` answers: public, so that a decoder may use it."""
        return self.server_noise_std(name) + math.sqrt(nodes) * self.node_noise_std(name)

    def expected_cohort(self, name: str) -> float:
        """The public divisor of a sum: how many users are expected to take part."""
        return self.mechanism(name).sampling_rate * self.population

    @property
    def sha256(self) -> str:
        """Binds a release to the plan it was asked with."""
        return hashlib.sha256(json.dumps(self.public(), sort_keys=True).encode()).hexdigest()

    def public(self) -> dict[str, Any]:
        """The plan as plain data, as it is sent to nodes."""
        return asdict(self)


def make_plan(
    *,
    trust: Trust,
    target_epsilon: float,
    delta: float,
    population: int,
    clip_norm: float,
    rounds: int,
    sampling_rate: float = 1.0,
    popularity_share: float = 0.5,
    noise: str = "os",
    seed: int = 0,
    minimum_nodes: int = 1,
    noise_multiplier: float | None = None,
) -> PrivacyPlan:
    """Spread a budget over one popularity release and `rounds` releases of the head.

    The share refers to μ² = Σ 1/σ², in which unsampled Gaussian releases add up: the popularity release takes
    `popularity_share` of it, the rounds the rest in equal parts. Both noises are then scaled together until the
    accountant says that the whole plan costs at most `target_epsilon`.

    Args:
        trust: Who adds the noise.
        target_epsilon: The budget; `inf` exactly under `Trust.NONE`.
        delta: In (0, 1 / `population`).
        population: The public number of people.
        clip_norm: L2 bound on one user's contribution to a head release.
        rounds: Number of head releases; zero trains no head.
        sampling_rate: Each user's probability of taking part in a head release.
        popularity_share: In (0, 1); ignored without rounds.
        noise: `os` or `seeded`.
        seed: Where seeded noise starts.
        minimum_nodes: How many answers a release needs.
        noise_multiplier: For the head instead of a calibrated one: then the plan may cost more than the budget, and
            the run stops before the release that would pass it.

    Raises:
        ConfigError: a value is outside its range.
    """
    require("privacy.popularity_share", popularity_share, 0 < popularity_share < 1, "(0, 1)")
    require("train.rounds", rounds, rounds >= 0, "0 or more")
    share = popularity_share if rounds else 1.0

    def plan_at(scale: float) -> PrivacyPlan:
        """The plan whose releases together are as noisy as one Gaussian of noise multiplier `scale`."""
        head_noise = scale * math.sqrt(rounds / (1 - share)) if rounds else scale
        popularity = Mechanism("popularity", 1.0, scale / math.sqrt(share), 1.0, 1)
        head = Mechanism(
            "head", clip_norm, head_noise if noise_multiplier is None else noise_multiplier, sampling_rate, rounds
        )
        return PrivacyPlan(trust, target_epsilon, delta, population, noise, seed, minimum_nodes, popularity, head)

    if trust is Trust.NONE:
        plan = plan_at(0.0)
        check_plan(plan)
        return plan
    check_plan(plan_at(1.0))
    if noise_multiplier is not None:
        # The head's noise is given: popularity alone is calibrated, to its share of the budget's μ².
        free = calibrate(lambda scale: [ReleaseEvent("all", scale, 1.0, 1)], target_epsilon, delta)
        return plan_at(free)
    return plan_at(calibrate(lambda scale: [kind.event() for kind in plan_at(scale).mechanisms], target_epsilon, delta))


def check_plan(plan: PrivacyPlan) -> None:
    """Refuse a plan whose numbers could not carry its guarantee.

    Raises:
        ConfigError: names the value and its range.
    """
    private = plan.trust is not Trust.NONE
    require("privacy.epsilon", plan.target_epsilon, plan.target_epsilon > 0, "(0, inf], inf meaning no privacy")
    if private != math.isfinite(plan.target_epsilon):
        raise ConfigError("privacy.trust", plan.trust.value, "`none` exactly when privacy.epsilon is inf")
    require("privacy.population", plan.population, plan.population >= 1, "1 or more")
    limit = f"(0, 1/population) = (0, {1 / plan.population:.3g})"
    require("privacy.delta", plan.delta, 0 < plan.delta < 1 / plan.population, limit)
    if plan.noise not in ("os", "seeded"):
        raise ConfigError("privacy.noise", plan.noise, "`os` or `seeded`")
    names = (plan.popularity.name, plan.head.name)
    if names != ("popularity", "head"):
        raise ConfigError("plan", names, "mechanisms called popularity and head")
    # A user's histogram has a norm of up to one whatever a plan says, so that noise scaled to less would be too little.
    require("popularity.clip_norm", plan.popularity.clip_norm, plan.popularity.clip_norm == 1, "1")
    require("seed", plan.seed, plan.seed >= 0, "0 or more")
    require("federation.minimum_nodes", plan.minimum_nodes, plan.minimum_nodes >= 1, "1 or more")
    # Outside this range float32 rounds by more than the reserve that the clip keeps.
    least, most = CLIP_NORMS if private else (0.0, math.inf)
    for kind in (plan.popularity, plan.head):
        held = least <= kind.clip_norm <= most and kind.clip_norm > 0
        require(f"{kind.name}.clip_norm", kind.clip_norm, held, f"[{least:g}, {most:g}]")
        kind.event()
        if private:
            enough = kind.noise_multiplier >= MIN_NOISE_MULTIPLIER
            require(f"{kind.name}.noise_multiplier", kind.noise_multiplier, enough, f"[{MIN_NOISE_MULTIPLIER}, inf)")
