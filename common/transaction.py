"""One transaction on an SQLite file that several processes write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def transaction(path: Path, *pragmas: str) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are there as a whole when the block ends, or not at all.

    Args:
        path: The file.
        pragmas: What is set before the transaction begins, as `synchronous = FULL`.
    """
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # a full disk ends it by itself
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
