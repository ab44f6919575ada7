"""Who may join: every node that was invited, by its public key, and what became of it.

A node is who signs with its key. Its name, its capacity and whether it is admitted are what stands here, never what it
says. The file outlives the SuperLink, whose own list of nodes is in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sottovoce.common.errors import ConfigError, DataError

SCHEMA = 1

_CREATE = """
CREATE TABLE IF NOT EXISTS node (
    name TEXT PRIMARY KEY, public_key TEXT NOT NULL UNIQUE, capacity INTEGER NOT NULL, invited_at REAL NOT NULL,
    expires_at REAL NOT NULL, joined_at REAL, seen_at REAL, online INTEGER NOT NULL DEFAULT 0, revoked_at REAL,
    bundle INTEGER NOT NULL DEFAULT 0
) STRICT
"""
_COLUMNS = "name, public_key, capacity, invited_at, expires_at, joined_at, seen_at, online, revoked_at, bundle"


@dataclass(frozen=True)
class Member:
    """A node as the server knows it.

    Attributes:
        name: Its public name.
        public_key: Its key, PEM.
        capacity: How many users it may hold at most.
        invited_at: When it was invited, in seconds since 1970, as all times here.
        expires_at: Until when it must have joined.
        joined_at: When it first came.
        seen_at: When it was last there.
        online: One if it is there, as far as the SuperLink knows; else zero.
        revoked_at: When it was shut out.
        bundle: The newest version of the model that it is known to hold.
    """

    name: str
    public_key: str
    capacity: int
    invited_at: float
    expires_at: float
    joined_at: float | None
    seen_at: float | None
    online: int
    revoked_at: float | None
    bundle: int

    def admitted(self, now: float) -> bool:
        """Whether it may speak to the server: invited, in time, and not revoked."""
        return self.revoked_at is None and (self.joined_at is not None or now < self.expires_at)

    def standing(self, now: float) -> str:
        """`revoked`, `expired`, `invited`, `online` or `away`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.joined_at is None:
            return "invited" if now < self.expires_at else "expired"
        return "online" if self.online else "away"


class Registry:
    """All nodes of a federation, in one SQLite file.

    Raises:
        DataError: the file is not a registry, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o600)
        try:
            with self._connect() as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if version not in (0, SCHEMA):
                    raise DataError(path, f"a registry of version {version}, this program reads {SCHEMA}")
                if version == 0:  # a full disk leaves a registry that is there readable
                    connection.execute(_CREATE)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
        except sqlite3.DatabaseError as error:
            raise DataError(path, f"not a registry of nodes ({error}); nothing was changed") from error

    def invite(self, name: str, public_key: str, capacity: int, expires_at: float) -> None:
        """Admit a new node.

        Raises:
            ConfigError: a node of that name is known; names are never used twice, since ledgers go by them.
        """
        try:
            with self._connect() as connection:
                connection.execute(
                    "INSERT INTO node (name, public_key, capacity, invited_at, expires_at) VALUES (?, ?, ?, ?, ?)",
                    (name, public_key, capacity, _now(), expires_at),
                )
        except sqlite3.IntegrityError as error:
            raise ConfigError("NAME", name, "a name that no node of this federation has or had") from error

    def revoke(self, name: str) -> None:
        """Shut a node out for good.

        Raises:
            ConfigError: there is no such node.
        """
        with self._connect() as connection:
            found = connection.execute(
                "UPDATE node SET revoked_at = COALESCE(revoked_at, ?), online = 0 WHERE name = ?", (_now(), name)
            ).rowcount
        if not found:
            raise ConfigError("NAME", name, "the name of an invited node (see `sottovoce server status`)")

    def members(self) -> list[Member]:
        """All nodes that were ever invited, by name."""
        with self._connect() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM node ORDER BY name").fetchall()  # noqa: S608
        return [Member(*row) for row in rows]

    def admitted(self) -> list[Member]:
        """The nodes that may speak to the server now."""
        now = _now()
        return [member for member in self.members() if member.admitted(now)]

    def seen(self, online: set[str]) -> None:
        """Note which nodes are there now, by name."""
        now = _now()
        with self._connect() as connection:
            connection.execute("UPDATE node SET online = 0 WHERE online = 1")
            connection.executemany(
                "UPDATE node SET online = 1, seen_at = ?, joined_at = COALESCE(joined_at, ?)"
                " WHERE name = ? AND revoked_at IS NULL",
                [(now, now, name) for name in sorted(online)],
            )

    def holds(self, name: str, version: int) -> None:
        """Note the newest bundle that a node said it holds."""
        with self._connect() as connection:
            connection.execute("UPDATE node SET bundle = ? WHERE name = ?", (version, name))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One transaction, as a whole or not at all.

        Raises:
            DataError: the disk is full, or the file may not be written, or is held by somebody else.
        """
        try:
            opened = closing(sqlite3.connect(self.path, timeout=30, isolation_level=None))
            with opened as connection, connection:  # commits at its end, rolls back where it fails
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.OperationalError as error:
            full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
            raise DataError(self.path, f"{'the disk is full' if full else error}; nothing was changed") from error


def _now() -> float:
    return datetime.now(UTC).timestamp()
