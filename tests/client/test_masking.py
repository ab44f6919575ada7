"""What names a person is masked; what names a film is not."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from film_bundle import film_recommender

from sottovoce.client import names
from sottovoce.client.masking import mask_personal
from sottovoce.client.words import splitter


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ann.b+c@mail.example.org, please", "write to [mail], please"),
        ("call +49 (0)171 555-1234", "call [phone]"),
        ("我的电话是13800138000", "我的电话是[phone]"),
        ("My name is Ann Lee and I like horror", "My name is [name] and I like horror"),
        ("我叫王小明，想看科幻片", "我叫[name]，想看科幻片"),
        ("ring 555 - 123 - 4567 or 555/123/4567", "ring [phone] or [phone]"),
        ("打１３８－００１３－８０００给我，或 138－0013－8000", "打[phone]给我，或 [phone]"),
        ("写信到 ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ 或 alice＠example.com", "写信到 [mail] 或 [mail]"),
        ("我叫李雷想看电影", "我叫[name]想看电影"),
        ("This is Anna Kowalska speaking", "This is [name] speaking"),
        ("i am John Smith, I'm John Smith", "i am [name], I'm [name]"),
        ("我姓王，想看喜剧", "我姓[name]，想看喜剧"),
    ],
)
def test_personal_data_is_masked(text: str, masked: str) -> None:
    assert mask_personal(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "space horror, but funny",
        "2001: A Space Odyssey, 12 Monkeys and 1984",
        "films of 1990 1991 1992 1993",
        "films of 1990 - 1999/2001–2005",
        "something with Sigourney Weaver",
        "starring Tom Hanks and Meg Ryan, directed by Nora Ephron",
        "a Woody Allen film, or Tom Hanks movies",
        "Tom Hanks",
        "I am Legend, Film Noir and Hong Kong action",
        "由周星驰主演的喜剧",
        "张艺谋导演的电影",
        "像成龙那样的动作片",
        "周星驰",
        "我是程序员，不是高中生",
        "我想看一部关于太空的科幻恐怖电影",
        "🎬🍿 فيلم مضحك",
        "",
    ],
)
def test_a_wish_stays_as_it_is(text: str) -> None:
    assert mask_personal(text) == text


@pytest.mark.parametrize("piece", ["a", "1 ", "@", "a@", "+", "my name is ", "a.b@", "我叫", "1", "(1", "a@b."])
def test_a_megabyte_is_masked_in_seconds(piece: str) -> None:
    started = time.process_time()
    mask_personal(piece * (1_000_000 // len(piece.encode())))
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "My doctor Maria Schmidt told me to find a drama about depression",
            "My doctor [name] told me to find a drama about depression",
        ),
        ("Sarah Johnson, my wife, loves musicals", "[name], my wife, loves musicals"),
    ],
)
def test_names_are_masked_that_the_lists_hold(text: str, masked: str) -> None:
    pytest.importorskip("names")
    assert mask_personal(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("我是张伟", "我是[name]"),
        ("我的医生王小明让我看一部关于抑郁症的剧情片", "我的医生[name]让我看一部关于抑郁症的剧情片"),
    ],
)
def test_names_are_masked_that_the_dictionary_tags(text: str, masked: str) -> None:
    pytest.importorskip("jieba")
    assert mask_personal(text) == masked


def test_what_a_catalogue_holds_is_public() -> None:
    said = "I saw Jerry Maguire with Maria, and call 555 123 4567"
    assert mask_personal(said, lambda words: words == "Jerry Maguire").startswith(
        "I saw Jerry Maguire with Maria, and call ["
    )


@pytest.mark.parametrize("missing", ["names", "jieba"])
def test_without_the_libraries_patterns_mask_alone(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for each in (names._given, names._family, splitter):
        each.cache_clear()
    said = {"names": "my doctor Maria Schmidt told me", "jieba": "我是张伟"}[missing]
    assert mask_personal(said) == said
    assert mask_personal("My name is Ann Lee") == "My name is [name]"
    for each in (names._given, names._family, splitter):
        each.cache_clear()


@pytest.mark.data
@pytest.mark.parametrize("wish", ["like {}", "{}", "I saw {} with my son"])
def test_no_title_of_the_catalogue_is_masked(wish: str) -> None:
    recommender, _ = film_recommender()
    for title in recommender.model.table.titles:
        said = wish.format(title)
        assert mask_personal(said, recommender.mentions) == said


@pytest.mark.parametrize(
    "before",
    ["STARRING " + "A" * 5_000, "STARRING " + "AB " * 1_000, "with " + "Ann Lee, " * 1_000, "by " + "A. " * 2_000],
)
def test_capitals_without_end_take_no_time(before: str) -> None:
    started = time.process_time()
    mask_personal(f"{before} my doctor John Smith said so")
    assert time.process_time() - started < 5


def test_the_dictionary_is_kept_where_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is believed: in a folder of all users, anybody could say who is a name."""
    pytest.importorskip("jieba")
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    splitter.cache_clear()
    jieba = splitter()
    assert jieba is not None
    folder = Path(jieba.dt.tmp_dir)
    assert folder == tmp_path / "cache" / "jieba"
    assert folder.stat().st_mode & 0o777 == 0o700
    splitter.cache_clear()
