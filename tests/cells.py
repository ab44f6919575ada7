"""Cells of a sweep that need no federation, and what stands for computing them: also where a process starts anew."""

from __future__ import annotations

import os
from pathlib import Path

from sottovoce.common.config import Config
from sottovoce.simulations.run import Runtime
from sottovoce.simulations.sweep.cell import Cell, Kind, Outcome, broken

DEADLY, BROKEN = 13, 7
"""Seeds of a cell that ends its process, and of one that raises."""


def make_cell(seed: int = 0, **settings: object) -> Cell:
    config = Config.model_validate({"seed": seed, **settings}).resolve(100)
    return Cell(Kind.RUN, Runtime.LOCAL, config, "0" * 64)


def stand_in(cell: Cell, work: Path | None = None) -> Outcome:
    """Rows at once, a broken cell, or the end of this process."""
    if cell.config.seed == DEADLY:
        os._exit(9)
    if cell.config.seed == BROKEN:
        return broken(cell, "ValueError: scores hold NaN:\nthe model diverged")
    row = {"schema": 1, "cell": cell.key, "model": "sottovoce", "error": None, "seed": cell.config.seed, "value": 0.5}
    return Outcome(cell.key, (row,))


def name_the_node(cell: Cell) -> Outcome:
    """The id of the Ray node that computes."""
    import time

    import ray

    time.sleep(0.5)  # so that one node alone would not be done before the other has started
    return Outcome(cell.key, ({"node": ray.get_runtime_context().get_node_id()},))
