"""A conversation on ML-100K: wishes find what was asked for, and every stated constraint holds for every item shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from film_bundle import film_recommender
from wishes import CHINESE, ENGLISH, REFINEMENTS, Right

from sottovoce.client.language.conversation import Conversations, Talk, Turn
from sottovoce.client.language.listing import Asker
from sottovoce.client.language.parse import parse
from sottovoce.client.language.request import Like
from sottovoce.client.language.vocabulary import Vocabulary
from sottovoce.client.recommender import Recommender
from sottovoce.client.taste import Feedback
from sottovoce.common.errors import ConfigError
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


def test_more_like_one_item_leads_there(films: Films, talk: Talk) -> None:
    recommender = films[0]
    before = talk.say(NOBODY, "a comedy").listed
    after = talk.say(NOBODY, "more like the second").listed
    anchor = before[1].item
    near = [recommender.model.content_rows(np.array([each.item for each in turn])) for turn in (before, after)]
    wish = recommender.wish_like(anchor).vector
    assert (near[1] @ wish).mean() > (near[0] @ wish).mean()
    assert anchor not in [each.item for each in after]


def test_a_chip_can_be_taken_away_and_a_turn_taken_back(talk: Talk) -> None:
    talk.say(NOBODY, "a comedy")
    turn = talk.say(NOBODY, "not older than 1990")
    assert [chip.label for chip in turn.chips] == ["Comedy", "from 1990"]
    assert [chip.label for chip in talk.drop(NOBODY, 0).chips] == ["from 1990"]
    assert [chip.label for chip in talk.say(NOBODY, "撤销").chips] == ["喜剧", "1990 起"]
    assert talk.say(NOBODY, "start over").chips == ()


@pytest.mark.parametrize(
    "sentence", ["never mind, show me a western", "start over, a western please", "算了，来部西部片"]
)
def test_a_wish_behind_a_command_takes_the_place_of_the_last(films: Films, talk: Talk, sentence: str) -> None:
    talk.say(NOBODY, "a comedy")
    turn = talk.say(NOBODY, sentence)
    assert [(chip.kind, chip.place) for chip in turn.chips] == [("any_of", 0)]
    assert fitting(films, turn, Right((("Western",),))) == len(turn.listed) > 0
    assert talk.now(NOBODY).request == turn.request


def test_what_is_denied_unclearly_changes_nothing_and_is_said(talk: Talk) -> None:
    before = talk.say(NOBODY, "a comedy")
    turn = talk.say(NOBODY, "unless it is a western")
    assert turn.request == before.request
    assert turn.unsure
    assert turn.answer == "It is not clear what is not wanted: say “no …”."


def test_why_names_what_was_met_and_asked_for(films: Films, talk: Talk) -> None:
    asker = Asker(films[1][7])
    turn = talk.say(asker, "a comedy")
    answer = talk.say(asker, "why the second?").answer
    reasons = films[0].reasons(asker.history, turn.listed[1].item, 2)
    assert turn.listed[1].title in answer
    assert all(each.title in answer for each in reasons)
    assert "Comedy" in answer
    assert talk.say(asker, "为什么推荐这个？").answer.startswith(f"推荐《{turn.listed[0].title}》")


def test_a_place_is_one_of_the_list_that_is_there_now(films: Films, talk: Talk) -> None:
    asker = Asker(films[1][7])
    first = talk.say(asker, "a comedy").listed[0]
    disliked = Asker(asker.history, Feedback(disliked=(first.item,)))
    second, third = talk.now(disliked).listed[:2]
    assert second.item != first.item
    assert second.title in talk.say(disliked, "why the first?").answer
    assert f"like {third.title}" in [chip.label for chip in talk.say(disliked, "more like the second").chips]


def test_an_item_that_a_new_model_lacks_has_no_place(films: Films, talk: Talk) -> None:
    asker = Asker(films[1][7])
    turn = talk.say(asker, "a comedy")
    ids = [films[0].model.table.ids[each.item] for each in turn.listed]
    talk.conversations.show("owner", ["gone", *ids])
    assert turn.listed[0].title in talk.say(asker, "why the first?").answer


def test_what_is_said_stays_and_can_be_forgotten(talk: Talk) -> None:
    talk.say(NOBODY, "a comedy about my uncle, write to uncle@example.org")
    path = talk.conversations.path
    assert path.stat().st_mode & 0o777 == 0o600
    assert "uncle@example.org" not in talk.conversations.turns("owner")[0].said
    turn = talk.say(NOBODY, "something else")
    shown = talk.conversations.last("owner")
    assert shown is not None
    assert talk.conversations.forget("owner", shown.shown[0]) == 1
    assert talk.conversations.forget("owner") == 1
    assert talk.conversations.turns("owner") == []
    assert talk.conversations.last("owner") is None
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM turn").fetchone() == (0,)
    stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"uncle" not in stored
    assert turn.listed


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 4_001])
def test_what_is_no_sentence_is_refused(talk: Talk, sentence: str) -> None:
    with pytest.raises(ConfigError, match="sentence"):
        talk.say(NOBODY, sentence)


def test_a_sentence_that_no_rule_knows_may_be_said_in_other_words(talk: Talk) -> None:
    asked: list[str] = []

    def rephrase(said: str) -> str:
        asked.append(said)
        return "a western"

    other = Talk(talk.recommender, talk.conversations, "other", rephrase=rephrase)
    turn = other.say(NOBODY, "tumbleweed and spurs")
    assert asked == ["tumbleweed and spurs"]
    assert [chip.label for chip in turn.chips] == ["Western"]
    assert talk.say(NOBODY, "tumbleweed and spurs").unsure


def test_a_guess_leads_excludes_nothing_and_gives_way(films: Films, talk: Talk) -> None:
    one, said = films[0], "tumbleweed and spurs"
    other = Talk(one, talk.conversations, "other", guess=lambda words: "Western")
    before, turn = talk.say(NOBODY, said), other.say(NOBODY, said)
    assert [chip.label for chip in turn.chips] == ["“tumbleweed and spurs”", "perhaps Western?"]
    assert turn.unsure
    right = Right((("Western",),))
    assert fitting(films, turn, right) > fitting(films, before, right)
    assert turn.request.allowed(one.model.table).all()
    assert [chip.kind for chip in other.drop(NOBODY, 1).chips] == ["wanted"]
    assert [each.item for each in other.now(NOBODY).listed] == [each.item for each in before.listed]
    other.say(NOBODY, said)
    assert [chip.label for chip in other.say(NOBODY, "a comedy").chips] == ["“tumbleweed and spurs”", "Comedy"]


@pytest.mark.parametrize("sentence", ["a comedy", "适合看海的", "more like the ninth", "no clowns at all"])
def test_nothing_is_guessed_where_rules_know_or_it_is_chinese(talk: Talk, sentence: str) -> None:
    def guess(words: str) -> str:
        raise AssertionError(words)

    other = Talk(talk.recommender, talk.conversations, "other", guess=guess)
    assert not [chip for chip in other.say(NOBODY, sentence).chips if chip.kind == "guess"]


def test_a_guess_that_nobody_can_make_costs_nothing(talk: Talk) -> None:
    assert [chip.kind for chip in talk.say(NOBODY, "tumbleweed and spurs").chips] == ["wanted"]


def test_every_title_is_read_as_the_item_that_it_names(films: Films) -> None:
    """As it stands in the catalogue, with years, places and words of negation in it: of items called alike, one."""
    table = films[0].model.table
    vocabulary = Vocabulary.of(table)
    for title in table.titles:
        (like,) = parse(f"like {title}", vocabulary).constraints
        assert isinstance(like, Like) and like.title == title


def test_more_like_an_item_is_asked_for_by_its_id(films: Films, talk: Talk) -> None:
    table = films[0].model.table
    turn = talk.like(NOBODY, table.ids[5])
    assert turn.request.constraints == (Like(item=table.ids[5], title=table.titles[5]),)
    assert table.ids[5] not in {table.ids[each.item] for each in turn.listed}
    assert talk.now(NOBODY).request == turn.request
    with pytest.raises(ConfigError, match="an item of the catalogue"):
        talk.like(NOBODY, "nothing")
