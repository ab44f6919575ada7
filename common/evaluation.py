"""Leave-one-out evaluation that can be believed.

Two protocols, both over the item that was held out of each user's history:

* `sampled`: ranked against 99 items that the user never touched, drawn once per user from a fixed seed and never known
  to training.
* `full`: ranked against the whole catalogue less the items of the user's history.

Ties count half. Means over users stand with a 95 % bootstrap interval (Efron 1979).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import ConfigError
from sottovoce.common.history import Histories, IntArray

FloatArray = NDArray[np.float32]

NEGATIVES = 99
NEGATIVES_SEED = 20_240_229
"""Fixes the sampled negatives of every user, whatever a run's own seed is."""

TOP = 10
LONG_TAIL_SHARE = 0.8
"""The long tail: the items outside the most popular fifth of the catalogue."""

Scorer = Callable[[IntArray], FloatArray]
"""Scores of the whole catalogue, shape [B, I], for users given by their rows, shape [B]."""


@dataclass(frozen=True)
class HeldOut:
    """What evaluation knows and training does not.

    Attributes:
        known: Each user's history as the recommender sees it.
        targets: The held-out item of each user, shape [U].
        negatives: Items that the user never touched, shape [U, 99]; padded with -1 where there are fewer.
    """

    known: Histories
    targets: IntArray
    negatives: IntArray


def hold_out(histories: Histories, items: int, which: str = "test") -> HeldOut:
    """Split off the last (`test`) or second last (`validation`) interaction of every user.

    The last interaction is never part of `known`; what comes after the target is not either. Where nobody noted times,
    a data set comes shuffled by a fixed seed and the ids of a user and an item alone (`simulations.datasets.assemble`):
    then the held-out items are two of a user's own, drawn at random whoever else is there.

    Raises:
        ConfigError: a history is too short, or `which` is neither.
    """
    if which not in ("test", "validation"):
        raise ConfigError("data.held_out", which, "`test` or `validation`")
    count = 1 if which == "test" else 2
    if len(histories) == 0 or histories.lengths.min() <= count:
        raise ConfigError("data.min_interactions", int(histories.lengths.min(initial=0)), f"more than {count} per user")
    targets = histories.items[histories.offsets[1:] - count]
    return HeldOut(histories.without_last(count), targets, sample_negatives(histories, items))


def sample_negatives(histories: Histories, items: int, count: int = NEGATIVES) -> IntArray:
    """Draw `count` items per user that the user never touched, shape [U, count]; -1 where there are too few."""
    rng = np.random.default_rng(NEGATIVES_SEED)
    drawn = np.full((len(histories), count), -1, np.int64)
    for user, history in enumerate(histories):
        untouched = np.setdiff1d(np.arange(items), history)
        chosen = rng.choice(untouched, min(count, len(untouched)), replace=False)
        drawn[user, : len(chosen)] = chosen
    return drawn


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """What a recommender is worth.

    Attributes:
        per_user: One value per user and metric, by protocol and metric: shape [U]. Where lists that people were shown
            are evaluated too, protocol `impressions` has one value per list.
        coverage: Share of the catalogue that stands in at least one user's top 10.
        long_tail: Share of the places of all top 10 lists that hold an item of the long tail.
    """

    per_user: dict[str, dict[str, NDArray[np.float64]]]
    coverage: float
    long_tail: float

    def means(self) -> dict[str, dict[str, float]]:
        """Means over users, by protocol and metric, as a result file holds them."""
        means = {kind: {name: float(v.mean()) for name, v in each.items()} for kind, each in self.per_user.items()}
        means["full"] |= {"coverage@10": self.coverage, "long_tail@10": self.long_tail}
        return means

    def estimate(self, protocol: str, metric: str) -> Estimate:
        """One mean with its interval."""
        return bootstrap(self.per_user[protocol][metric])


def evaluate(scorer: Scorer, held_out: HeldOut, items: int, batch: int = 256) -> Evaluation:
    """Rank every user's held-out item in both protocols.

    Args:
        scorer: Scores the catalogue for some users.
        held_out: The split.
        items: Catalogue size I.
        batch: Users scored at a time.

    Raises:
        ValueError: a score is NaN, which would beat, or lose to, nothing.
    """
    sampled, full, tops = [], [], []
    for rows in np.array_split(np.arange(len(held_out.targets)), max(1, len(held_out.targets) // batch)):
        scores = np.array(scorer(rows), dtype=np.float64)
        if np.isnan(scores).any():
            raise ValueError("scores hold NaN: the model diverged")
        target = np.take_along_axis(scores, held_out.targets[rows, None], axis=1)
        negatives = held_out.negatives[rows]
        against = np.where(negatives >= 0, np.take_along_axis(scores, negatives, axis=1), -np.inf)
        sampled.append(_rank(target, against))
        _leave_out(scores, held_out.known, rows)
        tops.append(_top(scores, TOP))
        np.put_along_axis(scores, held_out.targets[rows, None], -np.inf, axis=1)
        full.append(_rank(target, scores))
    popularity = np.bincount(held_out.known.items, minlength=items)
    return Evaluation(
        {"sampled": ranking_metrics(np.concatenate(sampled)), "full": ranking_metrics(np.concatenate(full))},
        *_spread(tops, popularity),
    )


def ranking_metrics(ranks: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Metrics per user from the rank of the one relevant item, counted from zero; ties give half ranks.

    Returns:
        HR@10, NDCG@10, MRR and recall@20, each of shape [U].
    """
    found = ranks < TOP
    return {
        "hr@10": found.astype(np.float64),
        "ndcg@10": np.where(found, 1 / np.log2(ranks + 2), 0.0),
        "mrr": 1 / (ranks + 1),
        "recall@20": (ranks < 20).astype(np.float64),
    }


def bootstrap(values: NDArray[np.float64], resamples: int = 1000, seed: int = 0) -> Estimate:
    """The mean of `values` with its 95 % percentile interval over resampled users."""
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def _rank(target: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of `others` beat the target, ties counting half: shape [B]."""
    return np.asarray((others > target).sum(axis=1) + 0.5 * (others == target).sum(axis=1), dtype=np.float64)


def _leave_out(scores: NDArray[np.float64], known: Histories, rows: IntArray) -> None:
    for place, user in enumerate(rows):
        scores[place, known[user]] = -np.inf


def _top(scores: NDArray[np.float64], count: int) -> IntArray:
    """Items of the best `count` places of all users, flat; lists are shorter where fewer items may be shown."""
    count = min(count, scores.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return best[np.take_along_axis(scores, best, axis=1) > -np.inf]


def _spread(lists: list[IntArray], popularity: IntArray) -> tuple[float, float]:
    """Coverage of the catalogue, and the share of the long tail, of all top lists together."""
    tops = np.concatenate(lists)
    tail = np.argsort(np.argsort(-popularity, kind="stable"), kind="stable") >= (1 - LONG_TAIL_SHARE) * len(popularity)
    return len(np.unique(tops)) / len(popularity), float(tail[tops].mean())
