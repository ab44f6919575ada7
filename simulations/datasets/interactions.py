"""From a file of interactions to checked, typed columns, still in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.tables import Coded, FloatArray, Sieve, Table, counted, unread_note

MAX_TIME = float(2**63)  # nanoseconds since 1970 reach that far
MAX_RATING = 1e6
MAX_WORDS = 1000  # characters of a review; NumPy keeps every text as wide as the longest


@dataclass(frozen=True)
class InteractionColumns:
    """Which column of a table of interactions is what (the empty string for none), and which are none of these."""

    user: str
    item: str
    time: str = ""
    rating: str = ""
    words: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interactions:
    """Every usable row of a file.

    Attributes:
        path: Where they were read.
        users: Who, shape [N].
        items: With what, by the file's own ids, shape [N].
        times: When, shape [N], or `None` where nobody noted it.
        ratings: How good it was, shape [N], or `None`.
        words: What the person wrote about it, shape [N], or `None`.
        notes: What was skipped while reading.
    """

    path: Path
    users: Coded
    items: Coded
    times: FloatArray | None = None
    ratings: FloatArray | None = None
    words: NDArray[np.str_] | None = None
    notes: tuple[str, ...] = ()


def read_interactions(table: Table, columns: InteractionColumns, lenient: bool) -> Interactions:
    """Check and type the columns of interactions.

    Raises:
        DataError: a value cannot be used (unless `lenient`), or no row is left.
    """
    sieve = Sieve(table, lenient)
    users, items = sieve.ids(columns.user), sieve.ids(columns.item)
    times = sieve.numbers(columns.time, MAX_TIME) if columns.time else None
    ratings = sieve.numbers(columns.rating, MAX_RATING) if columns.rating else None
    notes = sieve.finish()
    keep = sieve.keep
    if not keep.any():
        raise DataError(table.path, "no interaction in this file" + (f"; {notes[0]}" if notes else ""))
    words, cut = _read_words(table, columns.words, sieve)
    return Interactions(
        table.path,
        users.only(keep),
        items.only(keep),
        None if times is None else times[keep],
        None if ratings is None else ratings[keep],
        words,
        notes + cut + unread_note(table, columns.unread),
    )


def _read_words(table: Table, name: str, sieve: Sieve) -> tuple[NDArray[np.str_] | None, tuple[str, ...]]:
    """What people wrote, blanks collapsed, and a note where it had to be cut."""
    if not name:
        return None, ()
    column = table.strings(name).filter(pa.array(sieve.keep))
    column = pc.utf8_trim_whitespace(pc.replace_substring_regex(column, r"\s+", " "))
    long = int(pc.sum(pc.greater(pc.utf8_length(column), MAX_WORDS)).as_py() or 0)
    cut = (f"{table.path.name}: {counted(long, 'text')} cut to {MAX_WORDS} characters",) if long else ()
    words = np.array(pc.utf8_slice_codeunits(column, 0, MAX_WORDS).to_pylist(), dtype=np.str_)
    return (words if words.dtype.itemsize > 0 and np.any(words != "") else None), cut
