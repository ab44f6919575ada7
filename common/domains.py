"""What differs between films, news, shops, courses and feeds: which fields make a text, what is filtered by, and words.

A domain is a preset of three things: the fields whose values make an item's text, in their order; the attributes that
a person may filter and browse by; and the words of a page. Everything else is the same code for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sottovoce.common.errors import ConfigError

LANGUAGES = ("en", "zh")
PHRASES = ("heading", "item", "counted", "items", "history", "because", "record", "met", "named", "ask", "example")
"""What a page says: its heading, one item, `{n}` of them, several, the list of what was done, a reason, the button that
records, what was recorded, a title in a sentence, the question that asks for a wish, and a wish.
"""


@dataclass(frozen=True)
class Domain:
    """The preset of one kind of catalogue.

    Attributes:
        name: By which it is chosen: `data.domain`.
        texts: Fields whose values make an item's text, in this order.
        keywords: Attributes that a person may filter and browse by.
        wording: What a page says, by language and by one of `PHRASES`; `because` and `named` have a place for a
            `{title}`, `counted` for an `{n}`.
    """

    name: str
    texts: tuple[str, ...]
    keywords: tuple[str, ...]
    wording: Mapping[str, Mapping[str, str]]

    def say(self, phrase: str, language: str = "en") -> str:
        """One phrase of the page, in English where the language is not spoken."""
        return self.wording.get(language, self.wording["en"])[phrase]


def domain_of(name: str | None) -> Domain:
    """The domain called `name`; without a name, the one that fits anything.

    Raises:
        ConfigError: there is none of this name.
    """
    if name is None:
        return DOMAINS["items"]
    if name not in DOMAINS:
        raise ConfigError("data.domain", name, f"one of {', '.join(DOMAINS)}")
    return DOMAINS[name]


def _wording(*phrases: str) -> dict[str, str]:
    return dict(zip(PHRASES, phrases, strict=True))


_ALL = (
    Domain(
        "items",
        texts=("title", "categories", "text"),
        keywords=("categories", "year"),
        wording={
            "en": _wording(
                "For you", "item", "{n} items", "items", "Your history", "because of {title}", "I know it", "met",
                "{title}", "What are you looking for?", "something for a quiet evening",
            ),
            "zh": _wording(
                "为你推荐", "项目", "{n} 个项目", "项目", "你的记录", "因为你选过《{title}》", "我知道", "选过",
                "“{title}”", "想找点什么？", "适合安静的夜晚",
            ),
        },
    ),
    Domain(
        "films",
        texts=("title", "categories", "text"),
        keywords=("categories", "year"),
        wording={
            "en": _wording(
                "Films for you", "film", "{n} films", "films", "What you watched", "because you watched {title}",
                "Seen", "seen", "{title}", "What are you in the mood for?", "space horror, but funny",
            ),
            "zh": _wording(
                "为你推荐的电影", "电影", "{n} 部电影", "电影", "你看过的", "因为你看过《{title}》", "看过", "看过",
                "《{title}》", "现在想看点什么？", "我想看一部关于太空的科幻恐怖电影",
            ),
        },
    ),
    Domain(
        "news",
        texts=("title", "category", "subcategory", "abstract"),
        keywords=("categories",),
        wording={
            "en": _wording(
                "News for you", "story", "{n} stories", "stories", "What you read", "because you read {title}", "Read",
                "read", "{title}", "What do you want to read about?", "a new bridge across the river",
            ),
            "zh": _wording(
                "为你推荐的新闻", "新闻", "{n} 条新闻", "新闻", "你读过的", "因为你读过《{title}》", "已读", "读过",
                "《{title}》", "想读点什么？", "跨江大桥的新进展",
            ),
        },
    ),
    Domain(
        "shop",
        texts=("title", "brand", "categories", "features", "description"),
        keywords=("categories", "brand", "price"),
        wording={
            "en": _wording(
                "Picked for you", "product", "{n} products", "products", "What you bought",
                "because you bought {title}", "I have it", "bought", "{title}", "What are you looking for?",
                "a warm lamp for the desk",
            ),
            "zh": _wording(
                "为你挑选", "商品", "{n} 件商品", "商品", "你买过的", "因为你买过{title}", "已有", "买过", "“{title}”",
                "想买点什么？", "一盏温暖的台灯",
            ),
        },
    ),
    Domain(
        "courses",
        texts=("title", "categories", "about", "prerequisites"),
        keywords=("categories", "school"),
        wording={
            "en": _wording(
                "Courses for you", "course", "{n} courses", "courses", "What you took", "since you took {title}",
                "Taken", "taken", "{title}", "What do you want to learn?", "statistics without much algebra",
            ),
            "zh": _wording(
                "为你推荐的课程", "课程", "{n} 门课程", "课程", "你学过的", "因为你学过《{title}》", "已学", "学过",
                "《{title}》", "想学点什么？", "不用太多代数的统计学",
            ),
        },
    ),
    Domain(
        "social",
        texts=("title", "categories", "text"),
        keywords=("kind", "categories"),
        wording={
            "en": _wording(
                "Your feed", "person or post", "{n} people and posts", "people and posts",
                "Who you follow and what you liked", "because of {title}", "Follow or like", "followed or liked",
                "{title}", "What do you want to hear about?", "gardens on balconies",
            ),
            "zh": _wording(
                "你的动态", "人或帖子", "{n} 个人和帖子", "人和帖子", "你的关注和点赞", "因为{title}", "关注或点赞",
                "关注或点赞", "“{title}”", "想了解什么？", "阳台上的花园",
            ),
        },
    ),
)  # fmt: skip
DOMAINS: Mapping[str, Domain] = {domain.name: domain for domain in _ALL}
