"""Lists that people were shown, and what they clicked in them: evaluated as the MIND benchmark does.

For each impression the shown items are ranked by the model's scores, given what its reader had clicked before; AUC,
MRR and nDCG@5 and @10 are computed within the impression, and their means over impressions are what is reported
(Wu et al. 2020). What ties is averaged over all orders of the tied items, so that no metric depends on how the
candidates stood in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import DataError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

Score = Callable[[int, IntArray], FloatArray]
"""(row of an impression, its candidates [n]) → their scores [n]."""

METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10")


@dataclass(frozen=True)
class Impressions:
    """M lists of candidates, each with what its reader had clicked before; catalogue positions, flat.

    Attributes:
        histories: What was clicked before, oldest first, shape [N].
        history_offsets: Where each impression's history begins and ends, shape [M + 1].
        candidates: What was shown, shape [C].
        offsets: Where each impression's candidates begin and end, shape [M + 1].
        clicked: Which of the candidates were clicked, shape [C]; in each impression some are and some are not.
    """

    histories: IntArray
    history_offsets: IntArray
    candidates: IntArray
    offsets: IntArray
    clicked: BoolArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[tuple[IntArray, BoolArray]]:
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.candidates[start:end], self.clicked[start:end]

    @property
    def sha256(self) -> str:
        """Names what is in them."""
        total = hashlib.sha256()
        for name in _ARRAYS:
            total.update(getattr(self, name).tobytes())
        return total.hexdigest()

    def history(self, row: int) -> IntArray:
        """What the reader of one impression had clicked before."""
        return self.histories[self.history_offsets[row] : self.history_offsets[row + 1]]

    @classmethod
    def from_lists(
        cls, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]], clicked: Sequence[Sequence[bool]]
    ) -> Impressions:
        """Build from one list of each per impression."""
        return cls(
            _flat(histories).astype(np.int64),
            _offsets(histories),
            _flat(candidates).astype(np.int64),
            _offsets(candidates),
            _flat(clicked).astype(np.bool_),
        )

    def save(self, path: Path) -> None:
        """Write one file, readable by its owner alone: it says what people did."""
        path.touch(mode=0o600)
        with path.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> Impressions:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing or holds no impressions.
        """
        try:
            with np.load(path, allow_pickle=False) as table:
                return cls(*(table[name] for name in _ARRAYS))
        except Exception as error:  # NumPy and zipfile raise a dozen kinds on damaged bytes
            raise DataError(path, f"not a file of impressions ({type(error).__name__})") from error


_ARRAYS = ("histories", "history_offsets", "candidates", "offsets", "clicked")


def evaluate_impressions(score: Score, impressions: Impressions) -> dict[str, NDArray[np.float64]]:
    """Every metric of `METRICS`, one value per impression: shape [M].

    Raises:
        ValueError: a score is NaN, which would beat, or lose to, nothing.
    """
    values = np.empty((len(impressions), len(METRICS)))
    for row, (candidates, clicked) in enumerate(impressions):
        values[row] = impression_metrics(np.asarray(score(row, candidates), dtype=np.float64), clicked)
    return dict(zip(METRICS, values.T, strict=True))


def impression_metrics(scores: NDArray[np.float64], clicked: BoolArray) -> tuple[float, float, float, float]:
    """AUC, MRR, nDCG@5 and nDCG@10 of one impression.

    MRR is MIND's: the mean of the reciprocal ranks of all that was clicked.

    Args:
        scores: Of the candidates, shape [n].
        clicked: Which of them were clicked, shape [n]; at least one was, and one was not.

    Raises:
        ValueError: a score is NaN, or the candidates are all clicked or all not.
    """
    hits = int(clicked.sum())
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: the model diverged")
    if not 0 < hits < len(clicked):
        raise ValueError(f"{hits} of {len(clicked)} candidates clicked: some, and not all, are expected")
    _, block, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    starts = ends - sizes
    misses = len(clicked) - hits
    place = (starts + (sizes - 1) / 2)[block]  # mean place, from zero, of each candidate over all orders of its ties
    auc = 1 - (place[clicked].sum() - hits * (hits - 1) / 2) / (hits * misses)
    ranks = np.arange(len(clicked))
    discounts = 1 / np.log2(ranks + 2)
    mrr = _mean_by_block(1 / (ranks + 1), starts, sizes)[block][clicked].mean()
    ndcg = [
        _mean_by_block(np.where(ranks < top, discounts, 0.0), starts, sizes)[block][clicked].sum()
        / discounts[: min(top, hits)].sum()
        for top in (5, 10)
    ]
    return float(auc), float(mrr), float(ndcg[0]), float(ndcg[1])


def _mean_by_block(gains: NDArray[np.float64], starts: IntArray, sizes: IntArray) -> NDArray[np.float64]:
    """What a place among tied candidates is worth on average."""
    return np.asarray(np.add.reduceat(gains, starts) / sizes)


def _offsets(lists: Sequence[Sequence[object]]) -> IntArray:
    return np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)


def _flat(lists: Sequence[Sequence[int]]) -> NDArray[np.generic]:
    return np.array([value for each in lists for value in each])
