"""What a small language model writes for the page; templates stand where there is none, or none that may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from sottovoce.client.language.cards import CardText, CardTexts
from sottovoce.client.language.given import Given, Job
from sottovoce.client.service import reasons
from sottovoce.client.service.people import Session

NAMED = 2
"""Reasons that a card's text may name."""
SHAPE = 3
"""Categories that a taste is told by."""
LONG = 200
"""Characters of a text, its title not counted, of which a digest is made: a shorter one needs none."""

NOTHING = CardText("", by_model=False, done=True)


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

    def taste(self) -> CardText:
        """A line on the person's taste, by its largest categories; empty for somebody unknown.

        Raises:
            NoModelError
        """
        loaded, person = self.session.now()
        shares = loaded.recommender.profile(person.history, feedback=person.feedback)
        if person.unknown or not shares:
            return NOTHING
        largest = tuple(name for name in shares if name not in person.feedback.hidden)[:SHAPE]
        return self.written.ask(Given(Job.TASTE, categories=largest, vocabulary=loaded.categories), soon=True)

    def digest(self, item_id: str) -> CardText:
        """What the text of an item says, in a sentence; empty where the text is short.

        Raises:
            NoModelError, NotFoundError
        """
        loaded = self.session.models.current()
        table, place = loaded.recommender.model.table, loaded.position(item_id)
        text = table.text(place).removeprefix(table.titles[place]).lstrip(" .:\n")
        if len(text) < LONG:
            return NOTHING
        return self.written.ask(Given(Job.DIGEST, source=text, vocabulary=loaded.categories), soon=True)
