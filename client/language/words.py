"""Words for the categories of films, and for subjects of other catalogues, in English and Chinese.

Each row is a group of categories, any of which answers, and the words that ask for it. English words stand for
themselves and their plural; `*` ends a stem.
"""

from __future__ import annotations

import re

FILM_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Comedy",), "comedy comedies comedic funny funnier humor humour humorous hilarious laugh* joke* giggle* slapstick"
     " satire|喜剧 搞笑 好笑 幽默 逗笑 笑一笑 爆笑 欢乐"),
    (("Children's", "Animation"), "kid kids child children childrens children's toddler* preschooler* youngster* son"
     " daughter family-friendly family_film family_films family_movie whole_family for_the_family family_night"
     " little_ones|孩子 小孩 小朋友 儿童 全家 一家人 亲子 合家欢 家庭片 宝宝 儿子 女儿"),
    (("Animation",), "animation animated animations cartoon cartoons anime disney|动画 卡通 动漫"),
    (("Horror", "Thriller"), "scary scarier scare* frighten* creepy spooky terrifying terror fear|吓人 可怕 害怕 惊吓"),
    (("Horror",), "horror horrors zombie* vampire* slasher* ghost* monster* haunted gore gory|恐怖 僵尸 吸血鬼 鬼片"
     " 闹鬼 鬼屋 怪物"),
    (("Thriller",), "thriller thrillers thrilling edge-of-your-seat edge_of_my_seat nail-biting nail-biter*"
     "|惊悚 紧张刺激"),
    (("Thriller", "Mystery"), "suspense suspenseful keeps_me_guessing plot_twist* twist* mind-bending|悬疑 烧脑 反转"),
    (("Mystery",), "mystery mysteries whodunit* whodunnit*|推理 谜案 谜团"),
    (("Mystery", "Crime", "Film-Noir"), "detective detectives sleuth* private_eye*|侦探 破案"),
    (("Film-Noir",), "noir film-noir film_noir|黑色电影"),
    (("Crime", "Thriller", "Mystery"), "murder murders murderer* serial_killer* heist* killer*"
     "|谋杀 凶杀 连环杀手 杀手"),
    (("Crime",), "crime crimes gangster* mafia mob mobster* criminal* robber* bank_robbery|犯罪 黑帮 黑手党 劫匪 警匪"),
    (("Romance",), "romance romances romantic love_story love_stories love_affair* falling_in_love in_love"
     "|爱情 浪漫 恋爱 言情"),
    (("Sci-Fi",), "sci-fi sci_fi scifi science_fiction science-fiction space outer_space spaceship* space_ship*"
     " alien aliens robot robots time_travel* futuristic cyborg* android* galaxy"
     "|科幻 太空 宇宙 外星人 外星 机器人 未来世界"
     " 时间旅行 飞船"),
    (("Western",), "western westerns cowboy cowboys gunfight* gunslinger* wild_west|西部 牛仔"),
    (("War",), "war wars wartime soldier soldiers world_war battlefield* vietnam trench* wwii ww2|战争 二战 一战 士兵"
     " 打仗 战场 军人 抗战"),
    (("Musical",), "musical musicals song songs singing dancing dance|音乐剧 音乐片 歌舞 唱歌 跳舞"),
    (("Documentary",), "documentary documentaries true_facts|纪录片 纪实 记录片"),
    (("Action",), "action car_chase* chases explosion* explosive shootout* martial_arts fight_scenes kung_fu"
     "|动作 爆炸 飞车 追车 枪战 功夫 武打 打斗"),
    (("Adventure",), "adventure adventures adventurous treasure quest expedition*|冒险 探险 寻宝"),
    (("Fantasy", "Children's"), "fairy_tale* fairytale* fairy|童话"),
    (("Fantasy", "Adventure"), "dragon dragons wizard* witch* magic magical|魔幻 奇幻 魔法 巫师 龙"),
    (("Fantasy",), "fantasy fantasies"),
    (("Drama",), "drama dramas dramatic tearjerker* tear-jerker* moving_story|剧情片 剧情 催泪 感人"),
)  # fmt: skip

FILM_AGES = r"(?:\w+|\d+)[- ]years?[- ]olds?|[0-9一二三四五六七八九十两]+岁"
"""A child's age asks for what the first family group asks for."""

HEAVY = ("Horror", "War", "Crime", "Thriller", "Film-Noir")
LIGHT = ("Comedy", "Children's", "Animation", "Musical")
FILM_MOODS: tuple[tuple[tuple[str, ...], str], ...] = (
    (HEAVY, "lighter light-hearted lighthearted light_hearted cheerful cheer_me_up feel-good feel_good uplifting"
     " easy_to_watch easygoing|轻松 轻快 不那么沉重 治愈 开心一点"),
    (LIGHT, "darker heavier more_serious grittier|严肃 沉重一点 黑暗一点 深刻一点"),
)  # fmt: skip
"""Moods, by what they keep away."""

SUBJECT_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("sports", "football", "soccer", "basketball", "tennis"), "sport sports sporty|体育 运动"),
    (("football", "soccer"), "football soccer|足球"),
    (("music",), "music song songs concert*|音乐 歌曲 唱歌"),
    (("finance", "business", "economics"), "money finance business economy economics|财经 金融 经济 商业"),
    (("health", "medicine"), "health healthy medical medicine|健康 医学 医疗 养生"),
    (("food", "foodanddrink", "cooking"), "food cooking cook recipe* kitchen|美食 烹饪 做饭 做菜 菜谱"),
    (("travel",), "travel travelling trip trips journey*|旅游 旅行 出游"),
    (("politics",), "politics political election*|政治 选举"),
    (("law",), "law laws legal|法律 法学"),
    (("crime",), "crime crimes|犯罪 案件"),
    (("weather",), "weather forecast*|天气"),
    (("autos", "cars"), "car cars autos driving|汽车 开车"),
    (("technology", "programming", "computer science", "electronics"), "tech technology computer computers"
     "|科技 电脑 数码"),
    (("programming", "computer science"), "programming programmer* coding software|编程 程序 计算机 软件"),
    (("mathematics", "math", "maths"), "mathematics math maths|数学"),
    (("physics",), "physics|物理"),
    (("astronomy",), "astronomy stars planets|天文 星空 星星"),
    (("history",), "history historical|历史"),
    (("languages", "language"), "languages language|语言 外语"),
    (("painting", "art"), "painting paintings paint art|绘画 画画 美术 艺术"),
    (("gardening", "garden"), "gardening garden gardens plants|园艺 种花 花园"),
    (("wildlife", "animals", "pets"), "wildlife animal animals|动物 野生动物"),
    (("sailing",), "sailing sail boats|航海 帆船"),
    (("chess",), "chess|象棋 下棋"),
    (("fashion", "clothing"), "fashion clothes clothing|时尚 服装 衣服"),
    (("books", "literature"), "book books literature reading|图书 文学 读书"),
    (("kids", "children", "toys", "family"), "kid kids child children toys|孩子 儿童 玩具"),
)  # fmt: skip
"""What shops, courses, news and feeds are often about; only what a catalogue has counts."""

SUBJECT_MOODS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("crime", "politics", "war", "law", "disasters", "accidents"), "lighter light-hearted cheerful uplifting"
     " feel-good|轻松 轻快 开心一点"),
)  # fmt: skip

KIND_WORDS = {
    "person": "person people persons accounts users|用户 账号 的人 人物",
    "post": "post posts|帖子 帖 动态",
}
"""Kinds of items of a feed."""

_EMPTY = """
a about again all also always am an and any anything are as at be bit but by can could do don't evening everything
feel film film's films flick flicks for from get give good great guys had has have hello hey hi how i i'd i'll i'm
i've if in into is it it's its just kind let let's like list little lot lots made make many maybe me mood more most
movie movie's movies much my need new next nice night no not nothing now of okay on one ones only or other our over
please prefer rather really recommend recommendation released say see set show shows so some someone something sort
stories story such suggest take tell than thanks that the their them there these they thing things think this those to
today tonight too up very wanna want watch watching we weekend well what which who will with would yes you your yours
"""
_EMPTY_CHINESE = """
我想看一部 我想看 想看点 想看 有没有 有什么 给我 来点 来一部 来部 推荐 一部 一些 一点 一下 电影 片子 题材
那种 什么 今晚 晚上 周末 今天 适合 关于 真实 好看 好听 看点 一起 可以 只看 还要 现在 请 讲 的 了 吗 呢 吧 个
看 要 我 有 和 或者 或 与 跟 也 都 好 大片 片 点 想 上 那 这 些 是 在 为 给 就 再 很 部 类 型 故事 老 追逐
一 里 被
"""

EMPTY = frozenset(_EMPTY.split())
"""English words that ask for nothing by themselves."""

EMPTY_CHINESE = tuple(_EMPTY_CHINESE.split())
"""Chinese words that ask for nothing by themselves; where one holds another, the longer stands first."""


_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def content(text: str, whole: bool = False) -> str:
    """From the first word that says something to the last, or, with `whole`, all of them; empty if there is none."""
    bare = text
    for word in EMPTY_CHINESE:
        bare = bare.replace(word, " " * len(word))
    said = [match for match in _WORD.finditer(bare) if match.group() not in EMPTY and _says(match.group())]
    if not said:
        return ""
    kept = text if whole else text[said[0].start() : said[-1].end()]
    return " ".join(re.sub(r"[^\w\s'’-]", " ", kept).split())


def _says(word: str) -> bool:
    """One letter says nothing; one Chinese character may."""
    return len(word) > 1 or ord(word) > 0x2E80
