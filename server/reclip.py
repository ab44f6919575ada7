"""Hold one node's exact part of a release to what an honest node of its public capacity could have sent.

The guarantee: whatever a node sends, its part moves the total no further than `capacity` honest users at their most;
and adding or removing one user still moves it by at most the clip norm. Both bounds are projections onto convex sets,
and a projection moves two points no further apart; so does one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.messages import Arrays, Objective
from sottovoce.common.privacy.plan import Mechanism

Sums = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Bounds:
    """What one user can contribute to a release at most.

    Attributes:
        norm: L2 norm over all arrays.
        entry: Range of each value, where every user's lies within one: zero to 1/√k of a popularity histogram.
    """

    norm: float
    entry: tuple[float, float] | None = None

    @classmethod
    def of(cls, mechanism: Mechanism, objective: Objective) -> Bounds:
        """The bounds of the release that `mechanism` describes."""
        if mechanism.name == "popularity":
            return cls(mechanism.clip_norm, (0.0, float(1 / np.sqrt(objective.popularity_length))))
        return cls(mechanism.clip_norm)

    def reclip(self, part: Arrays, capacity: int) -> Sums:
        """`part` in float64, held to what `capacity` users can sum to; an honest part comes back as it is.

        Args:
            part: Finite values.
            capacity: The public bound on the number of the node's users.
        """
        held = {name: array.astype(np.float64) for name, array in part.items()}
        if self.entry is not None:
            low, high = self.entry
            held = {name: np.clip(array, capacity * low, capacity * high) for name, array in held.items()}
        norm = float(np.sqrt(sum(np.sum(array**2) for array in held.values())))
        # Scaling towards zero leaves no entry's range, since each one holds zero.
        factor = min(1.0, capacity * self.norm / norm) if norm else 1.0
        return {name: factor * array for name, array in held.items()}
