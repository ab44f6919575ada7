"""Choose settings on the validation split, with the same effort for every contender.

1. Plan the searches: one for each contender and budget, each of as many trials, by Optuna's TPE (Bergstra et al. 2011).
2. Measure trials in worker processes, one at a time for each search; `study.sqlite` keeps them, so that a killed search
   goes on, and ends as if it had not been killed.
3. Measure the best few again with fresh noise, beside the values that are committed: the best of many noisy trials is
   partly the luckiest.
4. Write `trials.parquet`, a row per trial, and `tuning.json`, what was found.

Tuning reads the validation split of everybody, outside any budget. The test split it never sees.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from scipy import stats
from sqlalchemy.exc import SQLAlchemyError

from sottovoce.common.config import Config
from sottovoce.common.errors import ConfigError, DataError, FederationError
from sottovoce.common.privacy.accounting import require
from sottovoce.simulations.contenders import Contender, Values, contender
from sottovoce.simulations.runtime import QUIET
from sottovoce.simulations.sweep.cell import data_sha256, read_once
from sottovoce.simulations.sweep.store import replace_file
from sottovoce.simulations.sweep.workers import ONE_THREAD, end_with_driver

Facts = dict[str, Any]
Watch = Callable[[int, int], None]
"""Told how many trials are done, of how many."""

SCHEMA = 1
METRIC = "full.ndcg@10"
SAYS = "Chosen on the validation split, which every search read exactly: outside any privacy budget."
MEASURED = "trial "
"""What a trial was worth stands beside its study under this name and its number."""
FRESH = 1_000_000
"""Seeds of the finalists' noise start here, those of trials at zero."""


@dataclass(frozen=True)
class Effort:
    """How long to search: the same for everybody.

    Attributes:
        trials: Of each search.
        seeds: Runs per trial, where runs differ by their noise.
        finalists: How many of the best trials are measured again.
        confirm: Runs of each finalist, where runs differ.
        seed: Of sampler and noise.
    """

    trials: int = 20
    seeds: int = 1
    finalists: int = 2
    confirm: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("trials", "seeds", "finalists", "confirm"):
            require(f"--{name}", getattr(self, name), getattr(self, name) >= 1, "1 or more")
        require("--seed", self.seed, 0 <= self.seed < FRESH, f"from 0 to {FRESH - 1}")


@dataclass(frozen=True)
class Search:
    """One contender at one budget.

    Attributes:
        contender: Who.
        config: Resolved settings of its runs, less what is searched.
    """

    contender: Contender
    config: Config

    @property
    def epsilon(self) -> float:
        """The budget; infinite without privacy."""
        return self.config.privacy.epsilon

    @property
    def name(self) -> str:
        """Of its study."""
        return f"{self.contender.name}, ε = {self.epsilon:g}"

    def seeds(self, count: int, start: int) -> list[int]:
        """Seeds of `count` runs, or of one where all are the same."""
        return [start + place for place in range(count if self.contender.noisy else 1)]


def tune(
    configs: Sequence[Config],
    contenders: Sequence[str],
    out: Path,
    effort: Effort = Effort(),
    workers: int = 1,
    watch: Watch = lambda *_: None,
) -> Facts:
    """Search, or go on with a search, and write down what was found.

    Args:
        configs: Settings of a run, one per budget; what is held out is set to `validation` here.
        contenders: Their names.
        out: A folder that is new, or of an earlier start of this search.
        effort: How long.
        workers: Processes at a time, one thread each.
        watch: Told of each finished trial.

    Returns:
        What `tuning.json` holds.

    Raises:
        ConfigError: a contender is unknown, none of them exists at these budgets, or a setting is outside its range.
        DataError: the data cannot be used, or `out` holds another search.
        FederationError: a worker process died; started again, the search goes on.
    """
    require("--workers", workers, workers >= 1, "1 or more")
    searches, sha256 = plan_searches(configs, contenders)
    storage = _storage(out)
    studies = [_study(storage, out, search, sha256, effort) for search in searches]
    os.environ.update(QUIET | ONE_THREAD)  # read by libraries when a worker imports them
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_in_worker)
    try:
        _run_trials(pool, searches, studies, effort, watch)
        found = list(_confirmed(pool, searches, studies, effort))
    except BrokenProcessPool as error:
        raise FederationError("a worker of the search died (out of memory?): start again, and it goes on") from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = "cannot be written; finished trials are kept, so start the search again"
        raise DataError(out / "study.sqlite", reason) from error
    finally:
        pool.shutdown(cancel_futures=True)
    facts: Facts = {
        "schema": SCHEMA,
        "dataset": read_once(searches[0].config).name,
        "held_out": "validation",
        "metric": METRIC,
        "delta": searches[0].config.privacy.delta,
        **asdict(effort),
        "says": SAYS,
        "searches": found,
    }
    rows = pd.DataFrame([row for search, study in zip(searches, studies, strict=True) for row in _rows(search, study)])
    replace_file(out / "trials.parquet", rows.to_parquet(index=False))
    replace_file(out / "tuning.json", (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    return facts


def plan_searches(configs: Sequence[Config], contenders: Sequence[str]) -> tuple[list[Search], str]:
    """Every search, with settings that a privacy plan fits, and the sha256 of the data.

    Raises:
        ConfigError: a contender is unknown or exists at none of the budgets, or a setting is outside its range.
        DataError: the data cannot be used.
    """
    chosen = [contender(name) for name in contenders]
    resolved: list[Config] = []
    for config in configs:
        dataset = read_once(config)
        privacy = config.privacy.model_copy(update={"noise": "seeded"})
        data = config.data.model_copy(update={"held_out": "validation"})
        ready = config.model_copy(update={"data": data, "privacy": privacy})
        resolved.append(ready.resolve(len(dataset.histories), dataset.name))
        resolved[-1].plan()
    searches = [Search(each, config) for config in resolved for each in chosen if each.space(config) is not None]
    for each in chosen:
        if not any(search.contender is each for search in searches):
            raise ConfigError(
                "--contender", each.name, f"an --epsilon {'below inf' if each.noisy else 'inf'} beside it"
            )
    return searches, data_sha256(read_once(configs[0]))


# --- trials --------------------------------------------------------------------------------------------------------


def _storage(out: Path) -> optuna.storages.RDBStorage:
    """The file that keeps every trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = out / "study.sqlite"
    try:
        out.mkdir(parents=True, exist_ok=True)
        return optuna.storages.RDBStorage(f"sqlite:///{file.absolute()}")
    except (SQLAlchemyError, OSError, RuntimeError) as error:
        raise DataError(file, f"cannot be used as a study ({type(error).__name__}): name another --out") from error


def _study(storage: optuna.storages.RDBStorage, out: Path, search: Search, sha256: str, effort: Effort) -> optuna.Study:
    """A search's study, new or as it was left."""
    study = optuna.create_study(
        storage=storage, study_name=search.name, direction="maximize", load_if_exists=True, sampler=_sampler(effort, 0)
    )
    identity = {
        "schema": SCHEMA,
        "data": sha256,
        "settings": search.config.model_dump_json(exclude={"data": {"prepared"}}),
        "space": json.dumps({name: repr(values) for name, values in _space(search).items()}, sort_keys=True),
        "seeds": effort.seeds,
        "seed": effort.seed,
    }
    for name, value in identity.items():
        known = study.user_attrs.get(name)
        if known is None:
            study.set_user_attr(name, value)
        elif known != value:
            raise DataError(out / "study.sqlite", f"`{search.name}` was searched with other {name}: name another --out")
    return study


def _space(search: Search) -> dict[str, optuna.distributions.BaseDistribution]:
    return dict(search.contender.space(search.config) or {})


def _sampler(effort: Effort, number: int) -> optuna.samplers.TPESampler:
    """Seeded for each trial by itself, so that a search that goes on asks what it would have asked."""
    seed = int(np.random.SeedSequence([effort.seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(5, effort.trials // 3))


def _run_trials(
    pool: ProcessPoolExecutor, searches: Sequence[Search], studies: Sequence[optuna.Study], effort: Effort, watch: Watch
) -> None:
    total = effort.trials * len(searches)
    pending: dict[Future[list[Facts] | str], tuple[int, int]] = {}

    def start(place: int) -> None:
        asked = _next_trial(studies[place], _space(searches[place]), effort)
        if asked is None:
            return
        number, values = asked
        seeds = searches[place].seeds(effort.seeds, number * effort.seeds)
        job = pool.submit(_measure, searches[place].contender.name, searches[place].config, values, seeds)
        pending[job] = place, number

    for place in range(len(searches)):
        start(place)
    watch(sum(_done(study) for study in studies), total)
    while pending:
        for job in wait(pending, return_when=FIRST_COMPLETED).done:
            place, number = pending.pop(job)
            _tell(studies[place], number, job.result())
            watch(sum(_done(study) for study in studies), total)
            start(place)


def _next_trial(
    study: optuna.Study, space: dict[str, optuna.distributions.BaseDistribution], effort: Effort
) -> tuple[int, Values] | None:
    """Number and values of the trial that is due: one that a kill cut off, or a new one; nothing after the last."""
    cut_off = [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.RUNNING]
    if cut_off and set(cut_off[0].params) == set(space):
        return cut_off[0].number, cut_off[0].params
    for trial in cut_off:
        study.tell(trial.number, state=TrialState.FAIL)
    if _done(study) >= effort.trials:
        return None
    study.sampler = _sampler(effort, len(study.get_trials(deepcopy=False)))
    asked = study.ask(space)
    return asked.number, asked.params


def _done(study: optuna.Study) -> int:
    """Trials that were measured, or that failed by their own values."""
    return sum(name.startswith(MEASURED) for name in study.user_attrs)


def _tell(study: optuna.Study, number: int, outcome: list[Facts] | str) -> None:
    if isinstance(outcome, str):
        study.set_user_attr(f"{MEASURED}{number}", {"error": outcome})
        study.tell(number, state=TrialState.FAIL)
        return
    means = {name: statistics.mean(row[name] for row in outcome) for name in (METRIC, "sampled.hr@10")}
    study.set_user_attr(f"{MEASURED}{number}", means)
    study.tell(number, means[METRIC])


def _measure(name: str, config: Config, values: Values, seeds: Sequence[int]) -> list[Facts] | str:
    """The metrics of one run per seed, or one line that says why there are none."""
    try:
        each = contender(name)
        return [each.measure(config.model_copy(update={"seed": seed}), values) for seed in seeds]
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())


def _in_worker() -> None:
    threading.Thread(target=end_with_driver, daemon=True).start()


# --- what was found ------------------------------------------------------------------------------------------------


def _confirmed(
    pool: ProcessPoolExecutor, searches: Sequence[Search], studies: Sequence[optuna.Study], effort: Effort
) -> Iterator[Facts]:
    """Of each search, its finalists measured with fresh noise, and whether the best of them beats what is committed."""
    jobs = []
    for search, study in zip(searches, studies, strict=True):
        top = sorted(_complete(study), key=lambda trial: -(trial.value or 0))[: effort.finalists]
        finalists = [("committed", search.contender.committed(search.config))]
        finalists += [(f"trial {trial.number}", trial.params) for trial in top]
        name, seeds = search.contender.name, search.seeds(effort.confirm, FRESH)
        jobs.append(
            [
                (origin, values, pool.submit(_measure, name, search.config, values, seeds))
                for origin, values in finalists
            ]
        )
    for search, study, entered in zip(searches, studies, jobs, strict=True):
        measured = [_finalist(origin, values, job.result()) for origin, values, job in entered]
        committed, *others = measured
        best = max((each for each in others if "error" not in each), key=lambda each: each["mean"], default=committed)
        yield {
            "contender": search.contender.name,
            "epsilon": None if math.isinf(search.epsilon) else search.epsilon,
            "trials": _done(study),
            "failed": _done(study) - len(_complete(study)),
            "committed": committed,
            "best": best,
            "finalists": others,
            "better": best is not committed and ("error" in committed or best["low"] > committed["high"]),
        }


def _finalist(origin: str, values: Values, outcome: list[Facts] | str) -> Facts:
    """Mean over runs and its 95 % interval (Student's t over runs; users are the same in all of them)."""
    if isinstance(outcome, str):
        return {"from": origin, "values": values, "error": outcome}
    found = [row[METRIC] for row in outcome]
    mean, reach = statistics.mean(found), 0.0
    if len(found) > 1:
        reach = float(stats.t.ppf(0.975, len(found) - 1)) * statistics.stdev(found) / math.sqrt(len(found))
    interval = {"mean": mean, "low": mean - reach, "high": mean + reach}
    return {"from": origin, "values": values, **interval, "runs": len(found)}


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _rows(search: Search, study: optuna.Study) -> Iterable[Facts]:
    """The trials of a search as rows of the table."""
    for trial in study.get_trials(deepcopy=False):
        measured = study.user_attrs.get(f"{MEASURED}{trial.number}")
        if measured is None:
            continue
        yield {
            "schema": SCHEMA,
            "contender": search.contender.name,
            "privacy.epsilon": search.epsilon,
            "trial": trial.number,
            METRIC: measured.get(METRIC),
            "sampled.hr@10": measured.get("sampled.hr@10"),
            "error": measured.get("error"),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "values": json.dumps(trial.params, sort_keys=True),
        }
