"""The best of many items, exactly: a first look at the leading coordinates, a bound on the rest, and a second look.

A score is s_i = q·F_i + β b_i. With q and F_i split into their leading coordinates and the rest, Cauchy and Schwarz say

    |s_i − (q'·F'_i + β b_i)| ≤ |q''| · |F''_i|

so an item whose first look and bound together stay below the n-th best score found so far is not among the n best, and
is not looked at again. What is listed and in which order is what scoring every item in full would give; ties go to the
more popular item, then to the earlier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.quantised import Quantised
from sottovoce.common.scoring import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]

BLOCK = 4096
"""Items that are looked at together: their coordinates in float32 fit a processor's cache."""

SAMPLE = 1024
"""Items that are scored in full to set the bar: the likeliest of as many stretches of the catalogue."""

SECOND_LOOKS = 8192
"""Items that are scored in full at once; where more are in question, the likeliest raise the bar for the others."""

ROUNDING = 1e-4
"""More than a sum in float32 can be wrong by; items of the last place this close are compared in float64."""


@dataclass(frozen=True)
class Shown:
    """Which items may be listed.

    Attributes:
        hidden: Positions that may not.
        mask: True for those that may, shape [I]; `None` where `hidden` says all.
    """

    hidden: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    mask: BoolArray | None = None

    def strike(self, scores: FloatArray) -> None:
        """Set the scores of what may not be listed to minus infinity, in place."""
        if self.mask is not None:
            np.putmask(scores, ~self.mask, -np.inf)
        scores[self.hidden] = -np.inf


@dataclass(frozen=True)
class Ranked:
    """The best items.

    Attributes:
        items: Catalogue positions, best first.
        scores: Their scores.
        log_normaliser: log Σ exp(s) over everything that may be listed; exact where the catalogue is scored as a whole,
            else estimated from the first look at all items and the second at some.
    """

    items: IntArray
    scores: DoubleArray
    log_normaliser: float

    @property
    def probabilities(self) -> DoubleArray:
        """P(i | u), shape [len(items)]."""
        return np.minimum(np.exp(self.scores - self.log_normaliser), 1.0)


class Index(Protocol):
    """Ranks a catalogue by states; `prior` is β, the weight of popularity."""

    @property
    def b(self) -> FloatArray:
        """Popularity prior, shape [I]."""

    def best(self, state: FloatArray, prior: float, n: int, shown: Shown) -> Ranked:
        """The `n` best of what may be listed; fewer if there are fewer."""

    def scores(self, state: FloatArray, prior: float) -> FloatArray:
        """The scores of all items, shape [I]."""

    def directions_of(self, items: IntArray) -> FloatArray:
        """What a state is multiplied with, shape [len(items), d]."""


@dataclass(frozen=True)
class WholeIndex:
    """Scores every item in float32: for catalogues of some ten thousand items.

    Attributes:
        directions: K, shape [I, d].
        b: Popularity prior, shape [I].
    """

    directions: FloatArray
    b: FloatArray

    def best(self, state: FloatArray, prior: float, n: int, shown: Shown) -> Ranked:  # noqa: D102
        scores = self.scores(state, prior)
        shown.strike(scores)
        items = _at_least(scores, _nth_largest(scores, n))
        return _finish(self, state, prior, items, scores[items], n, _log_sum(scores))

    def scores(self, state: FloatArray, prior: float) -> FloatArray:  # noqa: D102
        return np.asarray(self.directions @ state + np.float32(prior) * self.b)

    def directions_of(self, items: IntArray) -> FloatArray:  # noqa: D102
        return self.directions[items]


@dataclass(frozen=True)
class TwoStageIndex:
    """Ranks quantised vectors where they lie.

    Attributes:
        vectors: F, quantised; may be memory-mapped.
        b: Popularity prior, shape [I].
        content_weight: α: K = α F.
    """

    vectors: Quantised
    b: FloatArray
    content_weight: float

    @cached_property
    def rest_norms(self) -> FloatArray:
        """|F''_i|, shape [I]; computed once, from every vector."""
        norms = np.empty(len(self.b), np.float32)
        for start in range(0, len(norms), BLOCK):
            rest = self.vectors.rows(slice(start, start + BLOCK))[:, self.vectors.lead.shape[1] :]
            norms[start : start + BLOCK] = np.einsum("ij,ij->i", rest, rest)
        return np.sqrt(norms, out=norms)

    @cached_property
    def lead_scales(self) -> FloatArray:
        """The scale of each item's leading coordinates, shape [I]."""
        return np.ascontiguousarray(self.vectors.scale[:, 0])

    def best(self, state: FloatArray, prior: float, n: int, shown: Shown) -> Ranked:
        """The `n` best items, exactly: whom a look at the leading coordinates does not rule out gets a second one."""
        first = self._first_look(state, prior)
        shown.strike(first)
        sample = _best_of_blocks(first, max(SAMPLE, 4 * n))
        sampled = self._some_scores(state, prior, sample)
        reach = first + self.rest_norms * np.float32(self._rest_norm(state))
        items, scores = self._second_look(state, prior, reach, _nth_largest(sampled, n), n)
        total = np.logaddexp(self._log_sum_of_others(state, prior, first, items), _log_sum(scores))
        return _finish(self, state, prior, items, scores, n, float(total))

    def scores(self, state: FloatArray, prior: float) -> FloatArray:  # noqa: D102
        rows = np.arange(len(self.b))
        parts = [self._some_scores(state, prior, rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK)]
        return np.concatenate(parts)

    def directions_of(self, items: IntArray) -> FloatArray:  # noqa: D102
        return np.float32(self.content_weight) * self.vectors.rows(items)

    def _first_look(self, state: FloatArray, prior: float) -> FloatArray:
        """q'·F'_i + β b_i for every item."""
        lead = self.vectors.lead
        query = (self.content_weight * state[: lead.shape[1]]).astype(np.float32)
        found = np.empty(len(lead), np.float32)
        block = np.empty((BLOCK, lead.shape[1]), np.float32)
        for start in range(0, len(lead), BLOCK):
            rows = lead[start : start + BLOCK]
            np.copyto(block[: len(rows)], rows)
            np.dot(block[: len(rows)], query, out=found[start : start + BLOCK])
        found *= self.lead_scales
        found += self.b if prior == 1 else np.float32(prior) * self.b
        return found

    def _rest_norm(self, state: FloatArray) -> float:
        rest = state[self.vectors.lead.shape[1] :].astype(np.float64)
        return abs(self.content_weight) * float(np.sqrt(rest @ rest)) * (1 + 1e-5)

    def _some_scores(self, state: FloatArray, prior: float, items: IntArray) -> FloatArray:
        return np.asarray(self.directions_of(items) @ state + np.float32(prior) * self.b[items])

    def _second_look(
        self, state: FloatArray, prior: float, reach: FloatArray, bar: float, n: int
    ) -> tuple[IntArray, FloatArray]:
        """Every item that may be among the `n` best, and its score; the likeliest first, for they raise the bar."""
        items = _at_least(reach, bar)
        if len(items) > SECOND_LOOKS:
            likeliest = items[np.argpartition(-reach[items], SECOND_LOOKS)[:SECOND_LOOKS]]
            bar = max(bar, _nth_largest(self._some_scores(state, prior, likeliest), n))
            items = _at_least(reach, bar)
        parts = np.split(items, range(SECOND_LOOKS, len(items), SECOND_LOOKS))
        return items, np.concatenate([self._some_scores(state, prior, part) for part in parts])

    def _log_sum_of_others(self, state: FloatArray, prior: float, first: FloatArray, items: IntArray) -> float:
        """Log Σ exp(s) of all but `items`: that of the first look, times the ratio that every k-th item shows."""
        first[items] = -np.inf
        some = np.arange(0, len(first), max(1, len(first) // SAMPLE))
        some = some[first[some] > -np.inf]
        if not len(some):
            return -np.inf
        ratio = _log_sum(self._some_scores(state, prior, some)) - _log_sum(first[some])
        return _log_sum(first) + ratio


def _finish(
    index: Index, state: FloatArray, prior: float, items: IntArray, scores: FloatArray, n: int, total: float
) -> Ranked:
    """Order the `n` best by scores in float64, equal ones by popularity and position."""
    finalists = items[_at_least(scores, _nth_largest(scores, n))]
    b = index.b[finalists].astype(np.float64)
    exact = np.round(index.directions_of(finalists).astype(np.float64) @ state.astype(np.float64) + prior * b, 9)
    order = np.lexsort((finalists, -b, -exact))[:n]
    return Ranked(finalists[order], exact[order], total)


def _nth_largest(scores: FloatArray, n: int) -> float:
    """Minus infinity where there are fewer than `n`."""
    if not 0 < n <= len(scores):
        return -np.inf
    return float(np.partition(scores, len(scores) - n)[len(scores) - n])


def _at_least(scores: FloatArray, bar: float) -> IntArray:
    """Positions of the scores that are not below `bar`, nor minus infinity."""
    return np.flatnonzero(scores >= bar - ROUNDING if bar > -np.inf else scores > -np.inf)


def _best_of_blocks(scores: FloatArray, blocks: int) -> IntArray:
    """The position of the largest score in each of about `blocks` stretches; none where nothing may be listed."""
    size = max(1, len(scores) // blocks)
    whole = len(scores) // size * size
    starts = np.arange(0, whole, size)
    best: IntArray = starts + scores[:whole].reshape(-1, size).argmax(axis=1)
    return best[scores[best] > -np.inf]


def _log_sum(scores: FloatArray) -> float:
    """Log Σ exp, minus infinity for nothing."""
    largest = float(scores.max(initial=-np.inf))
    if largest == -np.inf:
        return largest
    return largest + float(np.log(np.exp(scores - np.float32(largest)).sum(dtype=np.float64)))
