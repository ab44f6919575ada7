"""What a small language model writes for the page; templates stand where there is none, or none that may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from sottovoce.client.language.cards import CardText, CardTexts
from sottovoce.client.language.given import Given, Job
from sottovoce.client.service import reasons
from sottovoce.client.service.people import Session

NAMED = 2
"""Reasons that a card's text may name."""


@dataclass(frozen=True)
class Texts:
    """Texts for one person.

    Attributes:
        session: The person and the model.
        written: What was written, and is being written.
    """

    session: Session
    written: CardTexts

    def card(self, item_id: str) -> CardText:
        """What a card says in words, now: it may be written on while the list is there already.

        Raises:
            NoModelError, NotFoundError
        """
        loaded, person = self.session.now()
        (card,) = reasons.cards(loaded, person, [(loaded.position(item_id), None)])
        return self.written.ask(
            Given(
                Job.CARD, card.title, card.year, card.categories, tuple(term.title for term in card.reasons[:NAMED]),
                vocabulary=loaded.categories,
            )
        )  # fmt: skip
