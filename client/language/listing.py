"""The list for a request: what it allows, in the order of the person's taste and the words and items that lead it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sottovoce.client.language.request import Guess, Like, Request, Surprise, Unlike, Unwanted, Wanted
from sottovoce.client.recommender import NOTHING_SAID, Recommendation, Recommender
from sottovoce.client.taste import Feedback, Wish
from sottovoce.common.errors import EncoderError
from sottovoce.common.history import IntArray
from sottovoce.common.scoring import FloatArray

LED = 0.6
"""λ of a list that words or items lead: how much they count beside the history."""
AGAINST = 0.6
"""How much what is not wanted counts beside what is."""
FOUND = 10
"""Without an encoder, words stand for the middle of this many items that hold them."""

MOST_MIDDLE = 2_000
"""Items that are looked at for the middle of a category."""

Encode = Callable[[str], FloatArray]
"""The place of words in the item space, shape [d]."""

Rephrase = Callable[[str], str | None]
"""Other words for a sentence that the rules are unsure of, for example by a language model; `None` if it has none."""

AS_EVER = Surprise(diversity=0, long_tail=0)


@dataclass(frozen=True)
class Asker:
    """Who asks: everything of them that a list needs.

    Attributes:
        history: Catalogue positions, oldest first.
        feedback: What they said of items and categories.
    """

    history: IntArray
    feedback: Feedback = NOTHING_SAID


def listing(
    recommender: Recommender, asker: Asker, request: Request, n: int, wish: Wish | None
) -> list[Recommendation]:
    """The `n` best items that satisfy every constraint, led by the wish; fewer, if fewer do."""
    refused = np.flatnonzero(~request.allowed(recommender.model.table))
    ways = next(
        (each for each in request.constraints if isinstance(each, Surprise)), Surprise(diversity=0, long_tail=0)
    )
    return recommender.recommend(
        asker.history, n, refused.tolist(), feedback=asker.feedback, wish=wish,
        diversity=ways.diversity, long_tail=ways.long_tail,
    )  # fmt: skip


def wish_of(recommender: Recommender, request: Request, encode: Encode | None = None) -> Wish | None:
    """Where in the item space the request's words and items point to; `None` if there are none.

    Args:
        recommender: The model.
        request: What is asked for.
        encode: In the place of the recommender's own, for example one that remembers; raises `EncoderError` likewise.
    """
    encode = encode or recommender.encode_wish
    position, total = recommender.model.table.position, np.zeros(recommender.model.dimension)
    for each in request.constraints:
        match each:
            case Wanted(text=text):
                total += _place(recommender, encode, text)
            case Unwanted(text=text):
                total -= AGAINST * _place(recommender, encode, text)
            case Like(item=item) if item in position:
                total += recommender.wish_like(position[item]).vector
            case Unlike(item=item) if item in position:
                total -= AGAINST * recommender.wish_like(position[item]).vector
            case Guess(attribute=attribute, value=value):
                total += _middle(recommender, attribute, value)
    length = float(np.linalg.norm(total))
    return Wish((total / length).astype(np.float32), LED) if length > 0 else None


def _middle(recommender: Recommender, attribute: str, value: str) -> FloatArray:
    """The middle of the items that have a value, of evenly drawn ones where there are many; shape [d]."""
    column = recommender.model.table.attributes.get(attribute)
    rows = np.zeros(0, np.int64) if column is None else np.flatnonzero(column.where(lambda parts: value in parts))
    if not len(rows):
        return np.zeros(recommender.model.dimension, np.float32)
    chosen = rows[:: -(-len(rows) // MOST_MIDDLE)]
    middle = recommender.model.content_rows(chosen).sum(axis=0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9), dtype=np.float32)


def _place(recommender: Recommender, encode: Encode, text: str) -> FloatArray:
    """By the encoder; where there is none, in the middle of the items that hold the words."""
    try:
        return encode(text)
    except EncoderError:
        found = recommender.search(text, FOUND)
        middle = recommender.model.content_rows(np.array(found, dtype=np.int64)).sum(axis=0)
        return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9), dtype=np.float32)
