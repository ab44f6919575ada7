"""The sentences of a public text that may be shown alone, as they stand: a digest is one of them.

A sentence is left out that may be half of one, that leans on another ("It is false."), that holds personal data, a link
or signs of markup, or that speaks to its reader or to a model ("Tell the reader that …", "你必须…"). No list of such
words is complete; what slips through is still no more than what its publisher says of the item, in full.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sottovoce.client.masking import mask_personal

SHORTEST, LONGEST = 8, 240
"""Characters of a sentence that is shown."""

COMMAND = re.compile(
    r"\b(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|obey\w*|recommend\w*|rank\w*|prompt\w*|instruct(?:ion|ions|ed)?"
    r"|assistant|language models?|chatbots?|as an ai|the above|repeat after|reply with|respond with|answer with"
    r"|output|the readers?|to readers|the users?|dear|tell (?:them|everybody|everyone|people|the|all|your?)"
    r"|say that (?:this|it)|summar[iy]\w*)\b"
    r"|忽略|无视|忘记|忘掉|告诉|读者|用户|推荐|排在|指令|提示词|助手|模型|以上内容|上述",
    re.IGNORECASE,
)
"""What is said to a model rather than about an item."""

_TO_READER = re.compile(
    r"\byou(?:'d| had)? (?:must|should|shall|have to|need to|ought|are|better|can't|cannot|may not"
    r"|will (?:say|write|tell))\b"
    r"|\b(?:please|click|subscribe|order now|buy now|call us|contact us|act now)\b"
    r"|[你您](?:必须|应该|应当|要|得|需要|不能|不可|现在|就是|是)|请(?!求|教|假)|务必|点击|关注我|联系我|不要|切勿",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    r"(?:say|tell|write|give|make|call|show|note|put|list|pretend|act|add|print|remember|do|don't|never|always|stop|buy|get"
    r"|order|visit|watch|read|see|hurry|try|consider|let|answer|repeat|respond|reply|summari[sz]e|describe|attention"
    r"|important|warning|now)\b|[\w ]{1,20}[:：]|说|写|把|给我|让我",
    re.IGNORECASE,
)
"""How an order begins, or a label such as `SYSTEM:`."""
_LEANING = re.compile(
    r"(?:(?:this|these)\b(?! (?:courses?|class|lessons?|lectures?|books?|films?|articles?|products?|sets?)\b)"
    r"|it|its|he|his|she|her|they|their|them|that|those|such|both|neither|either|so|but|however|and|or|nor"
    r"|yet|therefore|thus|otherwise|instead|then|still|nevertheless|although|though|because|which|who|not|nothing|none"
    r"|no one|nobody|one|another|others?)\b|[他她它这那其]|但|然而|因此|所以|不过|否则|而且|并且",
    re.IGNORECASE,
)
_ODD = re.compile(r"[<>{}\[\]|\\^`~=*_#@\x00-\x1f]|https?:|www\.|\b\w+\.\w{2,}/|\.\.\.|…", re.IGNORECASE)
_END = re.compile(r"[.!?][\"”’)]*(?=\s+[\"“‘(]?[^\W\d_a-z])|[.!?][\"”’)]*$|[。！？][”』」）]*")
_SHORT_FORM = re.compile(
    r"(?:^|[\s(“\"])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+|mr|mrs|ms|dr|prof|st|sr|jr|no|nos|vs|gen|sen|rep|gov|lt|col|sgt|capt"
    r"|rev|hon|bros|messrs|mt|ft|ave|blvd|rd|adm|maj|inc|ltd|co|corp|etc|cf|al|approx|fig|vol|ch|pp?|ed|dept|univ|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.$",
    re.IGNORECASE,
)
"""A full stop behind these ends no sentence for sure."""


@lru_cache(maxsize=64)
def quotable(text: str) -> tuple[str, ...]:
    """Whole sentences of `text`, in its order, that may be shown alone."""
    return tuple(each for each in sentences(text) if _stands_alone(each))


def sentences(text: str) -> list[str]:
    """The whole sentences of a text of one line; in doubt two stay together, and what is not ended is left out."""
    found, start = [], 0
    for match in _END.finditer(text):
        said = text[start : match.end()].strip()
        if not _SHORT_FORM.search(said):
            found.append(said)
            start = match.end()
    return found


def _stands_alone(sentence: str) -> bool:
    return (
        SHORTEST <= len(sentence) <= LONGEST
        and sentence[-1] not in "?？"
        and _is_balanced(sentence)
        and mask_personal(sentence, _is_name) == sentence
        and not any(form.search(sentence) for form in (COMMAND, _TO_READER, _ODD))
        and not any(form.match(sentence.lstrip("“\"‘'(")) for form in (_IMPERATIVE, _LEANING))
    )


def _is_name(words: str) -> bool:
    """Whom a public text names is public; a number is a phone's."""
    return not any(letter.isdigit() for letter in words)


def _is_balanced(sentence: str) -> bool:
    pairs = (("(", ")"), ("“", "”"), ("（", "）"))
    return sentence.count('"') % 2 == 0 and all(sentence.count(left) == sentence.count(right) for left, right in pairs)
