"""The conversation of one person: each sentence refines what is asked for, and the list follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sottovoce.client.language.conversation import Chip, Conversations, Talk, Turn
from sottovoce.client.language.listing import Asker, wish_of
from sottovoce.client.language.request import Request
from sottovoce.client.service import reasons
from sottovoce.client.service.lists import Lists, Scored, Wanted
from sottovoce.client.service.people import Session
from sottovoce.client.service.views import Basis, Listing, Why


@dataclass(frozen=True)
class Spoken:
    """One turn of a conversation: the list, an answer, and what is asked for, one chip each.

    Attributes:
        listing: The list.
        answer: One sentence.
        chips: What is asked for now; each can be taken away.
        unsure: No rule understood the sentence, so that the encoder, or a search, alone led the list; or it is not
            clear what is not wanted.
    """

    listing: Listing
    answer: str
    chips: tuple[Chip, ...]
    unsure: bool


@dataclass(frozen=True)
class Talks:
    """Talks with one person.

    Attributes:
        session: The person and the model.
        lists: Shows what is found.
        kept: What was said.
    """

    session: Session
    lists: Lists
    kept: Conversations

    def say(self, sentence: str, n: int) -> Spoken:
        """Take a sentence of the conversation up: it refines what is asked for, and the list follows.

        Raises:
            NoModelError, ConfigError
            DataError: it could not be kept.
        """
        return self._turn(lambda talk, asker: talk.say(asker, sentence), n)

    def like(self, item_id: str, n: int, chinese: bool) -> Spoken:
        """The conversation with one constraint more: like the item of this id.

        Raises:
            NoModelError, NotFoundError, ConfigError
            DataError: it could not be kept.
        """
        self.session.models.current().position(item_id)
        return self._turn(lambda talk, asker: talk.like(asker, item_id, chinese), n)

    def unsay(self, place: int | None, n: int, chinese: bool) -> Spoken:
        """The conversation as it stands, without the constraint at `place`, if one is named."""
        return self._turn(
            lambda talk, asker: talk.now(asker, chinese) if place is None else talk.drop(asker, place, chinese), n
        )

    def explain(self, item_id: str) -> Why:
        """One score of the conversation's list, taken apart, and its rank among all that is asked for.

        Raises:
            NoModelError, NotFoundError
        """
        loaded, person = self.session.now()
        last = self.kept.last(self.session.user)
        request = Request() if last is None else last.request
        wish = wish_of(loaded.recommender, request, lambda words: self.lists.understood(loaded, words))
        refused = np.flatnonzero(~request.allowed(loaded.recommender.model.table)).tolist()
        return reasons.why(loaded, person, loaded.position(item_id), wish, refused)

    def _turn(self, act: Callable[[Talk, Asker], Turn], n: int) -> Spoken:
        n = Wanted(n).n
        loaded, person = self.session.now()
        talk = Talk(
            loaded.recommender, self.kept, self.session.user, n,
            encode=lambda words: self.lists.understood(loaded, words),
        )  # fmt: skip
        turn = act(talk, Asker(person.history, person.feedback))
        scored: Scored = [(each.item, each.probability) for each in turn.listed]
        basis = Basis.WISH if turn.chips else Basis.POPULARITY if person.unknown else Basis.HISTORY
        listing = self.lists.shown(loaded, person, scored, basis, turn.wish)
        return Spoken(listing, turn.answer, turn.chips, turn.unsure)
