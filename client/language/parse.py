"""Read one sentence of a conversation, in English or Chinese, into constraints, a question or a command.

Rules read what can be checked (years, categories, places in the list); what they leave over is free text for the
encoder. A sentence that the rules are unsure of says so, and a caller may ask a language model for other words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from sottovoce.client.language.negation import Claim, Sign, Signs, Span, read_signs
from sottovoce.client.language.prices import STEP, find_prices
from sottovoce.client.language.ranges import Range, constraints_of
from sottovoce.client.language.request import (
    AnyOf,
    Constraint,
    Like,
    NoneOf,
    NotThese,
    Surprise,
    Unlike,
    Unwanted,
    Wanted,
)
from sottovoce.client.language.vocabulary import PRICE, YEAR, Named, Vocabulary
from sottovoce.client.language.words import content
from sottovoce.client.language.years import Clock, find_years, spelled_out
from sottovoce.common.item_table import CATEGORIES


class Command(StrEnum):
    """What a sentence does besides asking."""

    RESET = "reset"
    UNDO = "undo"
    WHY = "why"


@dataclass(frozen=True)
class Shown:
    """The list that the person sees.

    Attributes:
        items: Ids, best first.
        titles: As they are read.
        year: The median year of them, where they have one.
        price: The median price of them, likewise.
    """

    items: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    year: float | None = None
    price: float | None = None


@dataclass(frozen=True)
class Reading:
    """What a sentence says.

    Attributes:
        constraints: To be added to the request, in order.
        command: What else it does.
        place: For `why`: which place of the list, from 0.
        missing: It speaks of a place that the list does not have.
        unsure: Rules found nothing in it: only the encoder can tell what it means; or it is `denied`.
        denied: It denies something, and the rules could not tell what: nothing was made of that.
    """

    constraints: tuple[Constraint, ...] = ()
    command: Command | None = None
    place: int = 0
    missing: bool = False
    unsure: bool = False
    denied: bool = False


_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_HANZI = "一二三四五六七八九十"
_PLACE = (
    rf"(?:(?:the\s+)?(?:(?:number|no\.?|#)\s*\d+|\d+(?:st|nd|rd|th)|{'|'.join(_WORDS)}|last)"
    r"(?:\s+(?:one|film|movie|item)\b)?"
    rf"|(?:第\s*(?:\d+|[{_HANZI}]+)|最后一?)(?:个|部|条|本|篇|项)?)"
)


def _any(*forms: str) -> re.Pattern[str]:
    return re.compile("|".join(forms))


_WHY = _any(
    r"^\W*(?:and |but |so |ok |okay )?(?:why\b(?!\s+(?:not|don't))|how come\b|explain\b)",
    rf"^\W*(?:那么?|可是?|但是?|请问|你|{_PLACE}|这一?[个部条本篇项]?|它|是|会)*(?:为什么(?!不)|为啥(?!不)|为何(?!不)|凭什么)",
    "(?:为什么|为啥|为何|凭什么|怎么)(?:会|要|老|总|总是)*(?:给我)?推荐|什么理由",
)
_UNLIKE = _any(
    rf"\b(?:\w+n['’]t|not|never)\s+(?:(?!but\b)\w+\s+){{0,4}}?(?:like|love|enjoy)\s+{_PLACE}",
    r"\b(?:less|not|nothing|fewer|don['’]t want (?:any|more)\w*)\s+(?:\w+\s+)?"
    rf"(?:like|similar\s+to|of)\s+{_PLACE}",
    rf"(?:不要?|别)(?:再)?(?:太)?(?:像|类似)(?:于)?{_PLACE}(?:那样|一样|那种)?的?",
)
_LIKE = _any(
    rf"(?:\b(?:more|like|similar\s+to|in\s+the\s+style\s+of)\s+)+(?:(?:like|of|similar\s+to)\s+)?{_PLACE}",
    rf"(?:更|再?多?来?点?)?(?:像|类似于?|跟|和|与){_PLACE}(?:那样|一样|那种|差不多|类似|相似|更像|更接近)*的?",
    rf"多(?:来|推荐)?一?[点些]{_PLACE}(?:那样|那种|一样|这样)的?",
)
_AWAY = _any(
    rf"\b(?:not|without|seen|skip|drop|remove|hide)\s+{_PLACE}",
    rf"(?:不要|去掉|删掉|看过了?){_PLACE}",
    rf"{_PLACE}(?:我)?(?:已经)?(?:看过|不要)了?",
)
_ELSE = _any(
    r"\b(?:something|anything|show me) else\b",
    r"\b(?:other|more|different) (?:ones|options|suggestions)\b",
    r"^\W*(?:next|others)\W*$",
    "换一?[批换些个]|换点别的|(?:别的|其他的?|其它的?)(?!都?(?:我|全)?不)|还有(?:别的|其他)?吗",
)
_SURPRISE = _any(
    r"\b(?:and now )?surprise me\b",
    r"\bsomething (?:\w+ly )?(?:different|unexpected|unusual)\b",
    r"\bshake (?:it|things) up\b",
    "(?:给我)?(?:一[个点些])?惊喜|意想不到的?|出乎意料的?|来点不一样的?",
)
_GEMS = _any(
    r"\bhidden gems?\b", r"\bless(?:er)?[- ](?:well[- ])?known\b", r"\b(?:obscure|underrated)\b", "(?:冷门|小众)的?"
)
_VARIED = _any(r"\bmore (?:variety|varied|diverse)\b", r"\ba mix\b", "多样(?:一点|化)?的?|丰富一点")
_RESET = _any(
    r"\bstart (?:over|again|afresh)\b",
    r"\bforget (?:all|everything|about it|that all)\b",
    r"^\W*reset\W*$",
    "重新开始|从头(?:再来|开始)|清空|重来",
)
_UNDO = _any(r"^\W*(?:undo|never ?mind|go back(?!\s+to\b)|take (?:that|it) back)\b", "撤销|撤回|^\\W*算了|上一步|收回")
_THEN = re.compile(r"\s*(?:[,，.。;；:：!！]|\b(?:and|then)\b|然后)")
_OR = re.compile(r"\bor\b|或|还是")
_NUMBER = re.compile(r"\d|年代|ies\b")
_JOINING = re.compile(r"\s*(?:/|\bor\b|\band\b|或者?|和|与|跟|还是|、)\s*(?:an?\s+)?")
_YEAR_OF_TITLE = re.compile(r"[\"”»》]?\s*\((?:18|19|20)\d\d\)")
_SUCH_AS = re.compile(r"(?:\b(?:like|similar to|in the style of)|像|类似于?)\s*[\"“«《]?")


def parse(sentence: str, vocabulary: Vocabulary, shown: Shown = Shown()) -> Reading:
    """What `sentence` says to somebody who sees the list `shown`."""
    text = " ".join(unicodedata.normalize("NFKC", sentence).casefold().replace("’", "'").split())
    # Titles first: they hold years, places and words of negation ("like No Escape (1994)") that say nothing here.
    titles, text = _titles(text, vocabulary)
    text = spelled_out(text)
    for form, command in ((_RESET, Command.RESET), (_UNDO, Command.UNDO)):
        if match := form.search(text):
            return _commanded(command, text, match, vocabulary, shown, titles)
    if _WHY.search(text):
        place = _place_in(text, len(shown.items))
        return Reading(command=Command.WHY, place=place or 0, missing=place is None or not shown.items)
    return _asked(text, vocabulary, shown, titles)


def _commanded(
    command: Command, text: str, match: re.Match[str], vocabulary: Vocabulary, shown: Shown, titles: list[Like]
) -> Reading:
    """A command, and what is asked for beside it."""
    rest = _asked(_blank(text, [match.span()]), vocabulary, shown, titles)
    heard = not rest.unsure or _THEN.match(text, match.end())
    return replace(rest if heard else Reading(), command=command)


def _asked(text: str, vocabulary: Vocabulary, shown: Shown, titles: list[Like]) -> Reading:
    spoken, text, missing = _places(text, shown)
    ways, text = _ways(text)
    priced, rest = _prices(text, vocabulary, shown)
    dated, rest = _years(rest, vocabulary, shown)
    moods, rest = _moods(rest, vocabulary)
    named = vocabulary.find(rest)
    everything: list[Named | Range] = [*priced, *dated, *moods, *named]
    claims = sorted((_claim(each, text, moods) for each in everything), key=lambda claim: claim.span)
    signs = read_signs(text, claims)
    sign_of = {claim.span: sign for claim, sign in zip(claims, signs.of, strict=True)}
    named = _settled(named, sign_of)
    found = (
        *titles, *spoken, *_numbers(PRICE, priced, sign_of, text, STEP), *_numbers(YEAR, dated, sign_of, text, 1),
        *_kept_away(moods, sign_of), *_categories(named, sign_of, text), *ways,
    )  # fmt: skip
    said = [each.span for each in everything if each not in moods or sign_of[each.span] is Sign.WANTED]
    left = _free(_blank(text, said), signs, whole=not found)
    unsure = signs.unsure or (not found and bool(left))
    return Reading((*found, *left), missing=missing, unsure=unsure, denied=signs.unsure)


def _settled(named: list[Named], sign_of: dict[Span, Sign]) -> list[Named]:
    """Without what is denied of a category that is asked for by name: horror that is not scary is still horror."""
    wanted = [each.values for each in named if sign_of[each.span] is Sign.WANTED]
    demanded = {values[0] for values in wanted if len(values) == 1}
    rest = [
        replace(each, values=tuple(value for value in each.values if value not in demanded))
        if sign_of[each.span] is Sign.UNWANTED else each
        for each in named
    ]  # fmt: skip
    return [each for each in rest if each.values]


def _claim(found: Named | Range, text: str, moods: list[Named]) -> Claim:
    if isinstance(found, Named):
        return Claim(found.span, "relative" if found in moods else "name")
    return Claim(found.span, "number" if _NUMBER.search(text[slice(*found.span)]) else "relative")


def _places(text: str, shown: Shown) -> tuple[list[Constraint], str, bool]:
    """What is said of places in the list: more or less like them, or not them."""
    found: list[Constraint] = []
    missing = False
    ways: tuple[tuple[re.Pattern[str], type[Like] | type[Unlike] | None], ...]
    ways = ((_UNLIKE, Unlike), (_LIKE, Like), (_AWAY, None))
    for form, made in ways:
        for match in form.finditer(text):
            place = _place_in(match.group(), len(shown.items))
            if place is None:
                missing = True
            elif made is None:
                found.append(NotThese(items=(shown.items[place],)))
            else:
                found.append(made(item=shown.items[place], title=shown.titles[place]))
        text = _blank(text, [match.span() for match in form.finditer(text)])
    if _ELSE.search(text) and shown.items:
        found.append(NotThese(items=shown.items))
    return found, _blank(text, [match.span() for match in _ELSE.finditer(text)]), missing


def _titles(text: str, vocabulary: Vocabulary) -> tuple[list[Like], str]:
    """Items of the catalogue that are named: "something like Toy Story"; a year behind a title belongs to it."""
    found: list[Like] = []
    for match in _SUCH_AS.finditer(text):
        item = vocabulary.title_at(text, match.end())
        if item is not None:
            found.append(Like(item=item.id, title=item.title))
            behind = _YEAR_OF_TITLE.match(text, match.end() + item.length)
            text = _blank(text, [(match.start(), behind.end() if behind else match.end() + item.length)])
    return found, text


def _place_in(text: str, length: int) -> int | None:
    """The place that `text` names, from 0; the first, if it names none; `None`, if the list has no such place."""
    match = re.search(_PLACE, text)
    if match is None:
        return 0
    words = match.group()
    if "last" in words or "最后" in words:
        return length - 1 if length else None
    digits = re.search(r"\d+", words)
    if digits:
        place = int(digits.group()[:6]) - 1
    elif hanzi := re.search(rf"[{_HANZI}]+", words):
        place = _hanzi(hanzi.group()) - 1
    else:
        place = next(at for at, word in enumerate(_WORDS) if word in words)
    return place if 0 <= place < length else None


def _hanzi(numeral: str) -> int:
    """A Chinese numeral below a hundred; zero for what is none."""
    tens, ten, ones = numeral.rpartition("十")
    if len(tens) > 1 or len(ones) > 1:
        return 0
    digits = [_HANZI.index(each) + 1 if each else 0 for each in (tens, ones)]
    return (digits[0] or 1) * 10 + digits[1] if ten else digits[1]


def _prices(text: str, vocabulary: Vocabulary, shown: Shown) -> tuple[list[Range], str]:
    if vocabulary.price is None:
        return [], text
    return find_prices(text, vocabulary.price if shown.price is None else shown.price)


def _years(text: str, vocabulary: Vocabulary, shown: Shown) -> tuple[list[Range], str]:
    return ([], text) if vocabulary.newest is None else find_years(text, Clock(vocabulary.newest, shown.year))


def _moods(text: str, vocabulary: Vocabulary) -> tuple[list[Named], str]:
    found = vocabulary.moods(text)
    return found, _blank(text, [each.span for each in found])


def _numbers(
    attribute: str, ranges: list[Range], sign_of: dict[Span, Sign], text: str, step: float
) -> list[Constraint]:
    ranges = sorted(ranges, key=lambda each: each.span)
    unwanted = [each for each in ranges if each.complaint or sign_of[each.span] is Sign.UNWANTED]
    wanted = [each for each in ranges if each not in unwanted and sign_of[each.span] is Sign.WANTED]
    befores = (None, *wanted)
    joined = [
        (each, before is not None and _alternative(text[before.span[1] : each.span[0]]))
        for before, each in zip(befores, wanted, strict=False)
    ]
    return constraints_of(attribute, joined, unwanted, step)


def _alternative(gap: str) -> bool:
    return _OR.search(gap) is not None and re.search(r"[.;!?。；！？]|\bbut\b|但", gap) is None


def _kept_away(moods: list[Named], sign_of: dict[Span, Sign]) -> list[Constraint]:
    """A mood keeps categories away; a mood that is denied says nothing that could be checked."""
    wanted = [each for each in moods if sign_of[each.span] is Sign.WANTED]
    return [NoneOf(attribute=CATEGORIES, values=each.values) for each in wanted]


def _categories(named: list[Named], sign_of: dict[Span, Sign], text: str) -> list[Constraint]:
    """Categories side by side must all be met ("romantic comedy"); joined by a word, any of them ("comedy or war")."""
    groups: list[tuple[str, tuple[str, ...]]] = []
    end = -1
    for each in named:
        if sign_of[each.span] is not Sign.WANTED:
            continue
        last = groups[-1] if groups else ("", ())
        if last[0] == each.attribute and end >= 0 and _JOINING.fullmatch(text[end : each.span[0]]):
            groups[-1] = each.attribute, tuple(dict.fromkeys((*last[1], *each.values)))
        elif (each.attribute, each.values) not in groups:
            groups.append((each.attribute, each.values))
        end = each.span[1]
    excluded: dict[str, list[str]] = {}
    for each in named:
        if sign_of[each.span] is Sign.UNWANTED:
            known = excluded.setdefault(each.attribute, [])
            known += [value for value in each.values if value not in known]
    constraints: list[Constraint] = [AnyOf(attribute=attribute, values=values) for attribute, values in groups]
    return [*constraints, *(NoneOf(attribute=each, values=tuple(values)) for each, values in excluded.items())]


def _ways(text: str) -> tuple[list[Constraint], str]:
    """How varied and how well known the list should be."""
    found: list[Constraint] = []
    for form, made in (
        (_SURPRISE, Surprise()),
        (_GEMS, Surprise(diversity=0.0, long_tail=0.8)),
        (_VARIED, Surprise(diversity=0.6, long_tail=0.0)),
    ):
        if form.search(text):
            found.append(made)
            text = _blank(text, [match.span() for match in form.finditer(text)])
    return found[:1], text


def _free(text: str, signs: Signs, whole: bool) -> list[Constraint]:
    """What is left: words for the encoder, wanted or not; nothing where only empty words are left."""
    found: list[Constraint] = []
    if words := content(_blank(text, [*signs.unwanted, *signs.open, *([] if whole else signs.words)]), whole):
        found.append(Wanted(text=words))
    denied = _blank(text, [*signs.words, *signs.open])
    found.extend(Unwanted(text=words) for start, end in signs.unwanted if (words := content(denied[start:end])))
    return found


def _blank(text: str, spans: Iterable[Span]) -> str:
    letters = list(text)
    for start, end in spans:
        letters[start:end] = " " * (end - start)
    return "".join(letters)
