"""What a sentence says of years, in English and Chinese: bounds, spans, decades, and words such as "newer"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

RECENT, OLD = 5, 30
"""In years before the catalogue's newest: what counts as recent, and from where on something is old."""

_TENS = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
         "nineties": 90}  # fmt: skip
_HANZI = dict(zip("二三四五六七八九", range(20, 100, 10), strict=True))

_DECADE = (
    rf"(?:the\s+)?(?:(?:early|mid|late)[-\s]+)?(?:(?:nineteen[-\s]?)?(?:{'|'.join(_TENS)})|['’]?(?:19|20)?\d0['’]?s)\b"
)
_YEAR = r"(?<!\d)(?:18|19|20)\d\d(?!\d|['’]?s\b|年代)年?"
_DECADE_CHINESE = r"(?:上世纪|上个世纪|二十世纪|20世纪)?(?:(?:19|20)?\d0|[二三四五六七八九]十)年代"
_P = f"({_DECADE_CHINESE}|{_DECADE}|{_YEAR})"
_NOT = r"\b(?:not|nothing|none|no|never|isn't|aren't|don't)\b(?:\s+\w+){0,3}?\s+"
_BU = r"(?:不要|不想看|不能|别|不)"
_MADE = r"(?:(?:made|from|released|that is|anything|films?|movies?)\s+)*"


@dataclass(frozen=True)
class Clock:
    """What "new" and "old" refer to.

    Attributes:
        newest: The catalogue's newest year.
        shown: The median year of the list that the person sees; `None` without one.
    """

    newest: int
    shown: float | None = None


@dataclass(frozen=True)
class Years:
    """Bounds, both included, found at `span`; `plain` are such as can be negated as a whole ("not from the 80s")."""

    span: tuple[int, int]
    low: float | None
    high: float | None
    plain: bool = False


_Bounds = tuple[float | None, float | None]
_Reading = Callable[[list[tuple[int, int]], Clock], _Bounds]


def _from(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return p[0][0], None


def _until(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return None, p[0][1]


def _before(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return None, p[0][0] - 1


def _after(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return p[0][1] + 1, None


def _since(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    """A year counts in; a decade has to be over."""
    return (p[0][0] if p[0][0] == p[0][1] else p[0][1] + 1), None


def _spanning(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return min(p[0][0], p[1][0]), max(p[0][1], p[1][1])


def _in(p: list[tuple[int, int]], _: Clock) -> _Bounds:
    return p[0]


def _not_old(_: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return clock.newest - OLD + 1, None


def _not_new(_: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return None, clock.newest - RECENT


def _old(_: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return None, clock.newest - OLD


def _recent(_: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return clock.newest - RECENT + 1, None


def _newer(p: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return _recent(p, clock) if clock.shown is None else (min(int(clock.shown) + 1, clock.newest), None)


def _older(p: list[tuple[int, int]], clock: Clock) -> _Bounds:
    return _old(p, clock) if clock.shown is None else (None, -(-clock.shown // 1) - 1)


_FORMS: tuple[tuple[_Reading, tuple[str, ...]], ...] = (
    (_spanning, (
        rf"\bbetween\s+{_P}\s+(?:and|to)\s+{_P}",
        rf"\bfrom\s+{_P}\s+(?:to|till|until|through)\s+{_P}",
        rf"{_P}\s*[-–—~到至]\s*{_P}(?:之间)?",
    )),
    (_from, (
        rf"(?:{_NOT})(?:older\s+than|earlier\s+than|{_MADE}before)\s+{_P}",
        rf"{_BU}(?:早于|老于|旧于|在)?{_P}(?:更早|以前|之前|前)的?",
        rf"{_BU}(?:早于|老于|旧于){_P}",
        rf"{_BU}比{_P}更?[早老旧]的?",
    )),
    (_until, (
        rf"(?:{_NOT})(?:(?:newer|later|younger|more\s+recent)\s+than|{_MADE}after)\s+{_P}",
        rf"{_BU}(?:在)?{_P}(?:以后|之后|后)的?",
        rf"{_BU}(?:晚于|新于){_P}",
        rf"{_BU}比{_P}更?[晚新]的?",
    )),
    (_before, (
        rf"\b(?:older\s+than|earlier\s+than|before|prior\s+to|pre-?)\s*{_P}",
        rf"早于{_P}",
        rf"比{_P}更?[早老旧]的?",
        rf"{_P}(?:以前|之前|前)",
    )),
    (_after, (
        rf"\b(?:(?:newer|later|more\s+recent)\s+than|after|post-?)\s*{_P}",
        rf"晚于{_P}",
        rf"比{_P}更?[晚新]的?",
        rf"{_P}(?:之后|后)",
    )),
    (_since, (
        rf"\bsince\s+{_P}",
        rf"\bfrom\s+{_P}\s+(?:on(?:wards?)?\b|and\s+later|or\s+later)",
        rf"{_P}\s+(?:or\s+(?:later|newer)|onwards?)",
        rf"[从自]{_P}(?:开始|起)?",
        rf"{_P}(?:以后|以来|起|开始)",
    )),
    (_until, (rf"\b(?:until|up\s+to|till)\s+{_P}", rf"{_P}\s+or\s+(?:earlier|older)", rf"到{_P}为止")),
    (_in, (rf"(?:\b(?:from|in|of|during)\s+)?{_P}",)),
    (_not_old, (
        r"\b(?:not|nothing|isn't|no)\s+(?:\w+\s+)?(?:too|so|very|that)\s+old\b",
        "(?:不要|别|不)(?:太|那么)[老旧]的?",
    )),
    (_not_new, (
        r"\b(?:not|nothing)\s+(?:\w+\s+)?(?:too|so|very|that)\s+(?:new|recent|modern)\b",
        "(?:不要|别|不)(?:太|那么)新的?",
    )),
    (_newer, (r"\b(?:newer|more\s+(?:recent|modern))\b", "更新一?[点些]?的?|新一?[点些]的?")),
    (_older, (r"\bolder\b", "更[老旧]一?[点些]?的?|[老旧]一?[点些]的?")),
    (_recent, (
        r"\b(?:recent|modern|contemporary|brand[- ]new|latest)\b",
        r"\bnew\s+(?:films?|movies?|releases?)\b",
        "最新的?|新片|近几年的?|近期的?",
    )),
    (_old, (
        r"\b(?:classics?|vintage|old[- ]fashioned|golden\s+age)\b",
        r"\bold\s+(?:\w+\s+){0,2}?(?:films?|movies?|ones?)\b",
        "老片子?|老电影|经典的?|怀旧的?|老(?=西部|喜剧|侦探|恐怖|科幻|爱情|战争|动画|犯罪|歌舞)",
    )),
)  # fmt: skip
_COMPILED = tuple((re.compile(form), reading) for reading, forms in _FORMS for form in forms)


def find_years(text: str, clock: Clock) -> tuple[list[Years], str]:
    """What `text` (lower case) says of years, and the text with that blanked out."""
    found = []
    for form, reading in _COMPILED:
        for match in form.finditer(text):
            periods = [period_of(group) for group in match.groups() if group]
            low, high = reading(periods, clock)
            span = match.span()
            # "an old detective movie" says of years only that it is old: the other words stay.
            end = span[0] + 3 if match.group().startswith("old ") else span[1]
            found.append(Years((span[0], end), low, high, plain=reading is _in))
            text = text[: span[0]] + " " * (end - span[0]) + text[end:]
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
