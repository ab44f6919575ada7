"""A private SQLite file: readable by its owner only, durable, migrated, and opened in one place.

Every connection of a device's private data comes from `Database.transaction`, so that encryption at rest (SQLCipher and
the like) would have to be put in one place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sottovoce.common.errors import DataError

WAIT_S = 30.0
"""How long a writer waits for another one."""

SMALLEST = 512
"""Bytes of the smallest page of SQLite."""

_UNREADABLE = (sqlite3.Error, OSError, UnicodeError)  # SQLite puts bytes of a damaged file into its messages


@dataclass(frozen=True)
class Database:
    """One SQLite file in WAL mode, mode 0600, whose deleted rows are overwritten with zeros.

    Attributes:
        path: The file; made when it is first needed.
        migrations: One script per version of the schema: the file is brought from its version to the last one.
    """

    path: Path
    migrations: Sequence[str]

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction that is on the disk when it ends, and leaves no trace when it fails.

        Args:
            write: Whether it waits for other writers at its beginning; who only reads waits for nobody.

        Raises:
            DataError: the file is no such database, is of a later version, or the disk is full; nothing was changed.
        """
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    self._migrate(connection)
                    yield connection
                except BaseException:
                    # A full disk ends the transaction by itself, and a second rollback would hide why.
                    if connection.in_transaction:
                        connection.rollback()
                    raise
                connection.commit()
        except _UNREADABLE as error:
            raise DataError(self.path, f"{_one_line(error)}; nothing was changed") from error

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the write-ahead log either.

        Raises:
            DataError: another process holds an old view of the file; what was deleted is gone from the next view on.
        """
        try:
            with closing(self._connect()) as connection:
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except _UNREADABLE as error:
            raise DataError(
                self.path, f"{_one_line(error)}; deleted, but the write-ahead log could not be emptied"
            ) from error
        if busy:
            raise DataError(self.path, "deleted, but another process reads the write-ahead log: ask again later")

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)
        if 0 < self.path.stat().st_size < SMALLEST:  # SQLite would take it for a new one
            raise sqlite3.DatabaseError("file is not a database")
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(self.migrations):
            raise DataError(self.path, f"of version {version}, this program reads {len(self.migrations)}: upgrade it")
        for script in self.migrations[max(version, 0) :]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        if version != len(self.migrations):
            connection.execute(f"PRAGMA user_version = {len(self.migrations)}")


def _one_line(error: Exception) -> str:
    return "not text" if isinstance(error, UnicodeError) else " ".join(str(error).split())
