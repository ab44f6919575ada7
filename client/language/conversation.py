"""A conversation: each sentence refines what is asked for, shown as chips, and the list follows.

It is history like any other: kept in one SQLite file on the device, for its owner's eyes only, and overwritten when it
is forgotten. What would name a person (mail addresses, phone numbers, names) is masked before anything is read or kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sottovoce.client.database import Database
from sottovoce.client.language import wording
from sottovoce.client.language.listing import Asker, Encode, Rephrase, listing, wish_of
from sottovoce.client.language.parse import Command, Reading, Shown, parse
from sottovoce.client.language.request import Guess, Like, Request, numbers_of
from sottovoce.client.language.vocabulary import PRICE, YEAR, Vocabulary
from sottovoce.client.masking import mask_personal
from sottovoce.client.recommender import Recommendation, Recommender
from sottovoce.client.taste import Wish
from sottovoce.common.errors import ConfigError, DataError, EncoderError
from sottovoce.common.history import IntArray
from sottovoce.common.item_table import CATEGORIES, ItemTable

MOST_BYTES = 4_000
"""A sentence is no longer than this in UTF-8."""
REASONS = 2

_MIGRATIONS = (
    """
CREATE TABLE turn (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, at REAL NOT NULL, said TEXT NOT NULL, request TEXT NOT NULL,
    shown TEXT NOT NULL
) STRICT;
CREATE INDEX turn_user ON turn (user)
""",
)

_CHECKED = ("any_of", "none_of", "between", "any_between", "wanted", "like")
"""What an answer to "why" may name."""


@dataclass(frozen=True)
class Chip:
    """One constraint as the person sees it; `place` takes it away."""

    place: int
    kind: str
    label: str


@dataclass(frozen=True)
class Turn:
    """What a sentence led to.

    Attributes:
        request: All that is asked for now.
        listed: The list, best first.
        wish: Where words and items of the request point to.
        answer: One sentence back.
        chips: The request, one chip per constraint.
        unsure: The rules found nothing in the sentence, so that the encoder alone led the list; or it denies something,
            and they could not tell what: then nothing was made of that.
    """

    request: Request
    listed: tuple[Recommendation, ...]
    wish: Wish | None
    answer: str
    chips: tuple[Chip, ...]
    unsure: bool = False


@dataclass(frozen=True)
class Said:
    """One kept turn: what was said, what was asked for after it, and the ids that were shown."""

    at: float
    said: str
    request: Request
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Conversations:
    """What was said on one device.

    Attributes:
        path: An SQLite file.

    Raises:
        DataError: of every method: the file cannot be used, or the disk is full; nothing was changed.
    """

    path: Path

    @property
    def _database(self) -> Database:
        return Database(self.path, _MIGRATIONS)

    def keep(self, user: str, said: str, request: Request, shown: Sequence[str]) -> None:
        """Append one turn."""
        row = (user, time.time(), said, request.json(), json.dumps(list(shown)))
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO turn (user, at, said, request, shown) VALUES (?, ?, ?, ?, ?)", row)

    def turns(self, user: str) -> list[Said]:
        """Everything that one person said, oldest first."""
        with self._database.transaction(write=False) as connection:
            query = "SELECT at, said, request, shown FROM turn WHERE user = ? ORDER BY id"
            rows = connection.execute(query, (user,)).fetchall()
        return [Said(at, said, Request.read(request), tuple(json.loads(shown))) for at, said, request, shown in rows]

    def sentences(self, user: str) -> list[tuple[float, str]]:
        """When and what one person said in words, oldest first: a chip that was taken away is no sentence."""
        with self._database.transaction(write=False) as connection:
            query = "SELECT at, said FROM turn WHERE user = ? AND said <> '' ORDER BY id"
            return [(float(at), str(said)) for at, said in connection.execute(query, (user,))]

    def last(self, user: str, back: int = 0) -> Said | None:
        """The person's latest turn, or an earlier one."""
        with self._database.transaction(write=False) as connection:
            query = "SELECT at, said, request, shown FROM turn WHERE user = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
            row = connection.execute(query, (user, back)).fetchone()
        return None if row is None else Said(row[0], row[1], Request.read(row[2]), tuple(json.loads(row[3])))

    def show(self, user: str, shown: Sequence[str]) -> None:
        """The list of the person's latest turn is another one now: something was liked, or a model came."""
        query = "UPDATE turn SET shown = ? WHERE id = (SELECT MAX(id) FROM turn WHERE user = ?)"
        with self._database.transaction() as connection:
            connection.execute(query, (json.dumps(list(shown)), user))

    def undo(self, user: str) -> None:
        """Delete the person's latest turn."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM turn WHERE id = (SELECT MAX(id) FROM turn WHERE user = ?)", (user,))

    def forget(self, user: str | None, item: str | None = None) -> int:
        """Delete what was said, overwritten with zeros; with an item, every turn that showed or named it; how many."""
        if not self._database.begun:
            return 0
        named = "(EXISTS (SELECT 1 FROM json_each(shown) WHERE value = ?2) OR instr(request, json_quote(?2)))"
        with self._database.transaction() as connection:
            gone = connection.execute(
                f"DELETE FROM turn WHERE (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR {named})",  # noqa: S608
                (user, item),
            ).rowcount
        self._database.scrub()
        return gone


@dataclass(frozen=True)
class Talk:
    """Talks with one person about one model.

    Attributes:
        recommender: The model.
        conversations: Where what is said stays.
        user: Who talks.
        n: Length of a list.
        rephrase: Other words for what the rules are unsure of.
        guess: The category that a sentence asks for of which the rules are unsure, in the place of the recommender;
            raises `EncoderError` where nobody can say.
        encode: Places words, in the place of the recommender.
    """

    recommender: Recommender
    conversations: Conversations
    user: str
    n: int = 10
    rephrase: Rephrase | None = None
    guess: Callable[[str], str | None] | None = None
    encode: Encode | None = None

    def say(self, asker: Asker, sentence: str) -> Turn:
        """Take one sentence up, and give the list that follows.

        Raises:
            ConfigError: the sentence is empty or too long.
            DataError: it could not be kept.
        """
        if not sentence.strip() or len(sentence.encode(errors="replace")) > MOST_BYTES:
            raise ConfigError("sentence", sentence[:40], f"some words, at most {MOST_BYTES} bytes")
        words = mask_personal(sentence.encode(errors="replace").decode(), self.recommender.mentions)
        last = self.conversations.last(self.user)
        reading = self._read(words, last)
        chinese = wording.is_chinese(words)
        if reading.command is Command.WHY:
            return self._why(asker, reading, last, chinese)
        if reading.command is Command.UNDO:
            self.conversations.undo(self.user)
            if not reading.constraints:
                return self.now(asker, chinese)
            last = self.conversations.last(self.user)
        request = Request() if last is None or reading.command is Command.RESET else last.request
        for each in (*reading.constraints, *self._guessed(reading, words)):
            request = request.add(each)
        turn = self._turn(asker, request, chinese, unsure=reading.unsure)
        if reading.missing:
            turn = _answered(turn, wording.no_such_place(chinese))
        elif reading.denied:
            turn = _answered(turn, wording.not_understood(chinese))
        elif reading.command is Command.RESET and not reading.constraints:
            turn = _answered(turn, wording.started_over(chinese))
        self._keep(words, turn)
        return turn

    def like(self, asker: Asker, item: str, chinese: bool = False) -> Turn:
        """Ask for more like the item of this id, as a constraint like any other.

        Raises:
            ConfigError: there is no such item.
            DataError: it could not be kept.
        """
        table, last = self.recommender.model.table, self.conversations.last(self.user)
        if item not in table.position:
            raise ConfigError("like", item[:40], "an item of the catalogue")
        anchor = Like(item=item, title=table.titles[table.position[item]])
        turn = self._turn(asker, (Request() if last is None else last.request).add(anchor), chinese)
        self._keep("", turn)
        return turn

    def drop(self, asker: Asker, place: int, chinese: bool = False) -> Turn:
        """Take one chip away.

        Raises:
            DataError: it could not be kept.
        """
        last = self.conversations.last(self.user)
        request = (Request() if last is None else last.request).without(place)
        turn = self._turn(asker, request, chinese)
        self._keep("", turn)
        return turn

    def now(self, asker: Asker, chinese: bool = False) -> Turn:
        """The list for what is asked for now: it is what a place in the next sentence means."""
        last = self.conversations.last(self.user)
        turn = self._turn(asker, Request() if last is None else last.request, chinese)
        if last is not None and self._ids(turn) != last.shown:
            with suppress(DataError):  # on a full disk the list is shown all the same
                self.conversations.show(self.user, self._ids(turn))
        return turn

    def _read(self, words: str, last: Said | None) -> Reading:
        table = self.recommender.model.table
        shown = Shown() if last is None else _shown(table, self.recommender.positions(last.shown))
        vocabulary = Vocabulary.of(table)
        reading = parse(words, vocabulary, shown)
        if reading.unsure and not reading.denied and self.rephrase is not None and (other := self.rephrase(words)):
            again = parse(other, vocabulary, shown)
            return reading if again.unsure or again.command else again
        return reading

    def _guessed(self, reading: Reading, words: str) -> list[Guess]:
        """A category by the encoder where the rules found nothing; not for Chinese, where it was seen to mislead."""
        if not reading.unsure or reading.denied or not any(each.kind == "wanted" for each in reading.constraints):
            return []
        if wording.is_chinese(words):
            return []
        try:
            value = (self.guess or self.recommender.nearest_category)(words)
        except EncoderError:
            return []
        return [] if value is None else [Guess(attribute=CATEGORIES, value=value)]

    def _turn(self, asker: Asker, request: Request, chinese: bool, unsure: bool = False) -> Turn:
        wish = wish_of(self.recommender, request, self.encode)
        listed = tuple(listing(self.recommender, asker, request, self.n, wish))
        count = int(request.allowed(self.recommender.model.table).sum())
        chips = tuple(Chip(at, each.kind, wording.label(each, chinese)) for at, each in enumerate(request.constraints))
        return Turn(request, listed, wish, wording.found(count if listed else 0, chinese), chips, unsure)

    def _why(self, asker: Asker, reading: Reading, last: Said | None, chinese: bool) -> Turn:
        turn = self.now(asker, chinese)
        if reading.missing or last is None:
            return _answered(turn, wording.no_such_place(chinese))
        recommender, request = self.recommender, last.request
        item = int(recommender.positions(last.shown)[reading.place])
        reasons = recommender.reasons(asker.history, item, REASONS, feedback=asker.feedback, wish=turn.wish)
        popularity = recommender.model.index.b
        checked = [each for each in request.constraints if each.kind in _CHECKED]
        answer = wording.why(
            recommender.model.table.titles[item], [each.title for each in reasons],
            bool(popularity[item] >= np.quantile(popularity, 0.9)), checked, chinese,
        )  # fmt: skip
        return _answered(turn, answer)

    def _keep(self, said: str, turn: Turn) -> None:
        self.conversations.keep(self.user, said, turn.request, self._ids(turn))

    def _ids(self, turn: Turn) -> tuple[str, ...]:
        ids = self.recommender.model.table.ids
        return tuple(ids[each.item] for each in turn.listed)


def _answered(turn: Turn, answer: str) -> Turn:
    return replace(turn, answer=answer)


def _shown(table: ItemTable, rows: IntArray) -> Shown:
    ids, titles = ([column[row] for row in rows.tolist()] for column in (table.ids, table.titles))
    return Shown(tuple(ids), tuple(titles), *(_median(table, attribute, rows) for attribute in (YEAR, PRICE)))


def _median(table: ItemTable, attribute: str, rows: IntArray) -> float | None:
    numbers = numbers_of(table, attribute)[rows]
    known = numbers[~np.isnan(numbers)]
    return float(np.median(known)) if len(known) else None
