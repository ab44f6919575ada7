"""A conversation on ML-100K: wishes find what was asked for, and every stated constraint holds for every item shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from film_bundle import film_recommender
from wishes import CHINESE, ENGLISH, REFINEMENTS, Right

from sottovoce.client.language.conversation import Conversations, Talk, Turn
from sottovoce.client.language.listing import Asker
from sottovoce.client.recommender import Recommender
from sottovoce.common.history import IntArray

pytestmark = pytest.mark.data

FLOOR = 0.80
NOBODY = Asker(np.zeros(0, np.int64))
Films = tuple[Recommender, list[IntArray]]


@pytest.fixture(scope="module")
def films() -> Films:
    return film_recommender()


@pytest.fixture
def talk(films: Films, tmp_path: Path) -> Talk:
    return Talk(films[0], Conversations(tmp_path / "conversations.sqlite"), "owner")


def fitting(films: Films, turn: Turn, right: Right) -> int:
    catalogue = films[0].bundle.catalogue
    categories, years = (
        [set(text.split(" | ")) for text in catalogue.attributes["categories"]],
        catalogue.attributes["year"],
    )
    return sum(right.fits(categories[each.item], years[each.item]) for each in turn.listed)


@pytest.mark.parametrize("wishes", [ENGLISH, CHINESE], ids=["english", "chinese"])
@pytest.mark.parametrize("person", [None, 0, 300], ids=["nobody", "one", "another"])
def test_wishes_find_what_was_asked_for(
    films: Films, tmp_path: Path, wishes: dict[str, Right], person: int | None
) -> None:
    asker = NOBODY if person is None else Asker(films[1][person])
    found = {}
    for at, (wish, right) in enumerate(wishes.items()):
        talk = Talk(films[0], Conversations(tmp_path / f"{at}.sqlite"), "owner")
        found[wish] = fitting(films, talk.say(asker, wish), right) / 10
    assert np.mean(list(found.values())) >= FLOOR, {wish: share for wish, share in found.items() if share < 1}


@pytest.mark.parametrize(("sentences", "right"), REFINEMENTS, ids=[" / ".join(each) for each, _ in REFINEMENTS])
def test_every_constraint_holds_for_every_item(
    films: Films, talk: Talk, sentences: tuple[str, ...], right: Right
) -> None:
    asker = Asker(films[1][7])
    for sentence in sentences:
        turn = talk.say(asker, sentence)
    assert turn.listed
    assert fitting(films, turn, right) == len(turn.listed)
    assert len(turn.chips) == len(turn.request.constraints) >= 1
    assert not {each.item for each in turn.listed} & set(asker.history.tolist())
