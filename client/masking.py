"""Mask what would name a person in free text, before it is stored or logged."""

from __future__ import annotations

import re

_MAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d(?:[\s().-]{0,2}\d){6,14}(?!\w)")


def mask_personal(text: str) -> str:
    """`text` with mail addresses and phone numbers replaced by `[mail]` and `[phone]`."""
    return _PHONE.sub("[phone]", _MAIL.sub("[mail]", text))
