"""What a text may be about: everything that its writer was given, and nothing else may be named in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

LONGEST_SOURCE = 1_500
"""Of a long text, this many characters are read."""


class Job(StrEnum):
    """What is to be written."""

    CARD = "card"
    TASTE = "taste"
    DIGEST = "digest"


@dataclass(frozen=True)
class Given:
    """Public facts of an item and the exact reasons of its score; or the shape of a taste; or a long text.

    Attributes:
        job: What is to be written of them.
        title: The item's title, with its year as the catalogue has it.
        year: The item's year; empty if it has none.
        categories: The item's categories, or the taste's, the largest first.
        reasons: Titles of the items that lift the item most, the strongest first.
        source: The item's public text.
        vocabulary: All categories of the catalogue: which words are category words.
    """

    job: Job
    title: str = ""
    year: str = ""
    categories: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    source: str = ""
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _one_line(self.source)[:LONGEST_SOURCE])
        object.__setattr__(self, "title", _one_line(self.title)[:200])
        object.__setattr__(self, "reasons", tuple(_one_line(each)[:200] for each in self.reasons))

    @property
    def titles(self) -> tuple[str, ...]:
        """Every title that may be named."""
        return tuple(filter(None, (self.title, *self.reasons)))

    @property
    def key(self) -> str:
        """Names these facts: equal facts have one text."""
        return hashlib.sha256(self.json().encode()).hexdigest()

    def json(self) -> str:
        """One line, as `read` takes it."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def read(cls, line: str) -> Given:
        """Take up what `json` gave.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        table = json.loads(line)
        lists = {name: tuple(map(str, table[name])) for name in ("categories", "reasons", "vocabulary")}
        return cls(Job(table["job"]), str(table["title"]), str(table["year"]), source=str(table["source"]), **lists)


def _one_line(text: str) -> str:
    """Control characters would break a prompt apart."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * LONGEST_SOURCE]).split())
