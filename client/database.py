"""A private SQLite file: readable by its owner only, durable, migrated, and opened in one place.

Every connection of a device's private data comes from `Database.transaction`, so that encryption at rest (SQLCipher and
the like) would have to be put in one place.
"""

from __future__ import annotations

import sqlite3
import time
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
                self._migrate(connection)
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
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
            _set_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """As a writer from its beginning: of two who begin to read a new file, one could not become it."""
        if self._version(connection) == len(self.migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for script in self.migrations[self._version(connection) :]:
                for statement in script.split(";\n"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self.migrations)}")
            connection.commit()
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise

    def _version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(self.migrations):
            raise DataError(self.path, f"of version {version}, this program reads {len(self.migrations)}: upgrade it")
        return max(version, 0)


def _set_wal(connection: sqlite3.Connection) -> None:
    """Needs the file alone for a moment if it is new, and SQLite does not wait for that by itself."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _one_line(error: Exception) -> str:
    return "not text" if isinstance(error, UnicodeError) else " ".join(str(error).split())
