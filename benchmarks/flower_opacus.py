"""User-level private training as one would otherwise write it with Flower and Opacus: one SuperNode per user.

Flower's Message API and its Ray runtime; the server sums the clipped updates, adds noise and takes one step.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from numpy.typing import NDArray

from benchmarks import flower_client
from benchmarks.population import Population
from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, NOISE_MULTIPLIER, RANK, WARM_UP, report

Arrays = dict[str, NDArray[np.float32]]


def main() -> None:
    """Time rounds of all users of a prepared population."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--population", type=Path, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    population = Population.load(given.population)
    seconds = simulate(given.population, len(population), len(population.vectors), given.rounds, given.workers)
    report(given.out, seconds, len(population), given.workers)


def simulate(folder: Path, users: int, items: int, rounds: int, workers: int) -> list[float]:
    """Run the rounds in Flower's simulation runtime; the seconds that each took, the warm-up included."""
    os.environ[flower_client.POPULATION] = str(folder)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    server, seconds = ServerApp(), list[float]()

    @server.main()
    def train(grid: Grid, context: Context) -> None:
        """Time every round, from asking the first client to having stepped."""
        head: Arrays = {"met.weight": np.zeros((items, RANK), np.float32)}
        rng = np.random.default_rng(0)
        nodes = _nodes(grid, users)
        for _ in range(WARM_UP + rounds):
            start = time.perf_counter()
            head = one_round(grid, nodes, head, rng)
            seconds.append(time.perf_counter() - start)

    # As many clients at a time as there are workers; Ray's CPUs are names for slots, not processors.
    backend = {"init_args": {"num_cpus": workers}, "client_resources": {"num_cpus": 1}}
    run_simulation(server, flower_client.app, num_supernodes=users, backend_config=backend)  # type: ignore[arg-type]
    return seconds


def one_round(grid: Grid, nodes: list[int], head: Arrays, rng: np.random.Generator) -> Arrays:
    """Ask every user, sum, add noise, divide by the cohort, take one step."""
    content = RecordDict({"head": ArrayRecord({name: Array(part) for name, part in head.items()})})
    asked = [Message(content, dst_node_id=node, message_type="train") for node in nodes]
    total = {name: np.zeros_like(part) for name, part in head.items()}
    for reply in grid.send_and_receive(asked):
        if reply.has_error():
            raise RuntimeError(f"a client failed: {reply.error.reason}")
        for name, array in reply.content.array_records["update"].items():
            total[name] += array.numpy()
    noise = CLIP_NORM * NOISE_MULTIPLIER
    return {
        name: part - LEARNING_RATE / len(nodes) * (total[name] + rng.normal(0, noise, part.shape).astype(np.float32))
        for name, part in head.items()
    }


def _nodes(grid: Grid, users: int) -> list[int]:
    while len(nodes := list(grid.get_node_ids())) < users:
        time.sleep(0.1)
    return nodes


if __name__ == "__main__":
    main()
