"""Attributes that are no texts: near values have near vectors, and a missing one says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sottovoce.common import features
from sottovoce.common.bundle import load_bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.encoder import Encoder
from sottovoce.common.errors import ConfigError
from sottovoce.common.features import feature_blocks
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.common.vectors import Block, FloatArray, ItemSpace, fit_item_space

ENCODER = Encoder("none", Path("model"), "e" * 64)


def catalogue(**attributes: list[str]) -> Catalogue:
    count = len(next(iter(attributes.values())))
    names = tuple(f"i{row}" for row in range(count))
    texts = tuple(f"word{row % 7} word{row % 3}" for row in range(count))
    return Catalogue(names, names, texts, {name: tuple(values) for name, values in attributes.items()})


def fitted(items: Catalogue, kinds: dict[str, str], weights: dict[str, float] | None = None) -> ItemSpace:
    blocks, _ = feature_blocks(items, kinds)
    nothing = np.zeros((len(items), 4), np.float32)
    return fit_item_space(items.texts, nothing, ENCODER, None, "c", 0, 0, weights=weights, more=blocks)


def cosines(items: Catalogue, name: str, kind: str) -> FloatArray:
    vectors = fitted(items, {name: kind}, {name: 1.0}).vectors
    return np.asarray(vectors @ vectors.T)


def test_near_numbers_are_alike_and_an_outlier_moves_nothing() -> None:
    prices = [str(price) for price in range(1, 40)]
    alike = cosines(catalogue(price=[*prices, "1000000"]), "price", "numeric")
    assert alike[0, 1] > 0.9 > 0.2 > max(alike[0, 10], alike[0, 38])
    assert alike[19, 20] > 0.9
    np.testing.assert_allclose(alike[:39, :39], cosines(catalogue(price=[*prices, "50"]), "price", "numeric")[:39, :39],
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("kind", ["numeric", "date"])
def test_dates_and_numbers_that_cannot_be_read_are_named_and_say_nothing(kind: str) -> None:
    cells = {"numeric": ["1", "$2.50", "3,000.5", "", "cheap", "nan", "1e999"],
             "date": ["1999", "2001-02-03", "2001-02-03T10:00:00+02:00", "", "soon", "0000", "2001-13-01"],
             }[kind]  # fmt: skip
    blocks, notes = feature_blocks(catalogue(told=cells), {"told": kind})
    assert blocks[0].known.tolist() == [True, True, True, False, False, False, False]
    assert notes == [
        f"told: 3 of 7 values are no {'number' if kind == 'numeric' else 'date'} (first: i4: {cells[4]!r})"
    ]
    vectors = fitted(catalogue(told=cells), {"told": kind}).vectors
    assert np.linalg.norm(vectors, axis=1).round(5).tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_categories_are_alike_or_not_and_rare_tags_count_more() -> None:
    brand = cosines(catalogue(brand=["a", "a", "b", "b", "c", ""] * 3), "brand", "categorical")
    assert brand[0, 1] == pytest.approx(1, abs=1e-5)
    assert brand[0, 2] < 0.1
    assert not brand[5].any()
    tags = cosines(catalogue(tags=["common | rare", "common | other", "rare | third", "common"] * 3), "tags", "tags")
    assert tags[0, 2] > tags[0, 1]


@pytest.mark.parametrize("kind", ["categorical", "tags"])
def test_of_very_many_categories_the_leading_directions_are_kept(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    common = [f"maker{row % 8}" for row in range(800)]
    cells = common + [f"rare{row // 2}" for row in range(1_400)]
    (block,), _ = feature_blocks(catalogue(maker=cells), {"maker": kind})
    assert block.values.shape == (2_200, 128)
    cut = fitted(catalogue(maker=cells), {"maker": kind}, {"maker": 1.0}).vectors
    assert cut[0] @ cut[8] == pytest.approx(1, abs=1e-4)
    assert cut[0] @ cut[1] < 0.1
    monkeypatch.setattr(features, "MOST_CATEGORIES", 10_000)
    whole = fitted(catalogue(maker=cells), {"maker": kind}, {"maker": 1.0}).vectors
    np.testing.assert_allclose((cut @ cut.T)[:800, :800], (whole @ whole.T)[:800, :800], atol=0.02)


@pytest.mark.parametrize("cells", [["3"] * 5, [""] * 5, ["", "3", "", "", ""]])
@pytest.mark.parametrize("kind", ["numeric", "date", "categorical", "tags"])
def test_a_column_that_tells_nothing_harms_nothing(cells: list[str], kind: str) -> None:
    space = fitted(catalogue(told=cells), {"told": kind})
    assert np.isfinite(space.vectors).all()


def test_an_attribute_that_is_not_there_and_a_kind_that_is_none_are_refused() -> None:
    items = catalogue(price=["1", "2"])
    with pytest.raises(ConfigError, match=r"encoder\.features\.cost = 'numeric': expected an attribute .* has price"):
        feature_blocks(items, {"cost": "numeric"})
    with pytest.raises(ConfigError, match="one of numeric, date, categorical, tags"):
        feature_blocks(items, {"price": "money"})
    with pytest.raises(
        ConfigError, match=r"encoder\.weights\.cost = 2\.0: expected one of the blocks encoder, words, price"
    ):
        fitted(items, {"price": "numeric"}, {"cost": 2.0})


def space_of_three(weights: dict[str, float] | None = None) -> ItemSpace:
    rng = np.random.default_rng(0)
    items = catalogue(price=[str(rng.integers(1, 50)) if rng.random() < 0.8 else "" for _ in range(60)])
    blocks, _ = feature_blocks(items, {"price": "numeric"})
    encoded = rng.normal(size=(60, 12)).astype(np.float32)
    return fit_item_space(items.texts, encoded, ENCODER, None, "c", 6, 4, 0.5, weights, blocks)


def test_the_blocks_of_an_explanation_sum_to_its_content() -> None:
    space = space_of_three()
    head = Head.untrained(HeadShape(60, space.dimension, 2, 0, 4.0), np.ones(60, np.float32))
    told = ScoringModel(space.vectors, head, space.blocks).explain(np.array([3, 1, 4, 15]), 9)
    assert list(told.blocks) == ["encoder", "words", "price"]
    np.testing.assert_allclose(sum(told.blocks.values()), told.content, atol=1e-5)
    assert ScoringModel(space.vectors, head).explain(np.array([3]), 9).blocks == {}
    empty = ScoringModel(space.vectors, head, space.blocks).explain(np.zeros(0, np.int64), 9)
    assert {name: part.shape for name, part in empty.blocks.items()} == dict.fromkeys(told.blocks, (0,))


def test_a_weight_is_the_ratio_of_two_blocks_products_and_zero_leaves_one_out() -> None:
    def shares(space: ItemSpace) -> dict[str, float]:
        return {name: float((part**2).sum()) for name, part in space.blocks.parts(space.vectors).items()}

    even, heavy = shares(space_of_three()), shares(space_of_three({"price": 4.0}))
    assert heavy["price"] > 3 * even["price"]
    assert shares(space_of_three({"price": 0.0}))["price"] == pytest.approx(0, abs=1e-9)
    twice = space_of_three({"encoder": 2.0, "words": 2.0, "price": 0.5})
    np.testing.assert_allclose(twice.vectors @ twice.vectors.T, space_of_three().vectors @ space_of_three().vectors.T,
                               atol=1e-5)  # fmt: skip


def test_a_new_text_lies_where_an_item_of_that_text_without_attributes_does() -> None:
    items = catalogue(price=["", *map(str, range(1, 60))])
    blocks, _ = feature_blocks(items, {"price": "numeric"})
    encoded = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)
    space = fit_item_space(items.texts, encoded, ENCODER, None, "c", 6, 4, 0.5, {"words": 0.7, "encoder": 1.3}, blocks)
    np.testing.assert_allclose(space.project(items.texts[:1], encoded[:1]), space.vectors[:1], atol=1e-4)


def test_whitening_makes_directions_equally_long() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(500, 3)) * [9.0, 3.0, 1.0]).astype(np.float32)
    lengths = {}
    for whitening in (0.0, 0.5, 1.0):
        block = Block("b", values, np.ones(500, dtype=bool))
        texts = [f"w{row % 5}" for row in range(500)]
        nothing = np.zeros((500, 2), np.float32)
        from sottovoce.common.vectors import principal_coordinates

        coordinates = principal_coordinates(block.values - block.values.mean(axis=0), 3, whitening)[0]
        lengths[whitening] = coordinates.std(axis=0) / coordinates.std(axis=0).max()
        fit_item_space(texts, nothing, ENCODER, None, "c", 2, 2, whitening, None, [block])
    np.testing.assert_allclose(lengths[0.0], [1, 1 / 3, 1 / 9], rtol=0.1)
    np.testing.assert_allclose(lengths[0.5], [1, 3**-0.5, 1 / 3], rtol=0.1)
    np.testing.assert_allclose(lengths[1.0], [1, 1, 1], rtol=0.01)


def test_a_published_model_says_what_each_block_adds(tmp_path: Path) -> None:
    space = space_of_three()
    names = tuple(f"i{row}" for row in range(60))
    head = Head.untrained(HeadShape(60, space.dimension, 2, 0, 4.0), np.ones(60, np.float32))
    space.save(tmp_path / "items.safetensors")
    facts = {"state": "items", "blocks": [list(each) for each in space.blocks.sizes]}
    write_bundle(tmp_path / "b", Catalogue(names, names, names), tmp_path / "items.safetensors", head, "card", facts)

    told = load_bundle(tmp_path / "b").model.explain(np.array([3, 1, 4]), 9)

    assert list(told.blocks) == ["encoder", "words", "price"]
    np.testing.assert_allclose(sum(told.blocks.values()), told.content, atol=1e-4)
    write_bundle(tmp_path / "c", Catalogue(names, names, names), tmp_path / "items.safetensors", head, "card", {})
    assert load_bundle(tmp_path / "c").model.explain(np.array([3]), 9).blocks == {}
