"""What names a person is masked; what names a film is not."""

from __future__ import annotations

import time

import pytest

from sottovoce.client.masking import mask_personal


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
