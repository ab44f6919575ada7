"""New items join a published model, are recommended at once, and leave everything else as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import DIMENSION, ITEMS, catalogue, write_published

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import open_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.common.scoring import FloatArray
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.extend import extend_bundle

NEW = Catalogue(
    ("n1", "i3", "n2"), ("New 1", "Old", "New 2"), ("New 1. drama", "Old.", "New 2."), {"categories": ("drama", "", "")}
)


class Space(ItemSpace):
    """A space into which each text is placed at a vector of its own."""

    def project(self, texts: object, encoded: FloatArray) -> FloatArray:
        return encoded


def vectors_of(texts: object) -> FloatArray:
    return open_vectors[[7, 8]]


open_vectors: FloatArray = np.eye(DIMENSION, dtype=np.float32)[np.arange(ITEMS) % DIMENSION]


def space(items: int = ITEMS) -> ItemSpace:
    return Space(np.zeros((items, DIMENSION), np.float32), {}, {})


def test_new_items_are_recommended_at_once(tmp_path: Path) -> None:
    old = open_bundle(write_published(tmp_path / "bundle"))
    assert extend_bundle(old, "# Model card\n", space(), NEW, vectors_of, tmp_path / "wider") == 2
    wider = Recommender.load(tmp_path / "wider")
    assert len(wider.bundle.catalogue) == ITEMS + 2
    assert wider.bundle.manifest["run"] == "r"
    assert "2 joined by their texts" in (tmp_path / "wider" / "MODEL_CARD.md").read_text()
    assert wider.bundle.catalogue.attributes["year"][ITEMS] == ""
    liked = wider.positions(["n1"])
    assert liked.tolist() == [ITEMS]
    listed = wider.recommend(np.zeros(0, np.int64), ITEMS + 2, wish=wider.wish_like(ITEMS, 1.0))
    places = {each.item: place for place, each in enumerate(listed)}
    assert places[ITEMS] < 10
    before = Recommender(old).recommend(np.array([3, 4]), ITEMS)
    after = [each for each in wider.recommend(np.array([3, 4]), ITEMS + 2) if each.item < ITEMS]
    assert [each.item for each in after] == [each.item for each in before]
    np.testing.assert_allclose([each.score for each in after], [each.score for each in before], atol=0.05)


def test_nothing_new_or_another_space_is_refused(tmp_path: Path) -> None:
    old = open_bundle(write_published(tmp_path / "bundle"))
    with pytest.raises(DataError, match="has every one"):
        extend_bundle(old, "", space(), catalogue(5), vectors_of, tmp_path / "wider")
    with pytest.raises(DataError, match="another than the one"):
        extend_bundle(old, "", space(7), NEW, vectors_of, tmp_path / "wider")
    assert not (tmp_path / "wider").exists()
