"""Recommend on the device, from a bundle and the person's own history, with NumPy alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sottovoce.common.bundle import Bundle
from sottovoce.common.errors import ConfigError
from sottovoce.common.history import IntArray
from sottovoce.common.scoring import Explanation


@dataclass(frozen=True)
class Recommendation:
    """One item of a list.

    Attributes:
        item: Its catalogue position.
        title: What a person reads.
        score: The score.
        probability: Its share of the softmax over all items that may be recommended.
    """

    item: int
    title: str
    score: float
    probability: float


@dataclass(frozen=True)
class Reason:
    """One item of the history that a recommendation rests on.

    Attributes:
        item: Its catalogue position.
        title: What a person reads.
        effect: What it adds to the score.
    """

    item: int
    title: str
    effect: float


@dataclass(frozen=True)
class Recommender:
    """Recommends for one person at a time; holds nothing about anybody."""

    bundle: Bundle

    @cached_property
    def _popular_first(self) -> IntArray:
        """Breaks ties: the more popular item first, then the earlier one."""
        return np.argsort(-self.bundle.model.head.b, kind="stable")

    def recommend(self, history: IntArray, n: int = 10, exclude: Collection[int] = ()) -> list[Recommendation]:
        """The `n` best items that are neither in `history` nor in `exclude`; fewer if there are fewer.

        Args:
            history: Catalogue positions, oldest first; may be empty.
            n: Length of the list.
            exclude: Catalogue positions that must not be shown.

        Raises:
            ConfigError: `n` is below zero, or a position is not in the catalogue.
        """
        if n < 0:
            raise ConfigError("n", n, "0 or more")
        unknown = [item for item in (*history, *exclude) if not 0 <= item < len(self.bundle.catalogue)]
        if unknown:
            raise ConfigError("item", int(unknown[0]), f"a position from 0 to {len(self.bundle.catalogue) - 1}")
        model = self.bundle.model
        scores = model.scores(model.state(history)).astype(np.float64)
        scores[history] = -np.inf
        scores[list(exclude)] = -np.inf
        allowed = scores > -np.inf
        if not allowed.any():
            return []
        weights = np.exp(scores - scores.max())
        best = self._popular_first[np.argsort(-scores[self._popular_first], kind="stable")][
            : min(n, int(allowed.sum()))
        ]
        titles = self.bundle.catalogue.titles
        return [Recommendation(int(i), titles[i], float(scores[i]), float(weights[i] / weights.sum())) for i in best]

    def explain(self, history: IntArray, item: int) -> Explanation:
        """The score of `item`, taken apart into terms that sum to it."""
        return self.bundle.model.explain(history, item)

    def reasons(self, history: IntArray, item: int, n: int = 3) -> list[Reason]:
        """The `n` items of the history that lift `item` most; only such as do lift it."""
        effects = self.explain(history, item).history
        order = np.argsort(-effects, kind="stable")[:n]
        titles = self.bundle.catalogue.titles
        return [Reason(int(history[j]), titles[history[j]], float(effects[j])) for j in order if effects[j] > 0]
