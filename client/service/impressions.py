"""What the person was shown: a log on this device alone, so that they can see it, and delete it.

It is written behind the answers: at most `FLUSH_S` seconds of it are lost in a crash, and nothing else waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sottovoce.client.database import Database
from sottovoce.common.errors import DataError

FLUSH_S = 2.0
KEPT = 100_000
"""The newest this many are kept."""

_MIGRATIONS = (
    """
CREATE TABLE impression (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, item TEXT NOT NULL, at REAL NOT NULL, place INTEGER NOT NULL,
    basis TEXT NOT NULL
) STRICT;
CREATE INDEX impression_item ON impression (user, item)
""",
)

_Row = tuple[str, str, float, int, str]


class Impressions:
    """The log of one device.

    Args:
        path: An SQLite file, for its owner's eyes only.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)
        self._waiting: list[_Row] = []
        self._lock = threading.Lock()  # of what waits: never held while SQLite is
        self._writing = threading.Lock()  # of the file: what is being written is not forgotten meanwhile
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._write_behind, name="impressions", daemon=True)
        self._writer.start()

    def shown(self, user: str, items: Sequence[str], basis: str) -> None:
        """Note a list."""
        now = time.time()
        with self._lock:
            self._waiting += [(user, item, now, place, basis) for place, item in enumerate(items, start=1)]
            del self._waiting[:-KEPT]

    def count(self, user: str) -> int:
        """How often something was shown."""
        with self._writing:
            with self._lock:
                waiting = sum(row[0] == user for row in self._waiting)
            with self._database.transaction(write=False) as connection:
                query = "SELECT COUNT(*) FROM impression WHERE user = ?"
                return waiting + int(connection.execute(query, (user,)).fetchone()[0])

    def forget(self, user: str, item: str | None = None) -> None:
        """Delete what was noted of one item, or everything."""
        with self._writing:
            with self._lock:
                self._waiting = [
                    row for row in self._waiting if row[0] != user or (item is not None and row[1] != item)
                ]
            _forget(self._database, user, item)

    def flush(self) -> None:
        """Write what waits, while lists go on; what cannot be written waits on."""
        with self._writing:
            with self._lock:
                rows, self._waiting = self._waiting, []
            try:
                self._write(rows)
            except BaseException:
                with self._lock:
                    self._waiting = (rows + self._waiting)[-KEPT:]
                raise

    def close(self) -> None:
        """Write what waits, and end."""
        self._ending.set()
        self._writer.join(timeout=10)

    def _write(self, rows: list[_Row]) -> None:
        if not rows:
            return
        with self._database.transaction() as connection:
            insert = "INSERT INTO impression (user, item, at, place, basis) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(insert, rows)
            connection.execute("DELETE FROM impression WHERE id <= (SELECT MAX(id) FROM impression) - ?", (KEPT,))

    def _write_behind(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(FLUSH_S)
            try:
                self.flush()
            except DataError as error:
                logging.getLogger(__name__).warning("what was shown could not be noted: %s", error)


def forget_impressions(path: Path, user: str | None, item: str | None) -> None:
    """Delete from the log at `path` what was shown to one person (or everybody), of one item or at all.

    Raises:
        DataError: it could not be deleted.
    """
    _forget(Database(path, _MIGRATIONS), user, item)


def _forget(database: Database, user: str | None, item: str | None) -> None:
    if not database.begun:
        return
    query = "DELETE FROM impression WHERE (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR item = ?2)"
    with database.transaction() as connection:
        connection.execute(query, (user, item))
    database.scrub()
