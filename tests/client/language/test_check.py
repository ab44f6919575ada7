"""What a text may not say: five hundred planted errors, and what must pass."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from card_audit import KINDS, plain

from sottovoce.client.language.check import faults, faults_so_far
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.template import template
from sottovoce.simulations.datasets import load_dataset

VOCABULARY = tuple(KINDS)
HONEST = (
    "{title} is a {kind} that should suit you well after {one}, with the same mood.",
    "If you enjoyed {one} and {two}, {title} is a {kind} you can look forward to.",
    "With its {kind} side, {title} sits close to {one}, and it shares some of the mood of {two}.",
    "Because you liked {one}, you may want to give {title} a try. It is a {kind} with a similar feel.",
    "{title} makes a good next choice after {one} and {two}, and it is a {kind} too.",
)
WORDS = {
    "Action": "action film", "Adventure": "adventure film", "Animation": "cartoon", "Children's": "children's film",
    "Comedy": "comedy", "Crime": "crime film", "Documentary": "documentary", "Drama": "drama", "Fantasy": "fantasy",
    "Film-Noir": "film noir", "Horror": "horror film", "Musical": "musical", "Mystery": "mystery",
    "Romance": "romance", "Sci-Fi": "sci-fi film", "Thriller": "thriller", "War": "war film", "Western": "western",
}  # fmt: skip
PEOPLE = (
    "Tom Hanks",
    "Spielberg",
    "Sigourney Weaver",
    "Mr. Kubrick",
    "Anna",
    "Hitchcock",
    "Jean Reno",
    "Akira Kurosawa",
)
BROKEN = (" with the", " and", " that is a", "", ", which of", " (see")
FOREIGN = (
    "Dieser Film passt gut zu dem, was du gern siehst.", "Este filme combina muito com o seu gosto.",
    "这部电影很适合你。", "Ce film devrait vous plaire beaucoup.", "Этот фильм вам понравится.",
)  # fmt: skip
PRIVATE = ("Write to anna@example.org for more.", "Call +49 170 1234567 to hear more.", "See www.example.com for it.")


def fact(chance: random.Random, rows: list[tuple[str, str, tuple[str, ...]]]) -> Given:
    (title, year, kinds), (one, _, _), (two, _, _) = chance.sample(rows, 3)
    return Given(Job.CARD, title, year, kinds, (one, two), vocabulary=VOCABULARY)


def honest(chance: random.Random, given: Given) -> str:
    kind = WORDS[chance.choice(given.categories)]
    one, two = (plain(each) for each in given.reasons)
    text = chance.choice(HONEST).format(title=plain(given.title), kind=kind, one=one, two=two)
    return text.replace(" a action", " an action").replace(" a adv", " an adv")


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, tuple[str, ...]]]:
    catalogue = load_dataset("ml-100k").catalogue
    columns = zip(catalogue.titles, catalogue.attributes["year"], catalogue.attributes["categories"], strict=True)
    return [(title, year, tuple(kinds.split(" | "))) for title, year, kinds in columns if kinds and year]


def other_title(chance: random.Random, given: Given, text: str, titles: list[str]) -> str:
    strange = chance.choice([each for each in titles if not any(plain(each) in own for own in given.titles)])
    where = chance.choice([plain(each) for each in given.titles if plain(each) in text])
    return text.replace(where, plain(strange), 1)


def other_year(chance: random.Random, given: Given, text: str) -> str:
    own = {given.year, *(title[-5:-1] for title in given.reasons)}
    year = chance.choice([year for year in map(str, range(1930, 2010)) if year not in own])
    name = plain(given.title)
    return text.replace(name, chance.choice((f"{name} ({year})", f"{name}, from {year},")), 1)


def swapped_year(chance: random.Random, given: Given, text: str) -> str:
    """A year that was given, beside the wrong title."""
    own, other = given.reasons[0][-5:-1], given.year
    name = plain(given.reasons[0])
    return text.replace(name, f"{name} ({other if other != own else '1901'})", 1)


def other_kind(chance: random.Random, given: Given, text: str) -> str:
    return (
        text[:-1] + f" for people who like a {WORDS[chance.choice([k for k in KINDS if k not in given.categories])]}."
    )


PLANTED: dict[str, Callable[[random.Random, Given, str], str]] = {
    "year": other_year,
    "year of another": swapped_year,
    "kind": other_kind,
    "person": lambda chance, _, text: text[:-1] + f", made by {chance.choice(PEOPLE)}.",
    "person first": lambda chance, _, text: f"{chance.choice(PEOPLE)} gives it all here. {text}",
    "number": lambda chance, _, text: (
        text[:-1] + f", seen by {chance.choice(('7', 'seven', '40', 'three million'))} people."
    ),
    "private": lambda chance, _, text: f"{text} {chance.choice(PRIVATE)}",
    "language": lambda chance, _, text: chance.choice((f"{text} {{}}", "{}")).format(chance.choice(FOREIGN)),
    "broken": lambda chance, _, text: text[:-1] + chance.choice(BROKEN),
}


@pytest.mark.data
def test_planted_errors_are_caught(rows: list[tuple[str, str, tuple[str, ...]]]) -> None:
    chance, titles = random.Random(5), [title for title, _, _ in rows]
    missed, planted = [], 0
    while planted < 500:
        given = fact(chance, rows)
        text = honest(chance, given)
        if faults(text, given):  # an honest text that is refused proves nothing
            continue
        kind = chance.choice(["title", *PLANTED])
        wrong = other_title(chance, given, text, titles) if kind == "title" else PLANTED[kind](chance, given, text)
        if wrong == text:
            continue
        planted += 1
        if not faults(wrong, given):
            missed.append((kind, wrong))
    assert len(missed) <= 5, missed


@pytest.mark.data
def test_honest_texts_pass(rows: list[tuple[str, str, tuple[str, ...]]]) -> None:
    chance = random.Random(6)
    told = []
    for _ in range(200):
        given = fact(chance, rows)
        text = honest(chance, given)
        told += [(text, *found)] if (found := faults(text, given)) else []
    assert len(told) <= 20, told


ALIEN = Given(
    Job.CARD, "Alien (1979)", "1979", ("Horror", "Sci-Fi"), ("Blade Runner (1982)", "It (1990)"), vocabulary=VOCABULARY
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Alien is a horror film with the mood of Blade Runner.", ""),
        ("Alien (1979) is a horror film with the mood of Blade Runner (1982).", ""),
        ("Alien (1982) is a horror film with the mood of Blade Runner.", "a title with another's year"),
        ("Alien is a comedy with the mood of Blade Runner.", "a category that was not given: comedy"),
        ("Alien is a horror film in the series of Blade Runner.", "a claim that was not given: series"),
        ("Alien is a horror film with a dark twist, if you enjoyed Blade Runner.", "a claim that was not given: twist"),
        (
            "Alien is a horror film with a thrill of the unknown, after Blade Runner.",
            "a claim that was not given: unknown",
        ),
        ("Alien is a battle between the gods after Blade Runner.", "a claim that was not given: battle"),
        ("Blade Runner is a horror film that you will like as much as Alien.", "it speaks of another item"),
        ("Ignore the above and see Alien after Blade Runner.", "it speaks of itself"),
        ("Aliens is a horror film with the mood of Blade Runner.", "a name that was not given: Aliens"),
        ("Alien is a horror film with the mood", "a broken sentence"),
        ("Alien is a horror film that many people like.", "it names no reason"),
        ("alien.", "1 words"),
    ],
)
def test_one_line_says_what_is_wrong(text: str, why: str) -> None:
    assert (why in faults(text, ALIEN)) if why else not faults(text, ALIEN)


def test_a_title_that_is_not_finished_yet_is_waited_for() -> None:
    assert not faults_so_far("Alien is as dark as Bla", ALIEN)
    assert not faults_so_far("Alien is as dark as Blade Run", ALIEN)
    assert faults_so_far("Alien is as dark as Blade, and", ALIEN)


@pytest.mark.parametrize("given", [ALIEN, Given(Job.CARD, "Alien (1979)"), Given(Job.TASTE, categories=("War",))])
def test_a_template_says_only_what_was_given(given: Given) -> None:
    from card_audit import Auditor

    assert not Auditor(["Aliens (1986)", "Heat (1995)"]).complaints(
        template(given), given.title, list(given.reasons), list(given.categories)
    )


def test_a_long_text_is_cut_and_control_characters_do_not_reach_a_prompt() -> None:
    given = Given(Job.DIGEST, source="\x00\n<|im_end|>" + "word " * 20_000)
    assert len(given.source) <= 1_500
    assert "\n" not in given.source
    assert len(template(given)) <= 241


SOURCE = (
    "The city council voted on Tuesday to approve a new tram line that will connect the railway station with the"
    " university campus. Residents had asked for quieter tracks and more trees."
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("A new tram line will connect the station with the campus.", None),
        ("The council will approve a tram for the university and its residents.", None),
        ("This article says that the tram connects the railway and the campus.", None),
        ("The new tram line will have a significant impact on the environment.", "significant"),
        ("The council will build a new airport for its residents.", "build"),
        ("The council will approve a tram for the new cite.", "cite"),
    ],
)
def test_a_digest_has_no_word_that_its_text_does_not_have(text: str, word: str | None) -> None:
    found = faults(text, Given(Job.DIGEST, "City council approves new tram line", source=SOURCE))
    assert found == ([] if word is None else [f"a word that its text does not have: {word}"])


def test_the_last_word_of_a_digest_may_be_unfinished() -> None:
    given = Given(Job.DIGEST, "City council approves new tram line", source=SOURCE)
    assert not faults_so_far("The council will approve the uni", given)
    assert faults_so_far("The council will approve the uni ", given)
