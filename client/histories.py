"""What the people of one device did and said, in one append-only log that never leaves it.

Items are named by their ids, so that a catalogue may grow or change its order. `forget` is the one thing that deletes,
and it overwrites what it deletes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from sottovoce.client.database import Database
from sottovoce.client.fold import Fold, Kind, Row, Taste
from sottovoce.client.masking import mask_personal
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError
from sottovoce.common.history import Histories

__all__ = ["OWNER", "Event", "Fold", "HistoryStore", "Kind", "Taste"]

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
    """
CREATE INDEX event_undone ON event (undoes) WHERE undoes IS NOT NULL;
CREATE TABLE forgetting (token INTEGER NOT NULL) STRICT;
INSERT INTO forgetting VALUES (random())
""",
)
_EXPORTED = ("user", "kind", "item", "at", "rating", "words", "undoes")
MOST_NEW = 1_000
"""Rows that are folded in subject by subject; where more have come, the log is read as a whole."""

_STANDS = "kind <> 'undo' AND id NOT IN (SELECT undoes FROM event WHERE undoes IS NOT NULL)"
"""What was recorded and not undone."""

_USERS = """
WITH RECURSIVE one (user) AS (
    SELECT MIN(user) FROM event UNION ALL
    SELECT (SELECT MIN(user) FROM event WHERE user > one.user) FROM one WHERE one.user IS NOT NULL
) SELECT user FROM one WHERE user IS NOT NULL
"""
"""Everybody, from one name to the next: `DISTINCT` would look at every event."""

_CHANGED = """
SELECT item FROM event WHERE id > ?2 AND +user = ?1 AND kind <> 'undo' UNION
SELECT item FROM event WHERE id IN (SELECT undoes FROM event WHERE id > ?2 AND +user = ?1)
"""
"""Of what something was said, or taken back, after a row: `+` has them found by their ids."""


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
        item: The item's id; a category for `hide_category`. An `undo` takes back what was said last of it; without one,
            the last event of all.
        at: Seconds since 1970; a date in ISO 8601 is read too.
        kind: What it says.
        rating: What the person gave, where they gave one.
        words: What the person wrote, where they wrote something; kept with mail addresses, numbers and names masked.
        undoes: For an `undo`: when what it takes back took place, where the last event of the item is not meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Name = OWNER
    item: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    at: Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False), BeforeValidator(_seconds)]
    kind: Kind = Kind.INTERACTION
    rating: Annotated[float, Field(allow_inf_nan=False)] | None = None
    words: Annotated[str, StringConstraints(max_length=10_000)] = ""
    undoes: Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False), BeforeValidator(_seconds)] | None = None

    @model_validator(mode="after")
    def _named(self) -> Event:
        if not self.item and (self.kind is not Kind.UNDO or self.undoes is not None):
            raise ValueError("an event names an item")
        if self.undoes is not None and self.kind is not Kind.UNDO:
            raise ValueError("only an undo takes something back")
        return self


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
    ) -> int:  # fmt: skip
        """Append one event; now, if no time is given. `hide_category` takes a category for `item`.

        Returns:
            By which number `undo` knows it, until something is forgotten.

        Raises:
            ConfigError: a value is outside its range, or the user is one more than the device may hold.
        """
        moment = time.time() if at is None else at
        try:
            event = Event(user=user, item=item, at=moment, kind=Kind(kind), rating=rating, words=words)
        except ValueError as error:
            raise ConfigError("event", str(kind)[:40], "a known kind, an item, finite numbers, plain text") from error
        known = "SELECT id FROM event WHERE user = ? AND item = ? AND at = ? AND kind = ?"
        masked = [_masked(event)]
        with self._database.transaction() as connection:
            self._append(connection, masked)
            row = connection.execute(known, (event.user, event.item, event.at, event.kind.value)).fetchone()
        return int(row[0])

    def add(self, events: Iterable[Event]) -> int:
        """Append many events, all or none; how many are new: what is there already counts once.

        Raises:
            ConfigError: there would be more users than the device may hold.
        """
        masked = [_masked(event) for event in events]  # takes a while, so before others have to wait
        with self._database.transaction() as connection:
            return self._append(connection, masked)

    def undo(self, user: str = OWNER, number: int | None = None, interactions: bool = True) -> Event | None:
        """Take back one event of the user's that stands; which one it was, or nothing if there is none.

        Args:
            user: Whose.
            number: Which one, as `record` numbered it; without it, the last.
            interactions: Whether the last may be an interaction: something done, where all others are said.
        """
        undo = Event(user=user, at=time.time(), kind=Kind.UNDO)
        with self._database.transaction() as connection:
            return _undo(
                connection, undo, "id = COALESCE(?, id) AND (? OR kind <> 'interaction')", number, interactions
            )

    def _append(self, connection: sqlite3.Connection, events: Iterable[Event]) -> int:
        before = connection.total_changes
        for event in events:
            if event.kind is Kind.UNDO:
                _take_back(connection, event)
            else:
                connection.execute(
                    "INSERT OR IGNORE INTO event (user, kind, item, at, rating, words) VALUES (?, ?, ?, ?, ?, ?)",
                    (event.user, event.kind.value, event.item, event.at, event.rating, event.words),
                )
        if self.capacity is not None and (users := len(connection.execute(_USERS).fetchall())) > self.capacity:
            raise ConfigError("users", users, f"at most {self.capacity}, as this node's invitation says")
        return connection.total_changes - before

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
            connection.execute("UPDATE forgetting SET token = random()")  # ids may be given again
        self._database.scrub()
        return gone

    def page(self, user: str, offset: int, limit: int) -> tuple[int, list[Event]]:
        """How many events of one user stand, and `limit` of them from `offset` on, the last recorded first."""
        standing = f"SELECT user, kind, item, at, rating, words FROM event WHERE {_STANDS} AND user = ?"  # noqa: S608
        with self._database.transaction(write=False) as connection:
            total = int(connection.execute(f"SELECT COUNT(*) FROM ({standing})", (user,)).fetchone()[0])  # noqa: S608
            rows = connection.execute(f"{standing} ORDER BY id DESC LIMIT ? OFFSET ?", (user, limit, offset)).fetchall()
        names = ("user", "kind", "item", "at", "rating", "words")
        return total, [Event(**dict(zip(names, row, strict=True))) for row in rows]

    def users(self) -> list[str]:
        """Everybody with an event, by name."""
        with self._database.transaction(write=False) as connection:
            return [str(row[0]) for row in connection.execute(_USERS)]

    def taste(self, user: str = OWNER) -> Taste:
        """Where one person stands now."""
        return self.read(user).taste()

    def read(self, user: str = OWNER, known: Fold | None = None) -> Fold:
        """The log of one person, folded.

        Args:
            user: Whose.
            known: An earlier reading of theirs, which is carried on where nothing but a few new rows came since;
                whatever came, the outcome is that of reading the whole log.
        """
        with self._database.transaction(write=False) as connection:
            (token,) = connection.execute("SELECT token FROM forgetting").fetchone()
            last = connection.execute("SELECT COALESCE(MAX(id), 0) FROM event").fetchone()[0]
            if known is None or known.token != token or not 0 <= last - known.last <= MOST_NEW:
                return Fold(token, last).take(row for _, row in _rows(connection, user))
            subjects = [str(row[0]) for row in connection.execute(_CHANGED, (user, known.last))]
            told = [(subject, [row for _, row in _rows(connection, user, subject)]) for subject in subjects]
        for subject, rows in told:
            known.retell(subject, rows)
        known.last = last
        return known

    def export(self, user: str | None = None) -> Iterator[str]:
        """Everything that is kept, of one user or of everybody, as JSON lines that `import` reads again."""
        query = (
            "SELECT event.user, event.kind, COALESCE(undone.item, event.item), event.at, event.rating, event.words,"
            " undone.at FROM event LEFT JOIN event AS undone ON undone.id = event.undoes"
            " WHERE ?1 IS NULL OR event.user = ?1 ORDER BY event.id"
        )
        with self._database.transaction(write=False) as connection:
            rows = connection.execute(query, (user,)).fetchall()
        for row in rows:
            yield json.dumps(
                {key: value for key, value in zip(_EXPORTED, row, strict=True) if value not in (None, "")},
                ensure_ascii=False,
            )

    def histories(self, catalogue: Catalogue) -> Histories:
        """What training sees: everybody's history as positions in a catalogue, items that it lacks left out."""
        users, items, said = [], [], []
        position = catalogue.position
        with self._database.transaction(write=False) as connection:
            for user, rows in groupby(_rows(connection, None), key=itemgetter(0)):  # one user at a time in memory
                taste = Fold().take(row for _, row in rows).taste()
                kept = [place for place, item in enumerate(taste.history) if item in position]
                users.append(user)
                items.append(np.array([position[taste.history[place]] for place in kept], dtype=np.int64))
                said += [taste.words[place] for place in kept]
        histories = Histories.from_lists(users, items)
        return replace(histories, words=np.array(said, dtype=np.str_)) if any(said) else histories


def _rows(connection: sqlite3.Connection, user: str | None, subject: str | None = None) -> Iterator[tuple[str, Row]]:
    """What stands, user by user, in the order of time: of everybody or one person, and of all subjects or one.

    The `+` keeps SQLite from reading a person's whole log in the order of time to find one subject.
    """
    chosen = {"user = ?": user, "item = ?": subject}
    given = {column: value for column, value in chosen.items() if value is not None}
    where = " AND ".join((_STANDS, *given))
    query = f"SELECT user, id, kind, item, at, words FROM event WHERE {where} ORDER BY user, +at, id"  # noqa: S608
    for name, number, kind, item, at, words in connection.execute(query, tuple(given.values())):
        yield str(name), Row(int(number), str(kind), str(item), float(at), str(words))


def _masked(event: Event) -> Event:
    return event.model_copy(update={"words": mask_personal(event.words)}) if event.words else event


def _take_back(connection: sqlite3.Connection, undo: Event) -> None:
    """An undo that was told, unless it is known."""
    known = "SELECT 1 FROM event WHERE user = ? AND at = ? AND kind = 'undo'"
    if connection.execute(known, (undo.user, undo.at)).fetchone() is not None:
        return
    if undo.item:
        _undo(connection, undo, "item = ? AND at = COALESCE(?, at)", undo.item, undo.undoes)
    else:
        _undo(connection, undo)


def _undo(connection: sqlite3.Connection, undo: Event, which: str = "TRUE", *given: object) -> Event | None:
    """The last event of those that are meant; the order of recording decides, not the clock: it may be set back."""
    row = connection.execute(
        f"SELECT id, kind, item, at, rating, words FROM event WHERE +user = ? AND {_STANDS} AND {which}"  # noqa: S608
        " ORDER BY id DESC LIMIT 1",
        (undo.user, *given),
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "INSERT INTO event (user, kind, item, at, words, undoes) VALUES (?, 'undo', '', ?, '', ?)",
        (undo.user, undo.at, row[0]),
    )
    _, kind, item, at, rating, words = row
    return Event(user=undo.user, kind=Kind(kind), item=item, at=at, rating=rating, words=words)
