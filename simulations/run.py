"""A whole simulated run: prepare, federate on Flower's runtime, evaluate, and compare with references."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.bundle import Bundle, load_bundle
from sottovoce.common.config import Config, given
from sottovoce.common.domains import domain_of
from sottovoce.common.errors import BudgetSpentError, ConfigError
from sottovoce.common.evaluation import Evaluation
from sottovoce.common.history import Histories
from sottovoce.common.privacy.accounting import noise_for
from sottovoce.common.privacy.noise import add_gaussian, random_source
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.publish import describe
from sottovoce.simulations.datasets import Dataset
from sottovoce.simulations.evaluate import (
    Timing,
    evaluate_bundle,
    oracle_metrics,
    popularity_on_impressions,
    write_result,
)
from sottovoce.simulations.local_grid import run_locally
from sottovoce.simulations.prepare import Prepared, open_prepared, prepare, read_data
from sottovoce.simulations.reference_settings import reference_settings
from sottovoce.simulations.references import evaluate_references, evaluate_slow_references
from sottovoce.simulations.runtime import MAX_WORKERS, run_on_flower

Say = Callable[[str], None]


class Runtime(StrEnum):
    """What carries messages between the server and the nodes of a simulation."""

    FLOWER = "flower"
    """Flower's simulation runtime on Ray: the code path of a deployment, and some ten seconds of start-up."""
    LOCAL = "local"
    """Calls within this process: for the many short runs of an experiment."""


@dataclass(frozen=True)
class Simulation:
    """A finished run.

    Attributes:
        folder: Where it lies.
        prepared: Its data.
        bundle: The model that it published.
        evaluation: What the model is worth.
        result: What `result.json` holds.
        stopped: Why it stopped before its plan was done, if it did.
    """

    folder: RunFolder
    prepared: Prepared
    bundle: Bundle
    evaluation: Evaluation
    result: dict[str, Any]
    stopped: BudgetSpentError | None


def make_run(
    config: Config,
    out: Path,
    say: Say = lambda _: None,
    force: bool = False,
    read: Callable[[Config], Dataset] = read_data,
    check: Callable[[int], None] = lambda _: None,
) -> RunFolder:
    """Prepare the data and lay out a run folder with resolved settings.

    Args:
        config: Settings.
        out: The folder to make.
        say: Told what is going on.
        force: Whether an earlier run in `out` may be thrown away.
        read: Reads the data set: for who has it in memory already.
        check: Told the number of users before anything is thrown away; may refuse it.

    Raises:
        ConfigError: a setting does not fit, or `out` holds an earlier run.
        DataError: the data cannot be used.
    """
    folder = RunFolder(out.absolute())
    if folder.path.exists() and any(folder.path.iterdir()) and not (force and folder.config_file.exists()):
        raise ConfigError(
            "--out", str(out), "a new or empty folder, `--resume` to go on, or `--force` to replace a run"
        )
    say(f"reading {config.data.source}")
    dataset = read(config)
    domain = domain_of(config.data.domain or dataset.domain).name
    config = config.resolve(len(dataset.histories), dataset.name)
    config.plan()
    prepared = prepare(dataset, config, say)
    check(len(prepared.held_out.known))
    data = config.data.model_copy(update={"prepared": str(prepared.folder), "domain": domain})
    if folder.path.exists():
        shutil.rmtree(folder.path)
    folder.path.mkdir(parents=True)
    config.model_copy(update={"data": data}).save(folder.config_file)
    return folder


def simulate(
    folder: RunFolder, say: Say = lambda _: None, encode_s: float = 0.0, runtime: Runtime = Runtime.FLOWER
) -> Simulation:
    """Run, or go on with, the federation of a run folder, and evaluate what it publishes.

    A run that its budget stops is evaluated like any other; `stopped` says why.

    Args:
        folder: A run folder with prepared data.
        say: Told what is going on.
        encode_s: Seconds that preparing took, for the result.
        runtime: What carries the messages between the same server and the same nodes.

    Raises:
        FederationError: no model came out.
    """
    started = time.perf_counter()
    stopped = None
    nodes = folder.config.federation.nodes
    try:
        if runtime is Runtime.FLOWER:
            say("starting Flower's runtime")
            run_on_flower(folder.path, nodes, workers=min(nodes, os.cpu_count() or 1, MAX_WORKERS))
        else:
            run_locally(folder.path, nodes)
    except BudgetSpentError as error:
        if not folder.bundle.exists():
            raise
        stopped = error
    trained = time.perf_counter()
    say("evaluating")
    return evaluate_run(folder, Timing(encode_s, trained - started, encode_s + trained - started), stopped)


def evaluate_run(folder: RunFolder, timing: Timing, stopped: BudgetSpentError | None = None) -> Simulation:
    """Evaluate the model that a run published, write `result.json`, and say in its model card what came out."""
    prepared = open_prepared(folder.data)
    evaluation = evaluate_bundle(load_bundle(folder.bundle), prepared)
    describe(folder, f"{prepared.facts['name']}, in a simulation", oracle_metrics(evaluation, folder.config))
    bundle = load_bundle(folder.bundle)
    result = write_result(folder, prepared, evaluation, timing)
    return Simulation(folder, prepared, bundle, evaluation, result, stopped)


def references(simulation: Simulation, slow: bool = False) -> dict[str, Evaluation]:
    """The references on the same split, those with a budget at the run's own; with `slow`, those that take minutes."""
    config, prepared = simulation.folder.config, simulation.prepared
    plan = config.plan()
    private = plan.trust is not Trust.NONE

    def dp_popularity(known: Histories) -> NDArray[np.float32]:
        return dp_popularity_counts(known, len(prepared.catalogue), plan, given(config.privacy.popularity_length))

    settings, items = reference_settings(config.preset), len(prepared.catalogue)
    quick = evaluate_references(prepared.held_out, items, settings, dp_popularity if private else None)
    if shown := popularity_on_impressions(prepared):
        quick["popularity"].per_user["impressions"] = shown
    return quick | (evaluate_slow_references(prepared.held_out, prepared.space.vectors, config) if slow else {})


def dp_popularity_counts(known: Histories, items: int, plan: PrivacyPlan, typical_length: int) -> NDArray[np.float32]:
    """Popularity with the whole budget of `plan` spent on one release, shape [items]."""
    from sottovoce.client.states import popularity_sum

    exact = popularity_sum(known, items, typical_length, np.arange(len(known)))
    std = noise_for("popularity", plan.target_epsilon, plan.delta)
    source = random_source(plan.noise, plan.seed, "reference/popularity")
    return add_gaussian(exact, std, source).astype(np.float32)
