"""What a person asked for so far, as a tuple of constraints: each is one chip on the page, and can be taken away alone.

A request says what may be shown (`allowed`, a hard filter over public attributes) and what should be (wanted and
unwanted words, anchors, variety), which a recommender weighs beside the person's history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sottovoce.common.item_table import ItemTable

MOST_CONSTRAINTS = 40

BoolArray = NDArray[np.bool_]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Bounds = tuple[float | None, float | None]
"""Both included; `None` without one."""


class _Constraint(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wanted(_Constraint):
    """Words that lead the list, in any language of the encoder."""

    kind: Literal["wanted"] = "wanted"
    text: Text


class Unwanted(_Constraint):
    """Words that the list keeps away from."""

    kind: Literal["unwanted"] = "unwanted"
    text: Text


class AnyOf(_Constraint):
    """An item has at least one of these values of an attribute."""

    kind: Literal["any_of"] = "any_of"
    attribute: str
    values: tuple[str, ...]


class NoneOf(_Constraint):
    """An item has none of these values of an attribute."""

    kind: Literal["none_of"] = "none_of"
    attribute: str
    values: tuple[str, ...]


class Between(_Constraint):
    """An attribute is a number from `low` to `high`, both included; with `outside`, a number that is not."""

    kind: Literal["between"] = "between"
    attribute: str
    low: float | None = None
    high: float | None = None
    outside: bool = False


class AnyBetween(_Constraint):
    """An attribute is a number within at least one of these ranges."""

    kind: Literal["any_between"] = "any_between"
    attribute: str
    ranges: tuple[Bounds, ...]


class Like(_Constraint):
    """More like one item, which itself is not shown again."""

    kind: Literal["like"] = "like"
    item: str
    title: str


class Unlike(_Constraint):
    """Less like one item, which itself is not shown again."""

    kind: Literal["unlike"] = "unlike"
    item: str
    title: str


class NotThese(_Constraint):
    """Items that were shown and are not wanted now."""

    kind: Literal["not_these"] = "not_these"
    items: tuple[str, ...]


class Guess(_Constraint):
    """A value of an attribute that an encoder took a sentence to ask for: it leads the list, and excludes nothing."""

    kind: Literal["guess"] = "guess"
    attribute: str
    value: str


class Surprise(_Constraint):
    """Items that differ from each other, and less known ones among them; shares from 0 to 1."""

    kind: Literal["surprise"] = "surprise"
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.6
    long_tail: Annotated[float, Field(ge=0, le=1)] = 0.5


Constraint = Annotated[
    Wanted | Unwanted | AnyOf | NoneOf | Between | AnyBetween | Like | Unlike | NotThese | Surprise | Guess,
    Field(discriminator="kind"),
]
_CONSTRAINTS: TypeAdapter[tuple[Constraint, ...]] = TypeAdapter(tuple[Constraint, ...])


@dataclass(frozen=True)
class Request:
    """Everything that was asked for and not taken back."""

    constraints: tuple[Constraint, ...] = ()

    def add(self, new: Constraint) -> Request:
        """With one constraint more; what contradicts it gives way, since the last word counts."""
        kept = [each for each in (_beside(old, new) for old in self.constraints) if each is not None]
        return Request((*kept, new)[-MOST_CONSTRAINTS:])

    def without(self, place: int) -> Request:
        """Without the constraint at `place`; itself, if there is none."""
        return Request(tuple(each for at, each in enumerate(self.constraints) if at != place))

    def allowed(self, table: ItemTable) -> BoolArray:
        """Which items satisfy every constraint on attributes, shape [I]; what has no such attribute does not."""
        mask = np.ones(len(table), dtype=bool)
        for each in self.constraints:
            match each:
                case AnyOf(attribute=attribute, values=values):
                    mask &= _has(table, attribute, values)
                case NoneOf(attribute=attribute, values=values):
                    mask &= ~_has(table, attribute, values)
                case Between() | AnyBetween():
                    mask &= _within(table, each)
                case Like(item=item) | Unlike(item=item):
                    mask[_rows(table, (item,))] = False
                case NotThese(items=items):
                    mask[_rows(table, items)] = False
        return mask

    def json(self) -> str:
        """As `Request.read` takes it."""
        return _CONSTRAINTS.dump_json(self.constraints).decode()

    @classmethod
    def read(cls, text: str) -> Request:
        """Take up what `json` gave.

        Raises:
            ValueError: it is no request.
        """
        return cls(_CONSTRAINTS.validate_json(text))


def numbers_of(table: ItemTable, attribute: str) -> NDArray[np.float64]:
    """An attribute as numbers, shape [I]; NaN where it is none."""
    column = table.attributes.get(attribute)
    if column is None:
        return np.full(len(table), np.nan)
    return np.array([_number(text) for text in column.values], dtype=np.float64)[column.codes]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _has(table: ItemTable, attribute: str, values: tuple[str, ...]) -> BoolArray:
    column, sought = table.attributes.get(attribute), set(values)
    return np.zeros(len(table), dtype=bool) if column is None else column.where(lambda parts: bool(sought & set(parts)))


def _within(table: ItemTable, asked: Between | AnyBetween) -> BoolArray:
    numbers = numbers_of(table, asked.attribute)
    inside = np.zeros(len(table), dtype=bool)
    for low, high in _spans(asked):
        inside |= (numbers >= low) & (numbers <= high)
    return inside


def _spans(asked: Between | AnyBetween) -> list[tuple[float, float]]:
    """The numbers that answer, as closed spans."""
    if isinstance(asked, AnyBetween):
        return [_closed(*bounds) for bounds in asked.ranges]
    low, high = _closed(asked.low, asked.high)
    if not asked.outside:
        return [(low, high)]
    return [(-np.inf, np.nextafter(low, -np.inf)), (np.nextafter(high, np.inf), np.inf)]


def _closed(low: float | None, high: float | None) -> tuple[float, float]:
    return -np.inf if low is None else low, np.inf if high is None else high


def _rows(table: ItemTable, items: tuple[str, ...]) -> list[int]:
    return [table.position[item] for item in items if item in table.position]


def _beside(old: Constraint, new: Constraint) -> Constraint | None:
    """What stays of an earlier constraint beside a new one; `None` if nothing does."""
    if old == new:
        return None
    match old, new:
        case Surprise(), Surprise():
            return None
        case (Guess(attribute=a), AnyOf(attribute=b) | Guess(attribute=b)) if a == b:
            return None
        case (Guess(attribute=a, value=value), NoneOf(attribute=b, values=has)) if a == b and value in has:
            return None
        case (AnyOf(attribute=a, values=had), NoneOf(attribute=b, values=has)) if a == b:
            return _less(old, had, has)
        case (NoneOf(attribute=a, values=had), AnyOf(attribute=b, values=has)) if a == b:
            return _less(old, had, has)
        case ((Between() | AnyBetween()), (Between() | AnyBetween())) if old.attribute == new.attribute:
            return old if _adds(old, new) else None
        case (Like(item=one), Unlike(item=other)) | (Unlike(item=one), Like(item=other)) if one == other:
            return None
        case _:
            return old


def _less(old: Constraint, had: tuple[str, ...], has: tuple[str, ...]) -> Constraint | None:
    """What was said of other values stays."""
    left = tuple(value for value in had if value not in has)
    return old.model_copy(update={"values": left}) if left else None


def _adds(old: Between | AnyBetween, new: Between | AnyBetween) -> bool:
    """Whether a new range leaves an earlier one standing: both can be met, and it speaks of another end."""
    meets = any(max(a, c) <= min(b, d) for a, b in _spans(old) for c, d in _spans(new))
    if isinstance(new, AnyBetween):
        return meets and isinstance(old, Between) and old.outside
    if isinstance(old, AnyBetween) or old.outside or new.outside:
        return meets
    return meets and ((old.low is not None and new.low is None) or (old.high is not None and new.high is None))
