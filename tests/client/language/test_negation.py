"""How far a denial reaches, and what it leaves standing: sentences whose constraints were written down by hand."""

from __future__ import annotations

import pytest

from sottovoce.client.language.parse import parse
from sottovoce.client.language.request import Request
from sottovoce.client.language.vocabulary import Vocabulary
from sottovoce.client.language.wording import label
from sottovoce.client.language.words import FILM_WORDS

FILMS = Vocabulary(
    tuple(sorted({name for group, _ in FILM_WORDS for name in group})),
    1998,
    {"star wars": ("1", "Star Wars (1977)"), "2001: a space odyssey": ("2", "2001: A Space Odyssey (1968)")},
)
SHOP = Vocabulary(("history", "medicine", "music"), price=30.0)


def read(sentence: str, vocabulary: Vocabulary = FILMS) -> set[str]:
    """The hard constraints of a sentence, as chips."""
    request = Request()
    for each in parse(sentence, vocabulary).constraints:
        request = request.add(each)
    return {label(each, False) for each in request.constraints if each.kind not in ("wanted", "unwanted")}


@pytest.mark.parametrize(
    ("sentence", "chips"),
    [
        # Through a list, to its end.
        ("no horror, war or crime, a comedy", {"no Horror, War or Crime", "Comedy"}),
        ("no comedies, dramas and westerns please", {"no Comedy, Drama or Western"}),
        ("don't show me comedies, dramas or anything old", {"no Comedy or Drama", "from 1969"}),
        ("neither horror, war nor drama", {"no Horror, War or Drama"}),
        ("without horror, thriller", {"no Horror or Thriller"}),
        ("别给我看恐怖、惊悚、犯罪", {"no Horror, Thriller or Crime"}),
        ("不要喜剧、剧情片和动作片", {"no Comedy, Drama or Action"}),
        ("dramas, comedies are out", {"no Drama or Comedy"}),
        ("恐怖片，惊悚片都不要", {"no Horror or Thriller"}),
        # What is asked for by itself is no entry of the list before it.
        ("不想要那么旧的，新一点", {"from 1994"}),
        ("不要太吓人，轻松一点", {"no Horror or Thriller", "no Horror, War, Crime, Thriller or Film-Noir"}),
        ("less drama and more comedy", {"no Drama", "Comedy"}),
        ("no horror and plenty of action", {"no Horror", "Action"}),
        ("skip the musicals and go with a mystery", {"no Musical", "Mystery"}),
        ("less violence and more romance", {"Romance"}),
        # Questions and idioms deny nothing.
        ("don't you have any good documentaries?", {"Documentary"}),
        ("isn't there a good comedy?", {"Comedy"}),
        ("haven't you got any westerns?", {"Western"}),
        ("can't you find me a western", {"Western"}),
        ("who doesn't love a good comedy", {"Comedy"}),
        ("nothing beats a good western", {"Western"}),
        ("you can't go wrong with a comedy", {"Comedy"}),
        ("I haven't watched a western in years", {"Western"}),
        ("好久没看西部片了，来一部", {"Western"}),
        ("谁不喜欢喜剧呢", {"Comedy"}),
        ("nothing like horror", {"no Horror"}),
        # No further than that.
        ("no comedies, a western", {"no Comedy", "Western"}),
        ("no, comedies please", {"Comedy"}),
        ("no war films after 1990 please, comedies are fine", {"no War", "until 1990", "Comedy"}),
        ("I hate musicals but love westerns", {"no Musical", "Western"}),
        ("I don't want westerns, I want comedies", {"no Western", "Comedy"}),
        ("no romance or comedy, between 1990 and 1995", {"no Romance or Comedy", "1990–1995"}),
        ("no horror and something from the 80s", {"no Horror", "1980–1989"}),
        ("comedies without romance from the 80s", {"Comedy", "no Romance", "1980–1989"}),
        ("drama instead of comedy", {"Drama", "no Comedy"}),
        ("instead of comedy, drama", {"Drama", "no Comedy"}),
        ("rather than a comedy, a western", {"Western", "no Comedy"}),
        ("I prefer drama to comedy", {"Drama", "no Comedy"}),
        ("没有爱情的喜剧", {"no Romance", "Comedy"}),
        ("不带爱情的喜剧", {"no Romance", "Comedy"}),
        ("不是喜剧的爱情片", {"no Comedy", "Romance"}),
        ("不恐怖的惊悚片", {"no Horror", "Thriller"}),
        ("不要喜剧要剧情片", {"no Comedy", "Drama"}),
        ("不是喜剧，是爱情片", {"no Comedy", "Romance"}),
        ("恐怖片不要，惊悚片可以", {"no Horror", "Thriller"}),
        ("不要喜剧和剧情片，动作片可以", {"no Comedy or Drama", "Action"}),
        # Years and names beside each other, each with what is said of it.
        ("no drama and nothing before 1990", {"no Drama", "from 1990"}),
        ("no horror or anything older than 1990", {"no Horror", "from 1990"}),
        ("不要恐怖片和1990年以前的", {"no Horror", "from 1990"}),
        ("nothing too old or scary", {"from 1969", "no Horror or Thriller"}),
        ("a not too old comedy", {"from 1969", "Comedy"}),
        ("horror but not too scary", {"Horror", "no Thriller"}),
        ("some sci-fi without aliens", {"Sci-Fi"}),
        ("kids but not animation", {"Children's", "no Animation"}),
        ("avoid: horror, war", {"no Horror or War"}),
        ("replace horror with comedy", {"no Horror", "Comedy"}),
        ("hide horror and show comedies", {"no Horror", "Comedy"}),
        ("not a musical - a western", {"no Musical", "Western"}),
        ("看够了喜剧", {"no Comedy"}),
        ("与其看喜剧不如看剧情片", {"no Comedy", "Drama"}),
        # Grown together with a word, or behind it.
        ("non-animated films", {"no Animation"}),
        ("western-free", {"no Western"}),
        ("非恐怖片", {"no Horror"}),
        ("儿童不宜的", {"no Children's or Animation"}),
        ("westerns, no thanks", {"no Western"}),
        ("horror? no", {"no Horror"}),
        ("恐怖片就算了", {"no Horror"}),
        ("不适合孩子的", {"no Children's or Animation"}),
        ("not a kids' movie", {"no Children's or Animation"}),
        # Two denials.
        ("I don't want anything that isn't a comedy", {"Comedy"}),
        ("no non-animated films", {"Animation"}),
        ("nothing except comedies", {"Comedy"}),
        ("除了喜剧都不要", {"Comedy"}),
        ("除了喜剧别的都不要", {"Comedy"}),
        ("只看喜剧，别的不要", {"Comedy"}),
        ("no comedy except romantic ones", {"no Comedy"}),
        ("comedies except romantic ones", {"Comedy", "no Romance"}),
        # What only looks like one.
        ("why not a comedy", {"Comedy"}),
        ("a comedy I haven't seen", {"Comedy"}),
        ("a documentary, nothing made up", {"Documentary"}),
        ("a comedy that isn't too long", {"Comedy"}),
        ("特别搞笑的喜剧", {"Comedy"}),
        ("要不来部喜剧", {"Comedy"}),
        ("没看过的喜剧", {"Comedy"}),
        ("喜剧不要太长的", {"Comedy"}),
        ("not only comedies", set()),
        ("不一定要喜剧", set()),
        ("I don't mind horror", set()),
    ],
)
def test_a_denial_reaches_as_far_as_it_is_meant(sentence: str, chips: set[str]) -> None:
    assert read(sentence) == chips


@pytest.mark.parametrize(
    ("sentence", "chips"),
    [
        ("films from the 80s or the 90s", {"1980–1999"}),
        ("80年代或90年代的", {"1980–1999"}),
        ("films from the 60s or the 80s", {"1960–1969 or 1980–1989"}),
        ("1995 or 1996", {"1995–1996"}),
        ("1995 and 1997", {"1995 or 1997"}),
        ("before 1950 or after 1990", {"until 1949 or from 1991"}),
        ("after 1990, before 1995, not 1993", {"1991–1994", "not 1993"}),
        ("not between 1990 and 1995", {"not 1990–1995"}),
        ("outside 1990-1995", {"not 1990–1995"}),
        ("不要1990到1995年的", {"not 1990–1995"}),
        ("not older than 1990 or newer than 1995", {"1990–1995"}),
        ("1980年以前的不要", {"from 1980"}),
        ("1980年以后不要", {"until 1979"}),
        ("not 1995, 1996 or 1997", {"not 1995", "not 1996", "not 1997"}),
        ("apart from 1995", {"not 1995"}),
        ("1990年及以后", {"from 1990"}),
        ("at least from 1990", {"from 1990"}),
        ("1990 in or before", {"until 1990"}),
        ("made in 1990 or before", {"until 1990"}),
        ("1990 at the earliest", {"from 1990"}),
        ("around 1990", {"1988–1992"}),
        ("1990年左右", {"1988–1992"}),
        ("最早1990年", {"from 1990"}),
        ("最晚1990年", {"until 1990"}),
        ("八、九十年代的电影", {"1980–1999"}),
        ("70-80s", {"1970–1989"}),
        ("一九九〇年以后的电影", {"from 1990"}),
        ("like Star Wars (1977)", {"like Star Wars (1977)"}),
        ("like 2001: A Space Odyssey, no war", {"like 2001: A Space Odyssey (1968)", "no War"}),
    ],
)
def test_years_are_the_ranges_that_are_said(sentence: str, chips: set[str]) -> None:
    assert read(sentence) == chips


@pytest.mark.parametrize(
    ("sentence", "chips"),
    [
        ("nothing over 50", {"price until 50"}),
        ("not above 50", {"price until 50"}),
        ("I don't want to pay more than 50", {"price until 50"}),
        ("不要超过50元的", {"price until 50"}),
        ("不超过50元", {"price until 50"}),
        ("not expensive", {"price until 30"}),
        ("not cheap", {"price from 30"}),
        ("not cheaper than 20", {"price from 20"}),
        ("no less than 20", {"price from 20"}),
        ("under 1,000", {"price until 999.99"}),
        ("1,299 dollars or less", {"price until 1299"}),
        ("20 to 50 dollars", {"price 20–50"}),
        ("around 20", {"price 16–24"}),
        ("not between 10 and 20", {"price not 10–20"}),
        ("less than 20 or more than 50", {"price until 19.99 or from 50.01"}),
        ("at most 50 and at least 20", {"price 20–50"}),
    ],
)
def test_prices_are_the_ranges_that_are_said(sentence: str, chips: set[str]) -> None:
    assert read(sentence, SHOP) == chips


@pytest.mark.parametrize("sentence", ["unless it is a western", "I don't not like horror", "我不是不喜欢喜剧"])
def test_what_stands_beside_a_denial_that_no_rule_places_is_left_open(sentence: str) -> None:
    reading = parse(sentence, FILMS)
    assert reading.denied
    assert reading.unsure
    assert read(sentence) == set()
