"""The person behind the device, in the model's terms; read anew whenever the log was written, by whatever process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sottovoce.client.histories import HistoryStore, Taste
from sottovoce.client.recommender import Recommender
from sottovoce.client.taste import Feedback
from sottovoce.common.history import IntArray


@dataclass(frozen=True)
class Person:
    """A history and feedback as catalogue positions; what the catalogue lacks is left out.

    Attributes:
        history: Oldest first.
        feedback: What was said of items and categories.
    """

    history: IntArray
    feedback: Feedback

    @property
    def unknown(self) -> bool:
        """Whether there is nothing to recommend by."""
        return not (len(self.history) or self.feedback.liked or self.feedback.disliked)


def person_of(taste: Taste, recommender: Recommender) -> Person:
    """Where a person stands, in terms of one model's catalogue."""

    def positions(ids: frozenset[str]) -> tuple[int, ...]:
        return tuple(np.sort(recommender.positions(tuple(ids))).tolist())

    feedback = Feedback(
        positions(taste.liked), positions(taste.disliked), positions(frozenset(taste.not_now)), taste.hidden_categories
    )
    return Person(recommender.positions(taste.history), feedback)


class People:
    """Keeps the last reading of one user's log for as long as nobody writes it."""

    def __init__(self, histories: HistoryStore, user: str) -> None:
        self._histories = histories
        self._user = user
        self._lock = threading.Lock()
        self._read: tuple[object, Taste] | None = None

    def taste(self) -> Taste:
        """Where the person stands now."""
        with self._lock:
            stamp = _stamp(self._histories.path)  # before reading: what is written meanwhile is read next time
            if self._read is None or self._read[0] != stamp:
                taste = self._histories.taste(self._user)
                self._read = (stamp, taste)
            return self._read[1]

    def changed(self) -> None:
        """Read anew next time, whatever the file's stamp says."""
        with self._lock:
            self._read = None


def _stamp(path: Path) -> object:
    """Changes with every write: SQLite in WAL mode writes either the file or its log."""
    stamps = []
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            status = each.stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except FileNotFoundError:
            stamps.append((0, 0, 0))
    return tuple(stamps)
