"""A sample of item vectors against their texts: one that belongs to another text is found, a sound bundle passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verifiable import BAG, ITEMS, published

from sottovoce.client.verify import disagreeing_items, drawn_items, own_encoder
from sottovoce.common.encoder import find_encoder
from sottovoce.common.errors import EncoderError


def test_a_sound_bundle_passes_and_vectors_of_other_texts_are_found(tmp_path: Path) -> None:
    every = np.arange(ITEMS)
    assert disagreeing_items(published(tmp_path), BAG, every).tolist() == []
    forged = published(tmp_path, swapped=(3, 58))
    assert disagreeing_items(forged, BAG, every).tolist() == [3, 58]
    assert disagreeing_items(forged, BAG, np.array([1, 58])).tolist() == [58]


def test_the_sample_is_drawn_anew_and_never_larger_than_the_catalogue(tmp_path: Path) -> None:
    bundle = published(tmp_path)
    assert len(set(drawn_items(bundle).tolist())) == 20
    assert sorted(drawn_items(bundle, 1_000).tolist()) == list(range(ITEMS))
    assert drawn_items(bundle).tolist() != drawn_items(bundle).tolist()


def test_another_encoder_and_a_bundle_without_a_map_can_verify_nothing(tmp_path: Path) -> None:
    bundle = published(tmp_path)
    with pytest.raises(EncoderError, match="the bundle has no map for it"):
        disagreeing_items(bundle, replace(BAG, fingerprint="f" * 64), np.arange(3))
    other = published(tmp_path, replace(BAG, name="minilm"))
    with pytest.raises(EncoderError, match="not the one with which the item vectors were made"):
        own_encoder(other)


@pytest.mark.slow
def test_the_device_has_the_packaged_encoder_itself(tmp_path: Path) -> None:
    bundle = published(tmp_path, find_encoder())
    assert disagreeing_items(bundle, own_encoder(bundle), np.arange(20)).tolist() == []
