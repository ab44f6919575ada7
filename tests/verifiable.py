"""A published bundle whose vectors belong to its texts, or do not: two items may have each other's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sottovoce.common.bundle import Published, open_bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.encoder import Encoder, FloatArray
from sottovoce.common.readers import fit_reader
from sottovoce.common.scoring import Head, HeadShape, save_arrays
from sottovoce.common.vectors import fit_item_space

ITEMS = 100
WORDS = ["sea", "war", "love", "moon", "horse", "train", "king", "river", "song", "ghost"]
TEXTS = tuple(f"A film about a {WORDS[row // 10]} and a {WORDS[row % 10]}, number {row}" for row in range(ITEMS))
CATALOGUE = Catalogue(TEXTS, TEXTS, TEXTS)


class Bag(Encoder):
    """Gives each word a direction of its own."""

    def encode(self, texts: object, batch_size: int = 64) -> FloatArray:
        def direction(word: str) -> FloatArray:
            return np.random.default_rng(list(word.encode())).normal(size=32).astype(np.float32)

        return np.array([sum(map(direction, text.split())) for text in texts], dtype=np.float32)  # type: ignore[attr-defined]


BAG = Bag("bag", Path("model"), "e" * 64)


def published(folder: Path, encoder: Encoder = BAG, swapped: tuple[int, int] | None = None) -> Published:
    """A bundle as a server makes it; two items may have each other's vectors."""
    encoded = encoder.encode(TEXTS)
    space = fit_item_space(TEXTS, encoded, encoder, None, CATALOGUE.sha256, 16, 16)
    told = {"encoder": encoder.name, "revision": "", "fingerprint": encoder.fingerprint}
    reader, vectors = fit_reader(encoded, space.vectors, told), space.vectors.copy()
    if swapped:
        vectors[list(swapped)] = vectors[list(reversed(swapped))]
    save_arrays(folder / "items.safetensors", {"vectors": vectors})
    head = Head.untrained(HeadShape(ITEMS, space.dimension, 4, 0, 4.0), np.zeros(ITEMS, np.float32))
    facts = {"state": "items", "space": space.published}
    write_bundle(folder / "bundle", CATALOGUE, folder / "items.safetensors", head, "# Card\n", facts, [reader])
    return open_bundle(folder / "bundle")
