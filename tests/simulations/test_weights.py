"""Weights are found where one block tells of taste and another is noise; and only on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.config import Config
from sottovoce.common.encoder import Encoder
from sottovoce.common.errors import ConfigError
from sottovoce.common.evaluation import hold_out
from sottovoce.common.features import feature_blocks
from sottovoce.common.history import Histories
from sottovoce.common.vectors import fit_item_space
from sottovoce.simulations.prepare import Prepared
from sottovoce.simulations.weights import choose_weights

ONES = {"encoder": 1.0, "words": 1.0, "taste": 1.0}


def prepared(folder: Path) -> Prepared:
    """People who keep to one of six kinds, which an attribute names and no text does."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 6, 120)
    names = tuple(f"i{row}" for row in range(120))
    texts = tuple(f"word{a} word{b}" for a, b in rng.integers(0, 30, (120, 2)))
    items = Catalogue(names, names, texts, {"taste": tuple(f"kind {kind}" for kind in kinds)})
    encoded = rng.normal(size=(120, 16)).astype(np.float32)
    blocks, _ = feature_blocks(items, {"taste": "categorical"})
    encoder = Encoder("none", Path("model"), "e" * 64)
    space = fit_item_space(texts, encoded, encoder, None, items.sha256, 8, 8, weights=ONES, more=blocks)
    lists = [rng.choice(np.flatnonzero(kinds == user % 6), 8, replace=False) for user in range(60)]
    held_out = hold_out(Histories.from_lists([str(user) for user in range(60)], lists), 120, "validation")
    return Prepared(folder, items, space, held_out, {})


def config(**encoder: Any) -> Config:  # noqa: ANN401 - settings
    table: dict[str, Any] = {"data": {"held_out": "validation"}, "privacy": {"epsilon": float("inf")}}
    return Config.model_validate({**table, "encoder": {"weights": ONES} | encoder}).resolve(60)


def test_the_block_that_tells_of_taste_outweighs_those_that_do_not(tmp_path: Path) -> None:
    found = choose_weights(prepared(tmp_path), config())

    assert found.ndcg > found.before
    assert found.weights["taste"] >= 1
    assert min(found.weights["encoder"], found.weights["words"]) < 1


def test_the_test_split_and_other_weights_are_refused(tmp_path: Path) -> None:
    on_test = config().model_copy(update={"data": config().data.model_copy(update={"held_out": "test"})})
    with pytest.raises(ConfigError, match="the test split is for the end"):
        choose_weights(prepared(tmp_path), on_test)
    with pytest.raises(ConfigError, match=r"encoder\.weights\.taste = None: expected 1 for every block"):
        choose_weights(prepared(tmp_path), config(weights={"words": 1.0}))
