"""What a sentence says of prices, in English and Chinese: bounds, spans, and words such as "cheaper"."""

from __future__ import annotations

import re
from collections.abc import Callable

Bounds = tuple[float | None, float | None]
STEP = 0.01
"""The smallest difference between two prices."""

_N = r"[$€£¥]?\s*(\d{1,7}(?:\.\d{1,2})?)\s*(?:dollars?|euros?|pounds?|bucks|yuan|元|块钱?|美元)?(?!\d)"
_Reading = Callable[[list[float], float], Bounds]

_FORMS: tuple[tuple[_Reading, tuple[str, ...]], ...] = (
    (lambda n, _: (min(n), max(n)), (
        rf"\b(?:between|from)\s+{_N}\s+(?:and|to)\s+{_N}", rf"{_N}\s*[-–—~到至]\s*{_N}(?:之间)?",
    )),
    (lambda n, _: (None, n[0]), (
        rf"\b(?:up\s+to|at\s+most|no(?:t)?\s+more\s+than|not\s+over|max(?:imum)?)\s+{_N}",
        rf"(?:不超过|最多|不高于)\s*{_N}", rf"{_N}(?:以下|以内|之内)",
    )),
    (lambda n, _: (n[0], None), (
        rf"\b(?:at\s+least|no(?:t)?\s+less\s+than|not\s+under)\s+{_N}", rf"(?:至少|不低于)\s*{_N}", rf"{_N}以上",
    )),
    (lambda n, _: (None, n[0] - STEP), (
        rf"\b(?:under|below|less\s+than|cheaper\s+than)\s+{_N}", rf"(?:低于|少于)\s*{_N}", rf"比{_N}(?:更?便宜|低)的?",
    )),
    (lambda n, _: (n[0] + STEP, None), (
        rf"\b(?:over|above|more\s+than|dearer\s+than)\s+{_N}", rf"(?:高于|超过)\s*{_N}", rf"比{_N}(?:更?贵|高)的?",
    )),
    (lambda _, middle: (None, middle - STEP), (
        r"\b(?:cheaper|less\s+expensive|more\s+affordable|(?:not|nothing)\s+(?:too|so|that)\s+(?:expensive|dear)|cheap"
        r"|inexpensive|affordable)\b",
        "(?:再|更)?便宜一?[点些]?的?|(?:不要|别|不)(?:太|那么)贵的?|实惠一?[点些]?的?",
    )),
    (lambda _, middle: (middle + STEP, None), (
        r"\b(?:more\s+expensive|pricier|dearer|higher[- ]end|expensive)\b",
        "(?:再|更)?贵一?[点些]的?|高档一?[点些]?的?",
    )),
)  # fmt: skip
_COMPILED = tuple((re.compile(form), reading) for reading, forms in _FORMS for form in forms)


def find_prices(text: str, middle: float) -> tuple[list[Bounds], str]:
    """What `text` (lower case) says of prices, both ends included, and the text with that blanked out.

    Args:
        text: A sentence.
        middle: What "cheaper" and "dearer" refer to: the median price of the list that is seen, or of the catalogue.
    """
    found = []
    for form, reading in _COMPILED:
        for match in form.finditer(text):
            low, high = reading([float(number) for number in match.groups() if number], middle)
            found.append(tuple(None if end is None else round(end, 2) for end in (low, high)))
            text = text[: match.start()] + " " * len(match.group()) + text[match.end() :]
    return found, text  # type: ignore[return-value]
