"""The bundle of MovieLens-100K is as small, and ranks as truly, as it is said to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import write_bundle
from sottovoce.common.config import parse
from sottovoce.common.readers import load_readers
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.simulations.prepare import prepare, read_data

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_half_a_megabyte_ranks_like_float32(tmp_path: Path) -> None:
    config = parse({"data": {"source": "ml-100k"}, "privacy": {"epsilon": 8.0}})
    dataset = read_data(config)
    prepared = prepare(dataset, config.resolve(len(dataset.histories), dataset.name))
    known, vectors, rng = prepared.held_out.known, prepared.space.vectors, np.random.default_rng(0)
    b = np.log(np.bincount(known.items, minlength=len(vectors)) + 1.0).astype(np.float32)
    shape = HeadShape(len(vectors), vectors.shape[1], 16, 0, 4.0)
    correction = (0.1 * rng.standard_normal((len(vectors), 16))).astype(np.float32)
    exact = ScoringModel(vectors, Head(shape, b, {"V": correction}))
    readers = load_readers(prepared.folder / "readers.safetensors")
    source = prepared.folder / "items.safetensors"
    write_bundle(tmp_path / "bundle", dataset.catalogue, source, exact.head, "# Card\n" * 100, {}, readers)
    assert readers
    assert sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir()) <= 500_000
    recommender = Recommender.load(tmp_path / "bundle")
    same = []
    for history in known:
        scores = exact.scores(exact.state(history))
        scores[history] = -np.inf
        listed = [each.item for each in recommender.recommend(history, 10)]
        same.append(np.mean(np.argsort(-scores, kind="stable")[:10] == listed))
    assert np.mean(same) >= 0.99
