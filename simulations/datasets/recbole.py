"""Read RecBole's atomic files: `NAME.inter` and `NAME.item`, separated by tabs, with a typed header.

A header's field is `name:type`, the type one of token, token_seq, float, float_seq; a sequence is separated by blanks.
"""

from __future__ import annotations

from pathlib import Path

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.columns import bare_name, interaction_columns, item_columns
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.delimited import Layout, read_delimited
from sottovoce.simulations.datasets.interactions import read_interactions
from sottovoce.simulations.datasets.items import read_films, read_items, split_categories
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Table

TYPES = ("token", "token_seq", "float", "float_seq")


def read_atomic(stem: Path, options: ReadOptions) -> Source:
    """Read `stem`.inter and `stem`.item; a column `movie_title` makes the items films."""
    table = _read_typed(stem.with_name(f"{stem.name}.inter"), options.lenient)
    rows = read_interactions(table, interaction_columns(table, options.columns), options.lenient)
    table = _read_typed(stem.with_name(f"{stem.name}.item"), options.lenient)
    columns = item_columns(table, options.columns)
    read = read_films if bare_name(columns.title) == "movie_title" else read_items
    split = _split_tokens if columns.categories.endswith(":token_seq") else split_categories
    domain = "films" if read is read_films else "items"
    return Source(stem.name, rows, read(table, columns, split, options.lenient), domain)


def find_stem(folder: Path) -> Path | None:
    """The one data set in a folder of atomic files (or the one named as the folder), if there is any.

    Raises:
        DataError: there are several.
    """
    stems = sorted(path.with_suffix("") for path in folder.glob("*.inter"))
    if len(stems) > 1:
        stems = [stem for stem in stems if stem.name == folder.resolve().name]
        if not stems:
            raise DataError(folder, "several .inter files; name one of them")
    return stems[0] if stems else None


def _read_typed(path: Path, lenient: bool) -> Table:
    table = read_delimited(path, Layout("\t"), lenient)
    for column in table.columns:
        if column.split(":", 1)[1:] not in [[name] for name in TYPES]:
            raise DataError(path, f"column {column!r} is not NAME:TYPE with a type of {', '.join(TYPES)}", 1)
    return table


def _split_tokens(value: str) -> list[str]:
    return split_categories(value) if any(mark in value for mark in "|;,") else value.split()
