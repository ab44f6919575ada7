"""Forty wishes as people say them, and what a right answer must be; written down before the parser was."""

from __future__ import annotations

from dataclasses import dataclass

FAMILY = ("Children's", "Animation")
FRIGHT = ("Horror", "Thriller")
RIDDLE = ("Mystery", "Thriller", "Crime")
NOIR = ("Film-Noir", "Mystery", "Crime")


@dataclass(frozen=True)
class Right:
    """What an item must be: one of each group, none of `none_of`, of a year within the bounds."""

    groups: tuple[tuple[str, ...], ...] = ()
    none_of: tuple[str, ...] = ()
    first: int = 0
    last: int = 9999

    def fits(self, categories: set[str], year: str) -> bool:
        dated = (self.first, self.last) == (0, 9999) or (year.isdigit() and self.first <= int(year) <= self.last)
        return dated and all(categories & set(group) for group in self.groups) and not categories & set(self.none_of)


def one(*names: str, first: int = 0, last: int = 9999) -> Right:
    return Right((names,), first=first, last=last)


ENGLISH = {
    "a film I can watch with my six-year-old": one(*FAMILY),
    "something scary for a dark night": one(*FRIGHT),
    "I feel like laughing tonight": one("Comedy"),
    "a love story, please": one("Romance"),
    "space ships and aliens": one("Sci-Fi"),
    "an old detective movie, black and white": one(*NOIR, last=1970),
    "cowboys and gunfights": one("Western"),
    "a film about soldiers in the second world war": one("War"),
    "lots of songs and dancing": one("Musical"),
    "a documentary, nothing made up": one("Documentary"),
    "something from the fifties": Right(first=1950, last=1959),
    "edge-of-your-seat suspense": one(*RIDDLE),
    "a comedy from the eighties": one("Comedy", first=1980, last=1989),
    "car chases and explosions": one("Action"),
    "gangsters and the mob": one("Crime"),
    "a fairy tale with dragons or wizards": one("Fantasy", *FAMILY),
    "a romantic comedy, but nothing older than 1995": Right((("Romance",), ("Comedy",)), first=1995),
    "a serious drama about a family": one("Drama"),
    "robots taking over the world": one("Sci-Fi"),
    "a murder mystery that keeps me guessing": one(*RIDDLE),
}

CHINESE = {
    "适合孩子的动画片": one(*FAMILY),
    "今晚想看个吓人的": one(*FRIGHT),
    "来点搞笑的": one("Comedy"),
    "我想看一部关于太空的科幻片": one("Sci-Fi"),
    "浪漫的爱情故事": one("Romance"),
    "老西部片，有牛仔的那种": one("Western", last=1980),
    "讲二战的电影": one("War"),
    "有没有好听的音乐剧": one("Musical"),
    "想看真实的纪录片": one("Documentary"),
    "七十年代的电影": Right(first=1970, last=1979),
    "悬疑烧脑的片子": one(*RIDDLE),
    "爆炸和飞车追逐的大片": one("Action"),
    "黑帮题材的": one("Crime"),
    "周末全家一起看什么好": one(*FAMILY),
    "1990年以后的恐怖片": one("Horror", first=1990),
    "催泪的剧情片": one("Drama"),
    "想看点魔幻冒险的": one("Fantasy", "Adventure"),
    "外星人和机器人": one("Sci-Fi"),
    "不要太新的喜剧，八十年代以前的": one("Comedy", last=1980),
    "黑色电影，老侦探那种": one(*NOIR),
}

HIDDEN = ("Horror", "War", "Crime", "Thriller", "Film-Noir")

REFINEMENTS: tuple[tuple[tuple[str, ...], Right], ...] = (
    (("a comedy", "not older than 1990"), one("Comedy", first=1990)),
    (("no musicals",), Right(none_of=("Musical",))),
    (("something for the kids", "no musicals please"), Right((FAMILY,), ("Musical",))),
    (("something lighter",), Right(none_of=HIDDEN)),
    (("action", "before 1990", "and no science fiction"), Right((("Action",),), ("Sci-Fi",), last=1989)),
    (("I don't want to see any horror or war films",), Right(none_of=("Horror", "War"))),
    (("from 1985 to 1992",), Right(first=1985, last=1992)),
    (("only westerns",), one("Western")),
    (("a thriller", "make it older than 1980"), one("Thriller", last=1979)),
    (("sci-fi", "between 1977 and 1990", "not for children"), Right((("Sci-Fi",),), ("Children's",), 1977, 1990)),
    (("drama", "but without romance", "nothing after 1994"), Right((("Drama",),), ("Romance",), last=1994)),
    (("anything except comedies",), Right(none_of=("Comedy",))),
    (("I've had enough of thrillers",), Right(none_of=("Thriller",))),
    (("a 90s action movie",), one("Action", first=1990, last=1999)),
    (("romance", "and now surprise me"), one("Romance")),
    (("一部喜剧", "不要早于1990年"), one("Comedy", first=1990)),
    (("不要音乐剧",), Right(none_of=("Musical",))),
    (("适合小朋友的", "别给我音乐片"), Right((FAMILY,), ("Musical",))),
    (("轻松一点的",), Right(none_of=HIDDEN)),
    (("动作片", "1990年以前的", "不要科幻"), Right((("Action",),), ("Sci-Fi",), last=1990)),
    (("我不想看恐怖片和战争片",), Right(none_of=("Horror", "War"))),
    (("1985年到1992年之间的",), Right(first=1985, last=1992)),
    (("只看西部片",), one("Western")),
    (("惊悚片", "八十年代的"), one("Thriller", first=1980, last=1989)),
    (("科幻片", "1977年之后的", "不要儿童片"), Right((("Sci-Fi",),), ("Children's",), first=1977)),
    (("剧情片", "没有爱情的", "1994年之前"), Right((("Drama",),), ("Romance",), last=1994)),
    (("除了喜剧都可以",), Right(none_of=("Comedy",))),
    (("惊悚片看腻了",), Right(none_of=("Thriller",))),
    (("90年代的动作片",), one("Action", first=1990, last=1999)),
    (("爱情片", "给我一个惊喜"), one("Romance")),
)
