"""Read one sentence of a conversation, in English or Chinese, into constraints, a question or a command.

Rules read what can be checked (years, categories, places in the list); what they leave over is free text for the
encoder. A sentence that the rules are unsure of says so, and a caller may ask a language model for other words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sottovoce.client.language.prices import find_prices
from sottovoce.client.language.request import (
    AnyOf,
    Between,
    Constraint,
    Like,
    NoneOf,
    NotThese,
    Surprise,
    Unlike,
    Unwanted,
    Wanted,
)
from sottovoce.client.language.vocabulary import PRICE, YEAR, Vocabulary
from sottovoce.client.language.words import EMPTY, EMPTY_CHINESE
from sottovoce.client.language.years import Clock, find_years
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
        unsure: Rules found nothing in it: only the encoder can tell what it means.
    """

    constraints: tuple[Constraint, ...] = ()
    command: Command | None = None
    place: int = 0
    missing: bool = False
    unsure: bool = False


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
    r"^\W*(?:and |but |so |ok |okay )?(?:why\b(?!\s+(?:not|don['’]t))|how come\b|explain\b)",
    "为什么|为啥|为何|凭什么|什么理由|怎么会推荐",
)
_UNLIKE = _any(
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
    "换一?[批换些个]|换点别的|别的|其他的?|其它的?|还有(?:别的|其他)?吗",
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
_UNDO = _any(r"^\W*(?:undo|never ?mind|go back|take (?:that|it) back)\b", "撤销|撤回|^算了|上一步|收回")
_NEGATION = _any(
    r"\b(?:anything but|all but|no more|not|no|without|except|never|nothing|hate|dislike|less|fewer|skip|avoid|minus"
    r"|other than|neither|nor|(?:had )?enough (?:of|with)|(?:tired|sick) of|bored (?:of|with))\b",
    r"\b(?:do not|(?:do|does|did|wo|is|are|ca)n['’]t)(?: (?:want|like|need|show|give|be|care|feel)\b)?",
    "(?<!有)没有|不要|不想看?|别(?!的)|除了|不含|不是|讨厌|不喜欢|不看|避开|排除|无(?=[^论聊])|少(?:来)?一?点",
)
_BOUNDARY = _any(
    r"[;:.!?，。；！？、]\s*|,\s*",
    r"\b(?:but|instead|just|only|please)\b",
    "但是?|只要|只看|而是|都可以|都行",
)
_TIRED = re.compile("(?:看?腻了?|看?够了?|看烦了?|太多了)")
_JOINING = re.compile(r"\s*(?:/|\bor\b|\band\b|或者?|和|与|跟|还是|、)\s*(?:an?\s+)?")
_FILLER = re.compile(r"有没有|what about|how about|why not|why don['’]t (?:we|you)")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_YEAR_OF_TITLE = re.compile(r"[\"”»》]?\s*\((?:18|19|20)\d\d\)")
_SUCH_AS = re.compile(r"(?:\b(?:like|similar to|in the style of)|像|类似于?)\s*[\"“«《]?")


def parse(sentence: str, vocabulary: Vocabulary, shown: Shown = Shown()) -> Reading:
    """What `sentence` says to somebody who sees the list `shown`."""
    # Titles first: they hold years, places and words of negation ("like No Escape (1994)") that say nothing here.
    named, text = _titles(unicodedata.normalize("NFKC", sentence).casefold(), vocabulary)
    text = _FILLER.sub(lambda match: " " * len(match.group()), text)
    if _RESET.search(text):
        return Reading(command=Command.RESET)
    if _UNDO.search(text):
        return Reading(command=Command.UNDO)
    if _WHY.search(text):
        place = _place_in(text, len(shown.items))
        return Reading(command=Command.WHY, place=place or 0, missing=place is None or not shown.items)
    spoken, text, missing = _places(text, shown)
    priced, text = _prices(text, vocabulary, shown)
    dated, text = _years(text, vocabulary, shown, _negated(text, vocabulary))
    negated = _negated(text, vocabulary)
    moods, text = _moods(text, vocabulary, negated)
    attributes, text = _categories(text, vocabulary, negated)
    ways, text = _ways(text)
    found = (*named, *spoken, *priced, *dated, *moods, *attributes, *ways)
    left = _free(text, negated, whole=not found)
    return Reading((*found, *left), missing=missing, unsure=not found and bool(left))


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


def _titles(text: str, vocabulary: Vocabulary) -> tuple[list[Constraint], str]:
    """Items of the catalogue that are named: "something like Toy Story"; a year behind a title belongs to it."""
    found: list[Constraint] = []
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


def _negated(text: str, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """The parts of a sentence that say what is not wanted."""
    spans = []
    for match in _NEGATION.finditer(text):
        end = match.end()
        for boundary in _BOUNDARY.finditer(text, match.end()):
            end = boundary.start()
            if not (boundary.group().strip() in (",", "、") and _lists_on(text[boundary.end() :], vocabulary)):
                break
        else:
            end = len(text)
        spans.append((match.start(), end))
    for match in _TIRED.finditer(text):
        start = max((b.end() for b in _BOUNDARY.finditer(text, 0, match.start())), default=0)
        spans.append((start, match.end()))
    return spans


def _lists_on(rest: str, vocabulary: Vocabulary) -> bool:
    """Whether a comma stands within a list of categories that ends in "or": "no horror, war or crime"."""
    clause = _BOUNDARY.split(rest.replace(",", " or ").replace("、", "或"))[0]
    named = vocabulary.find(clause)
    return bool(named) and named[0].span[0] <= 1 and bool(re.search(r"\bn?or\b|或", clause))


def _within(span: tuple[int, int], spans: Iterable[tuple[int, int]]) -> bool:
    return any(start <= span[0] < end for start, end in spans)


def _prices(text: str, vocabulary: Vocabulary, shown: Shown) -> tuple[list[Constraint], str]:
    if vocabulary.price is None:
        return [], text
    found, rest = find_prices(text, vocabulary.price if shown.price is None else shown.price)
    return [Between(attribute=PRICE, low=low, high=high) for low, high in found], rest


def _years(
    text: str, vocabulary: Vocabulary, shown: Shown, negated: list[tuple[int, int]]
) -> tuple[list[Constraint], str]:
    if vocabulary.newest is None:
        return [], text
    years, rest = find_years(text, Clock(vocabulary.newest, shown.year))
    outside = [each for each in years if each.plain and _within(each.span, negated)]
    found: list[Constraint] = [Between(attribute=YEAR, low=each.low, high=each.high, outside=True) for each in outside]
    inside = [each for each in years if each not in outside]
    if inside:
        low = max((each.low for each in inside if each.low is not None), default=None)
        high = min((each.high for each in inside if each.high is not None), default=None)
        found.append(Between(attribute=YEAR, low=low, high=high))
    return found, rest


def _moods(text: str, vocabulary: Vocabulary, negated: list[tuple[int, int]]) -> tuple[list[Constraint], str]:
    """A mood keeps categories away; a mood that is negated says nothing that could be checked."""
    found = vocabulary.moods(text)
    wanted = [each for each in found if not _within(each.span, negated)]
    return [NoneOf(attribute=CATEGORIES, values=each.values) for each in wanted], _blank(
        text, [each.span for each in wanted]
    )


def _categories(text: str, vocabulary: Vocabulary, negated: list[tuple[int, int]]) -> tuple[list[Constraint], str]:
    """Categories side by side must all be met ("romantic comedy"); joined by a word, any of them ("comedy or war")."""
    found = vocabulary.find(text)
    groups: list[tuple[str, tuple[str, ...]]] = []
    excluded: dict[str, list[str]] = {}
    end = -1
    for each in found:
        if _within(each.span, negated):
            known = excluded.setdefault(each.attribute, [])
            known += [value for value in each.values if value not in known]
            continue
        last = groups[-1] if groups else ("", ())
        if last[0] == each.attribute and end >= 0 and _JOINING.fullmatch(text[end : each.span[0]]):
            groups[-1] = each.attribute, tuple(dict.fromkeys((*last[1], *each.values)))
        elif (each.attribute, each.values) not in groups:
            groups.append((each.attribute, each.values))
        end = each.span[1]
    constraints: list[Constraint] = [AnyOf(attribute=attribute, values=values) for attribute, values in groups]
    constraints += [NoneOf(attribute=attribute, values=tuple(values)) for attribute, values in excluded.items()]
    return constraints, _blank(text, [each.span for each in found])


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


def _free(text: str, negated: list[tuple[int, int]], whole: bool) -> list[Constraint]:
    """What is left: words for the encoder, wanted or not; nothing where only empty words are left."""
    unwanted = [_NEGATION.sub(" ", _TIRED.sub(" ", text[start:end])) for start, end in negated]
    found: list[Constraint] = []
    if words := _content(_blank(text, negated), whole):
        found.append(Wanted(text=words))
    found.extend(Unwanted(text=words) for part in unwanted if (words := _content(part, False)))
    return found


def _content(text: str, whole: bool) -> str:
    """From the first word that says something to the last, or all of them; empty if there is none."""
    bare = text
    for word in EMPTY_CHINESE:
        bare = bare.replace(word, " " * len(word))
    said = [match for match in _WORD.finditer(bare) if match.group() not in EMPTY and _says(match.group())]
    if not said:
        return ""
    kept = text if whole else text[said[0].start() : said[-1].end()]
    return " ".join(re.sub(r"[^\w\s'’-]", " ", kept).split())


def _says(word: str) -> bool:
    """One letter says nothing; one Chinese character may."""
    return len(word) > 1 or ord(word) > 0x2E80


def _blank(text: str, spans: Iterable[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
