"""Ranges of a number (years, prices) as a sentence names them, and the constraints that hold all of them at once.

What is wanted side by side is met together ("after 1990, before 1995"); joined by "or", or where nothing could meet
both ("80s and 90s"), any of it answers. What is not wanted stays outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sottovoce.client.language.request import AnyBetween, Between, Bounds, Constraint

_INFINITE = float("inf")


@dataclass(frozen=True)
class Range:
    """Bounds, both included, that are named at `span`.

    Attributes:
        span: Where.
        low: `None` without one.
        high: Likewise.
        complaint: Such as "too old": never wanted, whatever stands before it.
    """

    span: tuple[int, int]
    low: float | None
    high: float | None
    complaint: bool = False

    @property
    def bounds(self) -> Bounds:
        """Without the place."""
        return self.low, self.high


def place_of(match: re.Match[str]) -> tuple[int, int]:
    """Where a range is named: without the word in front, which may belong to another ("apart from 1995")."""
    word = re.match(r"(?:from|in|of)\s+", match.group())
    return match.start() + (word.end() if word else 0), match.end()


def constraints_of(
    attribute: str, wanted: Sequence[tuple[Range, bool]], unwanted: Sequence[Range], step: float
) -> list[Constraint]:
    """What an attribute has to be.

    Args:
        attribute: Whose numbers these are.
        wanted: In the order in which they were said, each with whether an "or" stands before it.
        unwanted: What has to be kept away from.
        step: The smallest difference between two numbers of the attribute.
    """
    ways: list[Bounds] = []
    for each, alternative in wanted:
        met = [] if alternative else _met(ways or [(None, None)], each.bounds)
        ways = met or [*ways, each.bounds]
    outside = []
    for each in unwanted:
        rest = _rest(each.bounds, step)
        if rest is None:
            outside.append(Between(attribute=attribute, low=each.low, high=each.high, outside=True))
        else:
            ways = _met(ways or [(None, None)], rest) or [rest]
    merged = [way for way in _merged(ways, step) if way != (None, None)]
    if len(merged) == 1:
        return [Between(attribute=attribute, low=merged[0][0], high=merged[0][1]), *outside]
    return [*([AnyBetween(attribute=attribute, ranges=tuple(merged))] if merged else []), *outside]


def _rest(bounds: Bounds, step: float) -> Bounds | None:
    """What bounds with one end leave over; `None` if they have both."""
    low, high = bounds
    if low is None and high is not None:
        return round(high + step, 2), None
    return (None, round(low - step, 2)) if low is not None and high is None else None


def _met(ways: Sequence[Bounds], bounds: Bounds) -> list[Bounds]:
    """What of each way lies within the bounds."""
    met = []
    for way in ways:
        low = max(_low(way), _low(bounds))
        high = min(_high(way), _high(bounds))
        if low <= high:
            met.append((None if low == -_INFINITE else low, None if high == _INFINITE else high))
    return met


def _merged(ways: Sequence[Bounds], step: float) -> list[Bounds]:
    """The same numbers in as few ranges as can be."""
    merged: list[Bounds] = []
    for way in sorted(ways, key=_low):
        if merged and _low(way) <= _high(merged[-1]) + step:
            high = max(_high(merged[-1]), _high(way))
            merged[-1] = merged[-1][0], None if high == _INFINITE else high
        else:
            merged.append(way)
    return merged


def _low(bounds: Bounds) -> float:
    return -_INFINITE if bounds[0] is None else bounds[0]


def _high(bounds: Bounds) -> float:
    return _INFINITE if bounds[1] is None else bounds[1]
