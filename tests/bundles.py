"""A small published bundle for tests of what runs on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sottovoce.common.bundle import write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.readers import Reader
from sottovoce.common.scoring import Head, HeadShape, save_arrays
from sottovoce.common.vectors import unit_rows

ITEMS, DIMENSION = 60, 12
NAMES = ("drama", "comedy", "horror", "space")


def catalogue(items: int = ITEMS) -> Catalogue:
    """Items with a year and one or two categories."""
    titles = tuple(f"Film {row}" for row in range(items))
    categories = tuple(
        NAMES[row % 4] if row % 3 else f"{NAMES[row % 4]} | {NAMES[(row + 1) % 4]}" for row in range(items)
    )
    texts = tuple(f"{title}. {each.replace(' | ', ', ')}" for title, each in zip(titles, categories, strict=True))
    years = tuple(str(1990 + row % 5) for row in range(items))
    return Catalogue(tuple(f"i{row}" for row in range(items)), titles, texts, {"year": years, "categories": categories})


def write_published(
    folder: Path, items: int = ITEMS, rank: int = 4, mix: int = 0, tied: bool = True, readers: Sequence[Reader] = ()
) -> Path:
    """Write a bundle with random vectors and a random head."""
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(items, DIMENSION)).astype(np.float32))
    shape = HeadShape(items, DIMENSION, rank, mix, 4.0, tied)
    parts = {name: 0.2 * rng.normal(size=size).astype(np.float32) for name, size in shape.trained.items()}
    head = Head(shape, rng.normal(size=items).astype(np.float32), parts)
    source = folder.with_name(folder.name + "-items.safetensors")
    save_arrays(source, {"vectors": vectors})
    write_bundle(folder, catalogue(items), source, head, "# Model card\n", {"run": "r", "state": "items"}, readers)
    return folder
