"""Read JSON Lines, plain or gzipped, to columns of text: one object per line, fields that nest made flat."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.delimited import require_file
from sottovoce.simulations.datasets.tables import Table

MAX_LINE = 8_000_000
"""Bytes of one line: an unpacked archive of one endless line must not fill the memory."""

_GZIP = b"\x1f\x8b"


def read_json_lines(path: Path, fields: Mapping[str, Sequence[str]], lenient: bool) -> Table:
    """Read the wanted fields of every object.

    A list becomes its values joined by ` | `, nested lists their values in order; nothing and an object an empty text.

    Args:
        path: The file.
        fields: The fields that may hold each column's value; the first that an object has counts.
        lenient: Skip broken lines instead of refusing the file.

    Raises:
        DataError: the file is missing, empty or damaged, or (unless `lenient`) a line is no JSON object.
    """
    columns: dict[str, list[str]] = {name: [] for name in fields}
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    for number, row in _objects(path):
        if isinstance(row, str):
            if not lenient:
                raise DataError(path, row, number)
            broken.append((number, row))
            continue
        lines.append(number)
        for name, names in fields.items():
            columns[name].append(_told(next((row[one] for one in names if row.get(one) is not None), None)))
    if not lines and not broken:
        raise DataError(path, "the file is empty")
    tables = {name: pa.chunked_array([pa.array(values, pa.string())]) for name, values in columns.items()}
    return Table(path, tables, lines.__getitem__, broken)


def first_object(path: Path) -> Mapping[str, object]:
    """The first object of a file, to tell its layout; empty where the first line is none."""
    row = next((row for _, row in _objects(path)), "")
    return {} if isinstance(row, str) else row


def _objects(path: Path) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Each line's number, and its object or why it has none."""
    require_file(path)
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            yield from _rows(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(path, "a damaged gzip file; fetch it again") from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from error


def _rows(file: BinaryIO | gzip.GzipFile) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            yield number, f"a line of more than {MAX_LINE} bytes"
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
        elif line.strip():
            yield number, _object(line)


def _object(line: bytes) -> Mapping[str, object] | str:
    try:
        row = json.loads(line)
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        return f"not JSON: {str(error).splitlines()[0][:120]}"
    return row if isinstance(row, dict) else "not a JSON object"


def _told(value: object) -> str:
    if isinstance(value, list):
        return " | ".join(filter(None, map(_told, value)))
    if value is None or isinstance(value, dict):
        return ""
    # What is escaped in JSON may be half a character, which no text in UTF-8 can hold.
    return str(value).encode("utf-8", "replace").decode()
