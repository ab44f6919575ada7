"""The same rounds with Apple's pfl: one user per simulated client, one local SGD step, central Gaussian mechanism.

Runs in an environment of its own (`benchmarks.pfl_environment`); several workers are started by `torchrun`.
"""

from __future__ import annotations

import argparse
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.internal.ops import pytorch_ops
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from pfl.privacy import CentrallyAppliedPrivacyMechanism, GaussianMechanism

from benchmarks.head import PflHead
from benchmarks.population import Population
from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, NOISE_MULTIPLIER, WARM_UP, report


class Clock(TrainingProcessCallback):  # type: ignore[misc]
    """Notes when each round ends."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def after_central_iteration(self, *_args: Any, **_kwargs: Any) -> tuple[bool, Metrics]:  # noqa: ANN401
        """Called by pfl when the server has stepped."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
        return False, Metrics()


def main() -> None:
    """Time rounds of all users of a prepared population."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--population", type=Path, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)
    population = Population.load(given.population)
    seconds = simulate(population, given.rounds)
    if pytorch_ops.distributed.global_rank == 0:
        report(given.out, seconds, len(population), pytorch_ops.distributed.world_size)
    if torch.distributed.is_initialized():
        # A worker that leaves while another still listens brings both down.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def simulate(population: Population, rounds: int) -> list[float]:
    """Run the rounds in pfl's simulation; the seconds that each took, the warm-up included."""

    @cache
    def dataset(row: int) -> Dataset:
        return Dataset([torch.from_numpy(part) for part in population.user(row)], user_id=str(row))

    head, clock, users = PflHead(population), Clock(), len(population)
    model = PyTorchModel(head, torch.optim.SGD, torch.optim.SGD(head.parameters(), lr=LEARNING_RATE))
    mechanism = CentrallyAppliedPrivacyMechanism(GaussianMechanism(CLIP_NORM, NOISE_MULTIPLIER))
    data = FederatedDataset(dataset, get_user_sampler("minimize_reuse", list(range(users))))
    FederatedAveraging().run(
        NNAlgorithmParams(WARM_UP + rounds, WARM_UP + rounds, users, val_cohort_size=0),
        SimulatedBackend(data, data, postprocessors=[mechanism]),
        model,
        NNTrainHyperParams(local_batch_size=None, local_num_epochs=1, local_learning_rate=1.0),
        NNEvalHyperParams(local_batch_size=None),
        [clock],
        send_metrics_to_platform=False,
    )
    return clock.seconds


if __name__ == "__main__":
    main()
