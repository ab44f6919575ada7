"""Read UCI's Anonymous Microsoft Web Data (Breese, Heckerman, Kadie 1998): who visited which area of a web site.

One file, in which a letter says what a line is: `A,1000,1,"regwiz","/regwiz"` an area, `C,"10001",10001` a visitor,
`V,1000,1` an area that the visitor above it was in. `I`, `N` and `T` describe the file itself. Nobody noted when.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.delimited import read_bytes
from sottovoce.simulations.datasets.interactions import Interactions
from sottovoce.simulations.datasets.items import ItemRows
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Coded, counted

FILE = "anonymous-msweb.data"
AREAS, VISITORS, VISITS = range(285, 301), range(32_700, 32_721), range(98_600, 98_701)
"""How many of each the published file has: 294 areas are listed, of which 285 were visited, by 32,711 visitors."""


@dataclass
class Visits:
    """What the lines of a file say, as far as they could be read."""

    areas: dict[str, str] = field(default_factory=dict)
    visitors: list[str] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)

    def is_whole(self) -> bool:
        """Whether there is as much of everything as in the published file."""
        counts = (len(self.areas), len(set(self.visitors)), len(self.visited))
        expected = (AREAS, VISITORS, VISITS)
        return not self.broken and all(count in some for count, some in zip(counts, expected, strict=True))


def read_visits(path: Path, lenient: bool) -> Source:
    """The visits as interactions, and every visited area as an item; areas that nobody visited are counted.

    Raises:
        DataError: a line cannot be read (unless `lenient`), or there is no visit.
    """
    visits = parse_visits(path)
    if visits.broken and not lenient:
        raise DataError(path, "not a line of this format: A, C, V, I, N or T with its fields", visits.broken[0])
    if not visits.visited:
        raise DataError(path, "no visit in this file")
    met = set(visits.visited)
    areas = sorted((area for area in visits.areas if area in met), key=int)
    titles = [visits.areas[area] for area in areas]
    items = ItemRows(path, areas, titles, titles, notes=_notes(path, visits, len(visits.areas) - len(areas)))
    return Source(
        path.resolve().parent.name, Interactions(path, _coded(visits.visitors), _coded(visits.visited)), items
    )


def parse_visits(path: Path) -> Visits:
    """Read every line; a visit below a broken line belongs to nobody, and is broken too."""
    data = read_bytes(path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    visits, visitor = Visits(), ""
    for number, line in enumerate(text.splitlines(), 1):
        match _fields(line):
            case ["A", area, _, title, _] if area.isdecimal():
                visits.areas[area] = " ".join(title.split())
            case ["C", _, name] if name.isdecimal():
                visitor = name
            case ["V", area, _] if area.isdecimal() and visitor:
                visits.visitors.append(visitor)
                visits.visited.append(area)
            case [] | ["I" | "N" | "T", *_]:
                pass
            case _:
                visits.broken.append(number)
                visitor = ""
    return visits


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return ["broken"]


def _coded(values: list[str]) -> Coded:
    place = {name: code for code, name in enumerate(dict.fromkeys(values))}
    return Coded(np.array([place[value] for value in values], dtype=np.int64), list(place))


def _notes(path: Path, visits: Visits, unvisited: int) -> tuple[str, ...]:
    notes = []
    if visits.broken:
        notes.append(f"{counted(len(visits.broken), 'broken row')} skipped (the first, line {visits.broken[0]})")
    if unvisited:
        notes.append(f"{counted(unvisited, 'area')} left out that nobody visited")
    return tuple(f"{path.name}: {note}" for note in notes)
