"""Refuse a text that says what it was not given: the last word before anything that a model wrote is shown.

A card, or a line on a taste, consists of titles and categories that were given and of words that were vetted
(`card_words`); any other word, name, number or sign refuses it. So does a broken sentence, and a text that says what
its reader is. A digest is a whole sentence of its text, as it stands there. What is not refused: praise in plain words
("a gripping thriller"), which no rule can hold to facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from sottovoce.client.language.card_words import ALLOWED, CATEGORY_FORMS, SMALL
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.sentences import COMMAND, quotable
from sottovoce.client.language.vocabulary import Vocabulary, title_forms

NO_REASON = "it names no reason"
NO_SENTENCE = "no sentence of its text that may stand alone"
SHORTEST, LONGEST = 5, 60
"""Words of a text."""

_MARK = "\x01"
_STARTING_WORDS = """
a after although an another any anyone as because both each even every everyone expect fans for from here if in it it's
its just like looking perfect since so some that the this though to when whether while who with you you'll you've your
"""
_STARTS = frozenset(_STARTING_WORDS.split())
"""Words that may begin a sentence; any other word in capitals is a name."""
_ARTICLE = re.compile(r"\ba (?=[aeio](?!ne\b|uro))|\ban (?![aeiouh])|\b(?:[Tt]he|[Aa]n?) \x01", re.IGNORECASE)
_SIGNS = re.compile(r"[^\w\s\x01.,;:!'’‘\"“”()–—-]|_|[^\x00-\u024f‘’“”–—]|[.,;:!][^\s\"”’)]|--|!!|[,;:]\s*[.,;]")
"""What no sentence has: other signs or scripts, or one inside a word, as links have it."""
_OF_READER = re.compile(
    r"\byou(?:['’]re| are| were|['’]ve been| have been)\b(?! (?:in the mood|looking|after|ready|fond))", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!])[\"”]?\s+")
_TRAILING = re.compile(r"\b(?:a|an|the|of|and|or|is|are|that|which|your|its|as|from)[.!]", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|makes?|should|will|can|may|might|gives?|shares?|offers?|brings?|feels?|takes?|comes?"
    r"|keeps?|sits?|shows?|tells?|goes|opens?|says?|covers?|likes?|lean|you'll|you)\b",
    re.IGNORECASE,
)


def faults(text: str, given: Given) -> list[str]:
    """Why a whole text must not be shown; empty if it may."""
    if given.job is Job.DIGEST:
        return [] if text in quotable(given.source) else [NO_SENTENCE]
    return [*_said(text, given), *_style(text, given), *_form(text, given)]


def faults_so_far(text: str, given: Given) -> list[str]:
    """Why what was written of a text so far must not be shown; it ends with a whole word, or within a title."""
    if given.job is Job.DIGEST:
        return [] if any(each.startswith(text) for each in quotable(given.source)) else [NO_SENTENCE]
    start = _open_title(text, given)
    settled = text if start is None else text[:start]
    return [*_said(settled, given), *_style(settled, given)]


def _said(text: str, given: Given) -> Iterator[str]:
    """What a text names, against what was given."""
    bare, wrong_year = _without_titles(text, given)
    if wrong_year:
        yield "a title with another's year"
    if _SIGNS.search(bare):
        yield "signs that no sentence has"
    if match := COMMAND.search(bare):
        yield f"it obeys or commands: {match.group()}"
    if match := _OF_READER.search(bare):
        yield f"it says what its reader is: {match.group()}"
    if unknown := re.findall(r"\w*\d\w*", bare):
        yield f"a number that was not given: {unknown[0]}"
    if unknown := [name for name in _names(bare) if name not in given.categories]:
        yield f"a name that was not given: {unknown[0]}"
    if unknown := _categories(bare, given):
        yield f"a category that was not given: {unknown[0]}"
    if unknown := [word for word in _words(bare) if not _is_plain(word, _category_words(given.categories))]:
        yield f"a word that was not given: {unknown[0]}"


def _is_plain(word: str, own: frozenset[str]) -> bool:
    """Whether a word was vetted or belongs to a given category, as it is or in all its parts."""
    known = ALLOWED | own
    return word in known or all(part in known for part in word.split("-"))


@lru_cache(maxsize=256)
def _category_words(categories: tuple[str, ...]) -> frozenset[str]:
    """The words of categories, in singular and plural."""
    named = [word for name in categories for word in _words(f"{name} {CATEGORY_FORMS.get(name, '')}")]
    parts = {part for word in named for part in (word, *word.split("-"))}
    return frozenset(parts | {f"{part}s" for part in parts} | {f"{part[:-1]}ies" for part in parts if part[-1] == "y"})


def _words(text: str) -> list[str]:
    return [word.casefold().replace("’", "'") for word in _WORD.findall(re.sub(rf"{_MARK}['’]s?\b", _MARK, text))]


def _style(text: str, given: Given) -> Iterator[str]:
    """Faults of style that are seen before a text is whole."""
    bare = _without_titles(text, given)[0]
    words = _words(bare)
    said = [part for word in words if word not in SMALL for part in word.split("-")]
    if len(set(said)) < len(said) or len(set(_quadruples(words))) < len(_quadruples(words)):
        yield "it repeats itself"
    if _ARTICLE.search(bare):
        yield "a wrong article"
    if given.job is Job.CARD and any(
        re.search(rf"{re.escape(name)}(?: is\b| was\b| has\b|'s\b)", text) for name in _others(given)
    ):
        yield "it speaks of another item"


def _others(given: Given) -> set[str]:
    own = {form for form, _ in title_forms(given.title)}
    return {form for title in given.reasons for form, _ in title_forms(title)} - own


def _form(text: str, given: Given) -> Iterator[str]:
    """Whether a text is one or two whole English sentences."""
    bare = _without_titles(text, given)[0]
    words = _words(bare.replace(_MARK, " "))
    if not SHORTEST <= len(words) <= LONGEST:
        yield f"{len(words)} words"
        return
    if text != text.strip() or not re.search(r"[.!][\"”]?$", text) or not re.match(r"[\"“]?[A-Z]|\x01", bare):
        yield "a broken sentence"
    if not all(_VERB.search(sentence) for sentence in _SENTENCE.split(bare) if sentence.strip()):
        yield "a sentence without a verb"
    if any(text.count(sign) % 2 for sign in '"') or any(text.count(a) != text.count(b) for a, b in ("()", "“”")):
        yield "a quotation or bracket that is open"
    if _TRAILING.search(bare) or len(_SENTENCE.split(text)) > 3:
        yield "a broken sentence"
    if given.job is Job.CARD and given.title and not any(form in text for form, _ in title_forms(given.title)):
        yield "it does not name the item"
    if given.job is Job.CARD and given.reasons and not any(name in text for name in _others(given)):
        yield NO_REASON


def _quadruples(words: list[str]) -> list[tuple[str, ...]]:
    return list(zip(words, words[1:], words[2:], words[3:], strict=False))


def _without_titles(text: str, given: Given) -> tuple[str, bool]:
    """The text with a mark for each given title, and whether one of them stands beside another year than its own."""
    wrong = False
    for form, year in _forms(given.titles):
        pattern = re.compile(rf"(?<!\w){re.escape(form)}(?!\w)(?:\s*\(?(?P<year>(?:18|19|20)\d\d)\)?)?")

        def marked(match: re.Match[str], year: str = year) -> str:
            nonlocal wrong
            wrong = wrong or (match["year"] is not None and match["year"] != year)
            return _MARK

        text = pattern.sub(marked, text)
    return text, wrong


@lru_cache(maxsize=256)
def _forms(titles: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every way to write each title, the longest first, and its year."""
    return sorted(
        {(form, year) for title in titles for form, year in title_forms(title)}, key=lambda f: (-len(f[0]), f)
    )


def _open_title(text: str, given: Given) -> int | None:
    """Where a given title begins that the text has not finished yet."""
    for form, _ in _forms(given.titles):
        for length in range(min(len(form), len(text)), 0, -1):
            if text.endswith(form[:length]) and (length == len(text) or not text[-length - 1].isalnum()):
                return len(text) - length
    return None


def _names(bare: str) -> Iterator[str]:
    """Words in capitals, also at the beginning of a sentence unless sentences commonly begin so."""
    for sentence in re.split(r"(?<=[.!:])\s+", bare):
        for at, match in enumerate(_WORD.finditer(sentence)):
            word = match.group()
            starts = at == 0 and _MARK not in sentence[: match.start()]
            if any(sign.isupper() for sign in word) and not (starts and word.casefold().replace("’", "'") in _STARTS):
                yield word


def _categories(bare: str, given: Given) -> list[str]:
    """Category words none of whose categories was given."""
    lower = bare.casefold()
    own = set(given.categories)
    return [
        lower[slice(*each.span)]
        for each in _vocabulary(given.vocabulary).find(lower)
        if not own.intersection(each.values)
    ]


@lru_cache(maxsize=8)
def _vocabulary(categories: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(categories)
