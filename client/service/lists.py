"""Lists: what is recommended, what is asked for in words, and what is looked up by its title."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sottovoce.client.masking import mask_personal
from sottovoce.client.recommender import CATEGORIES
from sottovoce.client.service import reasons
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.models import Loaded, NoModelError
from sottovoce.client.service.people import Person, Session
from sottovoce.client.service.views import Basis, Item, Listing, Why
from sottovoce.client.taste import Wish
from sottovoce.common.errors import ConfigError, EncoderError, InputError
from sottovoce.common.scoring import FloatArray

MOST_CARDS = 100
MOST_WORDS_BYTES = 4_000
FOUND = 8
WISHES_KEPT = 32
SEARCHED = 500
"""How deep a search goes, of which what is not wanted is then left out."""

Scored = list[tuple[int, float | None]]
"""Catalogue positions, best first, and their shares of the softmax, where they were ranked by scores."""


class TooLongError(InputError):
    """A text that is longer than anybody writes."""


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


class Lists:
    """The lists of one person.

    Args:
        session: The person and the model.
        impressions: Where it is noted what was shown.
    """

    def __init__(self, session: Session, impressions: Impressions) -> None:
        self._session = session
        self._impressions = impressions
        self._wishes: OrderedDict[tuple[str, str], FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    def recommend(self, wanted: Wanted, like: str = "") -> Listing:
        """The best items for the person; or such as are like one item.

        Raises:
            NoModelError, NotFoundError, ConfigError
        """
        loaded, person = self._session.now()
        if not like:
            return self._listing(loaded, person, wanted, Basis.POPULARITY if person.unknown else Basis.HISTORY)
        anchor = loaded.position(like)
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
        _check_length(text)
        if not text.strip():
            raise ConfigError("text", "", "some words")
        if not 0 <= weight <= 1:
            raise ConfigError("weight", weight, "from 0 to 1")
        loaded, person = self._session.now()
        words = _masked(loaded, text)
        try:
            wish = Wish(self.understood(loaded, words), weight)
            listing = self._listing(loaded, person, wanted, Basis.WISH, wish)
        except EncoderError:
            listing = self._found(loaded, person, wanted, words)
        return replace(listing, masked=words != text)

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
        loaded, person = self._session.now()
        anchor = (loaded.position(like),) if like else ()  # a list of what is like an item does not hold the item
        return reasons.why(loaded, person, loaded.position(item_id), self._wish(loaded, text, weight, like), anchor)

    def search(self, text: str) -> tuple[Item, ...]:
        """Items whose titles hold `text`; where none does, whose texts hold most of its words.

        Raises:
            NoModelError, TooLongError
        """
        _check_length(text)
        loaded, sought = self._session.models.current(), text.strip().casefold()
        if not sought:
            return ()
        titles = loaded.recommender.model.table.titles
        named = [place for place, title in enumerate(titles) if sought in title.casefold()]
        named.sort(key=lambda place: -float(loaded.recommender.model.index.b[place]))
        found = named[:FOUND] or loaded.recommender.search(text, FOUND)
        return tuple(loaded.item(place) for place in found)

    @property
    def understands(self) -> bool:
        """Whether wishes are read by an encoder; where not, they are searched for."""
        try:
            return self._session.models.current().recommender.reads_wishes
        except NoModelError:
            return False

    def understood(self, loaded: Loaded, words: str) -> FloatArray:
        """A wish's place in the item space; the last few are kept in memory, for the slider.

        Raises:
            EncoderError: there is no encoder, or it failed.
        """
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

    def forget(self) -> None:
        """Let go of the words that were asked for."""
        with self._lock:
            self._wishes.clear()

    def shown(self, loaded: Loaded, person: Person, scored: Scored, basis: Basis, wish: Wish | None = None) -> Listing:
        """Cards for what was found, noted as shown."""
        cards = reasons.cards(loaded, person, scored, wish)
        self._impressions.shown(self._session.user, [card.item_id for card in cards], basis.value)
        return Listing(cards, basis, person.met, False, loaded.model)

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
        scored: Scored = [(each.item, each.probability) for each in listed]
        return self.shown(loaded, person, scored, basis, wish)

    def _found(self, loaded: Loaded, person: Person, wanted: Wanted, words: str) -> Listing:
        """What holds the words, in the order of the search; what the person does not want to see is left out."""
        said = person.feedback
        unwanted = {*person.history.tolist(), *said.disliked, *said.not_now}

        def fits(place: int) -> bool:
            names = set(loaded.item(place).categories)
            chosen = not wanted.categories or bool(names & set(wanted.categories))
            return chosen and place not in unwanted and not names & said.hidden

        found: Scored = [(place, None) for place in loaded.recommender.search(words, SEARCHED) if fits(place)]
        return self.shown(loaded, person, found[: wanted.n], Basis.KEYWORDS)

    def _wish(self, loaded: Loaded, text: str, weight: float, like: str) -> Wish | None:
        """What a list was asked for with; nothing where the words were only searched for."""
        if like:
            return loaded.recommender.wish_like(loaded.position(like))
        try:
            return Wish(self.understood(loaded, _masked(loaded, text)), weight) if text.strip() else None
        except EncoderError:
            return None


def _check_length(text: str) -> None:
    if len(text.encode(errors="replace")) > MOST_WORDS_BYTES:
        raise TooLongError(f"the words are too long: at most {MOST_WORDS_BYTES} bytes")


def _masked(loaded: Loaded, text: str) -> str:
    return mask_personal(text.encode(errors="replace").decode(), loaded.recommender.mentions)
