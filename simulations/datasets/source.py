"""What each reader of a format gives: two checked tables, and the name of the data set."""

from __future__ import annotations

from dataclasses import dataclass

from sottovoce.simulations.datasets.interactions import Interactions
from sottovoce.simulations.datasets.items import ItemRows


@dataclass(frozen=True)
class Source:
    """A data set as its files have it."""

    name: str
    interactions: Interactions
    items: ItemRows
