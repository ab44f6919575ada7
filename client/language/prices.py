"""What a sentence says of prices, in English and Chinese: bounds, spans, and words such as "cheaper".

Whether a price is wanted or not ("not over 50") is not read here: see `negation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sottovoce.client.language.ranges import Range, place_of
from sottovoce.client.language.request import Bounds

STEP = 0.01
"""The smallest difference between two prices."""
AROUND = 0.2
"""How far from a price "around" it still is, as a share."""

_CURRENCY = r"(?:dollars?|euros?|pounds?|bucks|usd|eur|yuan|元|块钱?|美元)"
_NUMBER = r"(?<![\d.,])(\d{1,3}(?:,\d{3}){1,2}(?:\.\d{1,2})?|\d{1,7}(?:\.\d{1,2})?)"
_N = rf"[$€£¥]?\s*{_NUMBER}(?:\s*{_CURRENCY})?(?![.,]?\d)"
_Reading = Callable[[list[float], float], Bounds]


def _about(n: list[float], _: float) -> Bounds:
    return n[0] * (1 - AROUND), n[0] * (1 + AROUND)


def _until(n: list[float], _: float) -> Bounds:
    return None, n[0]


def _from(n: list[float], _: float) -> Bounds:
    return n[0], None


def _under(n: list[float], _: float) -> Bounds:
    return None, n[0] - STEP


def _over(n: list[float], _: float) -> Bounds:
    return n[0] + STEP, None


def _cheap(_: list[float], middle: float) -> Bounds:
    return None, middle - STEP


def _dear(_: list[float], middle: float) -> Bounds:
    return middle + STEP, None


_FORMS: tuple[tuple[_Reading, tuple[str, ...]], ...] = (
    (lambda n, _: (min(n), max(n)), (
        rf"\b(?:between|from)\s+{_N}\s+(?:and|to)\s+{_N}", rf"{_N}\s+to\s+{_N}", rf"{_N}\s*[-–—~到至]\s*{_N}(?:之间)?",
    )),
    (_about, (
        rf"\b(?:around|about|roughly|approximately|some)\s+{_N}(?!\s*(?:years?|films?|movies?|items?|people))",
        rf"(?:大约|大概|约)\s*{_N}", rf"{_N}\s*(?:左右|上下)",
    )),
    (_until, (
        rf"\b(?:up\s+to|at\s+most|max(?:imum)?(?:\s+of)?)\s+{_N}", rf"最多\s*{_N}", rf"{_N}\s*(?:以下|以内|之内)",
        rf"{_N}\s+(?:or|and)\s+(?:less|under|below|cheaper)\b(?!\s+than|\s*{_N})",
        rf"{_N}\s+(?:max(?:imum)?|tops|at\s+most)\b",
    )),
    (_from, (
        rf"\b(?:at\s+least|min(?:imum)?(?:\s+of)?)\s+{_N}", rf"(?:至少|最少)\s*{_N}", rf"{_N}\s*以上",
        rf"{_N}\s+(?:or|and)\s+(?:more|over|above|up|dearer)\b(?!\s+than|\s*{_N})",
        rf"{_N}\s+(?:min(?:imum)?|at\s+least)\b",
    )),
    (_under, (
        rf"\b(?:under|below|less\s+than|fewer\s+than|cheaper\s+than)\s+{_N}", rf"(?:低于|少于|不到|便宜过)\s*{_N}",
        rf"比{_N}(?:更?便宜|低)的?",
    )),
    (_over, (
        rf"\b(?:over|above|more\s+than|dearer\s+than|more\s+expensive\s+than)\s+{_N}",
        rf"(?:高于|超过|多于|贵过)\s*{_N}", rf"比{_N}(?:更?贵|高)的?",
    )),
    (_cheap, (
        r"\b(?:cheaper|less\s+expensive|more\s+affordable|cheap|inexpensive|affordable)\b",
        "(?:再|更)?便宜(?:一?[点些])?", "实惠一?[点些]?",
    )),
    (_dear, (
        r"\b(?:more\s+expensive|pricier|dearer|higher[- ]end|expensive|pricey|costly)\b",
        "(?:再|更)?贵一?[点些]的?|高档一?[点些]?的?|(?<=[不别太要么])贵|昂贵",
    )),
)  # fmt: skip
_COMPLAINT = re.compile(r"(?:\b(?:too|so|that)\s+|太|那么)$")
_COMPILED = tuple((re.compile(form), reading) for reading, forms in _FORMS for form in forms)


def find_prices(text: str, middle: float) -> tuple[list[Range], str]:
    """What `text` (lower case) says of prices, and the text with that blanked out.

    Args:
        text: A sentence.
        middle: What "cheaper" and "dearer" refer to: the median price of the list that is seen, or of the catalogue.
    """
    found = []
    for form, reading in _COMPILED:
        for match in form.finditer(text):
            bounds = reading([float(number.replace(",", "")) for number in match.groups() if number], middle)
            low, high = (None if end is None else round(end, 2) for end in bounds)
            start = match.start()
            worded = reading in (_cheap, _dear) and _COMPLAINT.search(text[max(0, start - 10) : start])
            found.append(Range(place_of(match), low, high, complaint=bool(worded)))
            text = text[:start] + " " * len(match.group()) + text[match.end() :]
    return found, text
