"""A device that need not trust a server's item vectors: it looks where its own encoder places the texts of a few items.

A bundle holds a map from the encoder's space into that of the items (`common.readers`). The map is of low rank and
tells roughly where a text lies, so an item passes if its vector is among the nearest to that place. A vector that
belongs to another text is found, but for a chance of `NEAREST`; one that was moved a little is not. Neither is a server
that fitted the map to vectors of its own, which it can as far as so small a map can follow them.
"""

from __future__ import annotations

import numpy as np

from sottovoce.common.bundle import Published
from sottovoce.common.encoder import Encoder, find_encoder
from sottovoce.common.errors import EncoderError
from sottovoce.common.readers import Reader
from sottovoce.common.scoring import IntArray
from sottovoce.common.vectors import ItemSpace, unit_rows

SAMPLE = 20
NEAREST = 0.05
"""Share of the catalogue that may lie nearer to an item's text than its own vector: on MovieLens-100K up to 0.012."""


def own_encoder(published: Published) -> Encoder:
    """This device's own copy of the encoder with which a bundle's vectors were made.

    Raises:
        EncoderError: it cannot be had, or is another.
        DataError: the bundle does not say which.
    """
    space = ItemSpace.of_bundle(published)
    encoder = find_encoder(space.encoder, space.revision)
    if encoder.fingerprint != space.facts.get("encoder_sha256"):
        raise EncoderError(f"encoder {encoder.name}: not the one with which the item vectors were made")
    return encoder


def drawn_items(published: Published, count: int = SAMPLE) -> IntArray:
    """Catalogue positions to look at, drawn where no server sees."""
    items = len(published.catalogue)
    return np.random.default_rng().choice(items, min(count, items), replace=False)


def disagreeing_items(published: Published, encoder: Encoder, rows: IntArray) -> IntArray:
    """Catalogue positions, among `rows`, whose vector is not near to where the encoder places the text.

    Args:
        published: As a server sent it.
        encoder: This device's own.
        rows: What to look at.

    Raises:
        EncoderError: the bundle has no map for this encoder.
    """
    placed = _reader(published, encoder).place(encoder.encode([published.catalogue.text(row) for row in rows.tolist()]))
    cosine = placed @ unit_rows(published.content_rows(slice(None))).T
    nearer = (cosine > cosine[np.arange(len(rows)), rows][:, None]).mean(axis=1)
    return np.asarray(rows[nearer > NEAREST], dtype=np.int64)


def _reader(published: Published, encoder: Encoder) -> Reader:
    for reader in published.readers:
        if reader.facts["fingerprint"] == encoder.fingerprint:
            return reader
    raise EncoderError(f"encoder {encoder.name}: the bundle has no map for it, so nothing can be compared")
