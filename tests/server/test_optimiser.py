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
