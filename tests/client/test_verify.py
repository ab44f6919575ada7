"""A sample of item vectors computed again: one that was changed is found, a sound space passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sottovoce.client.verify import disagreeing_items
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.encoder import Encoder, FloatArray
from sottovoce.common.errors import EncoderError
from sottovoce.common.features import feature_blocks
from sottovoce.common.vectors import ItemSpace, fit_item_space

ITEMS = 50
TEXTS = tuple(f"word{row % 11} word{row % 7} word{row}" for row in range(ITEMS))
CATALOGUE = Catalogue(TEXTS, TEXTS, TEXTS, {"price": tuple(str(row % 13) for row in range(ITEMS))})


class Random(Encoder):
    """Gives each text a direction of its own."""

    def encode(self, texts: object, batch_size: int = 64) -> FloatArray:
        rows = [np.random.default_rng(list(text.encode())).normal(size=16) for text in texts]  # type: ignore[attr-defined]
        return np.array(rows, dtype=np.float32)


ENCODER = Random("random", Path("model"), "e" * 64)


def space(priced: bool) -> ItemSpace:
    blocks = feature_blocks(CATALOGUE, {"price": "numeric"})[0] if priced else []
    return fit_item_space(TEXTS, ENCODER.encode(TEXTS), ENCODER, None, CATALOGUE.sha256, 8, 8, 0.5, None, blocks)


@pytest.mark.parametrize("priced", [False, True])
def test_a_sound_space_passes_and_a_changed_vector_is_found(priced: bool) -> None:
    sound, every = space(priced), np.arange(ITEMS)
    assert disagreeing_items(sound, CATALOGUE, ENCODER, every).tolist() == []
    vectors = sound.vectors.copy()
    vectors[[3, 30]] = vectors[[30, 3]]
    vectors[7] += 0.1
    changed = ItemSpace(vectors, sound.facts, sound.maps)
    assert disagreeing_items(changed, CATALOGUE, ENCODER, every).tolist() == [3, 7, 30]
    assert set(disagreeing_items(changed, CATALOGUE, ENCODER).tolist()) <= {3, 7, 30}


def test_another_encoder_can_verify_nothing() -> None:
    with pytest.raises(EncoderError, match="not the one with which the item vectors were made"):
        disagreeing_items(space(False), CATALOGUE, replace(ENCODER, fingerprint="f" * 64))
