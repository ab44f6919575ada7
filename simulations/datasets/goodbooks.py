"""Read goodbooks-10k (Zajac 2017): `ratings.csv` (user_id, book_id, rating) and `books.csv`.

Nobody noted when a book was rated, but the ratings are sorted by time: their place in the file stands for it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.delimited import Layout, read_delimited
from sottovoce.simulations.datasets.interactions import InteractionColumns, read_interactions
from sottovoce.simulations.datasets.items import ItemColumns, read_items
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Table, require_columns

BOOKS, RATINGS = "books.csv", "ratings.csv"
_RATING_NAMES = ("user_id", "book_id", "rating")
_BOOK_NAMES = ("book_id", "authors", "original_publication_year", "title")
_ITEMS = ItemColumns("book_id", "title", "", "original_publication_year", ("authors",))


def read_goodbooks(folder: Path, options: ReadOptions) -> Source:
    """Books as items with title and authors as text, ratings as interactions.

    Raises:
        DataError: a row cannot be used (unless `options.lenient`), or a file or a column is missing.
    """
    layout = Layout(",", quoted=True)
    ratings = read_delimited(folder / RATINGS, layout, options.lenient)
    require_columns(ratings, _RATING_NAMES, "goodbooks")
    order = pa.chunked_array([pa.array(np.arange(len(ratings), dtype=np.float64))])
    placed = Table(ratings.path, {**ratings.columns, "place": order}, ratings.line, ratings.broken)
    rows = read_interactions(placed, InteractionColumns("user_id", "book_id", "place", "rating"), options.lenient)
    books = read_delimited(folder / BOOKS, layout, options.lenient)
    require_columns(books, _BOOK_NAMES, "goodbooks")
    return Source(folder.resolve().name, rows, read_items(books, _ITEMS, str.split, options.lenient), "items")
