"""Histories: what people did, in order. They never leave the node that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import DataError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """The histories of some users, oldest interaction first, as one flat array.

    Attributes:
        users: User ids, shape [U].
        offsets: Where each history begins and ends in `items`, shape [U + 1].
        items: Catalogue positions, shape [N].
        words: What a person wrote about each interaction, shape [N], or `None` where nobody wrote anything.
    """

    users: NDArray[np.str_]
    offsets: IntArray
    items: IntArray
    words: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, user: int) -> IntArray:
        """The items of the user in row `user`, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def __iter__(self) -> Iterator[IntArray]:
        return (self[user] for user in range(len(self)))

    def check(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            ValueError: offsets do not cut `items` into one history per user, or an item is no catalogue position.
        """
        ends = (int(self.offsets[0]), int(self.offsets[-1])) if len(self.offsets) else (-1, -1)
        if len(self.offsets) != len(self.users) + 1 or ends != (0, len(self.items)) or (self.lengths < 0).any():
            raise ValueError("offsets do not fit")
        if self.items.dtype != np.int64 or self.items.min(initial=0) < 0:
            raise ValueError("items are no catalogue positions")
        if self.words is not None and len(self.words) != len(self.items):
            raise ValueError("words do not fit")

    @property
    def lengths(self) -> IntArray:
        """Interactions per user, shape [U]."""
        return np.diff(self.offsets)

    def words_of(self, user: int) -> Sequence[str]:
        """What the user wrote, one text per interaction; all empty where nothing was written."""
        if self.words is None:
            return [""] * len(self[user])
        return list(self.words[self.offsets[user] : self.offsets[user + 1]])

    @classmethod
    def from_lists(cls, users: Sequence[str], items: Sequence[Sequence[int] | IntArray]) -> Histories:
        """Build from one sequence of catalogue positions per user."""
        lengths = np.array([len(history) for history in items], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.concatenate([np.asarray(history, dtype=np.int64) for history in items] or [np.zeros(0, np.int64)])
        return cls(np.array(users, dtype=np.str_), offsets, flat)

    def select(self, rows: IntArray) -> Histories:
        """The histories of the users in `rows`, in that order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        words = None if self.words is None else self.words[flat]
        return Histories(self.users[rows], offsets, self.items[flat], words)

    def shard(self, index: int, count: int) -> Histories:
        """The users of node `index` out of `count`: every `count`-th, so that shards differ by at most one user."""
        return self.select(np.arange(index, len(self), count))

    def within(self, items: int) -> Histories:
        """Every history less what is no position in a catalogue of `items` items."""
        return self if (self.items < items).all() else self._kept(self.items < items)

    def without_last(self, count: int) -> Histories:
        """Every history less its last `count` interactions."""
        keep = np.maximum(self.lengths - count, 0)
        rank = np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)
        return self._kept(rank < np.repeat(keep, self.lengths))

    def _kept(self, kept: NDArray[np.bool_]) -> Histories:
        """The same users with some of their interactions, a mask of shape [N]."""
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets].astype(np.int64)
        words = None if self.words is None else self.words[kept]
        return Histories(self.users, offsets, self.items[kept], words)

    def save(self, path: Path) -> None:
        """Write one `.npz` file, readable by its owner only; an earlier one stays until the new one is whole."""
        unfinished = path.with_name(path.name + ".part")
        unfinished.touch(mode=0o600)
        words = np.zeros(0, np.str_) if self.words is None else self.words
        with unfinished.open("wb") as file:
            np.savez(file, users=self.users, offsets=self.offsets, items=self.items, words=words)
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Histories:
        """Read what `save` wrote; no pickle is ever read.

        Raises:
            DataError: the file is missing or does not hold histories.
        """
        try:
            with np.load(path, allow_pickle=False) as table:
                words = table["words"]
                read = cls(table["users"], table["offsets"], table["items"], words if len(words) else None)
                read.check()
                return read
        except FileNotFoundError as error:
            raise DataError(path, "no histories here") from error
        except Exception as error:  # NumPy and zipfile raise a dozen kinds on damaged bytes
            raise DataError(path, f"not a file of histories ({type(error).__name__})") from error
