"""A node that trusts no server's item vectors computes a few of them again, with its own encoder and the public texts.

What it takes for granted is the map from the encoder's space into that of the items: a server that changed both in
step is not found. The map is a function of the whole catalogue; who doubts it fits it again (`fit_item_space`).
"""

from __future__ import annotations

import numpy as np

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.encoder import Encoder
from sottovoce.common.errors import EncoderError
from sottovoce.common.scoring import FloatArray, IntArray
from sottovoce.common.vectors import ItemSpace, unit_rows

SAMPLE = 20
AGREEMENT = 0.999
"""Cosine below which a vector is not the one that its text has: other machines round differently, by 1e-6 or so."""

_TEXTS = ("encoder", "words")


def disagreeing_items(
    space: ItemSpace, catalogue: Catalogue, encoder: Encoder, rows: IntArray | None = None
) -> IntArray:
    """Catalogue positions, among `rows`, whose vector is not what this node's encoder makes of the text.

    Only the parts that are made of texts are compared. Which items are looked at should be drawn where no server sees.

    Args:
        space: As a server sent it.
        catalogue: The public items.
        encoder: This node's own.
        rows: What to look at; `SAMPLE` drawn by the system's randomness by default.

    Raises:
        EncoderError: the space was made with another encoder, so that nothing can be compared.
    """
    if space.facts["encoder_sha256"] != encoder.fingerprint:
        raise EncoderError(f"encoder {encoder.name}: not the one with which the item vectors were made")
    if rows is None:
        count = min(SAMPLE, len(catalogue))
        rows = np.random.default_rng().choice(len(catalogue), count, replace=False)
    texts = [catalogue.texts[row] for row in rows]
    found = _of_texts(space, space.project(texts, encoder.encode(texts)))
    sent = _of_texts(space, space.vectors[rows])
    cosine = (found * sent).sum(axis=1)
    both_empty = ~found.any(axis=1) & ~sent.any(axis=1)
    return np.asarray(rows[(cosine < AGREEMENT) & ~both_empty], dtype=np.int64)


def _of_texts(space: ItemSpace, vectors: FloatArray) -> FloatArray:
    """The directions of those parts of vectors that are made of texts."""
    parts = space.blocks.parts(vectors)
    whole = np.concatenate([parts[name] for name in _TEXTS], axis=1)
    # What is left of a part that is not there, after a rotation and back, is rounding.
    return unit_rows(np.where(np.abs(whole).max(axis=1, keepdims=True) < 1e-4, 0, whole).astype(np.float32))
