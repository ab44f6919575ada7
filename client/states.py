"""What a node computes once from its histories: each user's last positions, as states and targets.

A position is one interaction of a user to be predicted from those before it. Only a user's last `window` positions
count, and an item that the user had met before is no position: recommending leaves seen items out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.history import Histories, IntArray
from sottovoce.common.scoring import FloatArray, recency_weights

ROUNDING_RESERVE = 2.0**-10
"""Relative part of a histogram's norm that is kept for the rounding of the sum to float32."""

StateFunction = Callable[[Histories, int, IntArray], FloatArray]
"""States of one user before each given place of the history: (histories, user, places [P]) → [P, d]."""


@dataclass(frozen=True)
class Positions:
    """The positions of some users, padded at the front to the same number P.

    Attributes:
        states: State before each position, shape [U, P, d]; zero where padded.
        targets: Catalogue row of the item at each position, shape [U, P]; -1 where padded.
        earlier: Rows of the items of each user before the first position, shape [U, S]; padded with -1.
        keys: One number per user, fixed by the user's id alone, shape [U].
        mixing: Of each user, the items of the history [n] and how much each counts in each state [P, n]; empty unless
            a head corrects items as part of a history.
    """

    states: FloatArray
    targets: IntArray
    earlier: IntArray
    keys: NDArray[np.uint64]
    mixing: Sequence[tuple[IntArray, FloatArray]] = ()

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, rows: IntArray) -> Positions:
        """The positions of the users in `rows`, without padding that nobody there needs."""
        earlier = self.earlier[rows]
        longest = int((earlier >= 0).sum(axis=1).max(initial=0))
        mixing = [self.mixing[row] for row in rows] if self.mixing else ()
        return Positions(self.states[rows], self.targets[rows], earlier[:, :longest], self.keys[rows], mixing)


def positions_of(
    histories: Histories,
    window: int,
    states: StateFunction,
    dimension: int,
    candidates: IntArray | None = None,
    with_mixing: bool = False,
) -> Positions:
    """The last `window` positions of every user; with `candidates`, of those whose item is among them.

    Args:
        histories: U users.
        window: P, at most this many positions per user.
        states: Computes states.
        dimension: Length d of a state.
        candidates: Sorted catalogue rows; all by default.
        with_mixing: Whether to keep what the states are made of.
    """
    places = [_places(history, window, candidates) for history in histories]
    longest = max((int(place[0]) for place in places if len(place)), default=0)
    filled = Positions(
        states=np.zeros((len(histories), window, dimension), np.float32),
        targets=np.full((len(histories), window), -1, np.int64),
        earlier=np.full((len(histories), longest), -1, np.int64),
        keys=np.array([_key(user) for user in histories.users], dtype=np.uint64),
        mixing=[_mixing(histories[u], place, window) for u, place in enumerate(places)] if with_mixing else (),
    )
    for user, place in enumerate(places):
        if len(place):
            history = histories[user]
            filled.states[user, -len(place) :] = states(histories, user, place)
            filled.targets[user, -len(place) :] = history[place]
            filled.earlier[user, : place[0]] = history[: place[0]]
    return filled


def item_states(vectors: FloatArray) -> StateFunction:
    """States as recency-weighted sums of the history's item vectors."""

    def states(histories: Histories, user: int, places: IntArray) -> FloatArray:
        items, weights = _mixing(histories[user], places, len(places))
        return np.asarray(weights @ vectors[items], dtype=np.float32)

    return states


def text_states(titles: Sequence[str], encode: Callable[[list[str]], FloatArray], recent: int = 10) -> StateFunction:
    """States as the encoding of the history rendered as a text, latest item first, with the person's own words.

    Args:
        titles: One per item.
        encode: Texts → projected vectors of unit norm; runs on the node.
        recent: How many of the latest items the text tells of.
    """

    def states(histories: Histories, user: int, places: IntArray) -> FloatArray:
        history, words = histories[user], histories.words_of(user)
        return encode([render_history(history[:place], words[:place], titles, recent) for place in places])

    return states


def render_history(history: IntArray, words: Sequence[str], titles: Sequence[str], recent: int = 10) -> str:
    """A history as a text: its latest items first, each with what the person said of it."""
    told = [f"{titles[item]} ({said})" if said else titles[item] for item, said in zip(history, words, strict=True)]
    return "; ".join(reversed(told[-recent:]))


def popularity_sum(histories: Histories, items: int, typical_length: int, rows: IntArray) -> NDArray[np.float64]:
    """Sum over the users in `rows` of their histograms, each of L2 norm at most one.

    An entry is at most 1/√`typical_length`, so that a user with few items lifts none of them further than a typical
    user does.

    Returns:
        Shape [items]. Adding or removing one user moves it by at most one in L2.
    """
    total = np.zeros(items)
    for user in rows:
        distinct = np.unique(histories[user])
        total[distinct] += (1 - ROUNDING_RESERVE) / np.sqrt(max(len(distinct), typical_length))
    return total


def _mixing(history: IntArray, places: IntArray, window: int) -> tuple[IntArray, FloatArray]:
    """The items that the states before `places` are made of, shape [n], and their weights, shape [window, n]."""
    weights = np.zeros((window, max(len(history) - 1, 0)), np.float32)
    if len(places):
        first = int(places[0])
        weights[-len(places) :] = recency_weights(len(history) - 1, len(history) - first)[places - first]
    return history[:-1], weights


def _key(user: str) -> int:
    return int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "little")


def _places(history: IntArray, window: int, candidates: IntArray | None) -> IntArray:
    """Places in a history that are positions: not the first, not met before, among the candidates."""
    first_met = np.unique(history, return_index=True)[1]
    places = np.sort(first_met[first_met > 0])
    if candidates is not None:
        places = places[np.isin(history[places], candidates)]
    return places[-window:]
