"""A sweep's folder is whole after anything: a full disk, a damaged file, another version."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from cells import BROKEN, make_cell, stand_in

from sottovoce.common.errors import DataError
from sottovoce.simulations.sweep.cell import Outcome, Row
from sottovoce.simulations.sweep.store import COMMAND, SweepFolder, read_table


def test_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    row = {"schema": 1, "epsilon": math.inf, "rounds": 3, "trust": None, "lenient": False}
    for outcome in (Outcome("a", (row,)), Outcome("b", (row, row), "ValueError: diverged")):
        folder.keep(outcome)
        assert folder.outcome(outcome.key) == outcome
    assert folder.outcome("c") is None


def test_the_table_keeps_types_and_gaps(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    rows: list[Row] = [
        {"schema": 1, "privacy.epsilon": math.inf, "head.rank": 4, "error": None, "encoder.revision": None},
        {"schema": 1, "privacy.epsilon": 1.0, "error": "broken", "encoder.revision": None},
    ]
    folder.write_table(rows, "sottovoce sweep x.toml --out y")
    table = read_table(folder.table)
    assert table.attrs == {COMMAND: "sottovoce sweep x.toml --out y"}
    assert table["privacy.epsilon"].tolist() == [math.inf, 1.0]
    assert table["head.rank"].isna().tolist() == [False, True]
    assert table["error"].isna().tolist() == [True, False]
    assert list(table)[:2] == ["schema", "error"]


def test_a_full_disk_leaves_finished_cells_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, first, second = SweepFolder(tmp_path), stand_in(make_cell(0)), stand_in(make_cell(1))
    folder.keep(first)
    folder.write_table(first.rows, "a sweep")
    before = folder.table.read_bytes()

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device"):
        folder.keep(second)
    with pytest.raises(DataError, match=r"results\.parquet"):
        folder.write_table(second.rows, "a sweep")
    folder.check()
    assert folder.outcome(first.key) == first
    assert folder.outcome(second.key) is None
    assert folder.table.read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))


def test_a_kill_between_writing_and_renaming_leaves_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, outcome = SweepFolder(tmp_path), stand_in(make_cell())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            folder.keep(outcome)
    folder.check()
    assert folder.outcome(outcome.key) is None
    folder.keep(outcome)
    assert folder.outcome(outcome.key) == outcome


def test_another_version_is_named(tmp_path: Path) -> None:
    folder, outcome = SweepFolder(tmp_path), stand_in(make_cell())
    folder.keep(outcome)
    [file] = folder.cells.iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 2}))
    with pytest.raises(DataError, match=r"json: schema = 2"):
        folder.check()
    for damaged in ("{", "7", '{"schema": 1}', '{"schema": 1, "cell": "a", "error": null, "rows": [3]}'):
        file.write_text(damaged)
        with pytest.raises(DataError, match=f"{file.name}: not the file of a cell"):
            folder.check()
    file.unlink()
    pd.DataFrame({"schema": [7], "x": [1]}).to_parquet(folder.table)
    with pytest.raises(DataError, match=r"results\.parquet: schema = 7"):
        folder.check()
    pd.DataFrame({"x": [1]}).to_parquet(folder.table)
    with pytest.raises(DataError, match=r"results\.parquet: .*schema"):
        folder.check()


def test_a_broken_cell_is_one_line_and_one_row() -> None:
    outcome = stand_in(make_cell(BROKEN))
    assert outcome.error == "ValueError: scores hold NaN: the model diverged"
    [row] = outcome.rows
    assert (row["error"], row["seed"]) == (outcome.error, BROKEN)
