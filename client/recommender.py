"""Recommend on the device, from a bundle and the person's own history, with NumPy alone.

A recommender holds a published model and nothing about anybody: histories, feedback and wishes come with each call.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sottovoce.client.taste import Feedback, Summands, Wish, summands
from sottovoce.common.bundle import Bundle, load_bundle
from sottovoce.common.errors import ConfigError, EncoderError
from sottovoce.common.history import IntArray
from sottovoce.common.scoring import FloatArray

NOTHING_SAID = Feedback()
CATEGORIES = "categories"
SEPARATOR = " | "

Filters = Mapping[str, Collection[str]]
"""By attribute (`categories`, `year`, any other): an item stays if one of its values is among those given."""


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
    """One item of the history, or of what was liked, that a recommendation rests on.

    Attributes:
        item: Its catalogue position.
        title: What a person reads.
        effect: What it adds to the score.
        kind: `history` or `liked`.
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
        items: Catalogue positions of the history, then of what was liked, then of what was disliked.
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

    @property
    def history(self) -> FloatArray:
        """What each item of the history adds."""
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


@dataclass(frozen=True)
class Recommender:
    """Recommends for one person at a time; holds nothing about anybody."""

    bundle: Bundle

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """Open a published model.

        Raises:
            DataError: there is no bundle, or it is not whole.
        """
        return cls(load_bundle(folder))

    def positions(self, ids: Sequence[str]) -> IntArray:
        """Catalogue positions of item ids; ids that this catalogue does not have are left out."""
        position = self.bundle.catalogue.position
        return np.array([position[item] for item in ids if item in position], dtype=np.int64)

    def recommend(
        self,
        history: IntArray,
        n: int = 10,
        exclude: Collection[int] = (),
        *,
        filters: Filters | None = None,
        feedback: Feedback = NOTHING_SAID,
        wish: Wish | None = None,
        diversity: float = 0.0,
        long_tail: float = 0.0,
    ) -> list[Recommendation]:
        """The `n` best items that are not in `history`, disliked, hidden or excluded; fewer if there are fewer.

        Args:
            history: Catalogue positions, oldest first; may be empty.
            n: Length of the list.
            exclude: Catalogue positions that must not be shown.
            filters: What an item's attributes must be.
            feedback: What the person said.
            wish: What the person asked for.
            diversity: From 0 (the best) to 1 (unlike each other), by maximal marginal relevance.
            long_tail: Share of the list, from 0 to 1, that is kept for less known items.

        Raises:
            ConfigError: a number is outside its range, or a position is not in the catalogue.
        """
        if n < 0:
            raise ConfigError("n", n, "0 or more")
        self._check(history, exclude, feedback.liked, feedback.disliked, feedback.not_now)
        scores = self._allowed_scores(history, exclude, filters, feedback, wish)
        allowed = scores > -np.inf
        if not allowed.any():
            return []
        weights = np.exp(scores - scores.max())
        order = self._popular_first[np.argsort(-scores[self._popular_first], kind="stable")]
        best = order[: min(n, int(allowed.sum()))]
        titles = self.bundle.catalogue.titles
        return [Recommendation(int(i), titles[i], float(scores[i]), float(weights[i] / weights.sum())) for i in best]

    def explain(
        self, history: IntArray, item: int, *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> Explanation:
        """The score of `item`, taken apart into terms that sum to it."""
        self._check(history, [item], feedback.liked, feedback.disliked)
        model, parts = self.bundle.model, summands(history, feedback, wish)
        direction = model.directions[item]
        content = parts.weights * (model.vectors[parts.items] @ (model.head.shape.content_weight * model.vectors[item]))
        total = parts.weights * (model.history_vectors[parts.items] @ direction)
        popularity, asked = float(model.head.b[item]), 0.0 if parts.wish is None else float(parts.wish @ direction)
        score = float(total.sum()) + popularity + asked
        return Explanation(item, score, popularity, asked, parts.items, parts.lengths, content, total - content)

    def reasons(
        self,
        history: IntArray,
        item: int,
        n: int = 3,
        *,
        feedback: Feedback = NOTHING_SAID,
        wish: Wish | None = None,
    ) -> list[Reason]:
        """The `n` items of the history and of what was liked that lift `item` most; only such as do lift it."""
        told = self.explain(history, item, feedback=feedback, wish=wish)
        titles, effects = self.bundle.catalogue.titles, told.effects[: sum(told.lengths[:2])]
        best = [j for j in np.argsort(-effects, kind="stable")[:n] if effects[j] > 0]
        kinds = ["history"] * told.lengths[0] + ["liked"] * told.lengths[1]
        return [Reason(int(told.items[j]), titles[told.items[j]], float(effects[j]), kinds[j]) for j in best]

    def counterfactual(
        self,
        history: IntArray,
        item: int,
        without: int,
        *,
        feedback: Feedback = NOTHING_SAID,
        wish: Wish | None = None,
    ) -> Counterfactual:
        """The rank that `item` has, and would have if `without` stood nowhere in the history."""
        self._check(history, [item, without])
        ranks = []
        for met in (history, history[history != without]):
            scores = self._allowed_scores(met, (), None, feedback, wish)
            scores[without] = -np.inf
            own = scores[item]
            ranks.append(1 + int((scores > own).sum()))
        return Counterfactual(item, without, *ranks)

    def profile(
        self, history: IntArray, *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> dict[str, float]:
        """P(category | person), most probable first: the softmax over all items, shared by their categories.

        An item's probability is shared out evenly among its categories, so that the profile sums to one at most.
        """
        self._check(history, feedback.liked, feedback.disliked)
        scores = self._scores(summands(history, feedback, wish)).astype(np.float64)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        sums: dict[str, float] = {}
        for row, text in enumerate(self.bundle.catalogue.attributes.get(CATEGORIES, ())):
            names = text.split(SEPARATOR) if text else []
            for name in names:
                sums[name] = sums.get(name, 0.0) + float(weights[row]) / len(names)
        return dict(sorted(sums.items(), key=lambda entry: -entry[1]))

    def keywords(self, history: IntArray, n: int = 10) -> list[str]:
        """The words that tell this taste from others."""
        return []

    def wish_like(self, item: int, weight: float = 0.5) -> Wish:
        """A wish for more like one item."""
        self._check([item])
        return Wish(self.bundle.model.vectors[item], weight)

    def encode_wish(self, text: str) -> FloatArray:
        """The place of a wish in the item space, shape [d].

        Raises:
            EncoderError: no encoder is installed: `search` serves.
        """
        raise EncoderError("no encoder for wishes is installed: pip install 'sottovoce[wishes]'")

    def search(self, text: str, n: int = 10) -> list[int]:
        """Catalogue positions of the items whose texts hold most of the words of `text`, best first."""
        return []

    @cached_property
    def _popular_first(self) -> IntArray:
        """Breaks ties: the more popular item first, then the earlier one."""
        return np.argsort(-self.bundle.model.head.b, kind="stable")

    def _scores(self, parts: Summands) -> FloatArray:
        model = self.bundle.model
        state = parts.weights @ model.history_vectors[parts.items]
        return model.scores(state if parts.wish is None else state + parts.wish)

    def _allowed_scores(
        self,
        history: IntArray,
        exclude: Collection[int],
        filters: Filters | None,
        feedback: Feedback,
        wish: Wish | None,
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        scores = self._scores(summands(history, feedback, wish)).astype(np.float64)
        for hidden in (history, list(exclude), list(feedback.disliked), list(feedback.not_now)):
            scores[np.asarray(hidden, dtype=np.int64)] = -np.inf
        columns = self.bundle.catalogue.attributes
        for name, wanted in (filters or {}).items():
            if name not in columns:
                raise ConfigError("filter", name, f"one of {', '.join(columns) or 'no attribute at all'}")
            scores[[not set(text.split(SEPARATOR)) & set(wanted) for text in columns[name]]] = -np.inf
        if feedback.hidden and CATEGORIES in columns:
            scores[[bool(set(text.split(SEPARATOR)) & feedback.hidden) for text in columns[CATEGORIES]]] = -np.inf
        return scores

    def _check(self, *groups: Collection[int] | IntArray) -> None:
        for item in (item for group in groups for item in group):
            if not 0 <= item < len(self.bundle.catalogue):
                raise ConfigError("item", int(item), f"a position from 0 to {len(self.bundle.catalogue) - 1}")
