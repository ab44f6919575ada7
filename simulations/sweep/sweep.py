"""Run an experiment: every cell once, whatever happens between.

1. Read the file, then the data sets that it names, and resolve every cell's settings: a mistake is found here.
2. Leave out what is finished in the folder; a cell that broke is tried again.
3. Compute the rest in parallel; keep each outcome in a file of its own as soon as it is there.
4. Write the table of results.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sottovoce.common.config import Config, FederationSettings, HeadSettings, PrivacySettings, TrainSettings
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.privacy.plan import Trust
from sottovoce.simulations.datasets import Dataset
from sottovoce.simulations.run import Runtime
from sottovoce.simulations.sweep.cell import BUDGETED, Cell, Kind, Outcome, Row, data_sha256, read_once
from sottovoce.simulations.sweep.file import Experiment, Variant, described, read_experiment
from sottovoce.simulations.sweep.store import SweepFolder
from sottovoce.simulations.sweep.workers import compute_in_processes, compute_on_ray

Say = Callable[[str], None]
Watch = Callable[[int, int, Outcome | None], None]
"""Told how many cells are finished, of how many, and what became of the last one."""


class MissingDataError(Exception):
    """The data of an optional experiment cannot be had."""


@dataclass(frozen=True)
class Planned:
    """A cell, and the name of the grid that asks for it."""

    name: str
    cell: Cell


def sweep(
    file: Path,
    out: Path,
    workers: int,
    say: Say = lambda _: None,
    watch: Watch = lambda *_: None,
    source: str | None = None,
) -> list[Outcome]:
    """Run what is left of an experiment, write its table, and give the outcomes of all its cells.

    Args:
        file: The experiment's file.
        out: A folder that is new, or of an earlier start of this experiment.
        workers: Processes at a time; the variable `RAY_ADDRESS` makes the cells tasks of a Ray cluster instead.
        say: Told what is going on.
        watch: Told of each finished cell.
        source: Where the data lies, instead of what the file's `[base]` says.

    Returns:
        Of every cell what became of it; nothing if an optional experiment was left out, whose data cannot be had.

    Raises:
        DataError: the file, the data or the folder cannot be used; nothing was run or written.
        ConfigError: `workers` is below one, the runtime does not fit a cluster, or a sweep is going on in `out`.
    """
    if workers < 1:
        raise ConfigError("--workers", workers, "1 or more")
    experiment, address = read_experiment(file, source), os.environ.get("RAY_ADDRESS")
    if address and experiment.runtime is Runtime.FLOWER:
        raise ConfigError("runtime", "flower", "`local` where RAY_ADDRESS names a cluster: Flower starts its own Ray")
    folder = SweepFolder(out.absolute())
    folder.check()
    try:
        planned = plan_cells(experiment, say)
    except MissingDataError as error:
        say(f"{file}: left out: {error}")
        return []
    with _alone(folder):
        cells = {each.cell.key: each.cell for each in planned}
        outcomes = {key: kept for key in cells if (kept := folder.outcome(key)) is not None and kept.error is None}
        watch(len(outcomes), len(cells), None)
        left = [cell for key, cell in cells.items() if key not in outcomes]
        if left:
            computed = compute_on_ray(left, address) if address else compute_in_processes(left, workers, folder.work)
            for outcome in computed:
                folder.keep(outcome)
                outcomes[outcome.key] = outcome
                watch(len(outcomes), len(cells), outcome)
        folder.write_table(_rows(planned, outcomes), command(file, out, source))
    return list(outcomes.values())


def command(file: Path, out: Path, source: str | None) -> str:
    """The command line of a sweep, with all that its results depend on, as it was given."""
    data = [] if source is None else ["--data", source]
    return shlex.join(["sottovoce", "sweep", str(file), *data, "--out", str(out)])


def plan_cells(experiment: Experiment, say: Say = lambda _: None) -> list[Planned]:
    """Every cell of an experiment once: its runs, then the references of their splits.

    Raises:
        DataError: a data set cannot be read, or a cell is impossible; names the file, the cell and the setting.
        MissingDataError: a data set of an optional experiment cannot be read.
    """
    runs = _resolved(experiment, say)
    references = [each for run in runs for each in _references(run.cell, experiment.references)]
    unique: dict[str, Planned] = {}
    for each in (*runs, *references):
        unique.setdefault(each.cell.key, each)
    return list(unique.values())


def _resolved(experiment: Experiment, say: Say) -> list[Planned]:
    """The runs with all settings filled in; data sets are read one after the other, each once."""
    checked: set[str] = set()
    places: dict[str, list[int]] = {}
    for place, variant in enumerate(experiment.variants):
        places.setdefault(variant.config.data.model_dump_json(), []).append(place)
    runs: dict[int, Planned] = {}
    for group in places.values():
        first = experiment.variants[group[0]].config
        say(f"reading {first.data.source}")
        try:
            dataset = read_once(first)
        except DataError as error:
            if experiment.optional:
                raise MissingDataError(str(error)) from error
            raise
        sha256 = data_sha256(dataset)
        for place in group:
            variant = experiment.variants[place]
            config = _possible(experiment.path, variant, dataset, checked)
            runs[place] = Planned(variant.name, Cell(Kind.RUN, experiment.runtime, config, sha256))
    return [runs[place] for place in sorted(runs)]


def _possible(path: Path, variant: Variant, dataset: Dataset, checked: set[str]) -> Config:
    """A run's resolved settings, refused if no privacy plan fits them."""
    try:
        config = variant.config.resolve(len(dataset.histories), dataset.name)
        decisive = config.model_copy(update={"seed": 0}).model_dump_json()
        if decisive not in checked:  # calibrating a sampled plan takes a while
            _affordable(config)
            checked.add(decisive)
    except ConfigError as error:
        raise DataError(path, f"{described(variant.point)}: {error}") from error
    return config


def _affordable(config: Config) -> None:
    """Refuse settings without a privacy plan, or with a given noise that would stop the run before its last round."""
    plan = config.plan()
    if plan.epsilon > plan.target_epsilon:
        name, given = "privacy.noise_multiplier", config.privacy.noise_multiplier
        raise ConfigError(name, given, f"enough noise for ε = {plan.target_epsilon:g}; this costs {plan.epsilon:.4g}")


def _references(run: Cell, which: str) -> Iterator[Planned]:
    """The references that belong beside a run; they have only those of its settings that they depend on."""
    if which == "none":
        return
    config, asked = run.config, run.config.privacy
    shared: dict[str, Any] = {
        "preset": config.preset,
        "data": config.data,
        "encoder": config.encoder,
        "head": HeadSettings(rank=0, mix=0),
    }
    without = Config(**shared, privacy=PrivacySettings(epsilon=float("inf")))
    central = {"popularity": [Kind.POPULARITY], "quick": [Kind.REFERENCES], "all": [Kind.REFERENCES, Kind.ATTENTION]}
    yield from (_reference(kind, run, without) for kind in central[which])
    if asked.trust is Trust.NONE:
        return
    privacy = PrivacySettings(
        epsilon=asked.epsilon,
        delta=asked.delta,
        trust=Trust.SERVER,
        population=asked.population,
        popularity_length=asked.popularity_length,
        noise=asked.noise,
    )
    budgeted = Config(**shared, seed=config.seed, privacy=privacy)
    for kind in BUDGETED if which == "all" else (Kind.DP_POPULARITY,):
        yield _reference(kind, run, budgeted)


def _reference(kind: Kind, run: Cell, config: Config) -> Planned:
    population = run.config.privacy.population or 1
    federation = FederationSettings(nodes=1)
    resolved = config.model_copy(update={"train": TrainSettings(), "federation": federation}).resolve(population)
    return Planned("references", Cell(kind, Runtime.LOCAL, resolved, run.data_sha256))


def _rows(planned: Sequence[Planned], outcomes: dict[str, Outcome]) -> Iterator[Row]:
    for each in planned:
        for row in outcomes[each.cell.key].rows:
            yield {**row, "name": each.name}


@contextmanager
def _alone(folder: SweepFolder) -> Iterator[None]:
    """Hold a sweep's folder, and clear what a killed sweep left half done."""
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.path / ".lock", timeout=0):
            shutil.rmtree(folder.work, ignore_errors=True)
            folder.work.mkdir()
            try:
                yield
            finally:
                shutil.rmtree(folder.work, ignore_errors=True)
    except Timeout as error:
        raise ConfigError("--out", str(folder.path), "a folder in which no other sweep is going on") from error
