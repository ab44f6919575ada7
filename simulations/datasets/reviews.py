"""Read shop reviews as JSON Lines, plain or gzipped, in the layout of the Amazon review sets.

A folder holds one file of reviews and one of products, named `meta_…` (or the files are named by hand: `--data REVIEWS
--items META`). Both releases are known: 2018 (`reviewerID`, `asin`, `overall`, `reviewText`, `unixReviewTime`; Ni et
al. 2019) and 2023 (`user_id`, `parent_asin`, `rating`, `text`, `timestamp` in milliseconds; Hou et al. 2024).
"""

from __future__ import annotations

from pathlib import Path

from sottovoce.common.domains import DOMAINS
from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.fields import read_domain_items
from sottovoce.simulations.datasets.interactions import InteractionColumns, read_interactions
from sottovoce.simulations.datasets.jsonl import first_object, read_json_lines
from sottovoce.simulations.datasets.source import Source

SUFFIXES = (".jsonl", ".jsonl.gz", ".json.gz", ".json")
REVIEWS = {
    "user": ("user_id", "reviewerID"),
    "item": ("parent_asin", "asin"),
    "time": ("timestamp", "unixReviewTime"),
    "rating": ("rating", "overall"),
    "words": ("text", "reviewText", "summary"),
}
PRODUCTS = {
    "id": ("parent_asin", "asin"),
    "title": ("title",),
    "brand": ("store", "brand"),
    "categories": ("categories", "category"),
    "features": ("features", "feature"),
    "description": ("description",),
    "price": ("price",),
    "average_rating": ("average_rating",),
}
FEATURES = {"price": "numeric", "average_rating": "numeric", "brand": "categorical"}


def is_json_lines(path: Path) -> bool:
    """Whether a file's name says that it holds JSON Lines."""
    return path.name.endswith(SUFFIXES)


def find_reviews(folder: Path) -> tuple[Path, Path] | None:
    """The reviews and the products of a folder, if it holds both.

    Raises:
        DataError: there are several files of reviews.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and is_json_lines(path)]
    products = [path for path in files if path.name.startswith("meta_")]
    reviews = [path for path in files if path not in products]
    if not products or not reviews:
        return None
    if len(products) > 1 or len(reviews) > 1:
        raise DataError(folder, "several files of reviews or products; name one of each (--data FILE --items FILE)")
    return reviews[0], products[0]


def read_reviews(reviews: Path, products: Path, options: ReadOptions) -> Source:
    """Reviews as interactions, with what was written in them, and products as items.

    Raises:
        DataError: a line cannot be used (unless `options.lenient`), or a file is missing.
    """
    by_parent = "parent_asin" in first_object(products)
    items = PRODUCTS if by_parent else PRODUCTS | {"id": ("asin",)}
    # A file of variants beside products of the older release would find no product under its parent.
    columns = REVIEWS if by_parent else REVIEWS | {"item": ("asin",)}
    table = read_json_lines(reviews, columns, options.lenient)
    rows = read_interactions(table, InteractionColumns("user", "item", "time", "rating", "words"), options.lenient)
    table = read_json_lines(products, items, options.lenient)
    split = lambda value: [name.strip() for name in value.split(" | ") if name.strip()]  # noqa: E731
    read = read_domain_items(table, DOMAINS["shop"], options.lenient, split, FEATURES)
    return Source(reviews.name.split(".")[0], rows, read, "shop")
