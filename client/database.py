"""A private SQLite file: readable by its owner only, durable, migrated, and opened in one place.

Every connection of a device's private data comes from `Database.transaction`, so that encryption at rest (SQLCipher and
the like) would have to be put in one place.
"""

from __future__ import annotations

import errno
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

NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"})
"""What SQLite says on a full disk: of the file, of the index beside its write-ahead log, of a quota."""

_UNREADABLE = (sqlite3.Error, OSError, UnicodeError)  # SQLite puts bytes of a damaged file into its messages


@dataclass(frozen=True)
class Database:
    """One SQLite file in WAL mode, mode 0600, whose deleted rows are overwritten with zeros.

    On a full disk it can still be read: SQLite then has no room for the index beside the write-ahead log, and keeps it
    in memory for a connection that has the file alone for the moment of a transaction.

    Attributes:
        path: The file; made when something is first written.
        migrations: One script per version of the schema: the file is brought from its version to the last one.
    """

    path: Path
    migrations: Sequence[str]

    @property
    def begun(self) -> bool:
        """Whether there is anything to read: who only looks makes no file, for which a full disk has no room."""
        return self.path.exists() and self.path.stat().st_size > 0

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction that is on the disk when it ends, and leaves no trace when it fails.

        Args:
            write: Whether it waits for other writers at its beginning; who only reads waits for nobody.

        Raises:
            DataError: the file is no such database, is of a later version, or the disk is full; nothing was changed.
        """
        try:
            with closing(self._connect() if write or self.begun else _nothing()) as connection:
                self._migrate(connection)
                with connection:  # commits at its end, rolls back where it fails
                    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                    yield connection
        except _UNREADABLE as error:
            raise DataError(self.path, f"{_told(error)}; nothing was changed") from error

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
                self.path, f"{_told(error)}; deleted, but the write-ahead log could not be emptied"
            ) from error
        if busy:
            raise DataError(self.path, "deleted, but another process reads the write-ahead log: ask again later")

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._opened(alone=False)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
        return self._opened(alone=True)

    def _opened(self, alone: bool) -> sqlite3.Connection:
        """A connection; `alone` needs no shared index beside the log, and has others wait until it is closed."""
        self.path.touch(mode=0o600)
        if 0 < self.path.stat().st_size < SMALLEST:  # SQLite would take it for a new one
            raise sqlite3.DatabaseError("file is not a database")
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        try:
            if alone:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
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
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for script in self.migrations[self._version(connection) :]:
                for statement in script.split(";\n"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self.migrations)}")

    def _version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(self.migrations):
            raise DataError(self.path, f"of version {version}, this program reads {len(self.migrations)}: upgrade it")
        return max(version, 0)


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error."""
    while error is not None:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") in NO_ROOM:
            return True
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _nothing() -> sqlite3.Connection:
    """In the place of a file that does not exist yet."""
    return sqlite3.connect(":memory:", isolation_level=None)


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


def _told(error: Exception) -> str:
    """One line."""
    if is_full(error):
        return "the disk is full"
    return "not text" if isinstance(error, UnicodeError) else " ".join(str(error).split())
