"""Turn a data set into the arrays of a benchmark's population, with the project's own loader and positions.

Item vectors are a fixed random projection: they cost every contender the same as real ones, and need no encoder here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.population import Population
from benchmarks.rounds import DIMENSION, WINDOW
from sottovoce.client.states import Positions, positions_of
from sottovoce.simulations.datasets import load_dataset


def prepare(source: str, limit: int | None = None) -> Population:
    """The first `limit` users of the data set `source` (all by default), less their last item, which is for testing."""
    dataset = load_dataset(source)
    histories = dataset.histories.without_last(1)
    if limit is not None:
        histories = histories.select(np.arange(min(limit, len(histories))))
    items = len(dataset.catalogue)
    vectors = _unit_vectors(items)
    positions = positions_of(histories, WINDOW)
    mixing = positions.mixing()
    valid = positions.targets >= 0
    counts = np.bincount(histories.items, minlength=items)
    return Population(
        vectors=vectors,
        popularity=np.log(counts + 1.0).astype(np.float32),
        states=np.matmul(mixing, vectors[positions.history.padded()]),
        history=positions.history.padded().astype(np.int64),
        mixing=mixing,
        targets=np.maximum(positions.targets, 0),
        weights=(valid / np.maximum(valid.sum(axis=1, keepdims=True), 1)).astype(np.float32),
        met=_met(positions, items),
    )


def _unit_vectors(items: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((items, DIMENSION), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _met(positions: Positions, items: int) -> NDArray[np.bool_]:
    """Which items each user has met before each position, shape [U, m, I]."""
    users, window = positions.targets.shape
    met = np.zeros((users, window, items), dtype=bool)
    for user in range(users):
        met[user][:, positions.earlier.select(np.array([user])).rows] = True
        for place, target in enumerate(positions.targets[user, :-1]):
            if target >= 0:
                met[user, place + 1 :, target] = True
    return met
