"""Read courses and who took them: `course.json` and `user.json` as JSON Lines, in the manner of MOOCCube.

    {"id": "C_1", "name": "Linear algebra", "about": "…", "prerequisites": "…", "school": "…", "field": ["Mathematics"]}
    {"id": "U_1", "course_order": ["C_1", "C_7"], "enroll_time": ["2018-09-01 08:00:00", "2019-02-11 10:30:00"]}

A person's history is their `course_order`, by `enroll_time` where that is there. Every field of a course but `id` and
`name` may be missing. The files may lie in the folder itself or in its `entities/` (Yu et al. 2020), and be gzipped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from sottovoce.common.domains import DOMAINS
from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.fields import read_domain_items
from sottovoce.simulations.datasets.interactions import InteractionColumns, Interactions, read_interactions
from sottovoce.simulations.datasets.jsonl import read_json_lines
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Sieve, Table

COURSES = {
    "id": ("id",),
    "title": ("name", "title"),
    "categories": ("field", "fields", "categories"),
    "about": ("about", "description"),
    "prerequisites": ("prerequisites",),
    "school": ("school", "university"),
}
PEOPLE = {"user": ("id",), "items": ("course_order", "courses"), "times": ("enroll_time", "times")}
FEATURES = {"school": "categorical"}
_FILES = ("course.json", "user.json")


def find_courses(folder: Path) -> tuple[Path, Path] | None:
    """The courses and the people of a folder, if it holds them."""
    for place in (folder, folder / "entities"):
        for ending in ("", ".gz"):
            courses, people = (place / f"{name}{ending}" for name in _FILES)
            if courses.is_file():
                return courses, people
    return None


def read_courses(folder: Path, courses: Path, people: Path, options: ReadOptions) -> Source:
    """Courses as items, enrolments as interactions.

    Raises:
        DataError: a line cannot be used (unless `options.lenient`), or a file is missing.
    """
    interactions = _enrolments(read_json_lines(people, PEOPLE, options.lenient), options.lenient)
    table = read_json_lines(courses, COURSES, options.lenient)
    items = read_domain_items(table, DOMAINS["courses"], options.lenient, features=FEATURES)
    return Source(folder.resolve().name, interactions, items, "courses")


def _enrolments(table: Table, lenient: bool) -> Interactions:
    """One row per person and course, in the order of the list where nobody noted when."""
    sieve = Sieve(table, lenient)
    users = sieve.ids("user")
    taken = [_several(value) for value in table.strings("items").to_pylist()]
    times = [[_seconds(one) for one in _several(value)] for value in table.strings("times").to_pylist()]
    sieve.refuse(
        np.array([bool(when) and len(when) != len(what) for what, when in zip(taken, times, strict=True)], dtype=bool),
        lambda row: f"{len(taken[row])} courses and {len(times[row])} times",
    )
    sieve.refuse(
        np.array([None in when for when in times], dtype=bool),
        lambda row: f"a time of {users.names[users.codes[row]]} is not like 2019-02-11 10:30:00",
    )
    notes = sieve.finish()
    idle = sum(not taken[row] for row in np.flatnonzero(sieve.keep))
    if idle:
        notes += (f"{table.path.name}: {idle} {'person' if idle == 1 else 'people'} left out, without a course",)
    who: list[str] = []
    what: list[str] = []
    when: list[float] = []
    lines: list[int] = []
    for row in np.flatnonzero(sieve.keep).tolist():
        known: list[float | None] = times[row] or list(map(float, range(len(taken[row]))))
        who += [users.names[users.codes[row]]] * len(taken[row])
        what += taken[row]
        when += [time or 0.0 for time in known]
        lines += [table.line(row)] * len(taken[row])
    if not who:
        raise DataError(table.path, "no enrolment in this file" + (f"; {notes[0]}" if notes else ""))
    columns = {
        "user": pa.chunked_array([pa.array(who, pa.string())]),
        "course": pa.chunked_array([pa.array(what, pa.string())]),
        "time": pa.chunked_array([pa.array(when, pa.float64())]),
    }
    read = read_interactions(
        Table(table.path, columns, lines.__getitem__), InteractionColumns("user", "course", "time"), lenient
    )
    return Interactions(read.path, read.users, read.items, read.times, notes=notes + read.notes)


def _several(value: str) -> list[str]:
    return [one.strip() for one in value.split(" | ") if one.strip()]


def _seconds(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if seconds >= 0 else None
