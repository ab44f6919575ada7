"""`sottovoce sweep` on the command line: one line and exit code 2 for a mistake, a table for an experiment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cells import BROKEN, stand_in

from sottovoce.cli import main as main_module
from sottovoce.simulations.sweep import sweep as module
from sottovoce.simulations.sweep.cell import Cell, Outcome
from sottovoce.simulations.sweep.store import SweepFolder, read_table

HEAD = 'schema = 1\nreferences = "none"\n[base]\ndata.source = "synthetic:users=60,items=40"\n'


def left_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process; the status it leaves with."""
    monkeypatch.setattr(sys, "argv", ["sottovoce", *arguments])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SystemExit) as left:
        main_module.run()
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("grid", "named"),
    [
        ("[grid]\nseed = []", "grid.seed"),
        ("[grid]\nhead.windw = [3]", "grid.head.windw"),
        ("[grid]\ntrain.clip_norm = [0]", "train.clip_norm"),
        ("[grid]\nprivacy.delta = [0.5]", "privacy.delta"),
        ("[grid]\nprivacy.trust = ['none']", "privacy.trust"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, grid: str, named: str
) -> None:
    file, out = tmp_path / "experiment.toml", tmp_path / "out"
    file.write_text(HEAD + grid, encoding="utf-8")
    assert left_with(monkeypatch, "sweep", str(file), "--out", str(out)) == 2
    said = capsys.readouterr()
    [line] = [line for line in said.err.splitlines() if line.startswith("sottovoce: ")]
    assert str(file) in line
    assert named in line
    assert not out.exists()


def test_a_table_of_another_version_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "experiment.toml", tmp_path / "out"
    file.write_text(HEAD + "[grid]\nseed = [0]", encoding="utf-8")
    SweepFolder(out).write_table([{"schema": 7}], "a sweep")
    assert left_with(monkeypatch, "sweep", str(file), "--out", str(out)) == 2
    assert "results.parquet: schema = 7" in capsys.readouterr().err


def test_a_broken_cell_is_told_and_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(cells: Sequence[Cell], workers: int, work: Path) -> Iterator[Outcome]:
        assert workers == 3
        yield from (stand_in(cell) for cell in cells)

    monkeypatch.setattr(module, "compute_in_processes", compute)
    file, out = tmp_path / "experiment.toml", tmp_path / "out"
    file.write_text(HEAD + f"[grid]\nseed = [0, {BROKEN}, 1]", encoding="utf-8")
    assert left_with(monkeypatch, "sweep", str(file), "--out", str(out), "--workers", "3") == 5
    said = capsys.readouterr().err
    assert "the model diverged" in said
    assert "3 cells, 1 of them broken" in said
    assert len(read_table(out / "results.parquet")) == 3
