"""Read one file of interactions and one of items, CSV or Parquet, with columns of any name."""

from __future__ import annotations

from pathlib import Path

from sottovoce.simulations.datasets.columns import interaction_columns, item_columns
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.interactions import read_interactions
from sottovoce.simulations.datasets.items import ItemRows, read_items, split_categories
from sottovoce.simulations.datasets.parquet import read_table
from sottovoce.simulations.datasets.source import Source


def read_pair(name: str, interactions: Path, items: Path, options: ReadOptions) -> Source:
    """Read both tables, each CSV or Parquet."""
    table = read_table(interactions, options.lenient)
    rows = read_interactions(table, interaction_columns(table, options.columns), options.lenient)
    return Source(name, rows, read_item_file(items, options))


def read_item_file(path: Path, options: ReadOptions) -> ItemRows:
    """Read a table of items, CSV or Parquet."""
    table = read_table(path, options.lenient)
    return read_items(table, item_columns(table, options.columns), split_categories, options.lenient)
