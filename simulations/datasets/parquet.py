"""Read a table from a Parquet file, or from CSV."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.delimited import (
    Layout,
    read_bytes,
    read_delimited,
    refuse_repeated_names,
    require_file,
    sniff_separator,
)
from sottovoce.simulations.datasets.tables import Table

_MAGIC = b"PAR1"


def read_table(path: Path, lenient: bool) -> Table:
    """Read a CSV or a Parquet file, whichever it is by its first bytes or its name."""
    require_file(path)
    with path.open("rb") as file:
        if path.suffix == ".parquet" or file.read(len(_MAGIC)) == _MAGIC:
            return read_parquet(path)
    return read_delimited(path, Layout(sniff_separator(path), quoted=True), lenient)


def read_parquet(path: Path) -> Table:
    """Read every column of `path`; a row's `line` is its number, counted from 1.

    Raises:
        DataError: the file is missing, or is not a Parquet file.
    """
    if not path.is_file() or not path.stat().st_size:
        read_bytes(path)  # says which of missing, empty and a folder it is
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(path, f"not a Parquet file that can be read: {reason}") from error
    refuse_repeated_names(path, tuple(table.column_names))
    return Table(path, {name: table[name] for name in table.column_names}, lambda row: row + 1)
