"""Flower's side of the client: one SuperNode is one user, whose gradient Opacus clips.

A module of its own, so that Ray's workers import it by name and keep what it caches between messages.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from benchmarks.head import Head, user_loss
from benchmarks.population import Population
from benchmarks.rounds import CLIP_NORM

POPULATION = "SOTTOVOCE_BENCHMARK_POPULATION"
"""The environment variable that names the folder of the arrays; Ray hands it on to its workers."""

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer with the clipped gradient of the user who lives on this node."""
    module, optimiser = _trainer()
    parameters = dict(module._module.named_parameters())
    for name, array in message.content.array_records["head"].items():
        parameters[name].data = torch.from_numpy(array.numpy())
    user = tuple(map(torch.from_numpy, _population().user(int(context.node_config["partition-id"]))))
    optimiser.zero_grad()
    user_loss(module, user).backward()  # type: ignore[no-untyped-call]
    optimiser.clip_and_accumulate()
    update = ArrayRecord({name: Array(part.summed_grad.numpy()) for name, part in parameters.items()})
    return Message(RecordDict({"update": update}), reply_to=message)


@cache
def _population() -> Population:
    return Population.load(Path(os.environ[POPULATION]))


@cache
def _trainer() -> tuple[GradSampleModule, DPOptimizer]:
    torch.set_num_threads(1)
    module = GradSampleModule(Head(_population()), loss_reduction="sum")
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,  # the server adds the noise, once, to the sum
        max_grad_norm=CLIP_NORM,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    return module, optimiser
