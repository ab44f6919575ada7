"""Read a social feed: people and posts are items; following a person and reacting to a post are interactions.

Four tables, each CSV or Parquet:

    people      id, name, about, topics
    posts       id, author, text, topics
    ties        person, other, time, kind      kind: `follow`, or `friend` where the tie goes both ways
    reactions   person, post, time

A tie of friends stands in two histories, that of `person` and that of `other`; a follower's only in their own. What
that means for the unit of privacy is said in `docs/domains.md`. The catalogue is public: it names every person who can
be followed, and every post.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from sottovoce.common.domains import DOMAINS
from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.fields import read_domain_items
from sottovoce.simulations.datasets.interactions import MAX_TIME, InteractionColumns, Interactions, read_interactions
from sottovoce.simulations.datasets.items import ItemRows
from sottovoce.simulations.datasets.parquet import read_table
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Column, Sieve, Table, counted, require_columns

KINDS = ("follow", "friend")
NAMES = {
    "people": ("id", "name", "about", "topics"),
    "posts": ("id", "author", "text", "topics"),
    "ties": ("person", "other", "time", "kind"),
    "reactions": ("person", "post", "time"),
}
_SUFFIXES = (".csv", ".tsv", ".parquet")


def is_social(folder: Path) -> bool:
    """Whether a folder holds people and ties."""
    return all(_find(folder, name) is not None for name in ("people", "ties"))


def read_social(folder: Path, options: ReadOptions) -> Source:
    """People and posts as items, ties and reactions as interactions.

    Ties or reactions may be a table without a row.

    Raises:
        DataError: a row cannot be used (unless `options.lenient`), a table is missing, or nobody did anything.
    """
    people, posts = (_items(_table(folder, name, options), name, options.lenient) for name in ("people", "posts"))
    ties, reactions = (_table(folder, name, options) for name in ("ties", "reactions"))
    readers = ((ties, _ties), (reactions, _reactions))
    done = [read(table, options.lenient) for table, read in readers if len(table) or table.broken]
    if not done:
        raise DataError(ties.path, f"no tie in this file, and no reaction in {reactions.path.name}")
    return Source(folder.resolve().name, _merged(done), _both(people, posts), "social")


def person_item(person: str) -> str:
    """The id of a person as an item."""
    return f"person:{person}"


def post_item(post: str) -> str:
    """The id of a post as an item."""
    return f"post:{post}"


def _find(folder: Path, name: str) -> Path | None:
    return next((path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def _table(folder: Path, name: str, options: ReadOptions) -> Table:
    path = _find(folder, name)
    if path is None:
        raise DataError(folder / f"{name}.csv", "no such file")
    table = read_table(path, options.lenient)
    require_columns(table, NAMES[name], f"a table of {name}")
    return table


def _items(table: Table, name: str, lenient: bool) -> ItemRows:
    """People are called by their names, posts by how they begin."""
    title, text = ("name", "about") if name == "people" else ("author", "text")
    sieve = Sieve(table, lenient)
    ids = sieve.ids("id")
    notes = sieve.finish()
    make = person_item if name == "people" else post_item
    mask = pa.array(sieve.keep)
    texts = table.strings(text).filter(mask)
    titles = table.strings(title).filter(mask)
    if name == "posts":
        told = list(zip(titles.to_pylist(), texts.to_pylist(), strict=True))
        titles = _strings([f"{author}: {_beginning(said)}" for author, said in told])
        texts = _strings([_rest(said) for _, said in told])
    columns = {
        "id": _strings([make(ids.names[code]) for code in ids.codes[sieve.keep]]),
        "title": titles,
        "text": texts,
        "categories": table.strings("topics").filter(mask),
        "kind": _strings(["person" if name == "people" else "post"] * int(sieve.keep.sum())),
    }
    rows = read_domain_items(Table(table.path, columns, table.line), DOMAINS["social"], lenient)
    return ItemRows(rows.path, rows.ids, rows.titles, rows.texts, rows.attributes, notes + rows.notes)


def _both(people: ItemRows, posts: ItemRows) -> ItemRows:
    names = [name for name in ("kind", "categories") if name in people.attributes or name in posts.attributes]
    attributes = {name: [*people.attributes.get(name, [""] * len(people.ids)),
                         *posts.attributes.get(name, [""] * len(posts.ids))] for name in names}  # fmt: skip
    return ItemRows(
        people.path,
        [*people.ids, *posts.ids],
        [*people.titles, *posts.titles],
        [*people.texts, *posts.texts],
        attributes,
        people.notes + posts.notes,
    )


def _ties(table: Table, lenient: bool) -> Interactions:
    sieve = Sieve(table, lenient)
    who, other = sieve.ids("person"), sieve.ids("other")
    times = sieve.numbers("time", MAX_TIME)
    kinds = table.strings("kind").to_pylist()
    ends = [(who.names[one], other.names[two]) for one, two in zip(who.codes, other.codes, strict=True)]
    sieve.refuse(
        np.array([kind not in KINDS for kind in kinds], dtype=bool),
        lambda row: f"kind {kinds[row][:40]!r} is neither {' nor '.join(KINDS)}",
    )
    sieve.refuse(
        np.array([one == two for one, two in ends], dtype=bool), lambda row: f"{ends[row][0]!r} follows itself"
    )
    notes = sieve.finish()
    users: list[str] = []
    items: list[str] = []
    when: list[float] = []
    for row in np.flatnonzero(sieve.keep).tolist():
        one, two = ends[row]
        for person, followed in ((one, two), (two, one)) if kinds[row] == "friend" else ((one, two),):
            users.append(person)
            items.append(person_item(followed))
            when.append(float(times[row]))
    friends = sum(kinds[row] == "friend" for row in np.flatnonzero(sieve.keep))
    if friends:
        notes += (f"{table.path.name}: {counted(friends, 'tie')} of friends, each in two histories",)
    return _read(table.path, users, items, when, notes, lenient)


def _reactions(table: Table, lenient: bool) -> Interactions:
    read = read_interactions(table, InteractionColumns("person", "post", "time"), lenient)
    users = [read.users.names[code] for code in read.users.codes]
    items = [post_item(read.items.names[code]) for code in read.items.codes]
    return _read(table.path, users, items, [] if read.times is None else read.times.tolist(), read.notes, lenient)


def _read(
    path: Path, users: list[str], items: list[str], when: list[float], notes: tuple[str, ...], lenient: bool
) -> Interactions:
    columns = {
        "user": _strings(users),
        "item": _strings(items),
        "time": pa.chunked_array([pa.array(when, pa.float64())]),
    }
    read = read_interactions(
        Table(path, columns, lambda row: row + 2), InteractionColumns("user", "item", "time"), lenient
    )
    return Interactions(read.path, read.users, read.items, read.times, notes=notes + read.notes)


def _merged(parts: list[Interactions]) -> Interactions:
    """Ties and reactions as one list."""
    users = [part.users.names[code] for part in parts for code in part.users.codes]
    items = [part.items.names[code] for part in parts for code in part.items.codes]
    times = [time for part in parts if part.times is not None for time in part.times]
    notes = tuple(note for part in parts for note in part.notes)
    return _read(parts[0].path, users, items, times, notes, lenient=False)


def _strings(values: list[str]) -> Column:
    return pa.chunked_array([pa.array(values, pa.string())])


def _beginning(text: str, words: int = 8) -> str:
    told = text.split()
    return " ".join(told[:words]) + (" …" if len(told) > words else "")


def _rest(text: str, words: int = 8) -> str:
    """A post without its beginning, which is its title."""
    return " ".join(text.split()[words:])
