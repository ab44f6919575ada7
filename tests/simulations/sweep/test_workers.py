"""Worker processes: whatever one of them does to itself, every cell has an outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import BROKEN, DEADLY, make_cell, stand_in

from sottovoce.simulations.sweep.workers import compute_in_processes

pytestmark = pytest.mark.slow


def test_a_dead_worker_breaks_its_own_cell_alone(tmp_path: Path) -> None:
    cells = [make_cell(seed) for seed in (DEADLY, 0, BROKEN, 1, 2)]
    outcomes = {each.key: each for each in compute_in_processes(cells, 1, tmp_path, stand_in)}
    assert set(outcomes) == {cell.key for cell in cells}
    errors = [outcomes[cell.key].error for cell in cells]
    assert "exit code 9" in (errors[0] or "")
    assert "diverged" in (errors[2] or "")
    assert [errors[1], errors[3], errors[4]] == [None] * 3
