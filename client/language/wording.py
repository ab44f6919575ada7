"""What a conversation says itself: chips and answers, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sottovoce.client.language.request import (
    AnyBetween,
    AnyOf,
    Between,
    Bounds,
    Constraint,
    Guess,
    Like,
    NoneOf,
    NotThese,
    Surprise,
    Unlike,
    Unwanted,
    Wanted,
)

_CHINESE = {
    "Action": "动作", "Adventure": "冒险", "Animation": "动画", "Children's": "儿童", "Comedy": "喜剧", "Crime": "犯罪",
    "Documentary": "纪录片", "Drama": "剧情", "Fantasy": "奇幻", "Film-Noir": "黑色电影", "Horror": "恐怖",
    "Musical": "歌舞", "Mystery": "悬疑", "Romance": "爱情", "Sci-Fi": "科幻", "Thriller": "惊悚", "War": "战争",
    "Western": "西部",
}  # fmt: skip


def is_chinese(text: str) -> bool:
    """Whether a sentence is to be answered in Chinese."""
    return re.search(r"[\u3400-\u9fff]", text) is not None and re.search(r"[\u3040-\u30ff\uac00-\ud7af]", text) is None


def label(constraint: Constraint, chinese: bool) -> str:
    """What the chip of a constraint reads."""
    match constraint:
        case Wanted(text=text):
            return f"“{text}”"
        case Unwanted(text=text):
            return f"不要“{text}”" if chinese else f"not “{text}”"
        case AnyOf(values=values):
            return _named(values, chinese, "或", "or")
        case NoneOf(values=values):
            return ("不要" if chinese else "no ") + _named(values, chinese, "、", "or")
        case Between(attribute=attribute, low=low, high=high, outside=outside):
            core = _bounds((low, high), chinese)
            return _of(attribute, (("不在 " if chinese else "not ") + core) if outside else core, chinese)
        case AnyBetween(attribute=attribute, ranges=ranges):
            return _of(
                attribute, (" 或 " if chinese else " or ").join(_bounds(each, chinese) for each in ranges), chinese
            )
        case Like(title=title):
            return f"像 {title}" if chinese else f"like {title}"
        case Unlike(title=title):
            return f"不像 {title}" if chinese else f"unlike {title}"
        case NotThese(items=items):
            return f"换掉 {len(items)} 个" if chinese else f"not those {len(items)}"
        case Guess(value=value):
            return f"也许是{_CHINESE.get(value, value)}？" if chinese else f"perhaps {value}?"
        case Surprise(diversity=diversity):
            if diversity:
                return "惊喜" if chinese else "surprise"
            return "冷门" if chinese else "less known"


def why(title: str, because: Sequence[str], popular: bool, fits: Sequence[Constraint], chinese: bool) -> str:
    """Why an item is in the list, from the terms of its score and the constraints that it satisfies."""
    asked = [label(each, chinese) for each in fits]
    if chinese:
        parts = [f"因为你看过{'、'.join(f'《{name}》' for name in because)}"] if because else []
        parts += [f"它符合你的要求：{'，'.join(asked)}"] if asked else []
        parts += ["很多人喜欢它"] if popular or not parts else []
        return f"推荐《{title}》：{'；'.join(parts)}。"
    parts = [f"you met {_listed([f'“{name}”' for name in because])}"] if because else []
    parts += [f"it is what you asked for ({', '.join(asked)})"] if asked else []
    parts += ["many people like it"] if popular or not parts else []
    return f"“{title}” is here because {', and '.join(parts)}."


def found(count: int, chinese: bool) -> str:
    """How many items a request allows."""
    if chinese:
        return f"有 {count} 个符合。" if count else "没有完全符合的：去掉一个条件试试。"
    return f"{count} fit." if count > 1 else ("One fits." if count else "Nothing fits all of it: take a chip away.")


def no_such_place(chinese: bool) -> str:
    """The sentence spoke of a place that the list does not have."""
    return "列表里没有这一个。" if chinese else "The list has no such place."


def not_understood(chinese: bool) -> str:
    """The sentence denies something, and it is not clear what."""
    return "没听懂不要的是什么：请说“不要……”。" if chinese else "It is not clear what is not wanted: say “no …”."


def started_over(chinese: bool) -> str:
    """Nothing is asked for any more."""
    return "好，重新开始。" if chinese else "From the start."


def _named(values: Sequence[str], chinese: bool, joined: str, english: str) -> str:
    if chinese:
        return joined.join(_CHINESE.get(value, value) for value in values)
    return _listed(values, english)


def _listed(names: Sequence[str], word: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def _of(attribute: str, bounds: str, chinese: bool) -> str:
    """Years go without their name."""
    called = {"price": "价格"}.get(attribute, attribute) if chinese else attribute
    return bounds if attribute == "year" else f"{called} {bounds}"


def _bounds(bounds: Bounds, chinese: bool) -> str:
    low, high = (None if end is None else f"{end:.10g}" for end in bounds)
    if low and high:
        return low if low == high else f"{low}–{high}"
    if chinese:
        return f"{low} 起" if low else f"到 {high}"
    return f"from {low}" if low else f"until {high}"
