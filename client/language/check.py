"""Refuse a text that says what it was not given: the last word before anything that a model wrote is shown.

What is refused: a title, person or other name, a year or number, a category that is not among the given facts; mail
addresses, phone numbers and links; another language than English; a sentence that is broken; a text that speaks of
itself; in a digest, any word that the long text does not have. What is not refused: a claim of a card in small letters
and plain words ("a slow burner"), which no rule can hold to facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.vocabulary import Vocabulary, title_forms
from sottovoce.client.masking import mask_personal

NO_REASON = "it names no reason"
SHORTEST, LONGEST = 5, 60
"""Words of a text."""
ENGLISH_SHARE = 0.3
"""At least this share of its words are among the most common of English."""

_MARK = "\x01"
_COMMON_WORDS = """
a about above across after all along also always an and another any are as at be because been before both but by can
come do don't down each enjoy enjoyed even ever every fan fans feel few film films find for from full get give gives
good great has have here how if in into is it it's its just keep kind know last like liked likely look lot love made
make makes many met mix mood more most much must need never new next no not now of off often on once one only or other
out over own part people perfect picture place plenty same see shares should show since so some something still story
such take taste tells than that the their them there these they thing things this those through time to too under up
us very want was watch way well were what when where which while who why will with without work world would you you'll
you're you've your
"""
_STARTING_WORDS = """
a after again all also although an and another any anyone as at because both but by each even every expect fans for
from given having here if in it it's its just like looking love much no not on once one perfect same see since so some
something still such that the there these they this those though to try watch what when where whether while who with
you you'll you've your
"""
_COMMON, _STARTS = frozenset(_COMMON_WORDS.split()), frozenset(_STARTING_WORDS.split())
_OF_TEXTS = frozenset(["article", "course", "covers", "describes", "explains", "introduces", "says", "teaches"])
"""Words for a text itself, which a digest may use."""
_STEM, _ENDING = 5, 2
_NUMBERS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|(?:twent|thirt|fort|fift|sixt|sevent|eight|ninet)(?:y|ies)\w*|dozens?|hundreds?|thousands?"
    r"|millions?|billions?|first|third|fourth|fifth|trilogy|half|twice|double|decades?|century|centuries)\b",
    re.IGNORECASE,
)
_PRIVATE = re.compile(r"\[(?:mail|phone)\]|https?:|www\.|@|\b\w+\.(?:com|org|net|io)\b", re.IGNORECASE)
_ITSELF = re.compile(
    r"\b(?:I|I'm|I've|I'd|I'll|[Mm]y|[Mm]e|we|our|AI|model|assistant|prompt|instructions?|ignore|system|recommend me"
    r"|note|sentence|words?|above|below|user|text)\b"
)
_CLAIMS = re.compile(
    r"\b(?:franchise|series|sequels?|prequels?|remake|trilogy|awards?|award-winning|oscars?|winn(?:er|ing)|won|director"
    r"|directed|starring|stars?|actors?|actress(?:es)?|cast|famous|best|greatest|most|latest|recent|newest|oldest|last"
    r"|true story|based on|version|adaptation|adapted|novel|book|original|classic|hit|box office|critics?|rated"
    r"|about|stor(?:y|ies)|tales?|tells|follows|set in|hero(?:es|ine)?|characters?|m[ae]n|wom[ae]n|boys?|girls?"
    r"|plot|events|twist\w*|endings?|history|historical|violen\w*|battles?|gods?|phantoms?|triangles?|disasters?"
    r"|unknown|legends?|protagonists?|villains?|politic\w*|past|nightmares?|settings?|city|death|details|too much|been"
    r"|luxurious|underbelly|before|episodes?|installments?|previous|messages?|audiences?|infamous|genius|favou?rites?"
    r"|edited|released|re-?written"
    r"|nothing|bad|worst|boring|dull|poor|waste|disappoint\w*|terrible|awful)\b",
    re.IGNORECASE,
)
"""What would have to be known of an item, and was not given; and what speaks against it."""
_ARTICLE = re.compile(r"\ba (?=[aeio](?!ne\b|uro))|\ban (?![aeiouh])|\b(?:[Tt]he|[Aa]n?) \x01", re.IGNORECASE)
_MARKUP = re.compile(r"[<>{}\[\]|*_#`~\\^=\x00\x02-\x1f]|\.\.|--|\?|!!|,,|[,;:]\s*[.,;]")
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
    return [*_said(text, given), *_style(text, given), *_form(text, given)]


def faults_so_far(text: str, given: Given) -> list[str]:
    """Why what was written of a text so far must not be shown; its last word may be unfinished."""
    start = _open_title(text, given)
    settled = text if start is None else text[:start]
    return [*_said(settled, given), *_style(settled, given)]


def _said(text: str, given: Given) -> Iterator[str]:
    """What a text names, against what was given."""
    facts = "\n".join((given.title, *given.reasons, given.source)).casefold()
    if mask_personal(text, lambda words: words.casefold() in facts) != text or _PRIVATE.search(text):
        yield "personal data or a link"
    if _MARKUP.search(_without_titles(text, given)[0]):
        yield "signs that no sentence has"
    bare, wrong_year = _without_titles(text, given)
    if wrong_year:
        yield "a title with another's year"
    if _ITSELF.search(bare):
        yield "it speaks of itself"
    strange = (sign for sign in bare if ord(sign) > 0x24F and sign not in "‘’“”–—…")
    if any(given.job is not Job.DIGEST or sign not in given.source for sign in strange):
        yield "another script"
    if unknown := sorted(set(_numbers(bare)) - _given_numbers(given)):
        yield f"a number that was not given: {unknown[0]}"
    if (match := _NUMBERS.search(bare)) and match.group().casefold() not in given.source.casefold():
        yield f"a number that was not given: {match.group()}"
    if (
        given.job is Job.CARD
        and (match := _CLAIMS.search(bare))
        and match.group().casefold() not in given.source.casefold()
    ):
        yield f"a claim that was not given: {match.group()}"
    if given.job is Job.DIGEST and (unknown := _not_in_source(bare, given)):
        yield f"a word that its text does not have: {unknown[0]}"
    if unknown := [name for name in _names(bare) if name not in _given_names(given)]:
        yield f"a name that was not given: {unknown[0]}"
    if unknown := _categories(bare, given):
        yield f"a category that was not given: {unknown[0]}"


def _not_in_source(bare: str, given: Given) -> list[str]:
    """Words of a digest that the long text has in no form; the last one may be unfinished."""
    there = set(_words(f"{given.title} {given.source}"))
    *said, last = _words(bare) or [""]
    begun = bare[-1:].isalnum() and any(word.startswith(last) for word in there)
    return [
        word
        for word in (said if begun else [*said, last])
        if word not in _COMMON | _OF_TEXTS | {""} and not any(_alike(word, other) for other in there)
    ]


def _alike(word: str, other: str) -> bool:
    """Whether two words have a stem in common: their first five letters, or all of the shorter one and an ending."""
    stem = min(len(word), len(other), _STEM)
    return word[:stem] == other[:stem] and (stem == _STEM or abs(len(word) - len(other)) <= _ENDING)


def _words(text: str) -> list[str]:
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def _style(text: str, given: Given) -> Iterator[str]:
    """Faults of style that are seen before a text is whole."""
    bare = _without_titles(text, given)[0]
    words = _words(bare)
    said = [part for word in words if word not in _COMMON for part in word.split("-")]
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
    if sum(word in _COMMON for word in words) < ENGLISH_SHARE * len(words):
        yield "not English"
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


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _given_numbers(given: Given) -> set[str]:
    return {given.year, *_numbers(given.source)} - {""}


def _names(bare: str) -> Iterator[str]:
    """Words in capitals, also at the beginning of a sentence unless sentences commonly begin so."""
    for sentence in re.split(r"(?<=[.!:])\s+", bare):
        for at, match in enumerate(_WORD.finditer(sentence)):
            word = match.group()
            starts = at == 0 and _MARK not in sentence[: match.start()]
            if any(sign.isupper() for sign in word) and not (starts and word.casefold().replace("’", "'") in _STARTS):
                yield word


def _given_names(given: Given) -> set[str]:
    own = {name for name in given.categories if "-" in name}
    return own | {word for word in _WORD.findall(given.source) if given.job is Job.DIGEST or not given.title}


def _categories(bare: str, given: Given) -> list[str]:
    """Category words none of whose categories was given."""
    if given.job is Job.DIGEST:
        return []
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
