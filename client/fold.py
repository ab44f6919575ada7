"""Where one person stands after all that they did and said: a log, folded one subject after the other.

What is said of one item or category never touches another: whoever knows which subjects have changed need not read the
rest of the log again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple


class Kind(StrEnum):
    """What an event says of an item; `hide_category` names a category instead."""

    INTERACTION = "interaction"
    LIKE = "like"
    DISLIKE = "dislike"
    NOT_NOW = "not_now"
    HIDE_CATEGORY = "hide_category"
    UNDO = "undo"


class Row(NamedTuple):
    """An event that stands, as the log numbers it."""

    id: int
    kind: str
    item: str
    at: float
    words: str


@dataclass(frozen=True)
class Taste:
    """Where one person stands now, all undone events left out.

    Attributes:
        history: Ids of the items that the person met or liked and does not dislike, oldest first; each one once.
        words: What the person wrote about each of them.
        liked: Items whose last word is `like`.
        disliked: Items whose last word is `dislike`.
        not_now: Items that are not wanted for now, and since when.
        hidden_categories: Categories that are not to be shown.
    """

    history: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    liked: frozenset[str] = frozenset()
    disliked: frozenset[str] = frozenset()
    not_now: Mapping[str, float] = field(default_factory=dict)
    hidden_categories: frozenset[str] = frozenset()


@dataclass
class Fold:
    """One person's log up to a row; of what was said of one subject, the last counts.

    Attributes:
        token: Of the log: another one, and the fold says nothing of it any more.
        last: Id of the last row of the log that is folded in.
    """

    token: int = 0
    last: int = 0
    _met: dict[str, tuple[float, int]] = field(default_factory=dict, init=False)
    _words: dict[str, str] = field(default_factory=dict, init=False)
    _liked: set[str] = field(default_factory=set, init=False)
    _disliked: set[str] = field(default_factory=set, init=False)
    _not_now: dict[str, float] = field(default_factory=dict, init=False)
    _hidden: set[str] = field(default_factory=set, init=False)
    _newest: tuple[float, int] = field(default=(float("-inf"), 0), init=False)
    _in_order: bool = field(default=True, init=False)

    def take(self, rows: Iterable[Row]) -> Fold:
        """Fold rows in; those of one subject in the order of time and then of recording, after all earlier ones."""
        for row in rows:
            if row.kind == Kind.HIDE_CATEGORY:
                self._hidden.add(row.item)
            elif row.kind == Kind.NOT_NOW:
                self._not_now[row.item] = row.at
            else:
                self._opinion(row)
        return self

    def retell(self, subject: str, rows: Iterable[Row]) -> None:
        """Put all that stands of one subject in the place of what was known of it."""
        for known in (self._met, self._words, self._not_now):
            known.pop(subject, None)
        for said in (self._liked, self._disliked, self._hidden):
            said.discard(subject)
        self.take(rows)

    def taste(self) -> Taste:
        """Where the person stands."""
        if not self._in_order:
            self._met = dict(sorted(self._met.items(), key=itemgetter(1)))
            self._in_order = True
        words = tuple(self._words.get(item, "") for item in self._met) if self._words else ("",) * len(self._met)
        return Taste(
            tuple(self._met), words, frozenset(self._liked), frozenset(self._disliked), dict(self._not_now),
            frozenset(self._hidden),
        )  # fmt: skip

    def _opinion(self, row: Row) -> None:
        item, place = row.item, (row.at, row.id)
        self._not_now.pop(item, None)
        self._met.pop(item, None)
        self._liked.discard(item)
        self._disliked.discard(item)
        if row.kind == Kind.DISLIKE:
            self._disliked.add(item)
            self._words.pop(item, None)
            return
        if row.kind == Kind.LIKE:
            self._liked.add(item)
        if row.words:
            self._words[item] = row.words
        self._met[item] = place
        self._in_order = self._in_order and place > self._newest
        self._newest = max(self._newest, place)
