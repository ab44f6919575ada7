"""The fast scores against the formula of the design, written out in loops; an explanation leaves nothing out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sottovoce.common.errors import DataError
from sottovoce.common.scoring import (
    RECENCY,
    FloatArray,
    Head,
    HeadShape,
    IntArray,
    ScoringModel,
    load_arrays,
    recency_weights,
    save_arrays,
    state_of,
)

ITEMS, DIMENSION = 12, 6


def slow_weights(length: int) -> list[float]:
    """Weight of h_j for j = 1..t: the mean over τ of a_j / √Σa with a_j = exp(-(t-j)/τ)."""
    weights = [0.0] * length
    for tau in (1.0, 3.0, 10.0, 50.0):
        decay = [math.exp(-(length - j) / tau) for j in range(1, length + 1)]
        for j, each in enumerate(decay):
            weights[j] += each / math.sqrt(sum(decay)) / 4
    return weights


def slow_state(history: IntArray, vectors: FloatArray) -> NDArray[np.float64]:
    state = np.zeros(vectors.shape[1])
    for weight, item in zip(slow_weights(len(history)), history, strict=True):
        state += weight * vectors[item].astype(np.float64)
    return state


def slow_history_vectors(model: ScoringModel) -> FloatArray:
    """F = E + V where states are made of corrected items, else E."""
    vectors = model.vectors.copy()
    if model.head.shape.tied:
        for row, column in np.ndindex(ITEMS, model.head.shape.rank):
            vectors[row, column] += model.head.parameters["V"][row, column]
    return vectors


def slow_score(x: NDArray[np.float64], item: int, model: ScoringModel) -> float:
    """s(x, i) = α·x·(E + V)[i] + b[i] + (x' W)·z[i], one product at a time."""
    shape, head, vectors = model.head.shape, model.head, model.vectors
    score = shape.content_weight * sum(float(x[c] * vectors[item, c]) for c in range(shape.dimension))
    score += float(head.b[item])
    score += shape.content_weight * sum(float(x[c] * head.parameters["V"][item, c]) for c in range(shape.rank))
    for row in range(shape.mix):
        for column in range(shape.mix):
            score += float(x[row] * head.parameters["W"][row, column] * vectors[item, column])
    return score


def random_model(seed: int, rank: int, mix: int, content_weight: float = 4.0, tied: bool = True) -> ScoringModel:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shape = HeadShape(ITEMS, DIMENSION, rank, mix, content_weight, tied)
    parameters = {name: rng.normal(size=size).astype(np.float32) for name, size in shape.trained.items()}
    return ScoringModel(vectors, Head(shape, rng.normal(size=ITEMS).astype(np.float32), parameters))


MODELS = st.builds(
    random_model,
    st.integers(0, 2**32 - 1),
    st.integers(0, DIMENSION),
    st.integers(0, DIMENSION),
    st.floats(-8, 8),
    st.booleans(),
)
HISTORIES = st.lists(st.integers(0, ITEMS - 1), max_size=40).map(lambda items: np.array(items, dtype=np.int64))


def test_the_time_constants_are_those_of_the_design() -> None:
    assert RECENCY == (1.0, 3.0, 10.0, 50.0)


@pytest.mark.parametrize("length", [1, 2, 3, 17, 200])
def test_weights_follow_the_formula_for_every_prefix(length: int) -> None:
    weights = recency_weights(length, length)
    assert weights.shape == (length, length)
    for row in range(length):
        expected = np.zeros(length)
        expected[: row + 1] = slow_weights(row + 1)
        np.testing.assert_allclose(weights[row], expected, rtol=1e-5, atol=1e-7)


@given(st.integers(1, 60), st.data())
def test_the_last_rows_are_those_of_the_whole(length: int, data: st.DataObject) -> None:
    positions = data.draw(st.integers(1, length))
    np.testing.assert_array_equal(recency_weights(length, positions), recency_weights(length, length)[-positions:])


def test_one_interaction_has_weight_one_and_the_latest_counts_most() -> None:
    assert recency_weights(1, 1).tolist() == [[1.0]]
    assert (np.diff(recency_weights(30, 1)[0]) > 0).all()


@given(MODELS, HISTORIES)
def test_states_follow_the_formula(model: ScoringModel, history: IntArray) -> None:
    state = model.state(history)
    assert state.shape == (DIMENSION,)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, slow_state(history, slow_history_vectors(model)), rtol=1e-4, atol=1e-4)


@given(MODELS, HISTORIES)
def test_scores_follow_the_formula(model: ScoringModel, history: IntArray) -> None:
    state = slow_state(history, slow_history_vectors(model))
    expected = [slow_score(state, item, model) for item in range(ITEMS)]
    np.testing.assert_allclose(model.scores(model.state(history)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rank", "mix"), [(0, 0), (3, 0), (0, 3), (3, 2)])
def test_every_term_alone_is_in_the_score(rank: int, mix: int) -> None:
    model = random_model(7, rank, mix)
    history = np.array([1, 4, 4, 9])
    for content_weight in (0.0, 4.0):
        shape = HeadShape(ITEMS, DIMENSION, rank, mix, content_weight)
        parts = model.head.parameters
        for kept in [{}, *({name: part} for name, part in parts.items()), parts]:
            zeroed = {name: kept.get(name, np.zeros_like(part)) for name, part in parts.items()}
            partial = ScoringModel(model.vectors, Head(shape, model.head.b, zeroed))
            state = slow_state(history, slow_history_vectors(partial))
            expected = [slow_score(state, item, partial) for item in range(ITEMS)]
            np.testing.assert_allclose(partial.scores(partial.state(history)), expected, rtol=1e-4, atol=1e-4)


def test_many_states_are_scored_like_one_at_a_time() -> None:
    model = random_model(3, 4, 5)
    states = np.random.default_rng(0).normal(size=(2, 5, DIMENSION)).astype(np.float32)
    together = model.scores(states)
    assert together.shape == (2, 5, ITEMS)
    for place in np.ndindex(2, 5):
        np.testing.assert_allclose(together[place], model.scores(states[place]), rtol=1e-5, atol=1e-5)


@given(MODELS, HISTORIES, st.integers(0, ITEMS - 1))
def test_an_explanation_leaves_nothing_out(model: ScoringModel, history: IntArray, item: int) -> None:
    told = model.explain(history, item)
    score = float(model.scores(model.state(history))[item])
    assert told.item == item
    assert told.history.shape == told.content.shape == told.correction.shape == history.shape
    assert float(told.history.sum()) + told.popularity == pytest.approx(score, rel=1e-4, abs=1e-4)
    assert told.score == pytest.approx(score, rel=1e-4, abs=1e-4)


@given(MODELS, HISTORIES, st.integers(0, ITEMS - 1))
def test_each_term_of_an_explanation_is_what_its_item_adds(model: ScoringModel, history: IntArray, item: int) -> None:
    told = model.explain(history, item)
    assert told.popularity == pytest.approx(float(model.head.b[item]))
    weights = slow_weights(len(history))
    for place, weight in enumerate(weights):
        alone = weight * slow_history_vectors(model)[history[place]].astype(np.float64)
        told_by_text = weight * model.vectors[history[place]].astype(np.float64)
        content = model.head.shape.content_weight * float(told_by_text @ model.vectors[item])
        assert told.content[place] == pytest.approx(content, abs=1e-4)
        rest = slow_score(alone, item, model) - float(model.head.b[item]) - content
        assert told.correction[place] == pytest.approx(rest, rel=1e-4, abs=1e-4)


def test_an_empty_history_is_scored_by_popularity_alone() -> None:
    model = random_model(1, 2, 2)
    nothing = np.zeros(0, np.int64)
    assert state_of(nothing, model.vectors).tolist() == [0.0] * DIMENSION
    np.testing.assert_array_equal(model.scores(model.state(nothing)), model.head.b)
    told = model.explain(nothing, 5)
    assert told.history.shape == (0,)
    assert told.score == told.popularity == pytest.approx(float(model.head.b[5]))


def test_an_untrained_head_is_content_and_popularity() -> None:
    model = random_model(2, 2, 2)
    untrained = ScoringModel(model.vectors, Head.untrained(model.head.shape, model.head.b))
    state = model.state(np.array([0, 3]))
    np.testing.assert_allclose(untrained.scores(state), 4 * model.vectors @ state + model.head.b, rtol=1e-5, atol=1e-5)
    assert Head.untrained(model.head.shape).b.tolist() == [0.0] * ITEMS
    assert {name: part.shape for name, part in untrained.head.parameters.items()} == model.head.shape.trained


def test_scoring_leaves_the_item_vectors_as_they_are() -> None:
    model = random_model(4, 3, 3, content_weight=1.0)
    before = model.vectors.copy()
    model.scores(model.state(np.array([1])))
    np.testing.assert_array_equal(model.vectors, before)


def test_arrays_come_back_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    strided = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    save_arrays(path, {"a": strided, "n": np.arange(3)}, {"key": "value"})
    read = load_arrays(path)
    np.testing.assert_array_equal(read["a"], strided)
    np.testing.assert_array_equal(read["n"], np.arange(3))
    assert [each.name for each in tmp_path.iterdir()] == ["arrays.safetensors"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"arrays\.safetensors: not a safetensors file"):
        load_arrays(path)
    with pytest.raises(DataError, match="no such file"):
        load_arrays(tmp_path / "other.safetensors")
