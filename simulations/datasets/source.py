"""What each reader of a format gives: two checked tables, and the name of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sottovoce.simulations.datasets.interactions import Interactions
from sottovoce.simulations.datasets.items import ItemRows


@dataclass(frozen=True)
class Shown:
    """Lists that people were shown, by the file's own ids.

    Attributes:
        before: What the reader of each list had clicked before, oldest first.
        items: What was shown.
        clicked: Which of that was clicked.
    """

    before: Sequence[Sequence[str]]
    items: Sequence[Sequence[str]]
    clicked: Sequence[Sequence[bool]]


@dataclass(frozen=True)
class Source:
    """A data set as its files have it.

    Attributes:
        name: Of the data set.
        interactions: Who did what.
        items: What there is.
        domain: The preset of texts and words that fits it.
        shown: Lists that were kept for evaluation, where there are any.
    """

    name: str
    interactions: Interactions
    items: ItemRows
    domain: str = "items"
    shown: Shown | None = None
