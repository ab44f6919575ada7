"""What a sentence says of years, in English and Chinese: bounds, spans, decades, and words such as "newer".

Whether years are wanted or not ("not older than 1990") is not read here: see `negation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sottovoce.client.language.ranges import Range, place_of
from sottovoce.client.language.request import Bounds

RECENT, OLD = 5, 30
"""In years before the catalogue's newest: what counts as recent, and from where on something is old."""
AROUND = 2
"""How many years from a year "around" it still is."""

_TENS = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
         "nineties": 90}  # fmt: skip
_HANZI = dict(zip("二三四五六七八九", range(20, 100, 10), strict=True))

_DECADE = (
    rf"(?:the\s+)?(?:(?:early|mid|late)[-\s]+)?(?:(?:nineteen[-\s]?)?(?:{'|'.join(_TENS)})|['’]?(?:19|20)?\d0['’]?s)\b"
)
_YEAR = r"(?<!\d)(?:18|19|20)\d\d(?!\d|['’]?s\b|年代)年?"
_DECADE_CHINESE = r"(?:上世纪|上个世纪|二十世纪|20世纪)?(?:(?:19|20)?\d0|[二三四五六七八九]十)年代"
_P = f"({_DECADE_CHINESE}|{_DECADE}|{_YEAR})"
_SHORT = re.compile(
    r"(?<!\d)(\d0|[二三四五六七八九]十?)(?=\s*(?:[、和与跟到至-]|或者?)?\s*(?:\d0|[二三四五六七八九]十)年代)"
)
_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")
_NUMERAL = re.compile(
    "(?<![〇零一二三四五六七八九十百千])([一二][〇零一二三四五六七八九]{3}|[五六七八九][〇零一二三四五六七八九])(?=年(?!代))"
)
_SHORT_ENGLISH = re.compile(rf"(?<![\d\w])((?:19|20)?\d0)(?=\s*(?:[-–—]|to|and|or|through)\s*(?:the\s+)?{_DECADE})")


@dataclass(frozen=True)
class Clock:
    """What "new" and "old" refer to.

    Attributes:
        newest: The catalogue's newest year.
        shown: The median year of the list that the person sees; `None` without one.
    """

    newest: int
    shown: float | None = None


_Reading = Callable[[list[tuple[int, int]], Clock], Bounds]


def _from(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return p[0][0], None


def _until(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return None, p[0][1]


def _before(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return None, p[0][0] - 1


def _after(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return p[0][1] + 1, None


def _since(p: list[tuple[int, int]], _: Clock) -> Bounds:
    """A year counts in; a decade has to be over."""
    return (p[0][0] if p[0][0] == p[0][1] else p[0][1] + 1), None


def _spanning(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return min(p[0][0], p[1][0]), max(p[0][1], p[1][1])


def _in(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return p[0]


def _about(p: list[tuple[int, int]], _: Clock) -> Bounds:
    return p[0][0] - AROUND, p[0][1] + AROUND


def _old(_: list[tuple[int, int]], clock: Clock) -> Bounds:
    return None, clock.newest - OLD


def _recent(_: list[tuple[int, int]], clock: Clock) -> Bounds:
    return clock.newest - RECENT + 1, None


def _newer(p: list[tuple[int, int]], clock: Clock) -> Bounds:
    return _recent(p, clock) if clock.shown is None else (min(int(clock.shown) + 1, clock.newest), None)


def _older(p: list[tuple[int, int]], clock: Clock) -> Bounds:
    return _old(p, clock) if clock.shown is None else (None, -(-clock.shown // 1) - 1)


_FORMS: tuple[tuple[_Reading, tuple[str, ...]], ...] = (
    (_spanning, (
        rf"\bbetween\s+{_P}\s+(?:and|to)\s+{_P}",
        rf"\bfrom\s+{_P}\s+(?:to|till|until|through)\s+{_P}",
        rf"{_P}\s+(?:to|through|till)\s+{_P}",
        rf"{_P}\s*[-–—~到至]\s*{_P}(?:之间)?",
    )),
    (_about, (rf"\b(?:around|about|circa|roughly)\s+{_P}", rf"{_P}(?:左右|前后)")),
    (_from, (
        rf"\b(?:in\s+or\s+(?:after|since)|at\s+least\s+(?:from\s+)?|not?\s+sooner\s+than)\s*{_P}",
        rf"(?:in\s+|from\s+)?{_P}\s*(?:or|and)\s+(?:after|later|newer|onwards?|up|more\s+recent)\b(?!\s*{_P}|\s+than)",
        rf"(?:in\s+)?{_P}\s+(?:in\s+)?or\s+(?:after|later|newer)\b(?!\s*{_P}|\s+than)",
        rf"{_P}[及和或](?:者|其)?(?:以后|之后|更[新晚])",
        rf"(?:最早|至少)(?:是|在|要)?{_P}", rf"\bearliest\s+{_P}", rf"{_P}\s+at\s+(?:the\s+)?earliest\b",
    )),
    (_until, (
        rf"\b(?:in\s+or\s+before|at\s+(?:the\s+)?(?:latest|most)\s+(?:from\s+)?)\s*{_P}",
        rf"(?:in\s+|from\s+)?{_P}\s*(?:or|and)\s+(?:before|earlier|older)\b(?!\s*{_P}|\s+than)",
        rf"{_P}\s+in\s+or\s+before\b(?!\s*{_P})", rf"(?:\b(?:until|by)\s+)?{_P}\s+at\s+(?:the\s+)?latest\b",
        rf"{_P}[及和或](?:者|其)?(?:以前|之前|更[老早旧])", rf"(?:最晚|最迟|最新)(?:是|在|要)?{_P}",
    )),
    (_before, (
        rf"\b(?:older\s+than|earlier\s+than|before|prior\s+to|pre-?)\s*{_P}",
        rf"(?:早于|老于|旧于|老过|早过){_P}",
        rf"比{_P}还?更?[早老旧](?:一?[点些])?的?",
        rf"{_P}(?:更早|以前|之前|前)",
    )),
    (_after, (
        rf"\b(?:(?:newer|later|younger|more\s+recent)\s+than|after|post-?|past|beyond)\s*{_P}",
        rf"(?:晚于|新于|超过|晚过){_P}",
        rf"比{_P}还?更?[晚新](?:一?[点些])?的?",
        rf"{_P}(?:之后|后)",
    )),
    (_since, (
        rf"\bsince\s+{_P}",
        rf"\bfrom\s+{_P}\s+on(?:wards?)?\b",
        rf"{_P}\s+onwards?\b",
        rf"[从自]{_P}(?:开始|起)?",
        rf"{_P}(?:以后|以来|起|开始)",
    )),
    (_until, (rf"\b(?:until|up\s+to|till)\s+{_P}", rf"到{_P}为止")),
    (_in, (rf"(?:\b(?:from|in|of|during)\s+)?{_P}",)),
    (_newer, (r"\b(?:newer|more\s+(?:recent|modern))\b", "更新(?:一?[点些])?|新一?[点些]的?")),
    (_older, (r"\bolder\b", "更[老旧](?:一?[点些])?|[老旧]一?[点些]的?")),
    (_recent, (
        r"\b(?:recent|modern|contemporary|brand[- ]new|latest)\b",
        r"\bnew\s+(?:films?|movies?|releases?)\b",
        r"(?<=\btoo )new\b|(?<=\bso )new\b|(?<=\bvery )new\b|(?<=\bthat )new\b",
        "最新|新片|近几年|近期|(?<=太)新|(?<=那么)新",
    )),
    (_old, (
        r"\b(?:classics?|vintage|old[- ]fashioned|golden\s+age)\b",
        r"\bold\s+(?:\w+\s+){0,2}?(?:films?|movies?|ones?)\b",
        r"(?<=\btoo )old\b|(?<=\bso )old\b|(?<=\bvery )old\b|(?<=\bthat )old\b|(?<=\banything )old\b",
        "老片子?|老电影|经典|怀旧|老(?=西部|喜剧|侦探|恐怖|科幻|爱情|战争|动画|犯罪|歌舞)|(?<=[太又])[老旧]|(?<=那么)[老旧]",
    )),
)  # fmt: skip
_COMPLAINT = re.compile(r"(?:\b(?:too|so|that)\s+|太|那么)$")
_COMPILED = tuple((re.compile(form), reading) for reading, forms in _FORMS for form in forms)


def spelled_out(text: str) -> str:
    """Years in digits, and each decade with its last word: `七八十年代` as `七十年代、八十年代`."""
    digits = _NUMERAL.sub(lambda year: ("19" if len(year[1]) == 2 else "") + year[1].translate(_DIGITS), text)
    return _SHORT_ENGLISH.sub(r"\1s", _SHORT.sub(_decade_of, digits))


def _decade_of(match: re.Match[str]) -> str:
    number = match[1] if match[1].isdigit() or match[1].endswith("十") else f"{match[1]}十"
    joined = match.string[match.end() : match.end() + 1] in "二三四五六七八九0123456789"
    return f"{number}年代{'、' if joined else ''}"


def find_years(text: str, clock: Clock) -> tuple[list[Range], str]:
    """What `text` (lower case) says of years, and the text with that blanked out."""
    found = []
    for form, reading in _COMPILED:
        for match in form.finditer(text):
            periods = [period_of(group) for group in match.groups() if group]
            low, high = reading(periods, clock)
            start, end = place_of(match)
            # "an old detective movie" says of years only that it is old: the other words stay.
            end = start + 3 if match.group().startswith("old ") else end
            worded = not periods and _COMPLAINT.search(text[max(0, start - 6) : start])
            found.append(Range((start, end), low, high, complaint=bool(worded)))
            text = text[:start] + " " * (end - start) + text[end:]
    return found, text


def period_of(words: str) -> tuple[int, int]:
    """First and last year of a year or decade as it is written: `1990年`, `the late 80s`, `八十年代`."""
    digits = re.search(r"\d+", re.sub(r"(?:二十|20)世纪", "", words))
    if "年代" in words or words.endswith("s"):
        if digits is not None:
            number = int(digits.group())
        else:
            number = next((value for name, value in (_TENS | _HANZI).items() if name in words.replace("世纪", "")), 0)
            if "二十世纪" in words:
                number = _HANZI[words.removeprefix("二十世纪")[0]]
        start = number if number >= 100 else (2000 if number < 20 else 1900) + number
        if "early" in words:
            return start, start + 4
        if "mid" in words:
            return start + 3, start + 7
        return (start + 5, start + 9) if "late" in words else (start, start + 9)
    year = int(digits.group()) if digits else 0
    return year, year
