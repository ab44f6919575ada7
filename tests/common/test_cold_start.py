"""New items take their place beside trained ones, by their vectors alone."""

from __future__ import annotations

import numpy as np
import pytest

from sottovoce.common.cold_start import moved_head, with_new_items
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.common.vectors import unit_rows

RNG = np.random.default_rng(0)
OLD = unit_rows(RNG.normal(size=(400, 8)).astype(np.float32))
NEW = unit_rows(RNG.normal(size=(50, 8)).astype(np.float32))
SLOPE = RNG.normal(size=8).astype(np.float32)


def head(noise: float = 0.0, rank: int = 2) -> Head:
    b = OLD @ SLOPE + 1 + noise * RNG.standard_normal(400).astype(np.float32)
    correction = np.stack([OLD @ SLOPE, -OLD @ SLOPE], axis=1)
    return Head(HeadShape(400, 8, rank, 0, 4.0), b.astype(np.float32), {"V": correction} if rank else {})


def test_what_is_there_stays_as_it_is() -> None:
    joined = with_new_items(head(), OLD, NEW)
    assert joined.shape.items == 450
    np.testing.assert_array_equal(joined.parameters["V"][:400], head().parameters["V"])
    ScoringModel(np.concatenate([OLD, NEW]), joined).directions  # noqa: B018 - the parts fit together


def test_popularity_and_correction_follow_from_the_vector() -> None:
    joined = with_new_items(head(), OLD, NEW)
    np.testing.assert_allclose(joined.b[400:], NEW @ SLOPE + 1, atol=0.3)
    np.testing.assert_allclose(joined.parameters["V"][400:, 0], NEW @ SLOPE, atol=0.3)


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_the_prediction_is_right_on_average_in_exp_b(noise: float) -> None:
    joined = with_new_items(head(noise), OLD, OLD)
    assert np.exp(joined.b[400:]).mean() == pytest.approx(np.exp(joined.b[:400]).mean(), rel=0.15)


def test_a_head_without_corrections_has_none_for_new_items() -> None:
    assert with_new_items(head(rank=0), OLD, NEW).parameters == {}


def test_known_items_keep_what_was_learned_wherever_they_stand() -> None:
    trained = head(noise=1.0)
    moved = moved_head(trained, OLD, np.array([5, -1, 0]), np.stack([OLD[5], NEW[0], OLD[0]]))
    assert moved.shape.items == 3
    np.testing.assert_array_equal(moved.b[[0, 2]], trained.b[[5, 0]])
    np.testing.assert_array_equal(moved.parameters["V"][[0, 2]], trained.parameters["V"][[5, 0]])
    np.testing.assert_allclose(moved.parameters["V"][1, 0], NEW[0] @ SLOPE, atol=0.3)
