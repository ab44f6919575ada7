"""What the people of one device did and said, in one append-only log that never leaves it.

Items are named by their ids, so that a catalogue may grow or change its order. `forget` is the one thing that deletes,
and it overwrites what it deletes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from sottovoce.client.database import Database
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError
from sottovoce.common.history import Histories

OWNER = "owner"
"""The user of a device that has only one."""

_MIGRATIONS = (
    """
CREATE TABLE event (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, kind TEXT NOT NULL, item TEXT NOT NULL, at REAL NOT NULL, rating REAL,
    words TEXT NOT NULL, undoes INTEGER
) STRICT;
CREATE INDEX event_user ON event (user, at);
CREATE UNIQUE INDEX event_once ON event (user, item, at, kind) WHERE kind <> 'undo'
""",
)

_STANDING = (
    "SELECT user, kind, item, at, rating, words FROM event WHERE kind <> 'undo'"
    " AND id NOT IN (SELECT undoes FROM event WHERE undoes IS NOT NULL)"
)
"""What was recorded and not undone."""


class Kind(StrEnum):
    """What an event says of an item; `hide_category` names a category instead."""

    INTERACTION = "interaction"
    LIKE = "like"
    DISLIKE = "dislike"
    NOT_NOW = "not_now"
    HIDE_CATEGORY = "hide_category"
    UNDO = "undo"


Name = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


def _seconds(value: object) -> object:
    """Seconds since 1970 of a date in ISO 8601, taken as UTC where it names no zone; anything else as it is."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=UTC).timestamp()


class Event(BaseModel):
    """One line of the log.

    Attributes:
        user: Whose.
        item: The item's id; a category for `hide_category`; empty for `undo`.
        at: Seconds since 1970; a date in ISO 8601 is read too.
        kind: What it says.
        rating: What the person gave, where they gave one.
        words: What the person wrote, where they wrote something.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Name = OWNER
    item: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    at: Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False), BeforeValidator(_seconds)]
    kind: Kind = Kind.INTERACTION
    rating: Annotated[float, Field(allow_inf_nan=False)] | None = None
    words: Annotated[str, StringConstraints(max_length=10_000)] = ""

    @model_validator(mode="after")
    def _named(self) -> Event:
        if bool(self.item) == (self.kind is Kind.UNDO):
            raise ValueError("an event names an item, and an undo names none")
        return self


@dataclass(frozen=True)
class Taste:
    """Where one person stands now, all undone events left out.

    Attributes:
        history: Ids of the items that the person met or liked and does not dislike, oldest first; each one once.
        words: What the person wrote about each of them.
        liked: Items whose last word is `like`.
        disliked: Items whose last word is `dislike`.
        not_now: Items that are not wanted for now, and since when.
        hidden_categories: Categories that are not to be shown.
    """

    history: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    liked: frozenset[str] = frozenset()
    disliked: frozenset[str] = frozenset()
    not_now: Mapping[str, float] = field(default_factory=dict)
    hidden_categories: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HistoryStore:
    """The log of one device, in one SQLite file.

    Attributes:
        path: The file.
        capacity: How many users it may hold: the server re-clips to that many users' share.

    Raises:
        DataError: of every method: the file cannot be used, or the disk is full; nothing was changed.
    """

    path: Path
    capacity: int | None = None

    @property
    def _database(self) -> Database:
        return Database(self.path, _MIGRATIONS)

    def record(
        self, user: str, item: str, at: float | None = None, kind: Kind | str = Kind.INTERACTION,
        rating: float | None = None, words: str = "",
    ) -> None:  # fmt: skip
        """Append one event; now, if no time is given. `hide_category` takes a category for `item`.

        Raises:
            ConfigError: a value is outside its range, or the user is one more than the device may hold.
        """
        moment = time.time() if at is None else at
        try:
            event = Event(user=user, item=item, at=moment, kind=Kind(kind), rating=rating, words=words)
        except ValueError as error:
            raise ConfigError("event", str(kind)[:40], "a known kind, an item, finite numbers, plain text") from error
        self.add([event])

    def add(self, events: Iterable[Event]) -> int:
        """Append many events, all or none; how many are new: what is there already counts once.

        Raises:
            ConfigError: there would be more users than the device may hold.
        """
        with self._database.transaction() as connection:
            before = connection.total_changes
            for event in events:
                if event.kind is Kind.UNDO:
                    known = "SELECT 1 FROM event WHERE user = ? AND at = ? AND kind = 'undo'"
                    if connection.execute(known, (event.user, event.at)).fetchone() is None:
                        _undo(connection, event)
                else:
                    connection.execute(
                        "INSERT OR IGNORE INTO event (user, kind, item, at, rating, words) VALUES (?, ?, ?, ?, ?, ?)",
                        (event.user, event.kind.value, event.item, event.at, event.rating, event.words),
                    )
            users = int(connection.execute("SELECT COUNT(DISTINCT user) FROM event").fetchone()[0])
            if self.capacity is not None and users > self.capacity:
                raise ConfigError("users", users, f"at most {self.capacity}, as this node's invitation says")
            return connection.total_changes - before

    def undo(self, user: str = OWNER) -> Event | None:
        """Take back the user's last event that stands; which one it was, or nothing if there is none."""
        with self._database.transaction() as connection:
            return _undo(connection, Event(user=user, at=time.time(), kind=Kind.UNDO))

    def forget(self, user: str | None, item: str | None = None) -> int:
        """Delete what was recorded, overwritten with zeros; how many events.

        Args:
            user: Whose; of everybody, if `None`.
            item: Only what names this item (or category); everything, if `None`.
        """
        with self._database.transaction() as connection:
            chosen = "(?1 IS NULL OR user = ?1) AND (?2 IS NULL OR item = ?2)"
            undone = f"DELETE FROM event WHERE undoes IN (SELECT id FROM event WHERE {chosen})"  # noqa: S608
            gone = connection.execute(undone, (user, item)).rowcount
            gone += connection.execute(f"DELETE FROM event WHERE {chosen}", (user, item)).rowcount  # noqa: S608
        self._database.scrub()
        return gone

    def page(self, user: str, offset: int, limit: int) -> tuple[int, list[Event]]:
        """How many events of one user stand, and `limit` of them from `offset` on, the last recorded first."""
        standing = f"{_STANDING} AND user = ?"
        with self._database.transaction(write=False) as connection:
            total = int(connection.execute(f"SELECT COUNT(*) FROM ({standing})", (user,)).fetchone()[0])  # noqa: S608
            rows = connection.execute(f"{standing} ORDER BY id DESC LIMIT ? OFFSET ?", (user, limit, offset)).fetchall()
        names = ("user", "kind", "item", "at", "rating", "words")
        return total, [Event(**dict(zip(names, row, strict=True))) for row in rows]

    def users(self) -> list[str]:
        """Everybody with an event, by name."""
        with self._database.transaction(write=False) as connection:
            return [str(row[0]) for row in connection.execute("SELECT DISTINCT user FROM event ORDER BY user")]

    def taste(self, user: str = OWNER) -> Taste:
        """Where one person stands now."""
        with self._database.transaction(write=False) as connection:
            return _taste(_events(connection, user))

    def export(self, user: str | None = None) -> Iterator[str]:
        """Everything that is kept, of one user or of everybody, as JSON lines that `import` reads again."""
        query = "SELECT user, kind, item, at, rating, words FROM event WHERE ?1 IS NULL OR user = ?1 ORDER BY id"
        with self._database.transaction(write=False) as connection:
            rows = connection.execute(query, (user,)).fetchall()
        for row in rows:
            yield json.dumps(
                {key: value for key, value in zip(("user", "kind", "item", "at", "rating", "words"), row, strict=True)
                 if value not in (None, "")}, ensure_ascii=False,
            )  # fmt: skip

    def histories(self, catalogue: Catalogue) -> Histories:
        """What training sees: everybody's history as positions in a catalogue, items that it lacks left out."""
        users, items, said = [], [], []
        position = catalogue.position
        with self._database.transaction(write=False) as connection:
            for user, rows in groupby(_events(connection, None), key=itemgetter(0)):  # one user at a time in memory
                taste = _taste(rows)
                kept = [place for place, item in enumerate(taste.history) if item in position]
                users.append(user)
                items.append(np.array([position[taste.history[place]] for place in kept], dtype=np.int64))
                said += [taste.words[place] for place in kept]
        histories = Histories.from_lists(users, items)
        return replace(histories, words=np.array(said, dtype=np.str_)) if any(said) else histories


_Row = tuple[str, str, str, float, str]


def _events(connection: sqlite3.Connection, user: str | None) -> Iterator[_Row]:
    """User, kind, item, time and words of what stands, user by user, in the order of time."""
    query = f"{_STANDING} AND (?1 IS NULL OR user = ?1) ORDER BY user, at, id"
    for name, kind, item, at, _, words in connection.execute(query, (user,)):
        yield str(name), str(kind), str(item), float(at), str(words)


def _undo(connection: sqlite3.Connection, undo: Event) -> Event | None:
    """The order of recording decides, not the clock: it may have been set back."""
    row = connection.execute(
        "SELECT id, kind, item, at, rating, words FROM event WHERE user = ? AND kind <> 'undo'"
        " AND id NOT IN (SELECT undoes FROM event WHERE undoes IS NOT NULL) ORDER BY id DESC LIMIT 1",
        (undo.user,),
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "INSERT INTO event (user, kind, item, at, words, undoes) VALUES (?, 'undo', '', ?, '', ?)",
        (undo.user, undo.at, row[0]),
    )
    _, kind, item, at, rating, words = row
    return Event(user=undo.user, kind=Kind(kind), item=item, at=at, rating=rating, words=words)


def _taste(events: Iterable[_Row]) -> Taste:
    """Of what was said of one item, the last counts."""
    met: dict[str, str] = {}
    opinion: dict[str, str] = {}
    not_now: dict[str, float] = {}
    hidden: set[str] = set()
    for _, kind, item, at, words in events:
        if kind == Kind.HIDE_CATEGORY:
            hidden.add(item)
        elif kind == Kind.NOT_NOW:
            not_now[item] = at
        else:
            not_now.pop(item, None)
            opinion[item] = kind
            earlier = met.pop(item, "")
            if kind != Kind.DISLIKE:
                met[item] = words or earlier
    return Taste(
        history=tuple(met),
        words=tuple(met.values()),
        liked=frozenset(item for item, kind in opinion.items() if kind == Kind.LIKE),
        disliked=frozenset(item for item, kind in opinion.items() if kind == Kind.DISLIKE),
        not_now=not_now,
        hidden_categories=frozenset(hidden),
    )
