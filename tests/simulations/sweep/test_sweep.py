"""A sweep from its file to its table: what is run, what is not run again, and what is refused before anything is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cells import BROKEN, stand_in

from sottovoce.common.errors import ConfigError, DataError, InputError
from sottovoce.simulations.sweep import sweep as module
from sottovoce.simulations.sweep.cell import Cell, Kind, Outcome, run_cell
from sottovoce.simulations.sweep.file import read_experiment
from sottovoce.simulations.sweep.store import SweepFolder, read_table

HEAD = """
schema = 1
references = "none"
[base]
data.source = "synthetic:users=60,items=40,seed=1"
encoder.dimensions = 8
train.rounds = 2
federation.nodes = 2
"""
COMMAND = (sys.executable, "-c", "from sottovoce.cli.main import run; run()")


def write(folder: Path, grid: str, head: str = HEAD) -> Path:
    file = folder / "experiment.toml"
    file.write_text(f"{head}\n{grid}", encoding="utf-8")
    return file


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Cells are computed in this process, and noted."""
    made: list[Cell] = []

    def compute(cells: Sequence[Cell], workers: int, work: Path) -> Iterator[Outcome]:
        for cell in cells:
            made.append(cell)
            yield stand_in(cell, work)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(module, "compute_in_processes", compute)
    return made


def test_a_finished_cell_is_not_run_again(tmp_path: Path, computed: list[Cell]) -> None:
    out = tmp_path / "out"
    module.sweep(write(tmp_path, "[grid]\nseed = [0, 1]"), out, 1)
    assert [cell.config.seed for cell in computed] == [0, 1]
    computed.clear()
    module.sweep(write(tmp_path, "[grid]\nseed = [2, 1, 0, 1]"), out, 1)
    assert [cell.config.seed for cell in computed] == [2]
    assert read_table(out / "results.parquet")["seed"].tolist() == [2, 1, 0]
    assert not (out / "work").exists()


def test_a_broken_cell_stands_in_the_table_and_is_tried_again(tmp_path: Path, computed: list[Cell]) -> None:
    file, out = write(tmp_path, f"[grid]\nseed = [0, {BROKEN}, 1]"), tmp_path / "out"
    outcomes = module.sweep(file, out, 1)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    table = read_table(out / "results.parquet")
    assert table["error"].notna().tolist() == [False, True, False]
    computed.clear()
    module.sweep(file, out, 1)
    assert [cell.config.seed for cell in computed] == [BROKEN]


def test_what_stops_a_sweep_leaves_what_was_finished(
    tmp_path: Path, computed: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out, keep = write(tmp_path, "[grid]\nseed = [0, 1, 2]"), tmp_path / "out", SweepFolder.keep

    def full(folder: SweepFolder, outcome: Outcome) -> None:
        if len(computed) == 2:
            raise DataError(folder.path, "cannot be written")
        keep(folder, outcome)

    with monkeypatch.context() as patch, pytest.raises(DataError):
        patch.setattr(SweepFolder, "keep", full)
        module.sweep(file, out, 1)
    computed.clear()
    module.sweep(file, out, 1)
    assert [cell.config.seed for cell in computed] == [1, 2]


def test_references_stand_once_per_split_and_budget(tmp_path: Path) -> None:
    head = HEAD.replace('"none"', '"all"')
    grid = '[grid]\nprivacy.epsilon = [1, 4, "inf"]\nhead.rank = [0, 4]\nprivacy.delta = [1e-3]'
    planned = module.plan_cells(read_experiment(write(tmp_path, grid, head)))
    kinds = [each.cell.kind for each in planned]
    assert {kind: kinds.count(kind) for kind in Kind} == {
        Kind.RUN: 6, Kind.REFERENCES: 1, Kind.ATTENTION: 1, Kind.POPULARITY: 0, Kind.DP_POPULARITY: 2,
        Kind.FROM_ZERO: 2, Kind.LOCAL_DP: 2,
    }  # fmt: skip
    for each in planned:
        if each.cell.kind is Kind.DP_POPULARITY:
            plan = each.cell.config.plan()
            assert [mechanism.name for mechanism in plan.mechanisms] == ["popularity"]
            assert plan.population == 60


def test_a_cell_is_named_by_all_that_it_depends_on(tmp_path: Path) -> None:
    grid = "[grid]\nseed = [0, 1]\ntrain.clip_norm = [0.1, 0.2]\nfederation.nodes = [2, 3]"
    keys = {each.cell.key for each in module.plan_cells(read_experiment(write(tmp_path, grid)))}
    assert len(keys) == 8
    for old, new in (("seed=1", "seed=2"), ("schema = 1", 'schema = 1\nruntime = "flower"')):
        others = module.plan_cells(read_experiment(write(tmp_path, grid, HEAD.replace(old, new))))
        assert not keys & {each.cell.key for each in others}


BAD = {
    "[grid]\nprivacy.epsilon = [1, 1e-9]\nprivacy.delta = [1e-9]": "epsilon = 1e-09",
    "[grid]\nprivacy.delta = [0.1]": "privacy.delta",
    "[grid]\nfederation.nodes = [2, 61]": "federation.nodes",
    "[grid]\nprivacy.noise_multiplier = [500.0, 0.1]": "privacy.noise_multiplier = 0.1",
    "[grid]\ndata.source = ['/no/such/file.csv']": "/no/such/file.csv",
    "[grid]\nseed = []": "grid.seed",
}


@pytest.mark.parametrize("grid", BAD, ids=BAD.values())
def test_an_impossible_cell_is_named_before_anything_is_run_or_written(
    tmp_path: Path, computed: list[Cell], grid: str
) -> None:
    with pytest.raises(InputError) as error:
        module.sweep(write(tmp_path, grid), tmp_path / "out", 1)
    assert BAD[grid] in str(error.value)
    assert not computed
    assert not (tmp_path / "out").exists()


def test_a_table_of_another_version_is_refused_before_anything_is_run(tmp_path: Path, computed: list[Cell]) -> None:
    file, out = write(tmp_path, "[grid]\nseed = [0]"), tmp_path / "out"
    SweepFolder(out).write_table([{"schema": 7}], "a sweep")
    before = (out / "results.parquet").read_bytes()
    with pytest.raises(DataError, match=r"results\.parquet: schema = 7"):
        module.sweep(file, out, 1)
    assert not computed
    assert (out / "results.parquet").read_bytes() == before
    assert list(out.iterdir()) == [out / "results.parquet"]


def test_an_optional_experiment_is_left_out_where_its_data_is_missing(tmp_path: Path, computed: list[Cell]) -> None:
    file = write(tmp_path, "[grid]\nseed = [0]", HEAD.replace("schema = 1", "schema = 1\noptional = true"))
    said: list[str] = []
    assert module.sweep(file, tmp_path / "out", 1, said.append, source=str(tmp_path / "nothing")) == []
    assert "left out" in said[-1] and str(tmp_path / "nothing") in said[-1]
    assert not computed
    assert not (tmp_path / "out").exists()
    assert len(module.sweep(file, tmp_path / "out", 1)) == 1


def test_no_workers_and_two_sweeps_in_one_folder(tmp_path: Path, computed: list[Cell]) -> None:
    file, out = write(tmp_path, "[grid]\nseed = [0, 1]"), tmp_path / "out"
    with pytest.raises(ConfigError, match="--workers"):
        module.sweep(file, out, 0)

    def second(finished: int, *_: object) -> None:
        if finished == 1:
            with pytest.raises(ConfigError, match="no other sweep"):
                module.sweep(file, out, 1)

    module.sweep(file, out, 1, watch=second)
    assert len(computed) == 2


def test_flowers_own_ray_does_not_fit_a_cluster(
    tmp_path: Path, computed: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    file = write(tmp_path, "[grid]\nseed = [0]", HEAD.replace("schema = 1", 'schema = 1\nruntime = "flower"'))
    with pytest.raises(ConfigError, match="RAY_ADDRESS"):
        module.sweep(file, tmp_path / "out", 1)


@pytest.mark.slow
def test_a_run_gives_all_metrics_with_intervals_and_what_was_spent(tmp_path: Path) -> None:
    grid = '[grid]\nprivacy.epsilon = [4, "inf"]\nprivacy.delta = [1e-3]'
    planned = module.plan_cells(read_experiment(write(tmp_path, grid, HEAD.replace('"none"', '"all"'))))
    outcomes = [run_cell(each.cell, tmp_path) for each in planned]
    assert [outcome.error for outcome in outcomes] == [None] * 7
    rows = [row for outcome in outcomes for row in outcome.rows]
    assert {row["model"] for row in rows} == {
        "sottovoce", "popularity", "DP popularity", "item-kNN", "EASE", "iALS", "SASRec", "DP-FedSGD from zero",
        "local DP",
    }  # fmt: skip
    for row in rows:
        for protocol in ("sampled", "full"):
            for metric in ("hr@10", "ndcg@10", "mrr", "recall@20"):
                name = f"{protocol}.{metric}"
                assert row[f"{name}.low"] <= row[name] <= row[f"{name}.high"]
    private, exact = rows[:2]
    assert 0 < private["spent.epsilon"] <= 4 == private["privacy.epsilon"]
    assert exact["spent.epsilon"] is None
    assert private["runtime"] == "local"
    assert private["warnings"] is None
    assert private["communication.upload_bytes_per_node"] > 0
    assert not any(tmp_path.glob("sottovoce-*"))


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_leaves_no_worker(tmp_path: Path) -> None:
    file, out = write(tmp_path, "[grid]\nseed = [0, 1, 2, 3, 4, 5]\nprivacy.delta = [1e-3]"), tmp_path / "out"
    command = [*COMMAND, "sweep", str(file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: len(list((out / "cells").glob("*.json"))) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not alive(process.pid))
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.json")}
    assert 2 <= len(before) < 6
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    table = read_table(out / "results.parquet")
    assert table["seed"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["error"].isna().all()


def wait_until(holds: object, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def alive(group: int) -> bool:
    """Whether a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
