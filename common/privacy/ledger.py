"""The ledger: every release, written down before it is made.

The guarantee: after any crash the ledger shows at least what was released, because the row of a release is committed to
disk before anything is computed for it. What was released is kept with it, so that a retry or a resumed run gets the
same bytes again and spends nothing more. What is not yet noised is never written here: only its size and its hash, and
the hash no longer than what it was made of.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sottovoce.common.errors import BudgetSpentError, ConfigError, LedgerError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon

SCHEMA = 1

_CREATE = """
CREATE TABLE IF NOT EXISTS release (
    id TEXT PRIMARY KEY, population TEXT NOT NULL, run TEXT NOT NULL, round INTEGER NOT NULL, name TEXT NOT NULL,
    maker TEXT NOT NULL, request_sha256 TEXT NOT NULL, noise_multiplier REAL NOT NULL, sampling_rate REAL NOT NULL,
    noise TEXT NOT NULL, opened_at TEXT NOT NULL DEFAULT (datetime('now')), payload BLOB, payload_sha256 TEXT,
    payload_bytes INTEGER, sent_at TEXT
) STRICT
"""

_MAY_PASS = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    }
)
"""A lock, a full disk, a file that may not be written: not the ledger's fault. Whatever else SQLite says is damage."""

_FORGOTTEN = ""
"""In the place of the hash of an exact sum: it was made of what its people have forgotten since."""

SERVER = "server"
"""The maker of a release that is noised by the server, and so touches the users of every node."""


@dataclass(frozen=True)
class Release:
    """Names one release: asked again for the same one, its maker gives the same bytes again."""

    population: str
    run: str
    round: int
    name: str
    maker: str

    @property
    def id(self) -> str:
        """The release as one string."""
        return "/".join((self.population, self.run, str(self.round), self.name, self.maker))

    @property
    def stream(self) -> str:
        """Names the release's seeded random stream: the same in every run of a seed."""
        return "/".join((str(self.round), self.name, self.maker))


@dataclass(frozen=True)
class Sent:
    """One release that was handed on: what an owner may know of it.

    Attributes:
        at: When, in UTC.
        release: Its id.
        bytes: Its size.
        sha256: Of its content; empty for an exact sum made before something was forgotten.
        noise_multiplier: Of its noise.
    """

    at: str
    release: str
    bytes: int
    sha256: str
    noise_multiplier: float


class Ledger:
    """All releases of a population, in one SQLite file.

    Args:
        path: The file; made if it is missing, readable by its owner only.
        one_node: Whether every release touches the same people, whoever made it, as on a device that has had several
            names: then all of them compose one after the other.
        must_exist: Whether there has to be a ledger already: one that was lost must not begin again at nothing.

    Raises:
        LedgerError: the file is not a ledger, is of another version, or is missing and has to be there.
    """

    def __init__(self, path: Path, one_node: bool = False, must_exist: bool = False) -> None:
        self.path = path
        self._one_node = one_node
        if must_exist and not (path.is_file() and path.stat().st_size):
            raise LedgerError(f"{path}: the ledger is gone; restore it from a backup, it is never begun anew")
        path.touch(mode=0o600)
        if 0 < path.stat().st_size < 512:  # less than a page of SQLite, which would begin a new ledger over it
            raise LedgerError(f"{path}: not a ledger that can be read (cut off); restore it from a backup")
        try:
            with self._connect() as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if version not in (0, SCHEMA):
                    raise LedgerError(f"{path}: ledger of version {version}, this program reads {SCHEMA}")
                if version == 0:  # a full disk leaves a ledger that is there readable
                    connection.execute(_CREATE)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"{path}: not a ledger that can be read ({error}); nothing was changed") from error

    def open(
        self, release: Release, event: ReleaseEvent, request_sha256: str, noise: str, cap: float, delta: float
    ) -> bytes | None:
        """Charge for one release before it is made; the bytes of it if it was made before.

        Args:
            release: Which one.
            event: What one such release costs; its `count` is taken as one.
            request_sha256: Hash of the plan and the model that it is asked with.
            noise: `os` or `seeded`.
            cap: The ε that all releases together may not pass.
            delta: The δ at which ε is computed.

        Raises:
            BudgetSpentError: this release would pass `cap`; nothing is written.
            LedgerError: the same release was opened with another plan or model, or before something was forgotten, or
                its bytes are damaged.
        """
        with self._connect() as connection:
            row = connection.execute(
                "SELECT request_sha256, payload, payload_sha256 FROM release WHERE id = ?", (release.id,)
            ).fetchone()
            if row is not None:
                if row[0] != request_sha256:
                    raise LedgerError(f"release {release.id} was opened for another plan or model: refused")
                if row[2] == _FORGOTTEN:
                    raise LedgerError(f"release {release.id} was opened before something was forgotten: refused")
                return None if row[1] is None else self._whole(release, bytes(row[1]), row[2])
            spent = self._epsilon(connection, delta, also=(release.maker, event))
            if not spent <= cap:
                raise BudgetSpentError(
                    f"release {release.id} would bring ε to {spent:.4g}, above the cap of {cap:.4g}: not made"
                )
            connection.execute(
                "INSERT INTO release (id, population, run, round, name, maker, request_sha256, noise_multiplier,"
                " sampling_rate, noise) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(release.id, release.population, release.run, release.round, release.name, release.maker),
                    *(request_sha256, event.noise_multiplier, event.sampling_rate, noise),
                ),
            )
        return None

    def persist(self, release: Release, payload: bytes) -> None:
        """Keep the noised bytes of a release, before they are used or sent.

        Raises:
            LedgerError: it was never opened, or holds other bytes already.
        """
        self._write(release, payload, payload)

    def record_sent(self, release: Release, payload: bytes) -> None:
        """Keep the size and the hash, not the content, of an exact sum that is about to leave."""
        self._write(release, None, payload)

    def forget_sums(self) -> None:
        """Forget the hashes of exact sums, which could confirm a guess of what they were made of.

        None of these releases is made again, nor is one that was opened and not made yet: what was forgotten must be
        neither in a later sum nor the difference between two.
        """
        with self._connect() as connection:
            connection.execute(
                "UPDATE release SET payload_sha256 = ? WHERE maker = ? AND payload IS NULL", (_FORGOTTEN, SERVER)
            )

    def events(self) -> dict[str, list[ReleaseEvent]]:
        """What was released, by maker."""
        with self._connect() as connection:
            return self._events(connection)

    def epsilon(self, delta: float) -> float:
        """What was spent: by the server's releases, plus the most that any one node's releases add.

        Nodes hold disjoint sets of users, so that their releases compose in parallel; not so on a device, where the
        people are the same whatever its name.
        """
        with self._connect() as connection:
            return self._epsilon(connection, delta)

    def sent(self) -> list[Sent]:
        """What was handed on, oldest first; what was charged for and never made is not among it."""
        query = (
            "SELECT sent_at, id, payload_bytes, payload_sha256, noise_multiplier FROM release"
            " WHERE sent_at IS NOT NULL ORDER BY sent_at, rowid"
        )
        with self._connect() as connection:
            return [Sent(*row) for row in connection.execute(query)]

    def worst_events(self, delta: float) -> list[ReleaseEvent]:
        """The releases that touch the user who is charged most: ε follows from them and δ alone."""
        return max(self._by_people(self.events()), key=lambda all_: epsilon(all_, delta))

    def count(self, run: str, name: str) -> int:
        """How many releases called `name` were opened in `run` (by any one maker)."""
        query = "SELECT COUNT(DISTINCT round) FROM release WHERE run = ? AND name = ?"
        with self._connect() as connection:
            return int(connection.execute(query, (run, name)).fetchone()[0])

    def _whole(self, release: Release, payload: bytes, digest: str) -> bytes:
        if hashlib.sha256(payload).hexdigest() != digest:
            raise LedgerError(f"{self.path}: the bytes of release {release.id} are not those that were written")
        return payload

    def _write(self, release: Release, kept: bytes | None, payload: bytes) -> None:
        digest = hashlib.sha256(payload).hexdigest()
        with self._connect() as connection:
            changed = connection.execute(
                "UPDATE release SET payload = ?, payload_sha256 = ?, payload_bytes = ?, sent_at = datetime('now')"
                " WHERE id = ? AND (payload IS NULL OR payload_sha256 = ?) AND payload_sha256 IS NOT ?",
                (kept, digest, len(payload), release.id, digest, _FORGOTTEN),
            ).rowcount
        if changed != 1:
            why = "was not opened, was already made with other bytes, or something was forgotten meanwhile"
            raise LedgerError(f"release {release.id} {why}: refused")

    def _epsilon(
        self, connection: sqlite3.Connection, delta: float, also: tuple[str, ReleaseEvent] | None = None
    ) -> float:
        events = defaultdict(list, self._events(connection))
        if also is not None:
            maker, event = also
            events[maker].append(ReleaseEvent(event.name, event.noise_multiplier, event.sampling_rate, 1))
        return max(epsilon(all_, delta) for all_ in self._by_people(events))

    def _by_people(self, events: Mapping[str, list[ReleaseEvent]]) -> list[list[ReleaseEvent]]:
        """The releases that touch each set of people, of whom one at least is charged most."""
        if self._one_node:
            return [[event for own in events.values() for event in own]]
        common = events.get(SERVER, [])
        return [common + own for maker, own in events.items() if maker != SERVER] or [common]

    @staticmethod
    def _events(connection: sqlite3.Connection) -> dict[str, list[ReleaseEvent]]:
        rows = connection.execute(
            "SELECT maker, name, noise_multiplier, sampling_rate, COUNT(*) FROM release"
            " GROUP BY maker, name, noise_multiplier, sampling_rate ORDER BY MIN(rowid)"
        )
        events: dict[str, list[ReleaseEvent]] = {}
        try:
            for maker, name, noise_multiplier, sampling_rate, count in rows:
                events.setdefault(str(maker), []).append(ReleaseEvent(name, noise_multiplier, sampling_rate, count))
        except (TypeError, ConfigError) as error:
            raise LedgerError(f"a row of the ledger is damaged ({error}); nothing was changed") from error
        return events

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is on the disk when it ends, and leaves no trace when it fails.

        Raises:
            LedgerError: the file is damaged.
        """
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = ON")
                with connection:  # commits at its end, rolls back where it fails
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if getattr(error, "sqlite_errorcode", -1) & 0xFF in _MAY_PASS:
                raise
            reason = f"not a ledger that can be read ({type(error).__name__})"
            raise LedgerError(f"{self.path}: {reason}; restore it from a backup") from error
