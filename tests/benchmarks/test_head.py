"""What is timed against each other is the same round: stock Opacus layers, one user at a time, give the same sum."""

from __future__ import annotations

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from benchmarks.head import Head as StockHead
from benchmarks.head import user_loss
from benchmarks.prepare import prepare
from benchmarks.rounds import CLIP_NORM, CONTENT_WEIGHT, DIMENSION, RANK, WINDOW
from sottovoce.client.clipping import CLIP_RESERVE
from sottovoce.client.losses import Loss
from sottovoce.client.states import positions_of
from sottovoce.client.trainer import clipped_gradient_sum
from sottovoce.common.scoring import Head, HeadShape
from sottovoce.simulations.datasets import load_dataset

USERS = 12
SOURCE = "synthetic:users=12,items=300,seed=0"


def test_stock_opacus_layers_give_the_same_clipped_sum() -> None:
    population, rng = prepare(SOURCE), np.random.default_rng(0)
    module = GradSampleModule(StockHead(population), loss_reduction="sum")
    weight = module._module.met.weight
    weight.data = torch.tensor(rng.normal(0, 0.1, weight.shape), dtype=torch.float32)
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=CLIP_NORM * (1 - CLIP_RESERVE),
        expected_batch_size=None,
        loss_reduction="sum",
    )
    expected = np.zeros(weight.shape)
    for user in range(USERS):
        optimiser.zero_grad()
        user_loss(module, tuple(map(torch.from_numpy, population.user(user)))).backward()  # type: ignore[no-untyped-call]
        optimiser.clip_and_accumulate()
        expected += weight.summed_grad.numpy()

    shape = HeadShape(len(population.vectors), DIMENSION, RANK, 0, CONTENT_WEIGHT)
    positions = positions_of(load_dataset(SOURCE).histories.without_last(1), WINDOW)
    head = Head(shape, population.popularity, {"V": weight.detach().numpy()})
    found = clipped_gradient_sum(head, population.vectors, positions, CLIP_NORM, Loss("softmax", 0, 0))
    np.testing.assert_allclose(found["V"], expected, atol=1e-6)
    assert np.abs(expected).max() > 1e-3
