"""The server's step against PyTorch's optimisers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from sottovoce.common.messages import Arrays
from sottovoce.server.optimiser import Optimiser


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_steps_are_those_of_pytorch(name: Literal["sgd", "adam"], weight_decay: float) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype(np.float32)
    theirs = torch.nn.Parameter(torch.tensor(start))
    reference = (
        torch.optim.SGD([theirs], lr=0.1, weight_decay=weight_decay)
        if name == "sgd"
        else torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), weight_decay=weight_decay)
    )
    ours: Arrays = {"V": start}
    state: Arrays = {}
    optimiser = Optimiser(name, 0.1, weight_decay)
    for step in range(1, 6):
        gradient = rng.normal(size=(3, 4)).astype(np.float32)
        ours, state = optimiser.step(ours, {"V": gradient}, state, step)
        theirs.grad = torch.tensor(gradient)
        reference.step()
        assert np.allclose(ours["V"], theirs.detach().numpy(), atol=1e-6)
        assert ours["V"].dtype == np.float32


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_no_item_moves_beyond_the_limit_and_short_rows_are_left_alone(name: Literal["sgd", "adam"]) -> None:
    gradient = np.array([[30.0, 40.0], [0.01, 0.0], [0.0, 0.0]], np.float32)
    start: Arrays = {"V": np.zeros((3, 2), np.float32), "W": np.zeros((2, 2), np.float32)}
    step = {"V": gradient, "W": np.full((2, 2), 100, np.float32)}
    free, _ = Optimiser(name, 1.0).step(start, step, {}, 1)
    kept, _ = Optimiser(name, 1.0, row_limit=0.5).step(start, step, {}, 1)
    assert np.linalg.norm(kept["V"], axis=1).max() == pytest.approx(0.5)
    assert np.allclose(kept["V"][0] / 0.5, free["V"][0] / np.linalg.norm(free["V"][0]))
    assert np.array_equal(kept["W"], free["W"])
    if name == "sgd":
        assert np.array_equal(kept["V"][1:], free["V"][1:])
    _, state = Optimiser(name, 1.0, averaging=0.5, row_limit=0.5).step(start, step, {}, 1)
    assert np.linalg.norm(state["average.V"], axis=1).max() <= 0.5 + 1e-6
