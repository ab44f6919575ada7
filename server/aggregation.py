"""From nodes' noised parts to one total that a few lying nodes cannot move far: under `trust = node` alone.

There every part is differentially private before it is sent, so that whatever is made of the parts is post-processing.
Under `server` the noise is meant for a sum of exact parts, and nothing else may be made of them.

Each rule takes parts as estimates of one and the same mean, and returns n times its own estimate: what a sum would be
if all n parts were like that. Nodes of very different sizes or tastes are therefore told from liars less well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.config import AggregationRule, fewest_parts
from sottovoce.common.messages import Arrays
from sottovoce.server.reclip import Sums

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Aggregation:
    """How parts become a total.

    Attributes:
        rule: `sum`; `trimmed_mean` (coordinate by coordinate, Yin et al. 2018); `krum` (the part that is nearest to its
            neighbours) and `multi_krum` (the mean of the n - f nearest; both Blanchard et al. 2017).
        malicious: f, how many lying nodes the rule is to withstand.
    """

    rule: AggregationRule = "sum"
    malicious: int = 0

    @property
    def fewest(self) -> int:
        """With fewer parts than this the rule promises nothing."""
        return fewest_parts(self.rule, self.malicious)

    def total(self, parts: Sequence[Arrays]) -> Sums:
        """The total, in float64.

        Raises:
            ValueError: there are fewer parts than `fewest`.
        """
        if len(parts) < self.fewest:
            raise ValueError(f"{len(parts)} parts: {self.rule} against {self.malicious} liars needs {self.fewest}")
        stacked = {name: np.stack([part[name] for part in parts]).astype(np.float64) for name in parts[0]}
        if self.rule == "sum":
            return {name: array.sum(axis=0) for name, array in stacked.items()}
        if self.rule == "trimmed_mean":
            return {name: len(parts) * trimmed_mean(array, self.malicious) for name, array in stacked.items()}
        flat = np.concatenate([array.reshape(len(parts), -1) for array in stacked.values()], axis=1)
        chosen = nearest(flat, self.malicious, self._chosen(len(parts)))
        return {name: len(parts) * array[chosen].mean(axis=0) for name, array in stacked.items()}

    def noise_std(self, part_std: float, parts: int) -> float:
        """Standard deviation of the noise in the total, where every one of `parts` parts holds noise of `part_std`.

        For the trimmed mean it is what many parts tend to, and for Krum it leaves out that the choice depends on the
        noise: public numbers that a decoder needs roughly, and nothing that privacy rests on.
        """
        if self.rule == "sum":
            return math.sqrt(parts) * part_std
        if self.rule == "trimmed_mean":
            return math.sqrt(parts * _trimmed_variance(self.malicious / parts)) * part_std
        return parts / math.sqrt(self._chosen(parts)) * part_std

    def _chosen(self, parts: int) -> int:
        return 1 if self.rule == "krum" else parts - self.malicious


def trimmed_mean(parts: FloatArray, trimmed: int) -> FloatArray:
    """Mean of each coordinate over the parts, without the `trimmed` largest and smallest values of it.

    Args:
        parts: Shape [n, ...].
        trimmed: Below n / 2.
    """
    kept = np.sort(parts, axis=0)[trimmed : len(parts) - trimmed]
    return np.asarray(kept.mean(axis=0))


def nearest(parts: FloatArray, malicious: int, count: int) -> NDArray[np.int64]:
    """Krum: the `count` parts whose sum of squared distances to their n - f - 2 nearest others is smallest.

    Args:
        parts: Shape [n, P].
        malicious: f.
        count: How many to choose; of equals the first.
    """
    neighbours = len(parts) - malicious - 2
    distances = np.stack([((parts - part) ** 2).sum(axis=1) for part in parts])
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, :neighbours].sum(axis=1)
    return np.sort(np.argsort(scores, kind="stable")[:count])


def _trimmed_variance(share: float) -> float:
    """Asymptotic variance of the mean of n standard normal values, n times, with `share` of them cut on each side."""
    if share == 0:
        return 1.0
    normal = NormalDist()
    cut = normal.inv_cdf(1 - share)
    within = (1 - 2 * share) - 2 * cut * normal.pdf(cut)
    return (within + 2 * share * cut**2) / (1 - 2 * share) ** 2
