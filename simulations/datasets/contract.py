"""What a data set is to the rest of Sottovoce, and how a reader may be told to read one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError
from sottovoce.common.history import Histories
from sottovoce.common.impressions import Impressions

FEATURES = ("numeric", "date", "categorical", "tags")
"""Roles of columns of items that become blocks of their vectors; each may name several columns."""

ROLES = (
    *("user", "item", "time", "rating", "words", "item_id", "title", "text", "categories", "year", "image"),
    *FEATURES,
)


@dataclass(frozen=True)
class Dataset:
    """Histories over a catalogue.

    Attributes:
        name: `ml-100k`, `synthetic`, or the stem of the path that was read.
        catalogue: Every item, in the order of its file, interacted with or not.
        histories: One row per kept user, ordered by user id (numerically where every id is a number).
        ordered: Whether the order within a history means something; if not, it is a fixed shuffle.
        notes: One line for each kind of thing that was left out or repaired, with its count.
        domain: The preset of texts and words that fits it (`common.domains`).
        impressions: Lists that were shown and are kept for evaluation, where the data set has any.
        features: Kinds of those attributes of the catalogue that become part of an item's vector, by name.
        images: A picture of each item, or nothing, where the data set has any.
    """

    name: str
    catalogue: Catalogue
    histories: Histories
    ordered: bool
    notes: tuple[str, ...] = ()
    domain: str = "items"
    impressions: Impressions | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    images: tuple[Path | bytes | None, ...] | None = None


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set.

    Attributes:
        min_interactions: Users with fewer interactions are left out, and counted.
        min_rating: Interactions rated below are left out, and counted.
        lenient: Go on where a strict reading refuses: skip broken rows, drop interactions with unknown items, keep the
            first of two items with one id, call an item without text by its id. All of it is counted.
        items: The file of items, where the data set does not bring its own.
        columns: The name of a column by its role (one of `ROLES`); `text` and `FEATURES` may name
            several, separated by commas.
        max_bad_share: The share of interactions with unknown items, of repeated item ids and of items without text
            from which on a strict reading refuses.
    """

    min_interactions: int = 3
    min_rating: float = 0.0
    lenient: bool = False
    items: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    max_bad_share: float = 0.01

    def __post_init__(self) -> None:
        if self.min_interactions < 1:
            raise ConfigError("data.min_interactions", self.min_interactions, "a whole number from 1")
        if not (math.isfinite(self.min_rating) and self.min_rating >= 0):
            raise ConfigError("data.min_rating", self.min_rating, "a finite number from 0")
        if not 0 <= self.max_bad_share <= 1:
            raise ConfigError("data.max_bad_share", self.max_bad_share, "a share between 0 and 1")
        for role, column in self.columns.items():
            if role not in ROLES:
                raise ConfigError(f"data.columns.{role}", column, f"one of the roles {', '.join(ROLES)}")


DEFAULTS = ReadOptions()
