"""Mask what would name a person in free text, before it is stored or logged.

Masked are mail addresses, phone numbers (seven digits and more, however they are grouped), the name that somebody
introduces themselves by, and, where `client.names` has a library for it, other people's names. Names that a wish is
about stay (`with`, `by`, `starring` …, 由…主演): who asks for films with an actor names the actor.
"""

from __future__ import annotations

import re

from sottovoce.client.names import Public, find_names, is_public

_BETWEEN = r"\s().·/（）．／‐-―－-"
"""What people write between the digits of a number, as a keyboard for Chinese writes it too."""

_YEARS = re.compile(rf"(?:19|20)\d\d(?:[{_BETWEEN}]+(?:19|20)\d\d)*")
_MAIL = re.compile(r"[\w.+%．-]{1,64}[@＠][\w-]{1,63}(?:[.．。][\w-]{1,63}){1,8}")
_PHONE = re.compile(rf"(?<![A-Za-z0-9_.])[+＋]?[(（]?\d(?:[{_BETWEEN}]{{0,3}}\d){{6,14}}(?![A-Za-z0-9_])")
_NAME = re.compile(
    r"((?i:\b(?:my name is|my name's|i am called|i'm called|call me|ich hei(?:ß|ss)e|je m'appelle|me llamo))\s+)"
    r"[^\W\d_][\w'’-]*(?:\s+[A-ZÀ-ÖØ-Þ][\w'’-]*){0,3}"
)
_WHO = r"[A-ZÀ-ÖØ-Þ][\w'’-]+\s+[A-ZÀ-ÖØ-Þ][\w'’-]+"
_SPEAKING = re.compile(rf"((?i:\bthis is)\s+)({_WHO})(?=\s+(?:speaking|here|calling)\b)")
_I_AM = re.compile(rf"((?i:\b(?:i am|i'm|i’m))\s+)({_WHO})(?=\s*(?:[,.;!?]|$|\b(?:and|from|i)\b))")
_CHINESE_NAME = re.compile(
    r"((?:我叫|我的名字是|我的名字叫|本人姓名)\s*)[㐀-鿿·]{2,4}?(?=[^㐀-鿿·]|想|要|喜|是|在|住|今|的|$)"
)
_CHINESE_FAMILY = re.compile(r"((?:我|本人|免贵)姓\s*)[㐀-鿿](?![㐀-鿿]*氏)")


def mask_personal(text: str, public: Public | None = None) -> str:
    """`text` with mail addresses, phone numbers and names replaced by `[mail]`, `[phone]` and `[name]`.

    Args:
        text: What somebody wrote.
        public: Whether a catalogue holds a name or number, so that it tells of the catalogue and not of a person.
    """

    def number(found: re.Match[str]) -> str:
        return found[0] if _YEARS.fullmatch(found[0]) or is_public(found[0], public) else "[phone]"

    text = _PHONE.sub(number, _MAIL.sub("[mail]", text))
    for form in (_NAME, _SPEAKING, _CHINESE_NAME, _CHINESE_FAMILY):
        text = form.sub(r"\1[name]", text)
    text = _I_AM.sub(lambda found: found[0] if is_public(found[0], public) else f"{found[1]}[name]", text)
    for start, end in reversed(find_names(text, public)):
        text = f"{text[:start]}[name]{text[end:]}"
    return text
