"""What a device knows of a person at the moment of asking, and the state that it makes of it.

    x = (1 − λ)·(Σ_j a_j F[h_j] + γ Σ_l F[l] / √L − γ Σ_m F[m] / √M) + λ·ω·w

`a_j` are the recency weights of the history h, l and m what was liked and disliked (L and M of them), w a wish of unit
norm and λ its share. A state is a plain sum, so that each score falls apart into one term per summand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sottovoce.common.scoring import FloatArray, IntArray, recency_weights

FEEDBACK = 0.6
"""γ: how much one liked or disliked item counts beside the history, whose latest item counts about as much."""

WISH = 2.0
"""ω: how long a state is that is made of a wish alone."""

UNKNOWN = 0.5
"""How much of popularity a wish alone takes away."""

REMEMBERED = 2000
"""Interactions that a state can tell from nothing: the weight of one that lies further back is below 1e-17."""


@dataclass(frozen=True)
class Feedback:
    """What a person said about single items and categories.

    Attributes:
        liked: Catalogue positions to see more like.
        disliked: Catalogue positions to see no more, nor much like them.
        not_now: Catalogue positions to leave out of the list, without a meaning for taste.
        hidden: Categories of which nothing is shown.
    """

    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    not_now: tuple[int, ...] = ()
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wish:
    """What a person asks for in words.

    Attributes:
        vector: Its place in the item space, shape [d].
        weight: λ in [0, 1]: zero ignores the wish, one ignores the history.
    """

    vector: FloatArray
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight {self.weight}: from 0 to 1 is expected")
        if self.vector.ndim != 1 or not np.isfinite(self.vector).all():
            raise ValueError("a wish is one vector of finite numbers")


@dataclass(frozen=True)
class Summands:
    """The summands of a state: x = Σ_j weights[j]·F[items[j]] + wish.

    Attributes:
        items: Catalogue positions: what still counts of the history, then what was liked, then what was disliked.
        weights: One per item.
        lengths: How many of them are history, liked and disliked.
        wish: λ·ω·w, shape [d]; `None` without a wish.
        popularity: β, what the popularity prior counts: a wish also asks for what few know.
    """

    items: IntArray
    weights: FloatArray
    lengths: tuple[int, int, int]
    wish: FloatArray | None = None
    popularity: float = 1.0


def summands(history: IntArray, feedback: Feedback, wish: Wish | None) -> Summands:
    """Everything that a state is made of; what lies thousands of interactions back is not."""
    history = history[-REMEMBERED:]
    share = 1.0 if wish is None else 1.0 - wish.weight
    recent = recency_weights(len(history), 1)[0] if len(history) else np.zeros(0)
    said = [
        np.full(len(items), sign * FEEDBACK / max(len(items), 1) ** 0.5)
        for sign, items in ((1, feedback.liked), (-1, feedback.disliked))
    ]
    items = np.concatenate([history, feedback.liked, feedback.disliked]).astype(np.int64)
    weights = (share * np.concatenate([recent, *said])).astype(np.float32)
    lengths = len(history), len(feedback.liked), len(feedback.disliked)
    if wish is None:
        return Summands(items, weights, lengths)
    pushed = (wish.weight * WISH * wish.vector).astype(np.float32)
    return Summands(items, weights, lengths, pushed, 1.0 - UNKNOWN * wish.weight)
