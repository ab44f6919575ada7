"""Which categories, makers, schools and kinds a sentence names: by their own names, and by small tables of words.

Nothing here is learned; a vocabulary is made of a catalogue's public attributes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sottovoce.client.language.request import numbers_of
from sottovoce.client.language.words import (
    FILM_AGES,
    FILM_MOODS,
    FILM_WORDS,
    KIND_WORDS,
    SUBJECT_MOODS,
    SUBJECT_WORDS,
)
from sottovoce.common.item_table import CATEGORIES, ItemTable

YEAR = "year"
LONGEST_NAME, LONGEST_TITLE = 80, 200
SHARED = 4
"""A catalogue with as many categories of films as this is spoken of by the words for films."""

KIND, PRICE = "kind", "price"
NAMED = ("brand", "school")
"""Attributes whose values are called by their names."""

CUE = 16
"""Characters in front of a name among which its cue stands."""
_CUE = re.compile(
    r"(?:\b(?:by|from|at|of|brand|school|no|not|without|only|except)|品牌|学校|来自|只要|只看|不要|别)\s*$"
)
"""A name of one word counts only behind such a word: "an apple pie" asks for no brand."""
_YEAR_BEHIND = re.compile(r"\s*\(\d{4}\)|,\s*\d{4}(?!\d)")
_YEAR_AT_END = re.compile(r" \((?:18|19|20)\d\d\)$")
_ARTICLES = ("the", "a", "an", "la", "le", "il", "der", "die", "das")
_TALE = r"(?:片子?|剧(?!情)|电影|故事|题材|类)?"


@dataclass(frozen=True)
class Named:
    """Values of an attribute that are named at `span`: an item of any of them answers."""

    span: tuple[int, int]
    values: tuple[str, ...]
    attribute: str = CATEGORIES


@dataclass(frozen=True)
class Title:
    """An item that is named, by how many characters."""

    id: str
    title: str
    length: int


@dataclass(frozen=True)
class Vocabulary:
    """The words for one catalogue.

    Attributes:
        categories: All its categories, sorted.
        newest: The newest year in it; `None` if it has no years.
        titles: Id and title of each item, by the title as it stands and as people write it.
        names: Attribute and value of each maker and school, by its name in lower case.
        kinds: What kinds of items there are, where they are told apart.
        price: The median price; `None` if it has no prices.
    """

    categories: tuple[str, ...]
    newest: int | None = None
    titles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    price: float | None = None

    @classmethod
    def of(cls, table: ItemTable) -> Vocabulary:
        """The vocabulary of a catalogue."""
        columns = table.attributes
        names = {name for parts in columns[CATEGORIES].parts for name in parts} if CATEGORIES in columns else set()
        years = [int(year) for year in columns[YEAR].values if re.fullmatch(r"\d{4}", year)] if YEAR in columns else []
        titles = dict(_titles(table))
        called = {
            value.casefold(): (each, value) for each in NAMED if each in columns for value in columns[each].values
        }
        called.pop("", None)
        prices = numbers_of(table, PRICE)
        price = None if np.isnan(prices).all() else float(np.nanmedian(prices))
        kinds = tuple(sorted(columns[KIND].values)) if KIND in columns else ()
        return cls(tuple(sorted(names)), max(years, default=None), titles, called, kinds, price)

    def title_at(self, text: str, start: int) -> Title | None:
        """The longest title that `text` (lower case) has from `start` on, with its year if that stands behind it."""
        item, end = _longest(self.titles, text[: start + LONGEST_TITLE], start)
        if item is None:
            return None
        year = _YEAR_BEHIND.match(text, start + end)
        return Title(*item, (year.end() if year else start + end) - start)

    def find(self, text: str) -> list[Named]:
        """What `text` (lower case) names, in its order, longest words first, none overlapping."""
        taken = [False] * len(text)
        found = []
        for each in sorted(self._matches(text), key=lambda named: (named.span[0] - named.span[1], named.span[0])):
            if not any(taken[slice(*each.span)]):
                taken[slice(*each.span)] = [True] * (each.span[1] - each.span[0])
                found.append(each)
        return sorted(found, key=lambda named: named.span)

    def moods(self, text: str) -> list[Named]:
        """The moods that `text` names, as the categories that each keeps away."""
        return [Named(match.span(), values) for values, form in self._moods for match in form.finditer(text)]

    @cached_property
    def films(self) -> bool:
        """Whether the words for films fit this catalogue."""
        return len(set(self.categories) & {name for group, _ in FILM_WORDS for name in group}) >= SHARED

    def _matches(self, text: str) -> Iterator[Named]:
        for values, form in self._forms:
            yield from (Named(match.span(), values) for match in form.finditer(text))
        for kind, form in self._kinds:
            yield from (Named(match.span(), (kind,), KIND) for match in form.finditer(text))
        for match in re.finditer(r"(?<![a-z0-9])[^\W_]", text) if self.names else ():
            found, length = _longest(self.names, text[: match.start() + LONGEST_NAME], match.start())
            name = text[match.start() : match.start() + length]
            if found is not None and (" " in name or _CUE.search(text[max(0, match.start() - CUE) : match.start()])):
                yield Named((match.start(), match.start() + length), (found[1],), found[0])

    @cached_property
    def _forms(self) -> list[tuple[tuple[str, ...], re.Pattern[str]]]:
        rows: list[tuple[tuple[str, ...], re.Pattern[str]]] = [
            ((name,), re.compile(rf"(?<!\w){_as_written(name)}(?!\w)")) for name in self.categories
        ]
        table = FILM_WORDS if self.films else SUBJECT_WORDS
        rows += [(self._known(group), _pattern(words)) for group, words in table]
        if self.films:
            rows.append((self._known(FILM_WORDS[1][0]), re.compile(FILM_AGES)))
        return [(values, form) for values, form in rows if values]

    @cached_property
    def _kinds(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(kind, _pattern(KIND_WORDS.get(kind, kind))) for kind in self.kinds if kind]

    @cached_property
    def _moods(self) -> list[tuple[tuple[str, ...], re.Pattern[str]]]:
        rows = [(self._known(group), _pattern(words)) for group, words in (FILM_MOODS if self.films else SUBJECT_MOODS)]
        return [(values, form) for values, form in rows if values]

    def _known(self, group: tuple[str, ...]) -> tuple[str, ...]:
        own = {name.casefold(): name for name in self.categories}
        return tuple(own[name.casefold()] for name in group if name.casefold() in own)


def _titles(table: ItemTable) -> Iterator[tuple[str, tuple[str, str]]]:
    """Every item by its title: as people write it, with and without its year, and as it stands, which nothing hides."""
    whole = []
    for item, title in zip(table.ids, table.titles, strict=True):
        plain, written = plain_title(title), unicodedata.normalize("NFKC", title).strip().casefold()
        yield plain, (item, title)
        yield plain + "".join(_YEAR_AT_END.findall(written)), (item, title)
        whole.append((written, (item, title)))
    yield from whole


def _longest(
    names: Mapping[str, tuple[str, str]], text: str, start: int
) -> tuple[tuple[str, str], int] | tuple[None, int]:
    """What the longest of `names` that `text` has from `start` on stands for, and its length."""
    ends = [match.start() for match in re.finditer(r"\W|(?<=[a-z])(?=[^\x00-\x7f])|$", text[start:])]
    for end in sorted(ends, reverse=True):
        if (found := names.get(text[start : start + end])) is not None and end > 0:
            return found, end
    return None, 0


def plain_title(title: str) -> str:
    """A title in lower case, without its year, and with its article in front: `Matrix, The (1999)` → `the matrix`."""
    bare = re.sub(r"\s*\([^()]*\)", "", unicodedata.normalize("NFKC", title)).strip().casefold()
    head, comma, article = bare.rpartition(", ")
    return (
        f"{article} {head}" if comma and article in ("the", "a", "an", "la", "le", "il", "der", "die", "das") else bare
    )


def title_forms(title: str) -> list[tuple[str, str]]:
    """Every way to write a title, and its year: as it stands, without its year, with its article in front."""
    year = next(iter(re.findall(r"\(((?:18|19|20)\d\d)\)", title)), "")
    bare = re.sub(r"\s*\((?:18|19|20)\d\d\)\s*$", "", title).strip()
    short = re.sub(r"\s*\([^()]*\)", "", bare).strip()
    forms = {title.strip(), bare, short}
    for form in (bare, short):
        head, comma, article = form.rpartition(", ")
        if comma and article.casefold() in _ARTICLES:
            forms |= {f"{article} {head}", head}
    return [(form, year) for form in forms if form]


def _as_written(name: str) -> str:
    """A category's own name, whatever stands between its words."""
    return r"[\s_-]*".join(re.escape(part) for part in re.split(r"[\s_-]+", name.casefold()))


def _pattern(words: str) -> re.Pattern[str]:
    """`*` ends a stem, `_` stands between words; what stands behind the bar is Chinese and needs no word boundary."""
    english, _, chinese = words.partition("|")
    stems = [
        re.escape(word).replace(r"\*", r"\w*").replace("_", r"[\s-]+").replace(r"\-", r"[\s-]?")
        for word in sorted(english.split(), key=len, reverse=True)
    ]
    forms = [rf"(?<![\w'])(?:{'|'.join(stems)})(?!'?\w)"]
    if chinese:
        forms.append(rf"(?:{'|'.join(map(re.escape, sorted(chinese.split(), key=len, reverse=True)))}){_TALE}")
    return re.compile("|".join(forms))
