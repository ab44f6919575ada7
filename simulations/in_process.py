"""The releases of a plan in this process, without Flower: for references that are too many nodes, or another model.

What is computed is what a federation computes: the same sums, the same noise in total, the same steps. Only who adds
the noise is not played: n nodes that each add σC are one draw of √n σC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.losses import Loss
from sottovoce.client.states import Positions, popularity_sum, positions_of
from sottovoce.client.trainer import clipped_gradient_sum
from sottovoce.common.history import Histories
from sottovoce.common.messages import Arrays
from sottovoce.common.popularity import log_popularity
from sottovoce.common.privacy.noise import add_gaussian, poisson_sample, random_source
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.scoring import FloatArray, Head, HeadShape, ScoringModel
from sottovoce.server.optimiser import Optimiser


@dataclass(frozen=True)
class InProcess:
    """A federation over `nodes` nodes that all answer every time.

    Attributes:
        plan: What is released, and with how much noise.
        nodes: How many nodes share the noise; matters under `trust = node` alone.
        known: Every user's history.
        vectors: Item vectors, shape [I, d].
        shape: Of the head.
        optimiser: The server's.
        window: A user's loss is the mean over this many last interactions.
    """

    plan: PrivacyPlan
    nodes: int
    known: Histories
    vectors: FloatArray
    shape: HeadShape
    optimiser: Optimiser
    window: int

    def popularity(self, typical_length: int, weight: float) -> FloatArray:
        """The popularity prior as one release makes it, shape [I]."""
        name = self.plan.popularity.name
        exact = popularity_sum(self.known, self.shape.items, typical_length, np.arange(len(self.known)))
        noised = self._noised(name, name, exact).astype(np.float32)
        return log_popularity(noised, self.plan.total_noise_std(name, self.nodes), weight)

    def train(self, head: Head) -> ScoringModel:
        """`head` after every round of the plan."""
        positions, parameters, moments = positions_of(self.known, self.window), head.parameters, Arrays()
        for number in range(1, self.plan.head.count + 1):
            sums = self._gradient_sum(Head(self.shape, head.b, parameters), positions, number)
            cohort = self.plan.expected_cohort("head")
            gradient = {part: (total / cohort).astype(np.float32) for part, total in sums.items()}
            parameters, moments = self.optimiser.step(parameters, gradient, moments, number)
        return ScoringModel(self.vectors, Head(self.shape, head.b, parameters))

    def _gradient_sum(self, head: Head, positions: Positions, number: int) -> dict[str, NDArray[np.float64]]:
        plan = self.plan
        source = random_source(plan.noise, plan.seed, f"in-process/{number}/sample")
        rows = poisson_sample(len(positions), plan.head.sampling_rate, source)
        loss = Loss("softmax", 1, number)
        exact = clipped_gradient_sum(head, self.vectors, positions.select(rows), plan.head.clip_norm, loss)
        return {part: self._noised("head", f"{number}/{part}", total) for part, total in exact.items()}

    def _noised(self, name: str, purpose: str, exact: NDArray[np.float64]) -> NDArray[np.float64]:
        source = random_source(self.plan.noise, self.plan.seed, f"in-process/{purpose}")
        return add_gaussian(exact, self.plan.total_noise_std(name, self.nodes), source)
