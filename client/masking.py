"""Mask what would name a person in free text, before it is stored or logged.

Masked are mail addresses, phone numbers (seven digits and more, however they are grouped) and the name that somebody
introduces themselves by. Other names stay: who asks for films with an actor names the actor.
"""

from __future__ import annotations

import re

_BETWEEN = r"\s().·/（）．／‐-―－-"
"""What people write between the digits of a number, as a keyboard for Chinese writes it too."""

_YEARS = re.compile(rf"(?:19|20)\d\d(?:[{_BETWEEN}]+(?:19|20)\d\d)*")
_MAIL = re.compile(r"[\w.+%．-]{1,64}[@＠][\w-]{1,63}(?:[.．。][\w-]{1,63}){1,8}")
_PHONE = re.compile(rf"(?<![A-Za-z0-9_.])[+＋]?[(（]?\d(?:[{_BETWEEN}]{{0,3}}\d){{6,14}}(?![A-Za-z0-9_])")
_NAME = re.compile(
    r"((?i:\b(?:my name is|my name's|i am called|i'm called|call me|ich hei(?:ß|ss)e|je m'appelle|me llamo))\s+)"
    r"[^\W\d_][\w'’-]*(?:\s+[A-ZÀ-ÖØ-Þ][\w'’-]*){0,3}"
)
_CHINESE_NAME = re.compile(
    r"((?:我叫|我的名字是|我的名字叫|本人姓名)\s*)[㐀-鿿·]{2,4}?(?=[^㐀-鿿·]|想|要|喜|是|在|住|今|的|$)"
)


def mask_personal(text: str) -> str:
    """`text` with mail addresses, phone numbers and introductions replaced by `[mail]`, `[phone]` and `[name]`."""
    text = _PHONE.sub(_phone_or_years, _MAIL.sub("[mail]", text))
    return _CHINESE_NAME.sub(r"\1[name]", _NAME.sub(r"\1[name]", text))


def _phone_or_years(found: re.Match[str]) -> str:
    return found[0] if _YEARS.fullmatch(found[0]) else "[phone]"
