"""Words are split and stop words left out, in English and in Chinese."""

from __future__ import annotations

import pytest

from sottovoce.client import words
from sottovoce.client.words import words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Film about the War of the Worlds", ["war", "worlds"]),
        ("Schindler's List (1993)", ["schindler", "list"]),
        ("Sci-Fi, naïve café", ["sci-fi", "naïve", "café"]),
        ("🎬 2001 ...", []),
        ("فيلم مضحك", ["فيلم", "مضحك"]),
    ],
)
def test_words_of_alphabetic_scripts(text: str, expected: list[str]) -> None:
    assert list(words_of(text)) == expected


def test_chinese_is_split_by_jieba() -> None:
    pytest.importorskip("jieba")
    found = list(words_of("我想看一部关于太空的科幻恐怖电影"))
    assert "太空" in found
    assert not {"的", "我", "想", "一部", "电影"} & set(found)


def test_chinese_without_jieba_is_pairs_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "splitter", lambda: None)
    assert list(words_of("太空恐怖")) == ["太空", "空恐", "恐怖"]


def test_a_text_is_read_up_to_its_limit() -> None:
    assert len(list(words_of("word " * 1_000_000))) == words.LONGEST // 5
