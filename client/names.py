"""Where a text names people: by lists of English given and family names, and by the tags of a Chinese dictionary.

Both are libraries of the `wishes` extra; without them nobody is found here. A name that a catalogue holds, or that a
wish is about, is left out: to find what is private, and to leave what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from sottovoce.client.words import splitter

Public = Callable[[str], bool]
"""Whether a catalogue holds a name."""

Span = tuple[int, int]

LONGEST = 20_000
"""Characters of a text that is looked through: ten times what anybody may ask, and all that may be said of an item."""

_PAIR = re.compile(r"\b([A-Z][a-z]+)(?:\s+[A-Z]\.)?\s+([A-Z][a-z]+(?:[-'’][A-Z][a-z]+)?)\b(?!['’-]\w{2})")
_ASKED = re.compile(
    r"(?i:\b(?:with|by|like|about|starring|stars?|featuring|directors?|actors?|actress|actresses|writer|played by)\b)"
    r"\s+(?:[A-Z][\w.'’-]+(?:\s+[A-Z][\w.'’-]+)*\s*(?:,|\band\b|\bor\b|&)\s*)*$"
)
"""What stands before a name that a wish is about, other such names between."""
_WORK = re.compile(
    r"(?:['’]s?)?\s+(?i:(?:\w+\s+)?(?:films?|movies?|comed(?:y|ies)|thrillers?|dramas?|westerns?|books?))\b"
)
"""What stands behind one: "a Woody Allen film"."""

_NO_GIVEN = frozenset(("HONG", "LOVE", "QUEEN", "SEE", "SHE", "YOUNG"))
"""Given names that begin what is no name more often: Hong Kong, Young Frankenstein."""

_HAN = re.compile(r"[㐀-鿿]")
_FAMILIES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪"
    "范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_NO_NAMES = frozenset(
    ("高中生", "高兴", "高能", "金曲", "白领", "马戏", "龙虎", "江湖", "武侠", "石头", "方言", "夏日", "万圣")
)
"""Words that the dictionary takes for names."""
_ASKED_CHINESE = re.compile(r"(?:由|像|类似|关于|跟|有)$")
_WORK_CHINESE = re.compile(
    r"(?:、|和|与)?(?:等)?(?:主?演|出演|导演?|执导|拍|编剧|配音|那样|一样|(?:主?演|导演?|执导|拍)?的?(?:新|老)?(?:电影|影片|片|作品|戏|剧|喜剧|书))"
)


def find_names(text: str, public: Public | None = None) -> list[Span]:
    """Where `text` names people whom neither a catalogue nor a wish is about, in their order.

    A text that is nothing but a name is a wish for what that person made.
    """
    looked = text[:LONGEST]
    found = [span for span in (*_english(looked), *_chinese(looked)) if not is_public(text[slice(*span)], public)]
    rest = "".join(
        text[end:start] for (_, end), (start, _) in zip([(0, 0), *found], [*found, (len(text), 0)], strict=True)
    )
    return sorted(found) if any(letter.isalpha() for letter in rest) else []


def is_public(name: str, public: Public | None) -> bool:
    """Whether a catalogue holds `name`."""
    return public is not None and public(name)


def _english(text: str) -> list[Span]:
    """A given name and a family name side by side, both with a capital."""
    return [
        match.span()
        for match in _PAIR.finditer(text)
        if not _ASKED.search(text[: match.start()][-200:])
        and not _WORK.match(text, match.end())
        and match[1].upper() in _given()
        and match[2].upper().replace("’", "").replace("'", "") in _family()
    ]


def _chinese(text: str) -> list[Span]:
    """What the dictionary tags as a person's name (nr) and begins with a common family name."""
    if not _HAN.search(text):
        return []
    found, start = [], 0
    for word, tag in _tagged(text):
        span, start = (start, start + len(word)), start + len(word)
        if _is_name(word, tag) and not (_ASKED_CHINESE.search(text[: span[0]]) or _WORK_CHINESE.match(text, span[1])):
            found.append(span)
    return found


def _is_name(word: str, tag: str) -> bool:
    return tag == "nr" and len(word) in (2, 3) and word[0] in _FAMILIES and word not in _NO_NAMES


def _tagged(text: str) -> list[tuple[str, str]]:
    """The words of a text, all of it, and what the dictionary calls each."""
    if splitter() is None:
        return []
    from jieba import posseg  # part of what was just found

    return [(each.word, each.flag) for each in posseg.cut(text)]


@cache
def _given() -> frozenset[str]:
    listed = _listed("dist.female.first") | _listed("dist.male.first")
    return frozenset(name for name in listed if len(name) > 2) - _NO_GIVEN


@cache
def _family() -> frozenset[str]:
    return _listed("dist.all.last")


def _listed(file: str) -> frozenset[str]:
    """Names of a list of the census of the United States, as the package `names` has them."""
    try:
        text = resources.files("names").joinpath(file).read_text(encoding="ascii")
    except (ImportError, OSError):
        return frozenset()
    return frozenset(line.split(maxsplit=1)[0] for line in text.splitlines() if line.strip())
