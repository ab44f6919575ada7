"""One cell of an experiment: a run, or references on the same split, as rows of the table of results.

A cell's identity is a hash of everything that its result is a function of: its resolved settings, its runtime, the
bytes of its data, and the version of the table. (Noise from the operating system makes two runs of one cell differ;
`seed` tells such cells apart.)
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.config import Config, DataSettings, given
from sottovoce.common.evaluation import Evaluation, bootstrap, evaluate
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.simulations.datasets import Dataset
from sottovoce.simulations.prepare import prepare, read_data
from sottovoce.simulations.reference_settings import reference_settings
from sottovoce.simulations.references import (
    constant,
    evaluate_references,
    from_zero,
    from_zero_name,
    ials,
    local_dp,
    of_model,
)
from sottovoce.simulations.rerank import evaluate_reranked
from sottovoce.simulations.run import Runtime, Simulation, dp_popularity_counts, make_run, simulate
from sottovoce.simulations.sasrec import sasrec

SCHEMA = 1
"""Of the table and of the cells' files: raised when a column changes its meaning."""

Row = dict[str, Any]
"""One line of the table: plain values by column."""


class Kind(StrEnum):
    """What a cell computes."""

    RUN = "run"
    """A federation, prepared, trained and evaluated by `simulations.run`."""
    REFERENCES = "references"
    """Everything quick that needs no budget, once per split."""
    ATTENTION = "SASRec"
    """SASRec, which takes a minute or more."""
    FROM_ZERO = "from zero"
    """DP-FedSGD without priors."""
    LOCAL_DP = "local DP"
    """Every person a node of their own."""
    POPULARITY = "popularity"
    """Exact popularity alone, where the others would take too long."""
    DP_POPULARITY = "DP popularity"
    """The whole budget spent on one release of popularity."""


BUDGETED = (Kind.DP_POPULARITY, Kind.FROM_ZERO, Kind.LOCAL_DP)
"""References that have a budget and a seed of their own."""


@dataclass(frozen=True)
class Cell:
    """What one worker computes at a time.

    Attributes:
        kind: What it computes.
        runtime: What carries the messages; means nothing to references.
        config: Resolved settings.
        data_sha256: Of the histories and the catalogue.
    """

    kind: Kind
    runtime: Runtime
    config: Config
    data_sha256: str

    @property
    def key(self) -> str:
        """The cell's identity."""
        identity: list[Any] = [SCHEMA, self.kind, self.runtime, self.data_sha256, settings(self.config)]
        if self.tuned is not None:
            identity.append(self.tuned)
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def tuned(self) -> Row | None:
        """The settings of a reference, as plain values; a run's are in its configuration."""
        chosen, budget = reference_settings(self.config.preset), self.config.privacy.epsilon
        match self.kind:
            case Kind.REFERENCES:
                quick = {"neighbours": chosen.neighbours, "ease_regularization": chosen.ease_regularization}
                return quick | {"ials": asdict(chosen.ials)}
            case Kind.ATTENTION:
                return asdict(chosen.sasrec)
            case Kind.FROM_ZERO:
                return asdict(chosen.from_zero_at(budget))
            case Kind.LOCAL_DP:
                return asdict(chosen.local_dp_at(budget))
            case _:
                return None


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its rows, or the one line that says why there are none."""

    key: str
    rows: tuple[Row, ...]
    error: str | None = None


def run_cell(cell: Cell, work: Path | None = None) -> Outcome:
    """Compute a cell. Whatever is raised becomes the cell's error, so that one cell does not stop the others.

    Args:
        cell: What to compute.
        work: Where the run's folder lies meanwhile; the system's folder of temporary files by default.
    """
    try:
        return Outcome(cell.key, tuple(_COMPUTE[cell.kind](cell, work)))
    except Exception as error:
        return broken(cell, f"{type(error).__name__}: {error}")


def broken(cell: Cell, reason: str) -> Outcome:
    """A cell that gave no result: one row that says so."""
    line = " ".join(reason.split())
    return Outcome(cell.key, (_row(cell, cell.kind) | {"error": line},), line)


def settings(config: Config) -> Row:
    """Settings by dotted name, as columns; the data's place on this machine is none."""
    table = config.model_dump(mode="json", exclude={"data": {"prepared"}})
    columns = table["data"].pop("columns")
    if columns:
        table["data"]["columns"] = json.dumps(columns, sort_keys=True)
    return dict(_flat(table))


def data_sha256(dataset: Dataset) -> str:
    """Of everything in a data set that a result depends on."""
    histories = dataset.histories
    total = hashlib.sha256(dataset.catalogue.sha256.encode())
    total.update(histories.items.tobytes() + histories.offsets.tobytes())
    total.update("\n".join([] if histories.words is None else histories.words.tolist()).encode())
    if dataset.impressions is not None:
        total.update(dataset.impressions.sha256.encode())
    return total.hexdigest()


def read_once(config: Config) -> Dataset:
    """The data set that the settings name, kept for the next cell."""
    return _read(config.data.model_copy(update={"prepared": None, "held_out": "test"}).model_dump_json())


@lru_cache(maxsize=1)
def _read(data: str) -> Dataset:
    return read_data(Config(data=DataSettings.model_validate_json(data)))


def _run(cell: Cell, work: Path | None) -> Iterator[Row]:
    with TemporaryDirectory(prefix="sottovoce-", dir=work) as place, _warnings() as warnings:
        started = time.perf_counter()
        folder = make_run(cell.config, Path(place) / "run", read=read_once)
        finished = simulate(folder, encode_s=time.perf_counter() - started, runtime=cell.runtime)
        yield (
            _row(cell, "sottovoce")
            | _facts(finished)
            | measures(finished.evaluation)
            | {
                "stopped": None if finished.stopped is None else str(finished.stopped),
                "warnings": "; ".join(warnings) or None,
            }
        )
        if cell.config.rerank.model is not None:
            for name, metrics in evaluate_reranked(finished.bundle, finished.prepared, cell.config.rerank).items():
                yield _row(cell, name) | _dataset(finished.prepared.facts) | _protocol("sampled", metrics)


def _references(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared, chosen = prepare(read_once(cell.config), cell.config), reference_settings(cell.config.preset)
    held_out, items = prepared.held_out, len(prepared.catalogue)
    evaluations = evaluate_references(held_out, items, chosen)
    evaluations["iALS"] = evaluate(ials(held_out.known, items, chosen.ials), held_out, items)
    for name, evaluation in evaluations.items():
        yield _row(cell, name) | _dataset(prepared.facts) | measures(evaluation)


def _attention(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared, chosen = prepare(read_once(cell.config), cell.config), reference_settings(cell.config.preset)
    items = len(prepared.catalogue)
    evaluation = evaluate(sasrec(prepared.held_out.known, items, chosen.sasrec), prepared.held_out, items)
    yield _row(cell, "SASRec") | _dataset(prepared.facts) | measures(evaluation)


def _popularity(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared = prepare(read_once(cell.config), cell.config)
    items = len(prepared.catalogue)
    counts = np.bincount(prepared.held_out.known.items, minlength=items)
    evaluation = evaluate(constant(counts), prepared.held_out, items)
    yield _row(cell, "popularity") | _dataset(prepared.facts) | measures(evaluation)


def _dp_popularity(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared, plan = prepare(read_once(cell.config), cell.config), cell.config.plan()
    items = len(prepared.catalogue)
    counts = dp_popularity_counts(prepared.held_out.known, items, plan, given(cell.config.privacy.popularity_length))
    evaluation = evaluate(constant(counts), prepared.held_out, items)
    yield _row(cell, "DP popularity") | _dataset(prepared.facts) | _spent(plan) | measures(evaluation)


def _from_zero(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared, plan = prepare(read_once(cell.config), cell.config), cell.config.plan()
    known, items, budget = prepared.held_out.known, len(prepared.catalogue), cell.config.privacy.epsilon
    model = from_zero(known, items, plan, reference_settings(cell.config.preset).from_zero_at(budget))
    evaluation = evaluate(of_model(model, known), prepared.held_out, items)
    yield _row(cell, from_zero_name(budget)) | _dataset(prepared.facts) | _spent(plan) | measures(evaluation)


def _local_dp(cell: Cell, _: Path | None) -> Iterator[Row]:
    prepared, plan = prepare(read_once(cell.config), cell.config), cell.config.plan()
    known, chosen = prepared.held_out.known, reference_settings(cell.config.preset)
    settings = chosen.local_dp_at(cell.config.privacy.epsilon)
    model = local_dp(known, prepared.space.vectors, cell.config, settings)
    evaluation = evaluate(of_model(model, known), prepared.held_out, len(prepared.catalogue))
    yield _row(cell, "local DP") | _dataset(prepared.facts) | _spent(plan) | measures(evaluation)


def _spent(plan: PrivacyPlan) -> Row:
    """What a reference spends: the whole budget of its plan, or nothing without privacy."""
    private = plan.trust is not Trust.NONE
    return {"spent.epsilon": plan.epsilon, "spent.delta": plan.delta, "spent.noise": plan.noise} if private else {}


_COMPUTE: dict[Kind, Callable[[Cell, Path | None], Iterator[Row]]] = {
    Kind.RUN: _run,
    Kind.REFERENCES: _references,
    Kind.ATTENTION: _attention,
    Kind.FROM_ZERO: _from_zero,
    Kind.LOCAL_DP: _local_dp,
    Kind.POPULARITY: _popularity,
    Kind.DP_POPULARITY: _dp_popularity,
}


def _row(cell: Cell, model: str) -> Row:
    """The columns of every row: what it is, and which settings it belongs to."""
    runtime = cell.runtime.value if cell.kind is Kind.RUN else None
    known = settings(cell.config)
    if cell.kind is not Kind.RUN:
        kept = ("data.", "privacy.", "seed") if cell.kind in BUDGETED else ("data.",)
        known = {name: value for name, value in known.items() if name.startswith(kept)}
        known["reference"] = None if cell.tuned is None else json.dumps(cell.tuned)
    return {"schema": SCHEMA, "cell": cell.key, "model": str(model), "runtime": runtime, "error": None, **known}


def _facts(finished: Simulation) -> Row:
    """What `result.json` says, as columns; what was spent stands apart from the settings of the same name."""
    result = finished.result
    privacy = {f"spent.{name}": value for name, value in result["privacy"].items() if name != "releases"}
    releases = {"releases": json.dumps(result["privacy"]["releases"])}
    measured = {part: result[part] for part in ("communication", "timing")}
    return _dataset(result["dataset"]) | privacy | releases | dict(_flat(measured))


def _dataset(facts: dict[str, Any]) -> Row:
    return {f"dataset.{name}": facts[name] for name in ("name", "users", "items", "interactions")}


def measures(evaluation: Evaluation) -> Row:
    """Every metric of both protocols as `protocol.metric`, with its 95 % interval over users as `….low`, `….high`."""
    row = dict(_flat(evaluation.means()))
    for protocol, metrics in evaluation.per_user.items():
        for metric in metrics:
            estimate = evaluation.estimate(protocol, metric)
            row |= {f"{protocol}.{metric}.low": estimate.low, f"{protocol}.{metric}.high": estimate.high}
    return row


def _protocol(protocol: str, metrics: Mapping[str, NDArray[np.float64]]) -> Row:
    """One protocol's metrics with their intervals."""
    row: Row = {}
    for metric, values in metrics.items():
        estimate = bootstrap(values)
        name = f"{protocol}.{metric}"
        row |= {name: estimate.mean, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return row


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(" ".join(record.getMessage().split()))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects what nodes and server warn of: a round that was abandoned must not go unseen in a table."""
    logger, handler = logging.getLogger("sottovoce"), _Lines()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
