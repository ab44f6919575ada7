"""Recommend on the device, from a bundle and the person's own history, with NumPy alone.

A recommender holds a published model and nothing about anybody: histories, feedback and wishes come with each call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from pathlib import Path

import numpy as np

from sottovoce.client.diversity import choose, long_tail
from sottovoce.client.explanation import Counterfactual, Explanation, Reason
from sottovoce.client.model import DeviceModel, device_model
from sottovoce.client.ranking import BoolArray, DoubleArray, Shown
from sottovoce.client.taste import Feedback, Summands, Wish, summands
from sottovoce.client.wishes import WishReader
from sottovoce.client.words import WordIndex
from sottovoce.common.bundle import Bundle, Published, open_bundle
from sottovoce.common.errors import ConfigError, EncoderError
from sottovoce.common.item_table import CATEGORIES, SEPARATOR, Column
from sottovoce.common.scoring import FloatArray, IntArray

__all__ = ["CATEGORIES", "SEPARATOR", "Counterfactual", "Explanation", "Reason", "Recommendation", "Recommender"]

NOTHING_SAID = Feedback()
MOST_GUESSED = 40
"""Categories among which a sentence is placed; each name costs the encoder as much as a sentence, once."""

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
class Recommender:
    """Recommends for one person at a time; holds nothing about anybody."""

    bundle: Bundle | Published = field(repr=False)

    @classmethod
    def load(cls, folder: Path, check: bool = True) -> Recommender:
        """Open a published model; `check` may be left out for a folder that was checked before.

        Raises:
            DataError: there is no bundle, or it is not whole.
        """
        return cls(open_bundle(folder, check))

    @cached_property
    def model(self) -> DeviceModel:
        """The published model, in the form that fits its size."""
        return device_model(self.bundle)

    def positions(self, ids: Sequence[str]) -> IntArray:
        """Catalogue positions of item ids; ids that this catalogue does not have are left out."""
        found = map(self.model.table.position.get, ids)
        return np.array([place for place in found if place is not None], dtype=np.int64)

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
            ConfigError: a number is outside its range, a position is not in the catalogue, or there is no such
                attribute.
        """
        if n < 0:
            raise ConfigError("n", n, "0 or more")
        for name, share in (("diversity", diversity), ("long_tail", long_tail)):
            if not 0 <= share <= 1:
                raise ConfigError(name, share, "from 0 to 1")
        parts = self._summands(history, feedback, wish)
        shown = self._shown(history, exclude, filters, feedback)
        state, pool = self._state(parts), n if not diversity else max(5 * n, n + 50)
        ranked = self.model.index.best(state, parts.popularity, pool, shown)
        items, scores = ranked.items, ranked.scores
        if diversity or long_tail:
            places = ceil(long_tail * n - 1e-9)
            items, scores = self._with_long_tail(items, scores, state, parts, shown, places)
            vectors, tail = self.model.content_rows(items), self._long_tail[items]
            order = choose(scores, vectors, tail, n, diversity, places)
            items, scores = items[order], scores[order]
        shares = np.minimum(np.exp(scores - ranked.log_normaliser), 1.0)
        titles = self.model.table.titles
        listed = zip(items.tolist(), scores.tolist(), shares.tolist(), strict=True)
        return [Recommendation(item, titles[item], score, share) for item, score, share in listed]

    def explain(
        self, history: IntArray, item: int, *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> Explanation:
        """The score of `item`, taken apart into terms that sum to it."""
        return self.explanations(history, [item], feedback=feedback, wish=wish)[0]

    def explanations(
        self, history: IntArray, items: Sequence[int], *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> list[Explanation]:
        """The scores of several items, each taken apart: the history is looked at once for all of them."""
        self._check(items)
        parts, model, rows = self._summands(history, feedback, wish), self.model, np.asarray(items, dtype=np.int64)
        directions, contents = model.index.directions_of(rows), model.content_rows(rows)
        content = parts.weights * (model.content_weight * contents @ model.content_rows(parts.items).T)
        total = parts.weights * (directions @ model.history_rows(parts.items).T)
        popularity = parts.popularity * model.index.b[rows].astype(np.float64)
        asked = np.zeros(len(rows)) if parts.wish is None else (directions @ parts.wish).astype(np.float64)
        scores = total.sum(axis=1, dtype=np.float64) + popularity + asked
        return [
            Explanation(
                item, float(scores[row]), float(popularity[row]), float(asked[row]), parts.items, parts.lengths,
                content[row], total[row] - content[row],
            )
            for row, item in enumerate(rows.tolist())
        ]  # fmt: skip

    def blocks(
        self, history: IntArray, item: int, *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> dict[str, FloatArray]:
        """The `content` of an explanation by block of the item vectors (texts, words, price, …), shape [n] each.

        Empty where the bundle does not say what its vectors were put together from. A rotation leaves products as they
        are, so the blocks sum to the content.
        """
        self._check([item])
        blocks = self.bundle.blocks if isinstance(self.bundle, Published) else self.bundle.model.blocks
        if blocks is None:
            return {}
        parts, model = self._summands(history, feedback, wish), self.model
        own = blocks.parts(model.content_weight * model.content_rows(np.array([item]))[0])
        met = blocks.parts(model.content_rows(parts.items))
        return {name: parts.weights * (met[name] @ part) for name, part in own.items()}

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
        titles, (items, effects), met = self.model.table.titles, told.by_item(2), set(history.tolist())
        best = [j for j in np.argsort(-effects, kind="stable")[:n].tolist() if effects[j] > 0]
        return [
            Reason(each, titles[each], float(effects[j]), "history" if each in met else "liked")
            for j, each in ((j, int(items[j])) for j in best)
        ]

    def counterfactual(
        self,
        history: IntArray,
        item: int,
        without: int,
        exclude: Collection[int] = (),
        *,
        feedback: Feedback = NOTHING_SAID,
        wish: Wish | None = None,
    ) -> Counterfactual:
        """The rank that `item` has, and would have if `without` had never been met, nor liked or disliked."""
        self._check([item, without])
        shown = self._shown(np.append(history, without), exclude, None, feedback)
        liked, disliked = (
            tuple(each for each in said if each != without) for said in (feedback.liked, feedback.disliked)
        )
        unsaid = replace(feedback, liked=liked, disliked=disliked)
        ranks = [
            self._rank(item, self._summands(met, said, wish), shown)
            for met, said in ((history, feedback), (history[history != without], unsaid))
        ]
        return Counterfactual(item, without, *ranks)

    def standing(
        self,
        history: IntArray,
        item: int,
        exclude: Collection[int] = (),
        *,
        feedback: Feedback = NOTHING_SAID,
        wish: Wish | None = None,
    ) -> tuple[int, int]:
        """The rank of `item` among all that may be listed, zero if it may not be, and how many those are."""
        self._check([item])
        listed = np.zeros(len(self.model.table), np.float32)
        shown = self._shown(history, exclude, None, feedback)
        shown.strike(listed)
        rank = 0 if np.isneginf(listed[item]) else self._rank(item, self._summands(history, feedback, wish), shown)
        return rank, int(np.isfinite(listed).sum())

    def profile(
        self, history: IntArray, *, feedback: Feedback = NOTHING_SAID, wish: Wish | None = None
    ) -> dict[str, float]:
        """P(category | person), most probable first: the softmax over all items, shared by their categories.

        An item's probability is shared out evenly among its categories, so that the profile sums to one at most.
        """
        column = self.model.table.attributes.get(CATEGORIES)
        if column is None:
            return {}
        parts = self._summands(history, feedback, wish)
        scores = self.model.index.scores(self._state(parts), parts.popularity).astype(np.float64)
        weights = np.exp(scores - scores.max())
        by_value = np.bincount(column.codes, weights / weights.sum(), len(column.values))
        sums: dict[str, float] = {}
        for names, share in zip(column.parts, by_value.tolist(), strict=True):
            for name in names:
                sums[name] = sums.get(name, 0.0) + share / len(names)
        return dict(sorted(sums.items(), key=lambda entry: (-entry[1], entry[0])))

    def keywords(self, history: IntArray, n: int = 10) -> list[str]:
        """The words that tell this taste from others: TF-IDF over the texts of the history.

        Words are ranked again by how near the items that have them lie to the person's state.
        """
        parts = self._summands(history, NOTHING_SAID, None)
        state = self._state(parts)

        def nearness(rows: IntArray) -> float:
            mean = self.model.content_rows(rows).mean(axis=0)
            lengths = float(np.linalg.norm(mean) * np.linalg.norm(state))
            return float(mean @ state) / lengths if lengths else 0.0

        return self._words.keywords(parts.items, n, nearness)

    def search(self, text: str, n: int = 10) -> list[int]:
        """Catalogue positions of the items whose texts hold most of the words of `text`, best first."""
        return self._words.search(text, n, self.model.index.b)

    def mentions(self, words: str) -> bool:
        """Whether a title or text of the catalogue holds `words`, which are public then."""
        table, sought = self.model.table, words.casefold()
        return any(sought in table.text(place).casefold() for place in range(len(table)))

    def wish_like(self, item: int, weight: float = 0.5) -> Wish:
        """A wish for more like one item."""
        self._check([item])
        return Wish(self.model.content_rows(np.array([item]))[0], weight)

    def encode_wish(self, text: str) -> FloatArray:
        """The place of a wish in the item space, shape [d].

        The encoder runs in a process of its own, which starts with the first wish.

        Raises:
            EncoderError: no encoder that this model has a map for is installed, or it failed: `search` serves.
        """
        return self._reader.place(text)

    def nearest_category(self, text: str) -> str | None:
        """The category whose name lies nearest to `text` by the encoder for wishes; `None` where there are too many.

        Raises:
            EncoderError: as `encode_wish` does.
        """
        reader, names = self._reader, self._category_names
        if not 1 < len(names) <= MOST_GUESSED:
            return None
        said = reader.encode([text])[0]
        return names[int(np.argmax(self._category_vectors @ said))]

    @cached_property
    def _category_names(self) -> tuple[str, ...]:
        column = self.model.table.attributes.get(CATEGORIES)
        return () if column is None else tuple(sorted({name for parts in column.parts for name in parts}))

    @cached_property
    def _category_vectors(self) -> FloatArray:
        """Unit vectors of the categories' names."""
        vectors = self._reader.encode([name.lower() for name in self._category_names])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    @property
    def wish_encoder(self) -> str:
        """The encoder that reads wishes; empty if none is installed. Starts none."""
        return "" if self._wish_reader is None else self._wish_reader.encoder

    @property
    def reads_wishes(self) -> bool:
        """Whether wishes in words are read."""
        return bool(self.wish_encoder)

    @cached_property
    def _wish_reader(self) -> WishReader | None:
        readers = self.bundle.readers if isinstance(self.bundle, Published) else ()
        return WishReader(readers) if readers else None

    @property
    def _reader(self) -> WishReader:
        if self._wish_reader is None:
            raise EncoderError("this model reads no wishes in words: search by keywords instead")
        return self._wish_reader

    @cached_property
    def _words(self) -> WordIndex:
        return WordIndex.of(self.model.table)

    @cached_property
    def _long_tail(self) -> BoolArray:
        return long_tail(self.model.index.b)

    def _summands(self, history: IntArray, feedback: Feedback, wish: Wish | None) -> Summands:
        self._check(history, feedback.liked, feedback.disliked)
        if wish is not None and len(wish.vector) != self.model.dimension:
            raise ConfigError("wish", len(wish.vector), f"a vector of length {self.model.dimension}")
        return summands(history, feedback, wish)

    def _state(self, parts: Summands) -> FloatArray:
        state = parts.weights @ self.model.history_rows(parts.items)
        return np.asarray(state if parts.wish is None else state + parts.wish, dtype=np.float32)

    def _shown(self, history: IntArray, exclude: Collection[int], filters: Filters | None, feedback: Feedback) -> Shown:
        groups = (history, tuple(exclude), feedback.disliked, feedback.not_now)
        hidden = np.concatenate([np.asarray(group, dtype=np.int64) for group in groups])
        self._check(hidden)
        masks = [self._column(name).where(_has_any(frozenset(values))) for name, values in (filters or {}).items()]
        if feedback.hidden and CATEGORIES in self.model.table.attributes:
            masks.append(~self._column(CATEGORIES).where(_has_any(feedback.hidden)))
        return Shown(hidden, np.logical_and.reduce(masks) if masks else None)

    def _with_long_tail(
        self, items: IntArray, scores: DoubleArray, state: FloatArray, parts: Summands, shown: Shown, places: int
    ) -> tuple[IntArray, DoubleArray]:
        """The pool, with enough of the long tail in it to fill its places."""
        if int(self._long_tail[items].sum()) >= places:
            return items, scores
        rare = self._long_tail if shown.mask is None else self._long_tail & shown.mask
        more = self.model.index.best(state, parts.popularity, places, Shown(shown.hidden, rare))
        new = ~np.isin(more.items, items)
        items, scores = np.append(items, more.items[new]), np.append(scores, more.scores[new])
        order = np.argsort(-scores, kind="stable")
        return items[order], scores[order]

    def _rank(self, item: int, parts: Summands, shown: Shown) -> int:
        scores = self.model.index.scores(self._state(parts), parts.popularity)
        own = scores[item]
        shown.strike(scores)
        return 1 + int((scores > own).sum())

    def _column(self, name: str) -> Column:
        columns = self.model.table.attributes
        if name not in columns:
            raise ConfigError("filter", name, f"one of {', '.join(columns) or 'no attribute at all'}")
        return columns[name]

    def _check(self, *groups: Collection[int] | IntArray) -> None:
        for group in groups:
            items = np.asarray(list(group) if not isinstance(group, np.ndarray) else group)
            if items.size and not (items.min() >= 0 and items.max() < len(self.model.table)):
                wrong = items[(items < 0) | (items >= len(self.model.table))][0]
                raise ConfigError("item", int(wrong), f"a position from 0 to {len(self.model.table) - 1}")


def _has_any(wanted: frozenset[str]) -> Callable[[tuple[str, ...]], bool]:
    return lambda parts: not wanted.isdisjoint(parts)
