"""A part is held to its node's capacity, an honest one is left alone, one user moves it by at most the clip norm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sottovoce.client.states import popularity_sum
from sottovoce.common.history import Histories
from sottovoce.common.messages import Arrays, Objective
from sottovoce.common.privacy.plan import Mechanism
from sottovoce.server.reclip import Bounds, Sums

OBJECTIVE = Objective("softmax", "items", 20, 32, 1000, popularity_length=4)
POPULARITY = Bounds.of(Mechanism("popularity", 1.0, 1.0, 1.0, 1), OBJECTIVE)
HEAD = Bounds.of(Mechanism("head", 0.4, 1.0, 1.0, 3), OBJECTIVE)
VALUES = st.floats(-(2.0**100), 2.0**100, width=32)


def norm(sums: Sums | Arrays) -> float:
    return math.sqrt(sum(float(np.sum(array.astype(np.float64) ** 2)) for array in sums.values()))


def test_the_bounds_are_those_of_the_release() -> None:
    assert Bounds(1.0, (0.0, 0.5)) == POPULARITY
    assert Bounds(0.4) == HEAD


def test_a_sum_is_scaled_as_a_whole() -> None:
    part = {"V": np.full((2, 2), 3.0, np.float32), "W": np.full((1, 1), 4.0, np.float32)}
    held = Bounds(0.5).reclip(part, 2)
    assert norm(held) == pytest.approx(1.0)
    assert held["W"][0, 0] / held["V"][0, 0] == pytest.approx(4 / 3)


@settings(max_examples=200)
@given(arrays.arrays(np.float32, (6,), elements=VALUES), st.integers(0, 20))
def test_whatever_is_sent_weighs_no_more_than_the_capacity(values: np.ndarray, capacity: int) -> None:
    counts = POPULARITY.reclip({"popularity": values}, capacity)["popularity"]
    assert norm({"": counts}) <= capacity * (1 + 1e-12)
    assert counts.min() >= 0
    assert counts.max() <= capacity / 2
    assert norm(HEAD.reclip({"V": values.reshape(3, 2)}, capacity)) <= 0.4 * capacity * (1 + 1e-12)


@settings(max_examples=200)
@given(
    arrays.arrays(np.float64, (5,), elements=st.floats(-9, 9)),
    arrays.arrays(np.float64, (5,), elements=st.floats(-1, 1)),
    st.integers(1, 5),
)
def test_one_user_moves_what_is_summed_no_further_than_what_was_sent(
    sent: np.ndarray, user: np.ndarray, capacity: int
) -> None:
    """The guarantee must survive the re-clip, also on a node that holds more users than it may."""
    near = {"x": sent.astype(np.float32)}
    far = {"x": (sent + user).astype(np.float32)}
    moved = norm({"x": far["x"].astype(np.float64) - near["x"]})
    for bounds in (POPULARITY, HEAD):
        assert norm({"x": bounds.reclip(far, capacity)["x"] - bounds.reclip(near, capacity)["x"]}) <= moved + 1e-9


def test_an_honest_part_comes_back_as_it_was_even_at_full_capacity() -> None:
    """The worst that honest users can do: all with the same few items, and all with the very same gradient."""
    for items in ([3], [0, 1, 2, 3], list(range(6))):
        users = Histories.from_lists([f"u{user}" for user in range(7)], [items] * 7)
        sent = popularity_sum(users, 6, OBJECTIVE.popularity_length, np.arange(7)).astype(np.float32)
        np.testing.assert_array_equal(POPULARITY.reclip({"popularity": sent}, 7)["popularity"], sent)
        if items != [3]:
            assert norm(POPULARITY.reclip({"popularity": sent}, 6)) < norm({"": sent})
    gradient = np.full((3, 2), 0.4 / math.sqrt(6) * (1 - 2**-10), np.float32)
    np.testing.assert_array_equal(HEAD.reclip({"V": 7 * gradient}, 7)["V"], 7 * gradient)


def test_nothing_stays_nothing() -> None:
    assert not HEAD.reclip({"V": np.zeros((2, 2), np.float32)}, 3)["V"].any()
    assert not HEAD.reclip({"V": np.ones((2, 2), np.float32)}, 0)["V"].any()
