"""Everything that the page and gRPC can ask, in one place: the person's log, the model, and what left the device.

Whatever is asked here is computed here; nothing of it is sent anywhere.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sottovoce.client.histories import Event, Kind
from sottovoce.client.home import Home
from sottovoce.client.language.cards import CardText, CardTexts, find_writer
from sottovoce.client.language.conversation import Chip, Conversations, Talk, Turn
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.listing import Asker
from sottovoce.client.masking import mask_personal
from sottovoce.client.recommender import CATEGORIES, Explanation, Recommender
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.models import Loaded, Models, NoModelError
from sottovoce.client.service.people import People, Person, person_of
from sottovoce.client.service.views import (
    Basis,
    Card,
    Entry,
    HistoryPage,
    Item,
    Listing,
    Privacy,
    Profile,
    Share,
    Term,
    Update,
    Why,
    Without,
)
from sottovoce.client.taste import Wish, summands
from sottovoce.common.errors import ConfigError, EncoderError, InputError, SottovoceError
from sottovoce.common.scoring import FloatArray

MOST_CARDS = 100
MOST_WORDS_BYTES = 4_000
REASONS, WITHOUT, KEYWORDS, FOUND = 3, 2, 12, 8
WISHES_KEPT = 32
SEARCHED = 500
"""How deep a search goes, of which what is not wanted is then left out."""

GIVEN = (Kind.LIKE, Kind.DISLIKE, Kind.NOT_NOW, Kind.HIDE_CATEGORY, Kind.INTERACTION)


class NotFoundError(InputError):
    """No such item, category or entry."""


class TooLongError(InputError):
    """A text that is longer than anybody writes."""


@dataclass(frozen=True)
class Spoken:
    """One turn of a conversation: the list, an answer, and what is asked for, one chip each.

    Attributes:
        listing: The list.
        answer: One sentence.
        chips: What is asked for now; each can be taken away.
        unsure: No rule understood the sentence: the encoder, or a search, alone led the list.
    """

    listing: Listing
    answer: str
    chips: tuple[Chip, ...]
    unsure: bool


@dataclass(frozen=True)
class Wanted:
    """What a list should be like.

    Attributes:
        n: Its length, at most `MOST_CARDS`.
        categories: Only items of one of these; none means all.
        diversity: From 0 (the best) to 1 (unlike each other).
        long_tail: The share of places for less known items, from 0 to 1.
    """

    n: int = 10
    categories: tuple[str, ...] = ()
    diversity: float = 0.0
    long_tail: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.n <= MOST_CARDS:
            raise ConfigError("n", self.n, f"from 1 to {MOST_CARDS}")
        for name in ("diversity", "long_tail"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(name, getattr(self, name), "from 0 to 1")

    def settings(self) -> dict[str, Any]:
        """As the recommender takes them."""
        filters = {CATEGORIES: self.categories} if self.categories else None
        return {"filters": filters, "diversity": self.diversity, "long_tail": self.long_tail}


class Device:
    """One person on one device.

    Args:
        home: What the device keeps.
        models: The model in use.
        user: Who the person is, among the users of the home.
    """

    def __init__(self, home: Home, models: Models, user: str) -> None:
        self.home = home
        self.models = models
        self.user = user
        self.impressions = Impressions(home.folder / "impressions.sqlite")
        self.conversations = Conversations(home.folder / "conversations.sqlite")
        self.texts = CardTexts(find_writer())
        self._people = People(home.histories, user)
        self._spent: tuple[object, float | None] | None = None
        self._wishes: OrderedDict[tuple[str, str], FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Write what waits, and let go of the home."""
        self.impressions.close()
        self.texts.close()
        self._people.close()

    def recommend(self, wanted: Wanted, like: str = "") -> Listing:
        """The best items for the person; or such as are like one item.

        Raises:
            NoModelError, NotFoundError, ConfigError
        """
        loaded, person = self._now()
        if not like:
            return self._listing(loaded, person, wanted, Basis.POPULARITY if person.unknown else Basis.HISTORY)
        anchor = self._position(loaded, like)
        wish = loaded.recommender.wish_like(anchor)
        return self._listing(loaded, person, wanted, Basis.ITEM, wish, exclude=(anchor,))

    def ask(self, text: str, weight: float, wanted: Wanted) -> Listing:
        """A list led by the person's own words; searched for as they stand, where no encoder is installed.

        Args:
            text: At most `MOST_WORDS_BYTES` in UTF-8; personal data is masked before anything else reads it.
            weight: From 0 (the history alone) to 1 (the words alone).
            wanted: What the list should be like.

        Raises:
            NoModelError, TooLongError, ConfigError
        """
        if len(text.encode(errors="replace")) > MOST_WORDS_BYTES:
            raise TooLongError(f"the words are too long: at most {MOST_WORDS_BYTES} bytes")
        if not text.strip():
            raise ConfigError("text", "", "some words")
        if not 0 <= weight <= 1:
            raise ConfigError("weight", weight, "from 0 to 1")
        loaded, person = self._now()
        words = _masked(text)
        try:
            wish = Wish(self._understood(loaded, words), weight)
            listing = self._listing(loaded, person, wanted, Basis.WISH, wish)
        except EncoderError:
            listing = self._found(loaded, person, wanted, words)
        return replace(listing, masked=words != text)

    def say(self, sentence: str, n: int) -> Spoken:
        """Take a sentence of the conversation up: it refines what is asked for, and the list follows.

        Raises:
            NoModelError, ConfigError
            DataError: it could not be kept.
        """
        return self._spoken(lambda talk, asker: talk.say(asker, sentence), n)

    def unsay(self, place: int | None, n: int, chinese: bool) -> Spoken:
        """The conversation as it stands, without the constraint at `place`, if one is named."""
        return self._spoken(
            lambda talk, asker: talk.now(asker, chinese) if place is None else talk.drop(asker, place, chinese), n
        )

    def text(self, item_id: str) -> CardText:
        """What a card says in words, now: it may be written on while the list is there already.

        Raises:
            NoModelError, NotFoundError
        """
        loaded, person = self._now()
        card = self._card(loaded, person, self._position(loaded, item_id), None, None, 0.0)
        return self.texts.ask(
            Given(
                Job.CARD, card.title, card.year, card.categories, tuple(term.title for term in card.reasons[:2]),
                vocabulary=self.categories(loaded),
            )
        )  # fmt: skip

    def understands(self) -> bool:
        """Whether wishes are read by an encoder; where not, they are searched for."""
        try:
            return self.models.current().recommender.reads_wishes
        except NoModelError:
            return False

    def explain(self, item_id: str, text: str = "", weight: float = 0.0, like: str = "") -> Why:
        """One score, taken apart, and what became of it without its strongest terms.

        Args:
            item_id: Of which item.
            text: The words that the list was asked for with, if any.
            weight: How much they count.
            like: The item that the list is like, if any.

        Raises:
            NoModelError, NotFoundError
        """
        loaded, person = self._now()
        recommender, item = loaded.recommender, self._position(loaded, item_id)
        wish = self._wish(loaded, text, weight, like)
        told = recommender.explain(person.history, item, feedback=person.feedback, wish=wish)
        average = summands(person.history, person.feedback, wish).popularity * _average(recommender)
        effects, met = _by_item(told), set(person.history.tolist())
        strongest = [each for each in sorted(effects, key=lambda each: -effects[each]) if effects[each] > 0]
        without, rank = [], 0
        for place in [each for each in strongest if each in met][:WITHOUT]:
            found = recommender.counterfactual(person.history, item, place, feedback=person.feedback, wish=wish)
            rank = found.rank
            without.append(Without(*self._named(loaded, place), found.rank_without))
        excluded = {*met, *person.feedback.disliked, *person.feedback.not_now} - {item}
        return Why(
            item_id=item_id,
            score=told.score - average,
            popularity=told.popularity - average,
            wish=told.wish,
            content=float(told.content.sum()),
            correction=float(told.correction.sum()),
            history=tuple(Term(*self._named(loaded, place), effect) for place, effect in effects.items()),
            rank=rank or self._rank(loaded, person, item, wish),
            items=len(recommender.model.table) - len(excluded),
            without=tuple(without),
        )

    def feedback(self, kind: str, subject: str) -> None:
        """Keep what the person says of an item, or of a category; it counts from the next list on.

        Raises:
            NoModelError, NotFoundError, ConfigError
            DataError: it could not be kept; nothing was changed.
        """
        if kind not in GIVEN:
            raise ConfigError("kind", kind[:40], f"one of {', '.join(GIVEN)}")
        loaded = self.models.current()
        if kind == Kind.HIDE_CATEGORY:
            if subject not in self.categories(loaded):
                raise NotFoundError("no such category")
        else:
            self._position(loaded, subject)
        self.home.histories.record(self.user, subject, kind=kind)

    def undo(self) -> Entry:
        """Take back the last thing that the person said and that stands.

        Raises:
            NotFoundError: nothing stands.
            DataError: it could not be taken back.
        """
        event = self.home.histories.undo(self.user)
        if event is None:
            raise NotFoundError("there is nothing to undo")
        return self._entry(event)

    def forget(self, subject: str | None) -> int:
        """Delete everything that names an item or a category, or all there is; how many entries.

        Raises:
            DataError: it could not be deleted.
        """
        gone = self.home.forget(self.user, subject)
        self.impressions.forget(self.user, subject)
        self.conversations.forget(self.user, subject)
        self.texts.forget()
        return gone

    def history(self, offset: int, limit: int) -> HistoryPage:
        """A part of what the device knows of the person, newest first."""
        total, events = self.home.histories.page(self.user, max(offset, 0), min(max(limit, 1), 200))
        return HistoryPage(total, tuple(self._entry(event) for event in events))

    def export(self) -> list[str]:
        """All that the device knows of the person, as lines of JSON."""
        return list(self.home.histories.export(self.user))

    def search(self, text: str) -> tuple[Item, ...]:
        """Items whose titles hold `text`; where none does, whose texts hold most of its words.

        Raises:
            NoModelError, TooLongError
        """
        if len(text.encode(errors="replace")) > MOST_WORDS_BYTES:
            raise TooLongError(f"the words are too long: at most {MOST_WORDS_BYTES} bytes")
        loaded, sought = self.models.current(), text.strip().casefold()
        if not sought:
            return ()
        titles = loaded.recommender.model.table.titles
        named = [place for place, title in enumerate(titles) if sought in title.casefold()]
        named.sort(key=lambda place: -float(loaded.recommender.model.index.b[place]))
        found = named[:FOUND] or loaded.recommender.search(text, FOUND)
        return tuple(self._item(loaded, place) for place in found)

    def profile(self) -> Profile:
        """The person's taste, as the model sees it.

        Raises:
            NoModelError
        """
        loaded, person = self._now()
        recommender = loaded.recommender
        own = recommender.profile(person.history, feedback=person.feedback)
        everybody = recommender.profile(np.zeros(0, np.int64))
        keywords = () if person.unknown else tuple(recommender.keywords(person.history, KEYWORDS))
        shares = tuple(Share(name, probability, everybody.get(name, 0.0)) for name, probability in own.items())
        hidden = tuple(sorted(person.feedback.hidden))
        return Profile(shares, keywords, hidden, len(self._people.taste().history))

    def privacy(self) -> Privacy:
        """What was spent, what left, and what stays.

        Raises:
            DataError, LedgerError: what was written of it cannot be read.
        """
        owner, invitation = self.home.owner, self.home.invitation
        sent = self.home.sent() if self._ledger.exists() else []
        seen = {"plain" if not each.noise_multiplier else _kind_of(each.release) for each in sent}
        return Privacy(
            epsilon=self._epsilon(owner.max_delta),
            cap=owner.max_epsilon,
            delta=owner.max_delta,
            federation="" if invitation is None else invitation.federation,
            updates=tuple(Update(_utc(each.at), each.release, each.bytes, each.sha256) for each in reversed(sent)),
            seen=tuple(sorted(seen)),
            history=self.home.histories.page(self.user, 0, 1)[0],
            impressions=self.impressions.count(self.user),
        )

    def categories(self, loaded: Loaded) -> tuple[str, ...]:
        """The categories of the catalogue, sorted."""
        column = loaded.recommender.model.table.attributes.get(CATEGORIES)
        return () if column is None else tuple(sorted({name for parts in column.parts for name in parts}))

    def history_length(self) -> int:
        """Items that the person met or liked."""
        return len(self._people.taste().history)

    @property
    def _ledger(self) -> Any:  # noqa: ANN401
        return self.home.folder / "ledger.sqlite"

    def _epsilon(self, delta: float) -> float | None:
        """The accountant takes a moment: asked again only when something was spent since."""
        if not self._ledger.exists():
            return 0.0
        stamp = (self._ledger.stat().st_mtime_ns, delta)
        if self._spent is None or self._spent[0] != stamp:
            spent = self.home.ledger.epsilon(delta)
            self._spent = (stamp, spent if np.isfinite(spent) else None)
        return self._spent[1]

    def _now(self) -> tuple[Loaded, Person]:
        loaded = self.models.current()
        return loaded, person_of(self._people.taste(), loaded.recommender)

    def _spoken(self, act: Callable[[Talk, Asker], Turn], n: int) -> Spoken:
        n = Wanted(n).n
        loaded, person = self._now()
        talk = Talk(
            loaded.recommender, self.conversations, self.user, n, encode=lambda words: self._understood(loaded, words)
        )
        turn = act(talk, Asker(person.history, person.feedback))
        scored: list[tuple[int, float | None]] = [(each.item, each.probability) for each in turn.listed]
        basis = Basis.WISH if turn.chips else Basis.POPULARITY if person.unknown else Basis.HISTORY
        return Spoken(self._shown(loaded, person, scored, basis, turn.wish), turn.answer, turn.chips, turn.unsure)

    def _listing(
        self,
        loaded: Loaded,
        person: Person,
        wanted: Wanted,
        basis: Basis,
        wish: Wish | None = None,
        exclude: Sequence[int] = (),
    ) -> Listing:
        listed = loaded.recommender.recommend(
            person.history, wanted.n, exclude, feedback=person.feedback, wish=wish, **wanted.settings()
        )
        scored: list[tuple[int, float | None]] = [(each.item, each.probability) for each in listed]
        return self._shown(loaded, person, scored, basis, wish)

    def _found(self, loaded: Loaded, person: Person, wanted: Wanted, words: str) -> Listing:
        """What holds the words, in the order of the search; what the person does not want to see is left out."""
        said = person.feedback
        unwanted = {*person.history.tolist(), *said.disliked, *said.not_now}

        def fits(place: int) -> bool:
            names = set(self._item(loaded, place).categories)
            chosen = not wanted.categories or bool(names & set(wanted.categories))
            return chosen and place not in unwanted and not names & said.hidden

        found: list[tuple[int, float | None]] = [
            (place, None) for place in loaded.recommender.search(words, SEARCHED) if fits(place)
        ]
        return self._shown(loaded, person, found[: wanted.n], Basis.KEYWORDS)

    def _shown(
        self,
        loaded: Loaded,
        person: Person,
        scored: list[tuple[int, float | None]],
        basis: Basis,
        wish: Wish | None = None,
    ) -> Listing:
        counted = summands(person.history, person.feedback, wish).popularity
        average = counted * _average(loaded.recommender)
        cards = tuple(self._card(loaded, person, item, share, wish, average) for item, share in scored)
        self.impressions.shown(self.user, [card.item_id for card in cards], basis.value)
        return Listing(cards, basis, self.history_length(), False, loaded.model)

    def _card(
        self, loaded: Loaded, person: Person, item: int, share: float | None, wish: Wish | None, average: float
    ) -> Card:
        told = loaded.recommender.explain(person.history, item, feedback=person.feedback, wish=wish)
        effects = _by_item(told)
        strongest = sorted(effects, key=lambda place: -effects[place])[:REASONS]
        public = self._item(loaded, item)
        return Card(
            public.item_id, public.title, public.year, public.categories, told.score - average, share,
            told.popularity - average, told.wish,
            tuple(Term(*self._named(loaded, place), effects[place]) for place in strongest if effects[place] > 0),
        )  # fmt: skip

    def _wish(self, loaded: Loaded, text: str, weight: float, like: str) -> Wish | None:
        """What a list was asked for with; nothing where the words were only searched for."""
        if like:
            return loaded.recommender.wish_like(self._position(loaded, like))
        try:
            return Wish(self._understood(loaded, _masked(text)), weight) if text.strip() else None
        except EncoderError:
            return None

    def _rank(self, loaded: Loaded, person: Person, item: int, wish: Wish | None) -> int:
        """Place of an item in the whole list, from 1; zero if it is not in it."""
        whole = loaded.recommender.recommend(
            person.history, len(loaded.recommender.model.table), feedback=person.feedback, wish=wish
        )
        return next((rank for rank, each in enumerate(whole, start=1) if each.item == item), 0)

    def _understood(self, loaded: Loaded, words: str) -> FloatArray:
        """A wish's place in the item space; the last few are kept in memory, for the slider."""
        key = (loaded.model.digest, words)
        with self._lock:
            if key in self._wishes:
                self._wishes.move_to_end(key)
                return self._wishes[key]
        vector = loaded.recommender.encode_wish(words)
        with self._lock:
            self._wishes[key] = vector
            while len(self._wishes) > WISHES_KEPT:
                self._wishes.popitem(last=False)
        return vector

    def _position(self, loaded: Loaded, item_id: str) -> int:
        position = loaded.recommender.model.table.position.get(item_id)
        if position is None:
            raise NotFoundError("no such item in this model's catalogue")
        return position

    def _named(self, loaded: Loaded, place: int) -> tuple[str, str]:
        table = loaded.recommender.model.table
        return table.ids[place], table.titles[place]

    def _item(self, loaded: Loaded, place: int) -> Item:
        attributes = loaded.recommender.model.table.attributes
        column = attributes.get(CATEGORIES)
        categories = () if column is None else column.parts[int(column.codes[place])]
        year = attributes["year"][place] if "year" in attributes else ""
        return Item(*self._named(loaded, place), year, categories)

    def _entry(self, event: Event) -> Entry:
        title = None
        try:
            table = self.models.current().recommender.model.table
            title = table.titles[table.position[event.item]]
        except (SottovoceError, KeyError):
            title = event.item if event.kind is Kind.HIDE_CATEGORY else None
        return Entry(event.item, title, event.kind.value, _utc(event.at))


def _masked(text: str) -> str:
    return mask_personal(text.encode(errors="replace").decode())


def _by_item(told: Explanation) -> dict[int, float]:
    """What each item adds; one that is also liked adds twice, and is told once."""
    effects: dict[int, float] = {}
    for place, effect in zip(told.items.tolist(), told.effects.tolist(), strict=True):
        effects[place] = effects.get(place, 0.0) + effect
    return effects


def _average(recommender: Recommender) -> float:
    """The score of an average item without a history: scores are told above it."""
    return float(recommender.model.index.b.mean(dtype=np.float64))


def _kind_of(release: str) -> str:
    """Who made a release, from its id: the server, or the node itself."""
    return "server" if release.endswith("/server") else "node"


def _utc(at: float | str) -> str:
    """ISO 8601 in UTC, from seconds since 1970 or from SQLite's `datetime('now')`."""
    if isinstance(at, str):
        return at.replace(" ", "T") + "Z"
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return ""
