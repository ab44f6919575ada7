"""Every way to deny, with everything that can be denied, in both languages: it holds for every item that is shown.

What is right is read off the catalogue here, by code that knows nothing of the parser: each row carries its own test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from domains import domain_recommender
from film_bundle import film_recommender

from sottovoce.client.language.conversation import Conversations, Talk, Turn
from sottovoce.client.language.listing import Asker
from sottovoce.client.recommender import Recommender

NOBODY = Asker(np.zeros(0, np.int64))
Item = dict[str, str]
Denied = Callable[[Item], bool]

ENGLISH = (
    "no {}", "please no {}", "no more {}", "without {}", "w/o {}", "sans {}", "minus {}", "never {}", "nothing like {}",
    "excluding {}", "exclude {}", "except {}", "everything except {}", "anything but {}", "apart from {}",
    "aside from {}", "besides {}", "other than {}", "save for {}", "leave out {}", "leave {} out", "rule out {}",
    "drop {}", "get rid of {}", "stop showing {}", "stop showing me {}", "avoid {}", "skip {}", "hide {}", "remove {}",
    "I don't want {}", "I do not want to see any {}", "I don’t like {}", "do not show me {}", "don't recommend {}",
    "I hate {}", "I dislike {}", "I cannot stand {}", "I can't stand {}", "I won't watch {}", "I refuse {}",
    "I'm tired of {}", "I've had enough of {}", "enough {}", "I'm not in the mood for {}", "I'm not into {}",
    "no interest in {}", "not interested in {}", "keep away from {}", "pass on {}", "zero {}", "too many {}",
    "{} are out", "{} not allowed", "{} are not allowed", "{} excluded", "{}, no thanks", "{} are not my thing",
    "{} are boring", "{}? hard pass", "I'd rather not see {}", "something that isn't {}", "anything that is not {}",
)  # fmt: skip
IN_PLACE = ("rather than {}", "instead of {}", "a thriller instead of {}", "rather a thriller than {}")
CHINESE = (
    "不要{}", "不想看{}", "别给我看{}", "别推荐{}", "没有{}", "不是{}", "不爱{}", "我不爱看{}", "不太想看{}",
    "不怎么喜欢{}", "我不喜欢{}", "讨厌{}", "不能有{}", "不可以有{}", "禁止{}", "拒绝{}", "排除{}", "避开{}", "跳过{}",
    "去掉{}", "少来{}", "少一点{}", "受不了{}", "不需要{}", "不想要{}", "不看{}", "除了{}", "除{}外", "除了{}以外",
    "除了{}都可以", "除了{}都行", "{}不要", "{}都不要", "{}除外", "{}以外", "{}不行", "{}不看", "{}免了", "{}就算了",
    "{}算了吧", "{}太多了", "{}看腻了", "对{}没兴趣", "对{}不感兴趣", "不要再推荐{}了", "看够了{}", "受够了{}",
 "用不着{}", "我反对{}", "少推荐{}", "厌倦{}", "{}没意思", "对{}不感冒", "{}就不必了", "我真的不想再看{}了",
)  # fmt: skip
DEMANDS = (
    "nothing except {}", "nothing but {}", "nothing other than {}", "no films except {}", "none but {}", "only {}",
    "I don't want anything but {}", "I want to watch nothing but {}", "不要不是{}的", "除了{}都不要", "除{}外都不要",
    "除了{}别的都不要", "只看{}，别的不要", "非{}不看",
)  # fmt: skip
"""Two denials are a demand."""


def of(*names: str) -> Denied:
    return lambda item: bool(set(names) & set(item["categories"].split(" | ")))


def years(first: int, last: int) -> Denied:
    return lambda item: first <= int(item["year"] or 0) <= last


def costs(low: float, high: float) -> Denied:
    return lambda item: not item["price"] or low <= float(item["price"]) <= high


FILMS: tuple[tuple[str, Denied], ...] = (
    ("comedies", of("Comedy")),
    ("dramas", of("Drama")),
    ("horror films", of("Horror")),
    ("comedies and dramas", of("Comedy", "Drama")),
    ("comedies or dramas", of("Comedy", "Drama")),
    ("dramas, comedies", of("Drama", "Comedy")),
    ("dramas, comedies and thrillers", of("Drama", "Comedy", "Thriller")),
    ("films before 1990", years(0, 1989)),
    ("films after 1990", years(1991, 9999)),
    ("films older than 1980", years(0, 1979)),
    ("films from the 90s", years(1990, 1999)),
    ("films from 1993 to 1996", years(1993, 1996)),
    ("films between 1990 and 1996", years(1990, 1996)),
    ("1995", years(1995, 1995)),
    ("films from the 80s or the 90s", years(1980, 1999)),
    ("comedies or films before 1990", lambda item: of("Comedy")(item) or years(0, 1989)(item)),
)
CHINESE_FILMS: tuple[tuple[str, Denied], ...] = (
    ("喜剧", of("Comedy")),
    ("剧情片", of("Drama")),
    ("恐怖片", of("Horror")),
    ("喜剧和剧情片", of("Comedy", "Drama")),
    ("喜剧或剧情片", of("Comedy", "Drama")),
    ("剧情片、喜剧", of("Drama", "Comedy")),
    ("剧情片、喜剧和惊悚片", of("Drama", "Comedy", "Thriller")),
    ("1990年以前的电影", years(0, 1989)),
    ("1990年以前的", years(0, 1989)),
    ("1990年以后的", years(1991, 9999)),
    ("九十年代的", years(1990, 1999)),
    ("1993年到1996年的", years(1993, 1996)),
    ("八九十年代的", years(1980, 1999)),
    ("喜剧和1990年以前的", lambda item: of("Comedy")(item) or years(0, 1989)(item)),
)
SHOP: tuple[tuple[str, Denied], ...] = (
    ("things over 20", costs(20.01, 1e9)),
    ("things under 20 dollars", costs(0, 19.99)),
    ("things between 10 and 20 dollars", costs(10, 20)),
    ("$10 to $20 things", costs(10, 20)),
    ("music", of("music")),
    ("music or cooking", of("music", "cooking")),
)
CHINESE_SHOP: tuple[tuple[str, Denied], ...] = (
    ("20元以上的", costs(20.01, 1e9)),
    ("20元以下的", costs(0, 19.99)),
    ("10到20元的", costs(10, 20)),
    ("音乐", of("music")),
)


@pytest.fixture(scope="module")
def films() -> Recommender:
    return film_recommender()[0]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    return domain_recommender("shop", tmp_path_factory.mktemp("shop"))


def shown(one: Recommender, turn: Turn) -> list[Item]:
    columns = one.model.table.attributes
    return [{name: column[each.item] for name, column in columns.items()} for each in turn.listed]


def wrong(one: Recommender, folder: Path, form: str, rows: tuple[tuple[str, Denied], ...], demand: bool) -> list[str]:
    """The sentences whose list is empty, or has an item that it must not have."""
    found = []
    for at, (what, denied) in enumerate(rows):
        sentence = form.format(what)
        turn = Talk(one, Conversations(folder / f"{at}.sqlite"), "owner").say(NOBODY, sentence)
        items = shown(one, turn)
        if not items or any(denied(item) != demand for item in items):
            found.append(f"{sentence}: {[chip.label for chip in turn.chips]}, {len(items)} items")
    return found


@pytest.mark.data
@pytest.mark.parametrize("form", ENGLISH)
def test_what_is_denied_is_not_shown(films: Recommender, tmp_path: Path, form: str) -> None:
    assert not wrong(films, tmp_path, form, FILMS, demand=False)


@pytest.mark.data
@pytest.mark.parametrize("form", IN_PLACE)
def test_what_something_else_takes_the_place_of_is_not_shown(films: Recommender, tmp_path: Path, form: str) -> None:
    rows = tuple((what, denied) for what, denied in FILMS if "," not in what)
    assert not wrong(films, tmp_path, form, rows, demand=False)


@pytest.mark.data
@pytest.mark.parametrize("form", CHINESE)
def test_what_is_denied_in_chinese_is_not_shown(films: Recommender, tmp_path: Path, form: str) -> None:
    assert not wrong(films, tmp_path, form, CHINESE_FILMS, demand=False)


@pytest.mark.data
@pytest.mark.parametrize("form", DEMANDS)
def test_two_denials_are_a_demand(films: Recommender, tmp_path: Path, form: str) -> None:
    rows = CHINESE_FILMS[:3] if "{" in form and not form.isascii() else FILMS[:3]
    assert not wrong(films, tmp_path, form, rows, demand=True)


@pytest.mark.parametrize("form", ENGLISH)
def test_a_price_that_is_denied_is_not_shown(shop: Recommender, tmp_path: Path, form: str) -> None:
    assert not wrong(shop, tmp_path, form, SHOP, demand=False)


@pytest.mark.parametrize("form", CHINESE)
def test_a_price_that_is_denied_in_chinese_is_not_shown(shop: Recommender, tmp_path: Path, form: str) -> None:
    assert not wrong(shop, tmp_path, form, CHINESE_SHOP, demand=False)


@pytest.mark.data
@pytest.mark.parametrize("form", ENGLISH)
def test_what_is_asked_for_before_a_denial_stays(films: Recommender, tmp_path: Path, form: str) -> None:
    rows = tuple((what, _unless("Thriller", denied)) for what, denied in FILMS[:2])
    assert not wrong(films, tmp_path, f"a thriller. {form}", rows, demand=False)


@pytest.mark.data
@pytest.mark.parametrize("form", CHINESE)
def test_what_is_asked_for_before_a_denial_in_chinese_stays(films: Recommender, tmp_path: Path, form: str) -> None:
    rows = tuple((what, _unless("Thriller", denied)) for what, denied in CHINESE_FILMS[:2])
    assert not wrong(films, tmp_path, f"惊悚片，但是{form}", rows, demand=False)


def _unless(name: str, denied: Denied) -> Denied:
    """Wrong is what lacks a category, or is denied."""
    return lambda item: not of(name)(item) or denied(item)
