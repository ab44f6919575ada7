"""The catalogue as a device keeps it: titles as they are, attributes as codes, texts only where they are asked for.

A catalogue says most things twice: a text repeats title and categories, and a thousand films share a dozen years. Here
each value of an attribute stands once, and a text that is its title and categories does not stand at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError

CATEGORIES = "categories"
SEPARATOR = " | "


@dataclass(frozen=True, eq=False)
class Column(Sequence[str]):
    """One attribute of all items: a sequence with the item's value at each position.

    Attributes:
        values: Each value once, as the catalogue writes it.
        codes: Which of `values` an item has, shape [I].
    """

    values: tuple[str, ...]
    codes: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.codes) and not 0 <= int(self.codes.min()) <= int(self.codes.max()) < len(self.values):
            raise ValueError("a code that stands for no value")

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return tuple(map(self.values.__getitem__, self.codes[row]))
        return self.values[int(self.codes[row])]

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """What each of `values` consists of: `drama | comedy` is two categories."""
        return tuple(tuple(value.split(SEPARATOR)) if value else () for value in self.values)

    def where(self, wanted: Callable[[tuple[str, ...]], bool]) -> NDArray[np.bool_]:
        """Whose value is `wanted`, as told by its parts; shape [I]."""
        return np.array([wanted(parts) for parts in self.parts], dtype=bool).take(self.codes)


@dataclass(frozen=True)
class ItemTable:
    """Items in the catalogue's order.

    Attributes:
        ids: Unique item ids.
        titles: What a person reads in a list.
        attributes: Public columns by name.
        other_texts: The texts, by row, that are not simply title and categories.
    """

    ids: Sequence[str]
    titles: Sequence[str]
    attributes: Mapping[str, Column]
    other_texts: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def position(self) -> dict[str, int]:
        """The row of each item id."""
        return {item: row for row, item in enumerate(self.ids)}

    def text(self, row: int) -> str:
        """What the encoder reads of an item."""
        known = self.other_texts.get(row)
        return self._usual_text(row) if known is None else known

    def catalogue(self) -> Catalogue:
        """The same with everything written out."""
        columns = {name: tuple(column) for name, column in self.attributes.items()}
        return Catalogue(tuple(self.ids), tuple(self.titles), tuple(map(self.text, range(len(self)))), columns)

    @classmethod
    def of(cls, catalogue: Catalogue) -> ItemTable:
        """The table of a catalogue."""
        columns = {name: _column(values) for name, values in catalogue.attributes.items()}
        short = cls(catalogue.ids, catalogue.titles, columns, {})
        others = {row: text for row, text in enumerate(catalogue.texts) if text != short._usual_text(row)}
        return cls(catalogue.ids, catalogue.titles, columns, others)

    def save(self, path: Path) -> None:
        """Write one JSON file."""
        columns = {
            name: {"values": column.values, "rows": column.codes.tolist()} for name, column in self.attributes.items()
        }
        table = {"ids": self.ids, "titles": self.titles, "other_texts": self.other_texts, "columns": columns}
        path.write_text(json.dumps(table, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    @classmethod
    def read(cls, content: bytes, path: Path) -> ItemTable:
        """Take up the content of what `save` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            table = json.loads(content)
            ids, titles = table["ids"], table["titles"]
            others = {int(row): str(text) for row, text in table["other_texts"].items()}
            columns = {
                str(name): Column(tuple(map(str, each["values"])), np.array(each["rows"], dtype=np.int32))
                for name, each in table["columns"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(path, f"not a table of items: {error}") from error
        if not all(isinstance(names, list) and set(map(type, names)) <= {str} for names in (ids, titles)):
            raise DataError(path, "not a table of items: ids and titles are lists of texts")
        if {column.codes.shape for column in columns.values()} - {(len(ids),)} or len(titles) != len(ids):
            raise DataError(path, "not a table of items: its columns differ in length")
        if len(set(ids)) != len(ids):
            raise DataError(path, "not a table of items: an item id stands in it twice")
        return cls(ids, titles, columns, others)

    def _usual_text(self, row: int) -> str:
        column = self.attributes.get(CATEGORIES)
        names = column.parts[column.codes[row]] if column else ()
        return f"{self.titles[row]}. {', '.join(names)}" if names else self.titles[row]


def _column(values: Sequence[str]) -> Column:
    codes: dict[str, int] = {}
    rows = [codes.setdefault(value, len(codes)) for value in values]
    return Column(tuple(codes), np.array(rows, dtype=np.int32))
