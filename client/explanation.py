"""Why an item stands where it stands, in numbers that sum to its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sottovoce.common.scoring import FloatArray, IntArray


@dataclass(frozen=True)
class Reason:
    """One item of the history, or of what was liked, that a recommendation rests on.

    Attributes:
        item: Its catalogue position.
        title: What a person reads.
        effect: What it adds to the score.
        kind: `history` or `liked`; `history` for what is both.
    """

    item: int
    title: str
    effect: float
    kind: str = "history"


@dataclass(frozen=True)
class Explanation:
    """One score, taken apart: `popularity`, `wish`, and the sums of `content` and `correction` are the score.

    Attributes:
        item: Catalogue position of the scored item.
        score: The score.
        popularity: What the popularity prior adds.
        wish: What the wish adds.
        items: Catalogue positions of what still counts of the history (its last `client.taste.REMEMBERED` items), then
            of what was liked, then of what was disliked.
        lengths: How many of `items` are of each of these three kinds.
        content: What similarity of texts adds, one per entry of `items`.
        correction: What the trained head adds, one per entry of `items`.
    """

    item: int
    score: float
    popularity: float
    wish: float
    items: IntArray
    lengths: tuple[int, int, int]
    content: FloatArray
    correction: FloatArray

    @property
    def effects(self) -> FloatArray:
        """What each entry of `items` adds to the score."""
        return self.content + self.correction

    def by_item(self, kinds: int = 3) -> tuple[IntArray, FloatArray]:
        """Items of the first `kinds` kinds, each once, and what each adds in all: one that is also liked adds twice."""
        end = sum(self.lengths[:kinds])
        items, where = np.unique(self.items[:end], return_inverse=True)
        return items, np.bincount(where, self.effects[:end], len(items)).astype(np.float32)

    @property
    def history(self) -> FloatArray:
        """What each item of the history adds that still counts."""
        return self.effects[: self.lengths[0]]

    @property
    def liked(self) -> FloatArray:
        """What each liked item adds."""
        return self.effects[self.lengths[0] : self.lengths[0] + self.lengths[1]]

    @property
    def disliked(self) -> FloatArray:
        """What each disliked item adds; mostly below zero."""
        return self.effects[self.lengths[0] + self.lengths[1] :]


@dataclass(frozen=True)
class Counterfactual:
    """What becomes of an item in the list where one item of the history had not been met.

    Attributes:
        item: Catalogue position of the recommended item.
        without: Catalogue position of what is left out of the history.
        rank: Its rank in the list as it is; the first is 1.
        rank_without: Its rank without.
    """

    item: int
    without: int
    rank: int
    rank_without: int
