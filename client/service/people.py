"""The person behind the device, in the model's terms; the log is followed, whatever process writes it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sottovoce.client.histories import Fold, HistoryStore, Taste
from sottovoce.client.recommender import Recommender
from sottovoce.client.service.models import Loaded, Models
from sottovoce.client.taste import Feedback
from sottovoce.common.history import IntArray

NOT_NOW_DAYS = 30
"""How long what is not wanted for now stays out of the lists."""
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Person:
    """A history and feedback as catalogue positions; what the catalogue lacks is left out.

    Attributes:
        history: Oldest first.
        feedback: What was said of items and categories.
        met: How many items the history has, those included that the catalogue lacks.
        until: Seconds since 1970 when the first of what is put off comes back: the feedback holds until then.
    """

    history: IntArray
    feedback: Feedback
    met: int
    until: float = float("inf")

    @property
    def unknown(self) -> bool:
        """Whether there is nothing to recommend by."""
        return not (len(self.history) or self.feedback.liked or self.feedback.disliked)


def person_of(taste: Taste, recommender: Recommender, now: float, before: tuple[Taste, Person] | None = None) -> Person:
    """Where a person stands, in terms of one model's catalogue.

    Args:
        taste: In terms of ids.
        recommender: Has the catalogue.
        now: Seconds since 1970.
        before: An earlier taste and person, by the same catalogue: where the history has only grown since, what was
            found of it is not looked up again.
    """

    def positions(ids: frozenset[str]) -> tuple[int, ...]:
        return tuple(np.sort(recommender.positions(tuple(ids))).tolist())

    due = {item: since + NOT_NOW_DAYS * _DAY_S for item, since in taste.not_now.items()}
    put_off = frozenset(item for item, back in due.items() if back > now)
    feedback = Feedback(positions(taste.liked), positions(taste.disliked), positions(put_off), taste.hidden_categories)
    known, found = ((), np.zeros(0, np.int64)) if before is None else (before[0].history, before[1].history)
    if taste.history[: len(known)] != known:
        known, found = (), found[:0]
    history = np.append(found, recommender.positions(taste.history[len(known) :]))
    return Person(history, feedback, len(taste.history), min((due[item] for item in put_off), default=float("inf")))


class People:
    """Follows one user's log: what is new is added to the last reading, and nothing is read while nobody writes.

    SQLite tells an open connection whether any other one has written since (`PRAGMA data_version`).
    """

    def __init__(self, histories: HistoryStore, user: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._histories = histories
        self._user = user
        self._lock = threading.Lock()
        self._watch: tuple[int, sqlite3.Connection] | None = None
        self._seen: object = None
        self._fold: Fold | None = None
        self._person: tuple[Recommender, Taste, Person] | None = None

    def person(self, recommender: Recommender) -> Person:
        """Where the person stands now, in terms of one model's catalogue.

        Raises:
            DataError: the log cannot be read.
        """
        with self._lock:
            fold, changed = self._read()
            last, now = self._person, self._clock()
            if last is None or last[0] is not recommender or changed or now >= last[2].until:
                taste = fold.taste()
                before = None if last is None or last[0] is not recommender else last[1:]
                self._person = last = recommender, taste, person_of(taste, recommender, now, before)
            return last[2]

    def _read(self) -> tuple[Fold, bool]:
        """The log, and whether it was read just now."""
        seen = self._version()  # before reading: what is written meanwhile is read next time
        if self._fold is not None and seen is not None and seen == self._seen:
            return self._fold, False
        known, self._fold = (None if seen is None else self._fold), None
        self._fold = self._histories.read(self._user, known)
        self._seen = seen
        return self._fold, True

    def _version(self) -> object:
        """Changes with every write; `None` where nothing can be told."""
        try:
            file = self._histories.path.stat().st_ino
            if self._watch is None or self._watch[0] != file:
                self.close()
                self._fold = None
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


@dataclass(frozen=True)
class Session:
    """One person before one device.

    Attributes:
        user: Who the person is, among the users of the device.
        models: The model in use.
        people: Follows the person's log.
    """

    user: str
    models: Models
    people: People

    def now(self) -> tuple[Loaded, Person]:
        """The model and the person, as they are now.

        Raises:
            NoModelError: there is no model.
            DataError: the log cannot be read.
        """
        loaded = self.models.current()
        return loaded, self.people.person(loaded.recommender)
