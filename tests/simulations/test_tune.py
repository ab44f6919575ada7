"""A search has the same effort for everybody, is repeatable, survives a kill, and never sees the test split."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy.exc

from sottovoce.common.config import Config, parse
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations import tune as module
from sottovoce.simulations.contenders import CONTENDERS, Contender, Values, contender
from sottovoce.simulations.findings import read_tuning
from sottovoce.simulations.tune import METRIC, Effort, Facts, plan_searches, tune

tell = module._tell
NAMES = ["+ V", "from zero"]
EFFORT = Effort(trials=12, seeds=2, finalists=2, confirm=3, seed=5)


def config(epsilon: float = 4.0, **table: Any) -> Config:  # noqa: ANN401
    return parse(
        {
            "data": {"source": "synthetic:users=60,items=40,seed=1"},
            "encoder": {"dimensions": 8},
            "privacy": {"epsilon": epsilon, "delta": 1e-3},
            "federation": {"nodes": 1},
            **table,
        }
    )


class Measured:
    """Stands for the runs: worth most near a learning rate of 20, worse the further away; notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Config, Values, list[int]]] = []
        self.stop_after = math.inf

    def __call__(self, name: str, config: Config, values: Values, seeds: Sequence[int]) -> list[Facts] | str:
        if len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((name, config, values, list(seeds)))
        rate = float(values.get("train.learning_rate", values.get("learning_rate", 1.0)) or 1.0)
        if rate > 150:
            return "ValueError: scores hold NaN: the model diverged"
        worth = 1 / (1 + abs(math.log(rate / 20))) if seeds[0] < module.FRESH else 0.5
        return [{METRIC: worth + 0.001 * (seed % 7), "sampled.hr@10": worth} for seed in seeds]


class InThisProcess(ProcessPoolExecutor):
    """A pool that computes at once, so that what stands for a run can be told what to do."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:  # noqa: ANN401
        done: Future[Any] = Future()
        done.set_result(module._measure(*arguments))
        return done

    def shutdown(self, *_: object, **__: object) -> None:
        pass


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    stand_in = Measured()
    monkeypatch.setattr(module, "_measure", stand_in)
    monkeypatch.setattr(module, "ProcessPoolExecutor", InThisProcess)
    return stand_in


def test_everybody_has_as_many_trials_and_finalists_are_measured_afresh(tmp_path: Path, measured: Measured) -> None:
    told: list[tuple[int, int]] = []
    found = tune([config(), config(8.0)], NAMES, tmp_path, EFFORT, watch=lambda *done: told.append(done))
    assert [(each["contender"], each["epsilon"], each["trials"]) for each in found["searches"]] == [
        (name, budget, 12) for budget in (4.0, 8.0) for name in NAMES
    ]
    assert told[0] == (0, 48) and told[-1] == (48, 48)
    trials = [asked for asked in measured.asked if asked[3][0] < module.FRESH]
    fresh = [asked for asked in measured.asked if asked[3][0] >= module.FRESH]
    assert len(trials) == 48 and len(fresh) == 4 * (1 + 2)
    assert {tuple(seeds) for _, _, _, seeds in fresh} == {(module.FRESH, module.FRESH + 1, module.FRESH + 2)}
    assert (
        len({seed for name, each, _, seeds in trials if (name, each.privacy.epsilon) == ("+ V", 4.0) for seed in seeds})
        == 24
    )
    assert found == read_tuning(tmp_path / "tuning.json")
    assert "outside any privacy budget" in found["says"]
    table = pd.read_parquet(tmp_path / "trials.parquet")
    assert len(table) == 48
    assert table[METRIC].isna().tolist() == table["error"].notna().tolist()


def test_only_validation_is_seen(tmp_path: Path, measured: Measured) -> None:
    tune([config(), config(math.inf)], ["+ V", "from zero", "EASE"], tmp_path, EFFORT)
    assert {each.data.held_out for _, each, _, _ in measured.asked} == {"validation"}
    assert {each.privacy.noise for _, each, _, _ in measured.asked} == {"seeded"}


def test_what_cannot_fall_out_otherwise_is_run_once(tmp_path: Path, measured: Measured) -> None:
    tune([config(math.inf)], ["EASE"], tmp_path, EFFORT)
    assert {len(seeds) for _, _, _, seeds in measured.asked} == {1}


def test_a_search_can_be_repeated_and_goes_on_where_it_was_stopped(tmp_path: Path, measured: Measured) -> None:
    whole = tune([config()], NAMES, tmp_path / "whole", EFFORT)
    trials = [asked[2:] for asked in measured.asked]
    measured.asked.clear()
    measured.stop_after = 9
    with pytest.raises(KeyboardInterrupt):
        tune([config()], NAMES, tmp_path / "stopped", EFFORT)
    assert not (tmp_path / "stopped" / "tuning.json").exists()
    measured.stop_after = math.inf
    assert tune([config()], NAMES, tmp_path / "stopped", EFFORT) == whole
    # What was measured and not yet written down when it stopped is measured again.
    assert len(trials) <= len(measured.asked) <= len(trials) + len(NAMES)
    assert {str(asked[2:]) for asked in measured.asked} == set(map(str, trials))


def test_more_trials_go_on_from_those_that_were_made(tmp_path: Path, measured: Measured) -> None:
    tune([config()], ["+ V"], tmp_path, EFFORT)
    measured.asked.clear()
    tune([config()], ["+ V"], tmp_path, Effort(trials=14, seeds=2, finalists=2, confirm=3, seed=5))
    assert len([asked for asked in measured.asked if asked[3][0] < module.FRESH]) == 2


def test_a_search_learns(tmp_path: Path, measured: Measured) -> None:
    found = tune([config()], ["+ V"], tmp_path, Effort(trials=40, seed=1))
    assert found["searches"][0]["best"]["values"]["train.learning_rate"] == pytest.approx(20, rel=0.3)


def test_another_search_in_the_folder_is_refused(tmp_path: Path, measured: Measured) -> None:
    tune([config()], ["+ V"], tmp_path, EFFORT)
    measured.asked.clear()
    before = (tmp_path / "tuning.json").read_bytes()
    with pytest.raises(DataError, match="searched with other settings"):
        tune([config(encoder={"dimensions": 9})], ["+ V"], tmp_path, EFFORT)
    with pytest.raises(DataError, match="searched with other seeds"):
        tune([config()], ["+ V"], tmp_path, Effort(trials=12, seeds=1, seed=5))
    assert not measured.asked
    assert (tmp_path / "tuning.json").read_bytes() == before


def test_what_is_no_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(DataError, match=r"study\.sqlite"):
        tune([config()], ["+ V"], tmp_path, EFFORT)


def test_a_full_disk_leaves_finished_trials(
    tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(module, "_tell", lambda *arguments: (full if len(measured.asked) > 5 else tell)(*arguments))
        with pytest.raises(DataError, match=r"study\.sqlite: cannot be written"):
            tune([config()], ["+ V"], tmp_path, EFFORT)
    measured.asked.clear()
    tune([config()], ["+ V"], tmp_path, EFFORT)
    assert len([asked for asked in measured.asked if asked[3][0] < module.FRESH]) == 12 - 5


def test_mistakes_are_told_before_anything_is_written(tmp_path: Path, measured: Measured) -> None:
    out = tmp_path / "out"
    for configs, names, expected in (
        ([config()], ["V"], "--contender"),
        ([config(math.inf)], ["+ V", "from zero"], "below inf"),
        ([config()], ["EASE"], "--epsilon inf"),
        ([config(privacy={"epsilon": 1.0, "delta": 0.5})], ["+ V"], "privacy.delta"),
        ([config(data={"source": "/no/such/file.csv"})], ["+ V"], "/no/such/file.csv"),
    ):
        with pytest.raises((ConfigError, DataError), match=expected):
            tune(configs, names, out, EFFORT)
    with pytest.raises(ConfigError, match="--workers"):
        tune([config()], ["+ V"], out, EFFORT, workers=0)
    for wrong in ({"trials": 0}, {"seeds": 0}, {"confirm": 0}, {"finalists": 0}, {"seed": -1}):
        with pytest.raises(ConfigError, match="--"):
            Effort(**wrong)
    assert not out.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 1}', '{"schema": 1, "searches": 3}', '{"schema": 9, "searches": []}']
)
def test_what_is_no_tuning_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tuning.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"tuning\.json"):
        read_tuning(file)


@pytest.mark.parametrize("each", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_can_be_measured_at_its_committed_values(each: Contender) -> None:
    epsilon = 4.0 if each.noisy else math.inf
    quick = {"size": 8, "epochs": 1, "train.rounds": 1, "rounds": 1, "neighbours": 5}
    [search], _ = plan_searches([config(epsilon)], [each.name])
    fixed = search.config
    values = each.committed(fixed)
    space = each.space(fixed)
    assert space is not None and set(values) == set(space)
    values |= {name: value for name, value in quick.items() if name in values}
    if "full" in each.name:
        pytest.skip("the whole catalogue of the small data set has fewer dimensions")
    row = contender(each.name).measure(fixed.model_copy(update={"seed": 3}), values)
    assert 0 <= row[METRIC] <= 1


def test_ranges_are_shared_by_all_who_train_in_noised_rounds() -> None:
    known = [config().resolve(people) for people in (60, 10_000)]
    for each in known:
        own, other = contender("+ V").space(each), contender("from zero").space(each)
        assert own is not None and other is not None
        for name in ("rounds", "clip_norm", "learning_rate"):
            assert own[f"train.{name}"] == other[name]
    assert contender("from zero").space(known[0]) != contender("from zero").space(known[1])


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-c", "from sottovoce.cli.main import run; run()", "tune", "--trials", "6", "--confirm", "2"),
        *("--data", "synthetic:users=60,items=40,seed=1", "--epsilon", "4", "--delta", "1e-3", "--workers", "2"),
        *("--contender", "+ V", "--contender", "from zero", "--set", "encoder.dimensions=8", "--out"),
    ]
    process = subprocess.Popen(
        [*command, str(tmp_path / "killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 180
    while done(tmp_path / "killed") < 4:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for name in ("killed", "whole"):
        ended = subprocess.run(
            [*command, str(tmp_path / name)], capture_output=True, text=True, timeout=300, check=False
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
    killed, whole = (json.loads((tmp_path / name / "tuning.json").read_text()) for name in ("killed", "whole"))
    assert killed == whole
    while alive(process.pid):
        assert time.monotonic() < end + 60
        time.sleep(0.02)


def done(folder: Path) -> int:
    """How many trials the study of a folder holds."""
    try:
        with sqlite3.connect(f"file:{folder / 'study.sqlite'}?mode=ro", uri=True) as study:
            return int(
                study.execute("SELECT COUNT(*) FROM study_user_attributes WHERE key LIKE 'trial %'").fetchone()[0]
            )
    except sqlite3.OperationalError:
        return 0


def alive(group: int) -> bool:
    """Whether a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
