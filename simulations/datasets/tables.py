"""A file as columns, and the sieve that says which of its rows cannot be used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions

Column = Any  # pyarrow.ChunkedArray: pyarrow brings no types
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MAX_ID_LENGTH = 200
NAMED = 3  # how many offenders a message names

_BAD_ID = r"[\x00-\x1f\x7f]|^\s*$"


@dataclass(frozen=True)
class Table:
    """One file, read.

    Attributes:
        path: The file.
        columns: Equally long columns by name.
        line: Where a row stands in the file, counted from 1 (in a Parquet file: the number of the row).
        broken: Line and reason of each row that a lenient reading has skipped.
    """

    path: Path
    columns: Mapping[str, Column]
    line: Callable[[int], int]
    broken: Sequence[tuple[int, str]] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def strings(self, name: str) -> Column:
        """A column as text.

        Raises:
            DataError: it is of a type that has no text.
        """
        column = self.columns[name]
        try:
            return _as_strings(column)
        except pa.ArrowException as error:
            raise DataError(self.path, f"column {name!r} of type {column.type} cannot be read as text") from error


@dataclass(frozen=True)
class Coded:
    """A column of ids: `names[codes[row]]` is the id of a row."""

    codes: IntArray
    names: list[str]

    def only(self, keep: BoolArray) -> Coded:
        """The kept rows, and the names that still occur in them."""
        used, codes = np.unique(self.codes[keep], return_inverse=True)
        return Coded(codes.astype(np.int64), [self.names[code] for code in used])


class Sieve:
    """Reads typed columns from a table, and keeps book of the rows in which one cannot be read.

    A strict reading ends at the first of them (by line, whatever the column); a lenient one goes on with `keep`.
    """

    def __init__(self, table: Table, lenient: bool) -> None:
        self.table = table
        self.lenient = lenient
        self.keep: BoolArray = np.ones(len(table), dtype=bool)
        self._first: tuple[int, str] | None = None

    def ids(self, name: str) -> Coded:
        """A column of ids: not empty, not overlong, without control characters."""
        coded = pc.dictionary_encode(self.table.strings(name)).unify_dictionaries()
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in coded.chunks] or [[]]).astype(np.int64)
        names = coded.chunk(0).dictionary if coded.num_chunks else pa.array([], pa.string())
        bad = pc.or_(pc.match_substring_regex(names, _BAD_ID), pc.greater(pc.utf8_length(names), MAX_ID_LENGTH))
        listed = [str(value) for value in names.to_pylist()]
        self.refuse(bad.to_numpy(zero_copy_only=False)[codes], lambda row: _id_reason(name, listed[codes[row]]))
        return Coded(codes, listed)

    def numbers(self, name: str, high: float) -> FloatArray:
        """A column of finite numbers between 0 and `high`."""
        column = self.table.columns[name]
        values = _as_floats(column)
        with np.errstate(invalid="ignore"):
            bad = ~((values >= 0) & (values <= high))
        self.refuse(bad, lambda row: _number_reason(name, column[row].as_py(), high))
        return values

    def refuse(self, bad: BoolArray, reason: Callable[[int], str]) -> None:
        """Mark rows as broken; `reason` tells why one of them is."""
        self.keep &= ~bad
        if bad.any():
            row = int(np.argmax(bad))
            if self._first is None or row < self._first[0]:
                self._first = (row, reason(row))

    def finish(self) -> tuple[str, ...]:
        """A note on what was skipped.

        Raises:
            DataError: a strict reading met a broken row.
        """
        first = None if self._first is None else (self.table.line(self._first[0]), self._first[1])
        if first is not None and not self.lenient:
            raise DataError(self.table.path, first[1], first[0])
        count = len(self.table.broken) + int((~self.keep).sum())
        if not count:
            return ()
        line, reason = min(filter(None, [first, *self.table.broken[:1]]))
        skipped = f"{counted(count, 'broken row')} skipped (the first, line {line}: {reason})"
        return (f"{self.table.path.name}: {skipped}",)


def _as_strings(column: Column) -> Column:
    """Whole numbers without a decimal point, lists joined by ` | `, nothing as an empty text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        joined = [None if row is None else " | ".join(map(str, row)) for row in column.to_pylist()]
        return pa.chunked_array([pa.array(joined, pa.string())])
    if pa.types.is_floating(column.type):
        with contextlib.suppress(pa.ArrowInvalid):
            column = column.cast(pa.int64())  # pandas makes floats of whole numbers with gaps
    text = column.cast(pa.string())
    return pc.fill_null(text, "") if text.null_count else text


def _as_floats(column: Column) -> FloatArray:
    """NaN where a value is no number. A time stamp becomes seconds since 1970."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = pc.divide(column.cast(pa.timestamp("ns")).cast(pa.int64()).cast(pa.float64(), safe=False), 1e9)
    try:
        numbers = column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = pa.chunked_array([pa.array([_number(value) for value in column.to_pylist()], pa.float64())])
    values: FloatArray = numbers.to_numpy()  # null is NaN to NumPy
    return values


def require_columns(table: Table, names: Sequence[str], whose: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        DataError: it does; says which, and what `whose` tables have.
    """
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(table.path, f"no column {missing[0]!r}; {whose} has {','.join(names)}", 1)


def counted(count: int, noun: str) -> str:
    """A number and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def tolerate(path: Path, problem: str, bad: int, names: Sequence[str], total: int, options: ReadOptions) -> str:
    """The note on `bad` things out of `total`.

    Raises:
        DataError: they are too large a share for a strict reading.
    """
    listed = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    told = f"{bad} of {total} {problem} (first: {listed})"
    if bad > options.max_bad_share * total and not options.lenient:
        raise DataError(path, f"{told}: more than {options.max_bad_share:.3g} of all; a lenient reading goes on")
    return f"{path.name}: {told}"


def unread_note(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """A note on columns that play no role, if there are any."""
    return (f"{table.path.name}: columns not read: {', '.join(columns)}",) if columns else ()


def _number(value: object) -> float:
    """One value as Arrow would read it: no blanks around it, no underscores in it."""
    text = str(value)
    if text != text.strip() or "_" in text or not text.isascii():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _id_reason(name: str, value: str) -> str:
    if not value.strip():
        return f"{name} is empty"
    if len(value) > MAX_ID_LENGTH:
        return f"{name} is {len(value)} characters long; at most {MAX_ID_LENGTH} are read"
    return f"{name} {value!r} holds a control character"


def _number_reason(name: str, value: object, high: float) -> str:
    shown = str(value) if value is not None else ""
    shown = shown if len(shown) <= 40 else shown[:40] + "…"
    number = _number(value)
    if number != number or abs(number) == float("inf"):
        return f"{name} {shown!r} is not a finite number"
    return f"{name} {shown!r} is below 0" if number < 0 else f"{name} {shown!r} is above {high:.3g}"
