"""The person behind the device, in the model's terms; read anew whenever the log was written, by whatever process."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

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
    """Keeps the last reading of one user's log for as long as nobody writes it.

    SQLite tells an open connection whether any other one has written since (`PRAGMA data_version`).
    """

    def __init__(self, histories: HistoryStore, user: str) -> None:
        self._histories = histories
        self._user = user
        self._lock = threading.Lock()
        self._watch: tuple[int, sqlite3.Connection] | None = None
        self._read: tuple[object, Taste] | None = None

    def taste(self) -> Taste:
        """Where the person stands now.

        Raises:
            DataError: the log cannot be read.
        """
        with self._lock:
            version = self._version()  # before reading: what is written meanwhile is read next time
            if version is None or self._read is None or self._read[0] != version:
                self._read = (version, self._histories.taste(self._user))
            return self._read[1]

    def _version(self) -> object:
        """Changes with every write; `None` where nothing can be told."""
        try:
            file = self._histories.path.stat().st_ino
            if self._watch is None or self._watch[0] != file:
                self.close()
                watch = sqlite3.connect(self._histories.path, timeout=5, isolation_level=None, check_same_thread=False)
                self._watch = (file, watch)
            return file, self._watch[1].execute("PRAGMA data_version").fetchone()[0]
        except (OSError, sqlite3.Error):
            self.close()
            return None

    def close(self) -> None:
        """Let go of the log."""
        if self._watch is not None:
            self._watch[1].close()
        self._watch = None
