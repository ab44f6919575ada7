"""From the best of the catalogue to a list: unlike each other as far as asked, with places for the less known.

Maximal marginal relevance (Carbonell & Goldstein, 1998): each place goes to the item with the most of

    (1 − δ)·relevance(i) − δ·max_{j listed} cos(i, j)

where relevance is the score, scaled over the pool to [0, 1]. δ = 0 lists by score alone.
"""

from __future__ import annotations

import numpy as np

from sottovoce.client.ranking import BoolArray, DoubleArray
from sottovoce.common.scoring import FloatArray, IntArray

LONG_TAIL_SHARE = 0.8
"""The long tail: the items outside the most popular fifth of the catalogue."""


def long_tail(b: FloatArray) -> BoolArray:
    """Which items few people know, shape [I]."""
    rank = np.empty(len(b), np.int64)
    rank[np.argsort(-b, kind="stable")] = np.arange(len(b))
    return rank >= (1 - LONG_TAIL_SHARE) * len(b)


def choose(
    scores: DoubleArray, vectors: FloatArray, tail: BoolArray, n: int, diversity: float, tail_places: int
) -> IntArray:
    """Which of a pool to list, in this order; at least `tail_places` are of the long tail, if the pool has as many.

    Args:
        scores: Of the pool, shape [p].
        vectors: What likeness is told by, shape [p, d].
        tail: Which of the pool few people know.
        n: Length of the list.
        diversity: δ, from 0 to 1.
        tail_places: Places that only the long tail may take.
    """
    spread = float(scores.max() - scores.min()) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    likeness = np.zeros(len(scores))
    free = np.ones(len(scores), dtype=bool)
    chosen: list[int] = []
    owed = min(tail_places, int(tail.sum()))
    for places_left in range(min(n, len(scores)), 0, -1):
        open_to = free & tail if owed >= places_left else free
        value = np.where(open_to, (1 - diversity) * relevance - diversity * likeness, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        free[best] = False
        owed -= int(tail[best])
        likeness = np.maximum(likeness, units @ units[best])
    return np.array(chosen, dtype=np.int64)
