"""Why an item is in a list, in the person's own terms: items of their history instead of numbers of the engine."""

from __future__ import annotations

import numpy as np

from sottovoce.client.ranking import DoubleArray
from sottovoce.client.recommender import Explanation
from sottovoce.client.service.models import Loaded
from sottovoce.client.service.people import Person
from sottovoce.client.service.views import Card, Part, Term, Why, Without
from sottovoce.client.taste import Wish, summands
from sottovoce.common.scoring import IntArray

REASONS, WITHOUT = 3, 2


def cards(
    loaded: Loaded, person: Person, scored: list[tuple[int, float | None]], wish: Wish | None = None
) -> tuple[Card, ...]:
    """Items with their shares of the softmax, each with what lifts it most."""
    told = loaded.recommender.explanations(
        person.history, [item for item, _ in scored], feedback=person.feedback, wish=wish
    )
    average = summands(person.history, person.feedback, wish).popularity * loaded.average
    return tuple(_card(loaded, each, share, average) for each, (_, share) in zip(told, scored, strict=True))


def why(loaded: Loaded, person: Person, item: int, wish: Wish | None) -> Why:
    """The score of the item at a position, taken apart, and what became of it without its strongest terms."""
    recommender = loaded.recommender
    told = recommender.explain(person.history, item, feedback=person.feedback, wish=wish)
    blocks = recommender.blocks(person.history, item, feedback=person.feedback, wish=wish)
    average = summands(person.history, person.feedback, wish).popularity * loaded.average
    effects = dict(zip(*(column.tolist() for column in _by_item(told)), strict=True))
    met = set(person.history.tolist())
    strongest = [each for each in sorted(effects, key=lambda each: -effects[each]) if effects[each] > 0]
    without, rank = [], 0
    for place in [each for each in strongest if each in met][:WITHOUT]:
        found = recommender.counterfactual(person.history, item, place, feedback=person.feedback, wish=wish)
        rank = found.rank
        without.append(Without(*loaded.named(place), found.rank_without))
    excluded = {*met, *person.feedback.disliked, *person.feedback.not_now} - {item}
    return Why(
        item_id=loaded.named(item)[0],
        score=told.score - average,
        popularity=told.popularity - average,
        wish=told.wish,
        content=float(told.content.sum()),
        correction=float(told.correction.sum()),
        blocks=tuple(Part(name, float(part.sum())) for name, part in blocks.items()),
        history=tuple(Term(*loaded.named(place), effect) for place, effect in effects.items()),
        rank=rank or _rank(loaded, person, item, wish),
        items=len(recommender.model.table) - len(excluded),
        without=tuple(without),
    )


def _card(loaded: Loaded, told: Explanation, share: float | None, average: float) -> Card:
    items, effects = _by_item(told)
    public = loaded.item(told.item)
    strongest = np.argsort(-effects, kind="stable")[:REASONS]
    return Card(
        public.item_id, public.title, public.year, public.categories, told.score - average, share,
        told.popularity - average, told.wish,
        tuple(Term(*loaded.named(items[row]), float(effects[row])) for row in strongest if effects[row] > 0),
    )  # fmt: skip


def _by_item(told: Explanation) -> tuple[IntArray, DoubleArray]:
    """Positions of items, and what each adds; one that is also liked adds twice, and is told once."""
    items, where = np.unique(told.items, return_inverse=True)
    return items, np.bincount(where, told.effects, len(items)).astype(np.float64)


def _rank(loaded: Loaded, person: Person, item: int, wish: Wish | None) -> int:
    """Place of an item in the whole list, from 1; zero if it is not in it."""
    whole = loaded.recommender.recommend(
        person.history, len(loaded.recommender.model.table), feedback=person.feedback, wish=wish
    )
    return next((rank for rank, each in enumerate(whole, start=1) if each.item == item), 0)
