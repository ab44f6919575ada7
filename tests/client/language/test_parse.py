"""What a sentence is read as, and what it is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client.language.parse import Command, Shown, parse
from sottovoce.client.language.request import (
    AnyBetween,
    AnyOf,
    Between,
    Like,
    NoneOf,
    NotThese,
    Request,
    Surprise,
    Unlike,
    Wanted,
)
from sottovoce.client.language.vocabulary import Vocabulary
from sottovoce.client.language.words import FILM_WORDS
from sottovoce.client.language.years import Clock, find_years, period_of

CATEGORIES = tuple(sorted({name for group, _ in FILM_WORDS for name in group}))
FILMS = Vocabulary(CATEGORIES, 1998, {"toy story": ("1", "Toy Story (1995)")})
SHOWN = Shown(("a", "b", "c"), ("A", "B", "C"), 1990.0)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("more like the second", Like(item="b", title="B")),
        ("更像第二个", Like(item="b", title="B")),
        ("像第三部那样的", Like(item="c", title="C")),
        ("less like the third one", Unlike(item="c", title="C")),
        ("I don't like the first one", Unlike(item="a", title="A")),
        ("don't show me anything like the third", Unlike(item="c", title="C")),
        ("something like Toy Story", Like(item="1", title="Toy Story (1995)")),
        ("not the first", NotThese(items=("a",))),
        ("something else", NotThese(items=("a", "b", "c"))),
        ("换一批", NotThese(items=("a", "b", "c"))),
        ("and now surprise me", Surprise()),
        ("给我一个惊喜", Surprise()),
        ("hidden gems", Surprise(diversity=0.0, long_tail=0.8)),
        ("not from the eighties", Between(attribute="year", low=1980, high=1989, outside=True)),
        ("newer please", Between(attribute="year", low=1991)),
        ("老一点", Between(attribute="year", high=1989)),
        ("别太老", Between(attribute="year", low=1969)),
        ("no horror, war or crime", NoneOf(attribute="categories", values=("Horror", "War", "Crime"))),
        ("a comedy or a western", AnyOf(attribute="categories", values=("Comedy", "Western"))),
        ("why not a comedy?", AnyOf(attribute="categories", values=("Comedy",))),
        ("有没有喜剧", AnyOf(attribute="categories", values=("Comedy",))),
        ("un film sur la mer", Wanted(text="un film sur la mer")),
    ],
)
def test_one_sentence_is_one_constraint(sentence: str, expected: object) -> None:
    assert parse(sentence, FILMS, SHOWN).constraints == (expected,)


@pytest.mark.parametrize(
    ("sentence", "command", "place"),
    [
        ("why the third?", Command.WHY, 2), ("为什么推荐这个？", Command.WHY, 0), ("第二个为什么推荐", Command.WHY, 1),
        ("start over", Command.RESET, 0), ("重新开始", Command.RESET, 0), ("undo", Command.UNDO, 0),
        ("算了", Command.UNDO, 0), ("let's start over from scratch", Command.RESET, 0),
    ],
)  # fmt: skip
def test_a_sentence_may_command(sentence: str, command: Command, place: int) -> None:
    reading = parse(sentence, FILMS, SHOWN)
    assert (reading.command, reading.place, reading.constraints) == (command, place, ())


@pytest.mark.parametrize(
    ("sentence", "command"),
    [
        ("start over, a comedy please", Command.RESET), ("重新开始，来部喜剧", Command.RESET),
        ("never mind, show me a comedy", Command.UNDO), ("算了，来部喜剧", Command.UNDO),
    ],
)  # fmt: skip
def test_what_is_asked_for_behind_a_command_counts(sentence: str, command: Command) -> None:
    reading = parse(sentence, FILMS, SHOWN)
    assert (reading.command, reading.constraints) == (command, (AnyOf(attribute="categories", values=("Comedy",)),))


@pytest.mark.parametrize(
    "sentence", ["想看讲人为什么活着的电影", "为什么不来部喜剧", "go back to the 80s", "恐怖片就算了"]
)
def test_a_word_of_a_command_is_not_always_one(sentence: str) -> None:
    assert parse(sentence, FILMS, SHOWN).command is None


@pytest.mark.parametrize(
    ("ordinal", "place"), [("一", 1), ("九", 9), ("十", 10), ("十一", 11), ("十二", 12), ("二十", 20), ("二十三", 23)]
)
def test_chinese_ordinals_name_their_place(ordinal: str, place: int) -> None:
    items = tuple(f"item {each}" for each in range(1, 31))
    reading = parse(f"像第{ordinal}部那样的", FILMS, Shown(items, items))
    assert reading.constraints == (Like(item=f"item {place}", title=f"item {place}"),)


@pytest.mark.parametrize("ordinal", ["一二", "十十", "三十一"])
def test_what_is_no_ordinal_of_the_list_is_missing(ordinal: str) -> None:
    items = tuple(f"item {each}" for each in range(1, 31))
    assert parse(f"像第{ordinal}部那样的", FILMS, Shown(items, items)).missing


def test_a_place_that_the_list_does_not_have_is_missing() -> None:
    assert parse("more like the ninth", FILMS, SHOWN).missing
    assert parse("why?", FILMS).missing


@pytest.mark.parametrize(
    ("words", "period"),
    [("1990年", (1990, 1990)), ("the late 80s", (1985, 1989)), ("八十年代", (1980, 1989)),
     ("二十世纪六十年代", (1960, 1969)),
     ("1970s", (1970, 1979)), ("eighties", (1980, 1989)), ("90年代", (1990, 1999))],
)  # fmt: skip
def test_a_period_is_read_as_it_is_written(words: str, period: tuple[int, int]) -> None:
    assert period_of(words) == period


def test_the_last_word_counts() -> None:
    comedy = AnyOf(attribute="categories", values=("Comedy", "War"))
    assert Request().add(comedy).add(NoneOf(attribute="categories", values=("War",))).constraints[0] == AnyOf(
        attribute="categories", values=("Comedy",)
    )
    since, until = Between(attribute="year", low=1990), Between(attribute="year", high=1980)
    assert Request().add(since).add(until).constraints == (until,)
    assert len(Request().add(since).add(Between(attribute="year", high=1995)).constraints) == 2
    only, never = (Between(attribute="year", low=1995, high=1995, outside=outside) for outside in (False, True))
    assert Request().add(only).add(never).constraints == (never,)
    assert Request().add(never).add(only).constraints == (only,)
    either = AnyBetween(attribute="year", ranges=((1960, 1969), (1980, 1989)))
    assert Request().add(either).add(never).constraints == (either, never)
    assert Request().add(either).add(Between(attribute="year", low=1990)).constraints == (
        Between(attribute="year", low=1990),
    )


def test_a_request_survives_a_file() -> None:
    request = Request().add(Wanted(text="海")).add(Surprise()).add(Between(attribute="year", low=1990))
    request = request.add(AnyBetween(attribute="price", ranges=((None, 10.0), (20.5, None))))
    assert Request.read(request.json()) == request
    with pytest.raises(ValueError, match="kind"):
        Request.read('[{"kind": "run"}]')


@settings(max_examples=200)
@given(st.text(max_size=80))
def test_any_text_is_read_as_something(text: str) -> None:
    request = Request()
    for each in parse(text, FILMS, SHOWN).constraints:
        request = request.add(each)
    assert Request.read(request.json()) == request


@pytest.mark.parametrize(
    "text",
    [
        "not older than " * 250,
        "没有" * 1300,
        "a " * 2000,
        "1990-" * 700,
        "like " * 700,
        "no," * 1300,
        "不要、" * 440,
        "no horror, " * 360,
        "1" * 3999,
        " " * 3999,
    ],
)
def test_long_sentences_are_read_soon(text: str) -> None:
    start = time.process_time()
    parse(text, FILMS, SHOWN)
    assert time.process_time() - start < 2


def test_years_leave_the_other_words() -> None:
    found, rest = find_years("an old detective movie", Clock(1998))
    assert [(each.low, each.high) for each in found] == [(None, 1968)]
    assert rest.split() == ["an", "detective", "movie"]


@pytest.mark.parametrize(
    ("sentence", "others"),
    [
        ("like Toy Story (1995)", ()),
        ("something like “Toy Story” (1995)", ()),
        ("像《Toy Story (1995)》", ()),
        ("like Toy Story (1995), but from the 80s", (Between(attribute="year", low=1980, high=1989),)),
    ],
)
def test_the_year_of_a_title_that_is_named_is_no_constraint(sentence: str, others: tuple[Between, ...]) -> None:
    reading = parse(sentence, FILMS, SHOWN)
    assert reading.constraints == (Like(item="1", title="Toy Story (1995)"), *others)
