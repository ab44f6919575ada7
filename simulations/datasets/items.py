"""From a file of items to the public catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.films import Film, read_film
from sottovoce.simulations.datasets.tables import (
    NAMED,
    Column,
    Sieve,
    Table,
    counted,
    tolerate,
    unread_note,
)

MAX_TEXT = 20_000
"""Characters of an item's text: ten times what any of the encoders reads of it."""

MAX_TITLE = 500
_TITLE_LENGTH = 80  # where a text has to stand in for a title


@dataclass(frozen=True)
class ItemRows:
    """Items as they were written: ids may repeat, texts may be empty.

    Attributes:
        path: Where they were read.
        ids: One per row.
        titles: What to show; possibly empty.
        texts: What to encode; possibly empty.
        attributes: Public columns by name.
        notes: What was skipped while reading.
        features: Kinds of those attributes that become part of an item's vector, by name (`common.features`).
        images: A picture of each item, or nothing.
    """

    path: Path
    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    features: Mapping[str, str] = field(default_factory=dict)
    images: Sequence[Path | bytes | None] | None = None


@dataclass(frozen=True)
class ItemColumns:
    """Which column of a table of items is what; the empty string or an empty tuple for none."""

    id: str
    title: str = ""
    categories: str = ""
    year: str = ""
    texts: tuple[str, ...] = ()
    features: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    unread: tuple[str, ...] = ()


def read_films(table: Table, columns: ItemColumns, split: Callable[[str], list[str]], lenient: bool) -> ItemRows:
    """Items that are films: `Title (Year). Genre, Genre`, and whatever other text there is."""
    sieve, ids, cells = _kept_cells(table, columns, lenient)
    years = cells.get(columns.year, [""] * len(ids))
    genres = cells.get(columns.categories, [""] * len(ids))
    films = [read_film(title, split(names), year)
             for title, names, year in zip(cells[columns.title], genres, years, strict=True)]  # fmt: skip
    notes = sieve.finish() + unread_note(table, columns.unread)
    return film_rows(table.path, ids, films, [cells[name] for name in columns.texts], notes)


def film_rows(
    path: Path,
    ids: Sequence[str],
    films: Sequence[Film],
    more: Sequence[Sequence[str]] = (),
    notes: tuple[str, ...] = (),
) -> ItemRows:
    """The rows of a catalogue of films."""
    titles = [film.shown for film in films]
    texts = [sentences([title, ", ".join(film.genres), *rest])
             for title, film, *rest in zip(titles, films, *more, strict=True)]  # fmt: skip
    attributes = {"categories": [" | ".join(film.genres) for film in films], "year": [film.year for film in films]}
    return ItemRows(path, ids, titles, texts, attributes, notes)


def read_items(table: Table, columns: ItemColumns, split: Callable[[str], list[str]], lenient: bool) -> ItemRows:
    """Items of any kind: title, categories and every text column make the text."""
    sieve, ids, cells = _kept_cells(table, columns, lenient)
    blank = [""] * len(ids)
    titles = cells.get(columns.title, blank)
    categories = [split(names) for names in cells.get(columns.categories, blank)]
    more = [cells[name] for name in columns.texts]
    texts = [sentences([title, ", ".join(names), *rest])
             for title, names, *rest in zip(titles, categories, *more, strict=True)]  # fmt: skip
    attributes = {}
    if columns.categories:
        attributes["categories"] = [" | ".join(names) for names in categories]
    if columns.year:
        attributes["year"] = cells[columns.year]
    notes = sieve.finish() + unread_note(table, columns.unread)
    attributes |= {name: cells[name] for name in columns.features}
    return ItemRows(
        table.path, ids, titles, texts, attributes, notes, columns.features, _pictures(table, columns.image, sieve)
    )


def build_catalogue(rows: ItemRows, options: ReadOptions) -> tuple[Catalogue, list[int], tuple[str, ...]]:
    """Unique ids, and a title and a text for each; with the row of each, and notes on what was repaired.

    A text of more than `MAX_TEXT` characters is refused: its item stays, known by its title.

    Raises:
        DataError: there is no item, or too many repeat an id or lack a text.
    """
    if not rows.ids:
        raise DataError(rows.path, "no item in this file")
    notes = list(rows.notes)
    first = {item: row for row, item in reversed(list(enumerate(rows.ids)))}
    kept = sorted(first.values())
    if len(kept) < len(rows.ids):
        again = [item for row, item in enumerate(rows.ids) if first[item] != row]
        problem = "items left out, as an earlier one has the same id"
        notes.append(tolerate(rows.path, problem, len(again), list(dict.fromkeys(again)), len(rows.ids), options))
    texts = [text if len(text) <= MAX_TEXT else rows.titles[row][:MAX_TEXT] for row, text in enumerate(rows.texts)]
    long = [rows.ids[row] for row in kept if len(rows.texts[row]) > MAX_TEXT]
    if long:
        told = f"{counted(len(long), 'text')} of more than {MAX_TEXT} characters refused, for the title instead"
        notes.append(f"{rows.path.name}: {told} (first: {', '.join(long[:NAMED])})")
    mute = [rows.ids[row] for row in kept if not texts[row]]
    if mute:
        problem = "items without text, called by their id"
        notes.append(tolerate(rows.path, problem, len(mute), mute, len(kept), options))
    catalogue = Catalogue(
        ids=tuple(rows.ids[row] for row in kept),
        titles=tuple(rows.titles[row][:MAX_TITLE] or texts[row][:_TITLE_LENGTH] or rows.ids[row] for row in kept),
        texts=tuple(texts[row] or rows.ids[row] for row in kept),
        attributes={name: tuple(values[row] for row in kept) for name, values in rows.attributes.items()},
    )
    return catalogue, kept, tuple(notes)


def text_columns(table: Table, known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns beside the known ones that hold text, and those that do not (numbers, addresses of pictures)."""
    others = [name for name in table.columns if name not in known]
    texts = tuple(name for name in others if _is_text(table.columns[name]))
    return texts, tuple(name for name in others if name not in texts)


def split_categories(value: str) -> list[str]:
    """`a | b`, `a|b`, `a; b` or `a, b`: the first of these separators that occurs is the one meant."""
    separator = next((mark for mark in "|;," if mark in value), "|")
    return [name.strip() for name in value.split(separator) if name.strip()]


def _kept_cells(table: Table, columns: ItemColumns, lenient: bool) -> tuple[Sieve, list[str], dict[str, list[str]]]:
    sieve = Sieve(table, lenient)
    coded = sieve.ids(columns.id)
    sieve.finish()
    names = filter(None, (columns.title, columns.categories, columns.year, *columns.texts, *columns.features))
    mask = pa.array(sieve.keep)
    columns_kept = {name: table.strings(name).filter(mask).to_pylist() for name in names}
    cells = {name: [" ".join(value.split()) for value in values] for name, values in columns_kept.items()}
    return sieve, [coded.names[code] for code in coded.codes[sieve.keep]], cells


def _pictures(table: Table, name: str, sieve: Sieve) -> list[Path | bytes | None] | None:
    """Bytes as they are, and paths from the folder of the file of items."""
    if not name:
        return None
    cells = table.columns[name].filter(pa.array(sieve.keep)).to_pylist()
    return [cell if isinstance(cell, bytes) else table.path.parent / cell if cell else None for cell in cells]


def _is_text(column: Column) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    filled = pc.fill_null(column, "")
    wordy = pc.and_(pc.match_substring_regex(filled, r"\pL"), pc.invert(pc.starts_with(filled, "http")))
    told = pc.sum(pc.not_equal(filled, "")).as_py() or 0
    return bool((pc.sum(wordy).as_py() or 0) * 2 > told)


def sentences(parts: Sequence[str]) -> str:
    """Parts one behind the other, each but the last closed by a full stop unless it closes itself."""
    told = [part for part in parts if part]
    return " ".join([part if part.endswith((".", "!", "?")) else f"{part}." for part in told[:-1]] + told[-1:])
