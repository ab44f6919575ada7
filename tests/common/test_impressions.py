"""Metrics of an impression beside slow oracles, and beside scikit-learn where nothing ties."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from sottovoce.common.errors import DataError
from sottovoce.common.impressions import METRICS, Impressions, evaluate_impressions, impression_metrics


def metrics_in_order(clicked: list[bool]) -> tuple[float, float, float]:
    """MRR, nDCG@5 and nDCG@10 of candidates that stand in this order, as MIND's own script defines them."""
    mrr = sum(hit / place for place, hit in enumerate(clicked, 1)) / sum(clicked)

    def dcg(hits: list[bool], top: int) -> float:
        return sum(hit / math.log2(place + 1) for place, hit in enumerate(hits[:top], 1))

    best = sorted(clicked, reverse=True)
    return mrr, dcg(clicked, 5) / dcg(best, 5), dcg(clicked, 10) / dcg(best, 10)


def slow(scores: list[float], clicked: list[bool]) -> tuple[float, float, float, float]:
    """By pairs, and by every order of what ties."""
    pairs = [(one, other) for one, hit in zip(scores, clicked, strict=True) if hit
             for other, also in zip(scores, clicked, strict=True) if not also]  # fmt: skip
    auc = sum(1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs) / len(pairs)
    orders = [order for order in itertools.permutations(range(len(scores)))
              if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))]  # fmt: skip
    values = [metrics_in_order([clicked[place] for place in order]) for order in orders]
    return (auc, *(sum(value[at] for value in values) / len(values) for at in range(3)))  # type: ignore[return-value]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=7))
def test_metrics_are_those_of_the_slow_oracle(rows: list[tuple[int, bool]]) -> None:
    scores, clicked = [float(score) for score, _ in rows], [hit for _, hit in rows]
    if not 0 < sum(clicked) < len(clicked):
        with pytest.raises(ValueError, match="some, and not all"):
            impression_metrics(np.array(scores), np.array(clicked))
        return
    assert impression_metrics(np.array(scores), np.array(clicked)) == pytest.approx(slow(scores, clicked), abs=1e-12)


def test_metrics_are_those_of_scikit_learn_on_long_lists() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, clicked = rng.normal(size=60), rng.random(60) < 0.1
        clicked[0] = True
        auc, _, five, ten = impression_metrics(scores, clicked)
        assert auc == pytest.approx(roc_auc_score(clicked, scores))
        assert five == pytest.approx(ndcg_score(clicked[None], scores[None], k=5))
        assert ten == pytest.approx(ndcg_score(clicked[None], scores[None], k=10))


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        impression_metrics(np.array([1.0, np.nan]), np.array([True, False]))


def test_each_impression_is_ranked_with_its_own_row() -> None:
    shown = Impressions.from_lists([[1], []], [[0, 1, 2], [2, 0]], [[True, False, False], [False, True]])
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])

    found = evaluate_impressions(lambda row, candidates: scores[row, candidates].astype(np.float32), shown)

    assert tuple(found) == METRICS
    assert found["auc"].tolist() == [1.0, 0.0]
    assert found["mrr"].tolist() == [1.0, 0.5]


def test_what_was_saved_is_read_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    shown = Impressions.from_lists([[1], []], [[0, 1], [2, 0]], [[True, False], [False, True]])
    shown.save(tmp_path / "impressions.npz")

    assert Impressions.load(tmp_path / "impressions.npz").sha256 == shown.sha256
    assert (tmp_path / "impressions.npz").stat().st_mode & 0o077 == 0
    (tmp_path / "impressions.npz").write_bytes(b"none")
    with pytest.raises(DataError, match="not a file of impressions"):
        Impressions.load(tmp_path / "impressions.npz")
