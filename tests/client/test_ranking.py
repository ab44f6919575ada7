"""Two looks find what one full look finds, in the same order, and never what may not be shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client import ranking
from sottovoce.client.ranking import Index, Shown, TwoStageIndex, WholeIndex
from sottovoce.common.quantised import Quantised
from sottovoce.common.scoring import FloatArray

ITEMS, DIMENSION, ALPHA = 3000, 60, 4.0


def two_stage(seed: int, items: int = ITEMS, spread: float = 1.0) -> TwoStageIndex:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(items, DIMENSION)) * np.geomspace(1, 0.05, DIMENSION)
    b = spread * rng.normal(size=items)
    return TwoStageIndex(Quantised.of(vectors.astype(np.float32)), b.astype(np.float32), ALPHA)


def state(seed: int) -> FloatArray:
    return (np.random.default_rng(seed).normal(size=DIMENSION) * np.geomspace(1, 0.1, DIMENSION)).astype(np.float32)


def in_full(index: TwoStageIndex, x: FloatArray, prior: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    directions = ALPHA * index.vectors.rows(slice(None)).astype(np.float64)
    return np.asarray(directions @ x.astype(np.float64) + prior * index.b.astype(np.float64))


@settings(max_examples=60)
@given(st.integers(0, 999), st.integers(1, 40), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0, 30.0]))
def test_two_looks_find_what_a_full_one_finds(seed: int, n: int, prior: float, spread: float) -> None:
    index, x = two_stage(seed, spread=spread), state(seed + 1)
    rng = np.random.default_rng(seed)
    shown = Shown(rng.integers(0, ITEMS, 50), rng.random(ITEMS) < 0.8)
    scores = in_full(index, x, prior)
    allowed = shown.mask.copy() if shown.mask is not None else np.ones(ITEMS, bool)
    allowed[shown.hidden] = False
    order = np.lexsort((np.arange(ITEMS), -index.b, -np.where(allowed, scores, -np.inf)))[:n]
    found = index.best(x, prior, n, shown)
    assert found.items.tolist() == order.tolist()
    np.testing.assert_allclose(found.scores, scores[order], atol=1e-4)


def test_few_items_are_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is worth its name only if it leaves most of the catalogue out."""
    index, x, seen = two_stage(0, 30_000), state(1), []
    monkeypatch.setattr(ranking, "_finish", lambda *given: seen.append(given[3]) or ranking.Ranked(*3 * [given[3]]))  # type: ignore[func-returns-value]
    index.best(x, 1.0, 10, Shown())
    assert 10 <= len(seen[0]) < 3000


def test_the_likeliest_raise_the_bar_where_many_are_in_question(monkeypatch: pytest.MonkeyPatch) -> None:
    index, x = two_stage(3, spread=0.0), state(4)
    whole = index.best(x, 1.0, 10, Shown())
    monkeypatch.setattr(ranking, "SECOND_LOOKS", 16)
    assert index.best(x, 1.0, 10, Shown()).items.tolist() == whole.items.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_normaliser_is_that_of_all_that_may_be_shown(seed: int) -> None:
    index, x = two_stage(seed, 20_000), state(seed)
    shown = Shown(np.arange(100), np.arange(20_000) % 3 > 0)
    scores = in_full(index, x, 1.0)[(np.arange(20_000) % 3 > 0) & (np.arange(20_000) >= 100)]
    found = index.best(x, 1.0, 10, shown)
    assert found.log_normaliser == pytest.approx(float(np.log(np.exp(scores).sum())), abs=0.1)


def both() -> list[Index]:
    index = two_stage(7, 200)
    return [index, WholeIndex(index.directions_of(np.arange(200)), index.b)]


@pytest.mark.parametrize("index", both(), ids=["two looks", "whole"])
def test_where_little_is_left_the_list_is_short(index: Index) -> None:
    assert index.best(state(1), 1.0, 500, Shown(np.arange(190))).items.tolist() != []
    assert len(index.best(state(1), 1.0, 500, Shown(np.arange(190))).items) == 10
    assert index.best(state(1), 1.0, 5, Shown(np.arange(200))).items.tolist() == []
    assert index.best(state(1), 1.0, 0, Shown()).items.tolist() == []
    assert index.best(state(1), 1.0, 5, Shown(mask=np.zeros(200, bool))).items.tolist() == []


@pytest.mark.parametrize("items", [1, 2, 31, 4097])
def test_any_size_of_catalogue_will_do(items: int) -> None:
    index, x = two_stage(1, items), state(2)
    best = np.argsort(-in_full(index, x, 1.0), kind="stable")[:3]
    assert index.best(x, 1.0, 3, Shown()).items.tolist() == best.tolist()
    np.testing.assert_allclose(index.scores(x, 1.0), in_full(index, x, 1.0), atol=1e-3)


def test_ties_go_to_the_more_popular_then_to_the_earlier() -> None:
    vectors = np.zeros((50, DIMENSION), np.float32)
    b = np.array([0, 1, 0, 1, 0] * 10, np.float32)
    for index in (TwoStageIndex(Quantised.of(vectors), b, ALPHA), WholeIndex(vectors, b)):
        assert index.best(state(0), 0.0, 4, Shown()).items.tolist() == [1, 3, 6, 8]
        assert index.best(0 * state(0), 1.0, 4, Shown(np.array([3]))).items.tolist() == [1, 6, 8, 11]
