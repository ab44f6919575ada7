"""What a node computes once from its histories: each user's last positions, as states and targets.

A position is one interaction of a user to be predicted from those before it. Only a user's last `window` positions
count, and an item that the user had met before is no position: recommending leaves seen items out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.history import Histories, IntArray
from sottovoce.common.scoring import FloatArray, recency_weights

ROUNDING_RESERVE = 2.0**-10
"""Relative part of a histogram's norm that is kept for the rounding of the sum to float32."""

MEMORY = 2_000
"""Of a longer history only the latest interactions are kept: a weight falls by half every 35 of them."""

TextStates = Callable[[Histories, Sequence[IntArray]], Sequence[FloatArray]]
"""States made of texts: (histories, of each user the places [P] before which they are wanted) → of each user [P, d]."""


@dataclass(frozen=True)
class Rows:
    """Rows of the catalogue of some users, of each as many as there are: the longest history takes no room of others.

    Attributes:
        offsets: Where each user's begin and end in `rows`, shape [U + 1].
        rows: All of them, one user after the other.
    """

    offsets: IntArray
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, each: Sequence[IntArray]) -> Rows:
        """Of one array per user."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in each])]).astype(np.int64)
        rows = np.empty(offsets[-1], np.int32)
        for user, one in enumerate(each):
            rows[offsets[user] : offsets[user + 1]] = one
        return cls(offsets, rows)

    @property
    def lengths(self) -> IntArray:
        """How many each user has, shape [U]."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> int:
        """How many the user has who has most."""
        return int(self.lengths.max(initial=0))

    def select(self, users: IntArray) -> Rows:
        """Those of some users, in that order."""
        starts, lengths = self.offsets[users], self.lengths[users]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Rows(offsets, self.rows[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)])

    def padded(self) -> NDArray[np.int32]:
        """Shape [U, longest], padded at the end with -1."""
        padded = np.full((len(self.lengths), self.longest), -1, np.int32)
        padded[np.arange(self.longest) < self.lengths[:, None]] = self.rows
        return padded


@dataclass(frozen=True)
class Positions:
    """The positions of some users, padded at the front to the same number P.

    Attributes:
        targets: Catalogue row of the item at each position, shape [U, P]; -1 where padded.
        earlier: Rows of the items of each user before the first position.
        keys: One number per user, fixed by the user's id alone, shape [U].
        history: Rows of the items of which states are made, at most N of them.
        known: How many of them come before each position, shape [U, P]; zero where padded.
        recency: How much each of them counts: row t holds the weights after t interactions, shape [N + 1, N].
        states: State before each position, shape [U, P, d], where it is made of a text and not of items.
    """

    targets: IntArray
    earlier: Rows
    keys: NDArray[np.uint64]
    history: Rows
    known: IntArray
    recency: FloatArray
    states: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, rows: IntArray) -> Positions:
        """The positions of the users in `rows`, without padding that nobody there needs."""
        targets = self.targets[rows]
        padding = int((targets < 0).sum(axis=1).min(initial=targets.shape[1]))
        return Positions(
            targets=targets[:, padding:],
            earlier=self.earlier.select(rows),
            keys=self.keys[rows],
            history=self.history.select(rows),
            known=self.known[rows, padding:],
            recency=self.recency,
            states=None if self.states is None else self.states[rows, padding:],
        )

    def batches(self, limit: int) -> Iterator[Positions]:
        """The same users in batches of at most `limit` positions (or one user), neighbours in length together."""
        counts = (self.targets >= 0).sum(axis=1)
        order = np.lexsort((self.history.lengths, counts))
        start = 0
        while start < len(order):
            padded = np.arange(1, len(order) - start + 1) * counts[order[start:]]
            end = start + max(1, int(np.searchsorted(padded, limit, side="right")))
            yield self.select(order[start:end])
            start = end

    def mixing(self) -> FloatArray:
        """How much each item counts in each state, shape [U, P, N]: a state is the sum of its items, so weighted."""
        return self.recency[:, : self.history.longest][self.known]


def positions_of(
    histories: Histories, window: int, candidates: IntArray | None = None, text_states: TextStates | None = None
) -> Positions:
    """The last `window` positions of every user; with `candidates`, of those whose item is among them.

    Args:
        histories: U users.
        window: P, at most this many positions per user.
        candidates: Sorted catalogue rows; all by default.
        text_states: Computes states where they are not made of items.
    """
    kept = [history[-MEMORY:] for history in histories]
    places = [_places(history, window, candidates) for history in histories]
    earlier = [np.unique(history[: min(place, default=0)]) for history, place in zip(histories, places, strict=True)]
    longest = max((len(history) for history in kept), default=0)
    filled = Positions(
        targets=np.full((len(histories), window), -1, np.int64),
        earlier=Rows.of(earlier),
        keys=np.array([_key(user) for user in histories.users], dtype=np.uint64),
        history=Rows.of(kept),
        known=np.zeros((len(histories), window), np.int64),
        recency=recency_weights(longest, longest + 1),
    )
    for user, place in enumerate(places):
        filled.targets[user, window - len(place) :] = histories[user][place]
        filled.known[user, window - len(place) :] = place - (len(histories[user]) - len(kept[user]))
    if text_states is None:
        return filled
    states = text_states(histories, places)
    return replace(filled, states=np.stack([np.pad(part, ((window - len(part), 0), (0, 0))) for part in states]))


def text_states(titles: Sequence[str], encode: Callable[[list[str]], FloatArray], recent: int = 10) -> TextStates:
    """States as the encoding of the history rendered as a text, latest item first, with the person's own words.

    Args:
        titles: One per item.
        encode: Texts → projected vectors of unit norm; runs on the node.
        recent: How many of the latest items the text tells of.
    """

    def states(histories: Histories, places: Sequence[IntArray]) -> Sequence[FloatArray]:
        texts = [
            render_history(histories[user][:place], histories.words_of(user)[:place], titles, recent)
            for user, chosen in enumerate(places)
            for place in chosen
        ]
        return np.split(encode(texts), np.cumsum([len(chosen) for chosen in places])[:-1])

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


def _key(user: str) -> int:
    return int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "little")


def _places(history: IntArray, window: int, candidates: IntArray | None) -> IntArray:
    """Places in a history that are positions: not the first, not met before, within memory, among the candidates."""
    first_met = np.unique(history, return_index=True)[1]
    beyond = len(history) - MEMORY // 2 if len(history) > MEMORY else 1
    places = np.sort(first_met[first_met >= beyond])
    if candidates is not None:
        places = places[np.isin(history[places], candidates)]
    return places[-window:]
