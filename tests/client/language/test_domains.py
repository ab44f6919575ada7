"""Talking about shops, news, courses and feeds: every stated constraint holds for every item shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from domains import domain_recommender

from sottovoce.client.language.conversation import Conversations, Talk, Turn
from sottovoce.client.language.listing import Asker
from sottovoce.client.recommender import Recommender

NOBODY = Asker(np.zeros(0, np.int64))
Holds = Callable[[dict[str, str]], bool]


def of(name: str) -> Holds:
    return lambda item: name in item["categories"].split(" | ")


def no(name: str) -> Holds:
    return lambda item: name not in item["categories"].split(" | ")


def costs(low: float, high: float) -> Holds:
    return lambda item: bool(item["price"]) and low <= float(item["price"]) <= high


def is_(attribute: str, value: str) -> Holds:
    return lambda item: item[attribute] == value


def is_not(attribute: str, value: str) -> Holds:
    return lambda item: item[attribute] != value


CASES: tuple[tuple[str, str, tuple[Holds, ...], int], ...] = (
    ("shop", "under 20", (costs(0, 19.99),), 1),
    ("shop", "something for cooking, at most $25", (of("cooking"), costs(0, 25)), 2),
    ("shop", "between 10 and 20 dollars", (costs(10, 20),), 1),
    ("shop", "over 30, no chess", (costs(30.01, 1e9), no("chess")), 2),
    ("shop", "by Music & Co", (is_("brand", "Music & Co"),), 1),
    ("shop", "no football, and not from Law & Co", (no("football"), is_not("brand", "Law & Co")), 2),
    ("shop", "20元以下", (costs(0, 20),), 1),
    ("shop", "不超过25元的，音乐", (costs(0, 25), of("music")), 2),
    ("news", "no sports", (no("football"),), 1),
    ("news", "something lighter", (no("law"),), 1),
    ("news", "music or gardening", (lambda item: of("music")(item) or of("gardening")(item),), 1),
    ("news", "不要体育", (no("football"),), 1),
    ("news", "只看音乐", (of("music"),), 1),
    ("news", "轻松一点的", (no("law"),), 1),
    ("courses", "coding for a change", (of("programming"),), 1),
    ("courses", "at the School of music", (is_("school", "School of music"),), 1),
    ("courses", "medicine, but not at the School of law", (of("medicine"), is_not("school", "School of law")), 2),
    ("courses", "编程", (of("programming"),), 1),
    ("courses", "不要法律", (no("law"),), 1),
    ("social", "only posts", (is_("kind", "post"),), 1),
    ("social", "people who like gardening", (is_("kind", "person"), of("gardening")), 2),
    ("social", "no posts", (is_not("kind", "post"),), 1),
    ("social", "音乐的帖子", (is_("kind", "post"), of("music")), 2),
    ("social", "不要帖子", (is_not("kind", "post"),), 1),
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recommender]:
    known: dict[str, Recommender] = {}

    def of_domain(domain: str) -> Recommender:
        if domain not in known:
            known[domain] = domain_recommender(domain, tmp_path_factory.mktemp(domain))
        return known[domain]

    return of_domain


def items(one: Recommender, turn: Turn) -> list[dict[str, str]]:
    columns = one.model.table.attributes
    return [{name: column[each.item] for name, column in columns.items()} for each in turn.listed]


@pytest.mark.parametrize(("domain", "sentence", "rights", "chips"), CASES, ids=[f"{d}: {s}" for d, s, _, _ in CASES])
def test_every_constraint_holds_for_every_item(
    shown: Callable[[str], Recommender],
    tmp_path: Path,
    domain: str,
    sentence: str,
    rights: tuple[Holds, ...],
    chips: int,
) -> None:
    one = shown(domain)
    talk = Talk(one, Conversations(tmp_path / "said.sqlite"), "owner", n=30)
    turn = talk.say(NOBODY, sentence)
    listed = items(one, turn)
    assert len(listed) >= 2
    assert all(right(item) for right in rights for item in listed)
    assert len([chip for chip in turn.chips if chip.kind in ("any_of", "none_of", "between")]) == chips, turn.chips
    columns = one.model.table.attributes
    everything = [{name: column[row] for name, column in columns.items()} for row in range(len(one.model.table))]
    assert not all(right(item) for right in rights for item in everything), "what every item satisfies shows nothing"


@pytest.mark.parametrize(("dearer", "cheaper"), [("more expensive", "cheaper"), ("贵一点的", "便宜一点")])
def test_cheaper_is_cheaper_than_what_was_seen(
    shown: Callable[[str], Recommender], tmp_path: Path, dearer: str, cheaper: str
) -> None:
    one = shown("shop")
    for sentence, sign in ((cheaper, -1), (dearer, 1)):
        talk = Talk(one, Conversations(tmp_path / f"{sign}.sqlite"), "owner")
        before = [float(item["price"]) for item in items(one, talk.say(NOBODY, "anything at all")) if item["price"]]
        after = [float(item["price"]) for item in items(one, talk.say(NOBODY, sentence))]
        assert after
        assert all(sign * price > sign * float(np.median(before)) for price in after)


def test_a_word_that_is_also_a_brand_asks_for_no_brand() -> None:
    from sottovoce.client.language.parse import parse
    from sottovoce.client.language.vocabulary import Vocabulary

    words = Vocabulary(("Food",), names={"apple": ("brand", "Apple")})
    assert [each.kind for each in parse("an apple pie", words).constraints] == ["wanted"]
    assert [each.kind for each in parse("a phone by Apple", words).constraints] == ["any_of", "wanted"]
