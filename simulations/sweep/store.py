"""The folder of a sweep: one small file per finished cell, and the table that is made of them.

Every file is written beside its place and then renamed: after a kill or on a full disk, what is there is whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from sottovoce.common.errors import DataError
from sottovoce.simulations.sweep.cell import SCHEMA, Outcome, Row

LEADING = ("schema", "cell", "name", "model", "runtime", "error")
"""Columns that every table begins with."""

COMMAND = "command"
"""Under this name a table's metadata say what made it."""


@dataclass(frozen=True)
class SweepFolder:
    """Paths and files of a sweep.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def cells(self) -> Path:
        """One file per cell that was run."""
        return self.path / "cells"

    @property
    def work(self) -> Path:
        """Run folders of the cells that are computed at this moment."""
        return self.path / "work"

    @property
    def table(self) -> Path:
        """The results."""
        return self.path / "results.parquet"

    def check(self) -> None:
        """Refuse a folder that another version has written.

        Raises:
            DataError: names the file and what it says of its schema.
        """
        if self.path.exists() and not self.path.is_dir():
            raise DataError(self.path, "not a folder")
        if self.table.exists():
            _check_schema(self.table, _schema_of_table(self.table))
        for file in self.cells.glob("*.json"):
            self._read(file)

    def outcome(self, key: str) -> Outcome | None:
        """What became of a cell, if it was run.

        Raises:
            DataError: its file is damaged, or of another version.
        """
        file = self._file(key)
        return self._read(file) if file.exists() else None

    def keep(self, outcome: Outcome) -> None:
        """Write down what became of a cell.

        Raises:
            DataError: it cannot be written; the cells that were are still there.
        """
        table = {
            "schema": SCHEMA,
            "cell": outcome.key,
            "error": outcome.error,
            "rows": [{name: _to_json(value) for name, value in row.items()} for row in outcome.rows],
        }
        replace_file(self._file(outcome.key), json.dumps(table, indent=1, allow_nan=False).encode())

    def write_table(self, rows: Iterable[Row], command: str) -> None:
        """Write the table of results, as a whole or not at all.

        Args:
            rows: Its rows.
            command: What made it, for who reads it: kept in the file's metadata.

        Raises:
            DataError: it cannot be written.
        """
        frame = pd.DataFrame(list(rows))
        first = [name for name in LEADING if name in frame]
        frame = frame[[*first, *(name for name in frame if name not in first)]]
        frame.attrs[COMMAND] = command
        # A column without any value has no type of its own; text reads best.
        empty = {name: "string" for name in frame if frame[name].isna().all()}
        replace_file(self.table, frame.astype(empty).to_parquet(index=False))

    def _file(self, key: str) -> Path:
        return self.cells / f"{key}.json"

    def _read(self, file: Path) -> Outcome:
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
            _check_schema(file, table["schema"])
            rows = tuple({name: _from_json(value) for name, value in row.items()} for row in table["rows"])
            return Outcome(table["cell"], rows, table["error"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(file, "not the file of a cell: delete it to run that cell again") from error


def read_table(path: Path) -> pd.DataFrame:
    """Read `results.parquet`; its `attrs` hold the command that made it.

    Raises:
        DataError: it is missing, no such table, or of another version.
    """
    if not path.exists():
        raise DataError(path, "no results here: run `sottovoce sweep` first")
    _check_schema(path, _schema_of_table(path))
    return pd.read_parquet(path)


def _schema_of_table(path: Path) -> object:
    try:
        versions = pq.read_table(path, columns=["schema"])["schema"].unique().to_pylist()
    except Exception as error:
        raise DataError(path, "not a table of results (no column `schema`)") from error
    return versions[0] if len(versions) == 1 else versions


def _check_schema(path: Path, schema: object) -> None:
    if schema != SCHEMA:
        raise DataError(
            path, f"schema = {schema!r}: this program reads and writes {SCHEMA}: run the sweep again in a new folder"
        )


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is either whole or as it was before.

    Raises:
        DataError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise DataError(
            path, f"cannot be written ({error.strerror}); what was finished is kept, so start the command again"
        ) from error


def _to_json(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """JSON has no infinity and NumPy's numbers are not its own."""
    plain = value.item() if hasattr(value, "item") else value
    return "inf" if isinstance(plain, float) and math.isinf(plain) else plain


def _from_json(value: Any) -> Any:  # noqa: ANN401
    return math.inf if value == "inf" else value
