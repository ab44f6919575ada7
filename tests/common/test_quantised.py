"""Quantised vectors are close where it matters, and what does not fit together is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sottovoce.common.quantised import LEADING, MIDDLE, Quantised, to_integers


def test_coordinates_are_off_by_half_a_step_at_most() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    error = np.abs(Quantised.of(vectors).rows(slice(None)) - vectors)
    fine = LEADING + MIDDLE
    assert (error[:, :fine] <= 0.5001 * np.abs(vectors[:, :fine]).max() / 32767).all()
    assert (error[:, fine:] <= 0.5001 * np.abs(vectors[:, fine:]).max() / 127).all()


@pytest.mark.parametrize("dimension", [1, LEADING, LEADING + 1, LEADING + MIDDLE, 128])
def test_any_length_will_do(dimension: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(7, dimension)).astype(np.float32)
    quantised = Quantised.of(vectors)
    assert quantised.dimension == dimension
    np.testing.assert_allclose(quantised.rows(np.array([3, 0])), vectors[[3, 0]], atol=0.02)


@example([2.0**-149])
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8))
def test_zero_stays_zero_and_signs_stay(row: list[float]) -> None:
    matrix = np.array([row], np.float32)
    whole, scale = to_integers(matrix, np.int8)
    assert (np.sign(whole * scale) * np.sign(matrix) >= 0).all()
    assert ((matrix == 0) <= (whole == 0)).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"lead": np.zeros((3, 2), np.int8)},
        {"lead": np.zeros((2, 2), np.int16)},
        {"middle": np.zeros(3, np.int16)},
        {"rest": np.zeros((3, 2), np.float32)},
        {"scale": np.ones((3, 2), np.float32)},
        {"scale": np.full((3, 3), np.nan, np.float32)},
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused(
    changes: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
) -> None:
    arrays = Quantised.of(np.ones((3, 60), np.float32)).arrays
    with pytest.raises(ValueError, match="not quantised vectors"):
        Quantised.read(arrays | changes)
    with pytest.raises(KeyError):
        Quantised.read({"lead": arrays["lead"]})
