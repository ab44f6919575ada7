"""Why an item is in a list, in the person's own terms: items of their history instead of numbers of the engine."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from sottovoce.client.recommender import Explanation
from sottovoce.client.service.models import Loaded
from sottovoce.client.service.people import Person
from sottovoce.client.service.views import Card, Part, Source, Term, Why, Without
from sottovoce.client.taste import Wish, summands

REASONS, WITHOUT = 3, 2


def cards(
    loaded: Loaded, person: Person, scored: list[tuple[int, float | None]], wish: Wish | None = None
) -> tuple[Card, ...]:
    """Items with their shares of the softmax, each with what lifts it most."""
    told = loaded.recommender.explanations(
        person.history, [item for item, _ in scored], feedback=person.feedback, wish=wish
    )
    average = summands(person.history, person.feedback, wish).popularity * loaded.average
    return tuple(_card(loaded, person, each, share, average) for each, (_, share) in zip(told, scored, strict=True))


def why(loaded: Loaded, person: Person, item: int, wish: Wish | None, exclude: Collection[int] = ()) -> Why:
    """The score of the item at a position, taken apart, and what became of it without its strongest terms.

    Args:
        loaded: The model.
        person: Whose list it is.
        item: Position of the item.
        wish: What leads the list, if anything does.
        exclude: Positions that the list may not hold besides what the person has met or does not want.
    """
    recommender = loaded.recommender
    told = recommender.explain(person.history, item, feedback=person.feedback, wish=wish)
    blocks = recommender.blocks(person.history, item, feedback=person.feedback, wish=wish)
    average = summands(person.history, person.feedback, wish).popularity * loaded.average
    effects = dict(zip(*(column.tolist() for column in told.by_item()), strict=True))
    met = set(person.history.tolist())
    strongest = [each for each in sorted(effects, key=lambda each: -effects[each]) if effects[each] > 0]
    rank, listable = recommender.standing(person.history, item, exclude, feedback=person.feedback, wish=wish)
    without = []
    for place in [each for each in strongest if each in met][:WITHOUT] if rank else []:
        found = recommender.counterfactual(person.history, item, place, exclude, feedback=person.feedback, wish=wish)
        without.append(Without(*loaded.named(place), found.rank_without))
    return Why(
        item_id=loaded.named(item)[0],
        score=told.score - average,
        popularity=told.popularity - average,
        wish=told.wish,
        content=float(told.content.sum()),
        correction=float(told.correction.sum()),
        blocks=tuple(Part(name, float(part.sum())) for name, part in blocks.items()),
        history=tuple(_term(loaded, person, place, effect) for place, effect in effects.items()),
        rank=rank,
        items=listable,
        without=tuple(without),
    )


def _card(loaded: Loaded, person: Person, told: Explanation, share: float | None, average: float) -> Card:
    items, effects = told.by_item(2)  # what is disliked may lift an item too, but is no reason that a person would see
    public = loaded.item(told.item)
    strongest = np.argsort(-effects, kind="stable")[:REASONS]
    return Card(
        public.item_id, public.title, public.year, public.categories, told.score - average, share,
        told.popularity - average, told.wish,
        tuple(_term(loaded, person, int(items[row]), float(effects[row])) for row in strongest if effects[row] > 0),
    )  # fmt: skip


def _term(loaded: Loaded, person: Person, place: int, effect: float) -> Term:
    said = person.feedback
    kind = Source.DISLIKED if place in said.disliked else Source.HISTORY
    if kind is Source.HISTORY and place in said.liked and place not in person.history:
        kind = Source.LIKED
    return Term(*loaded.named(place), effect, kind)
