"""Words of the items' texts: what a taste is about, and which items a question names.

English and other alphabetic scripts are split at what is no letter; Chinese by jieba where it is installed, else into
pairs of characters. Stop words are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import log, sqrt
from types import ModuleType

import numpy as np

from sottovoce.common.item_table import ItemTable
from sottovoce.common.scoring import FloatArray, IntArray

LONGEST = 2000
"""Characters of a text that are read."""

EXAMPLES = 50
"""Items that tell where in the item space a word lies."""

_WORDS = re.compile(r"[㐀-鿿豈-﫿]+|[^\W\d_]+(?:['’-][^\W\d_]+)*", re.UNICODE)
_ENGLISH = frozenset(
    re.findall(
        r"\S+",
        """
    a about after again all also am an and any are as at be because been before being but by can could did do does
    doing down during each few for from had has have having he her here hers him his how i if in into is it its just me
    more most my no nor not now of off on once only or other our out over own same she should so some such than that
    the their them then there these they this those through to too under until up very was we were what when where
    which while who whom why will with would you your film films movie movies
    """,
    )
)
_CHINESE = frozenset(
    re.findall(
        r"\S+",
        """
    的 了 和 是 就 都 而 及 与 着 或 一个 一部 没有 我们 你们 他们 我 你 他 她 它 们 在 有 这 那
    个 也 很 到 说 要 去 会 上 吗 呢 吧 啊 想 看 想看 我想 关于 电影 影片 片 部 一 些 什么 怎么
    可以 不 但 但是 还 被 把 给 让 从 对 等
    """,
    )
)


def words_of(text: str) -> Iterator[str]:
    """The words of a text, in lower case, without stop words."""
    for run in _WORDS.findall(text[:LONGEST].casefold()):
        if "㐀" <= run[0] <= "﫿":
            yield from (word for word in _chinese(run) if word not in _CHINESE)
        elif run not in _ENGLISH and len(run) > 1:
            yield run.removesuffix("'s").removesuffix("’s")


@dataclass(frozen=True)
class WordIndex:
    """In which items each word stands.

    Attributes:
        table: The items.
        rows: Positions of the items that have a word, by word.
    """

    table: ItemTable
    rows: dict[str, list[int]]

    @classmethod
    def of(cls, table: ItemTable) -> WordIndex:
        """Read every text of a catalogue once."""
        rows: dict[str, list[int]] = {}
        for row in range(len(table)):
            for word in set(words_of(table.text(row))):
                rows.setdefault(word, []).append(row)
        return cls(table, rows)

    def rarity(self, word: str) -> float:
        """The inverse document frequency of a word: log((1 + I) / (1 + items that have it)) + 1."""
        return log((1 + len(self.table)) / (1 + len(self.rows.get(word, ())))) + 1

    def keywords(self, history: IntArray, n: int, nearness: Callable[[IntArray], float]) -> list[str]:
        """The `n` words with the most of TF-IDF over the texts of `history`, times how near their items lie.

        Words that stand in one item alone say which item was met, not what it is like: they are left out.
        """
        counts = Counter(word for row in history.tolist() for word in set(words_of(self.table.text(row))))
        known = {word: count for word, count in counts.items() if len(self.rows.get(word, ())) > 1}
        weight = {word: sqrt(count) * self.rarity(word) for word, count in known.items() if count > 1 or len(known) < n}
        likeliest = sorted(weight, key=lambda word: (-weight[word], word))[: 5 * n]
        near = {word: nearness(np.array(self.rows[word][:EXAMPLES])) for word in likeliest}
        return sorted(likeliest, key=lambda word: (-weight[word] * (1 + near[word]), word))[:n]

    def search(self, text: str, n: int, b: FloatArray) -> list[int]:
        """The `n` items that have the rarest of the words of `text`; among equals the more popular."""
        found: Counter[int] = Counter()
        for word in set(words_of(text)):
            for row in self.rows.get(word, ()):
                found[row] += self.rarity(word)  # type: ignore[assignment]
        return sorted(found, key=lambda row: (-round(found[row], 6), -float(b[row]), row))[:n]


def _chinese(run: str) -> list[str]:
    jieba = splitter()
    if jieba is not None:
        return [str(word) for word in jieba.cut(run)]
    return [run[at : at + 2] for at in range(max(1, len(run) - 1))]


@cache
def splitter() -> ModuleType | None:
    """jieba, if it is installed; its dictionary takes a second and 60 MB, once a Chinese word is met.

    It keeps what it made of the dictionary in a file, and believes that file: so it lies in the user's own cache, and
    not in a folder where others may write.
    """
    try:
        import jieba

        from sottovoce.common.cache import cache_folder
    except ImportError:
        return None
    jieba.setLogLevel("ERROR")
    folder = cache_folder() / "jieba"
    with suppress(OSError):  # then it keeps nothing, and takes its second each time
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    jieba.dt.tmp_dir = str(folder)
    return jieba  # type: ignore[no-any-return]
