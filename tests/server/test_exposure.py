"""What is held back before a model is published, from whom, and what is left alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from federation import DIMENSION, ITEMS, make_config, space

from sottovoce.common.config import Config
from sottovoce.common.popularity import log_popularity
from sottovoce.common.scoring import FloatArray, Head, HeadShape, IntArray, ScoringModel
from sottovoce.server.exposure import SHARE, TOP, bounded, imagined_people, lower, support

USERS = 200
TARGET = 7
VECTORS = space().vectors
COUNTS = np.concatenate([np.full(10, 1.0), np.linspace(40, 90, ITEMS - 10)])


def lifted(amount: float = 5.0) -> Head:
    """A head that lifts the cold target for everybody, by its prior."""
    prior = np.log(COUNTS + 1).astype(np.float32)
    prior[TARGET] += amount
    return Head(HeadShape(ITEMS, DIMENSION, 0, 0, 3.0), prior, {})


def people() -> list[IntArray]:
    return imagined_people(VECTORS, COUNTS, 3.0, 8, np.random.default_rng(1), number=300)


def exposure(head: Head, histories: list[IntArray], item: int) -> float:
    """Slowly: in how many lists of those who have not met it does an item stand?"""
    model = ScoringModel(VECTORS, head)
    found = []
    for history in histories:
        if item not in history:
            scores = model.scores(model.state(history))
            scores[history] = -np.inf
            found.append(int(np.sum(scores > scores[item])) < TOP)
    return float(np.mean(found))


def test_imagined_people_met_nothing_twice_and_popular_things_more_often() -> None:
    histories = people()
    assert all(len(np.unique(history)) == len(history) <= ITEMS // 3 for history in histories)
    met = np.bincount(np.concatenate(histories), minlength=ITEMS)
    assert met[:10].mean() < met[10:].mean() / 5
    assert 5 < np.median([len(history) for history in histories]) < 12
    assert all(np.array_equal(one, other) for one, other in zip(histories, people(), strict=True))


def test_an_item_without_support_is_lowered_out_of_the_lists_of_all_but_a_few() -> None:
    head = lifted()
    assert exposure(head, people(), TARGET) > 0.2
    held = lower(head, VECTORS, people(), np.arange(10))
    assert exposure(held, people(), TARGET) <= SHARE
    assert held.b[TARGET] < head.b[TARGET]


def test_only_what_is_exposed_is_lowered() -> None:
    """An item that no list comes near keeps its place among others, which is what most of a ranking is made of."""
    head = lifted()
    head.b[:10] -= np.where(np.arange(10) == TARGET, 0, 20)
    held = lower(head, VECTORS, people(), np.arange(10))
    others = np.delete(np.arange(ITEMS), TARGET)
    np.testing.assert_array_equal(held.b[others], head.b[others])
    assert held.b[TARGET] < head.b[TARGET]


def config_of(**changes: dict[str, Any]) -> Config:
    privacy = {"popularity_length": 4, **changes.get("privacy", {})}
    federation = {"hostile_share": 0.05, **changes.get("federation", {})}
    return make_config(**{**changes, "privacy": privacy, "federation": federation}).resolve(USERS)


def trained(config: Config) -> Head:
    """A prior as the configuration decodes it, with one cold item lifted by a correction that it shares with nobody."""
    std = config.plan().popularity.noise_std
    prior = log_popularity(COUNTS.astype(np.float32), std, config.head.popularity_weight or 1.0)
    corrections: FloatArray = np.zeros((ITEMS, 4), np.float32)
    corrections[TARGET] = 9 * VECTORS[20, :4]
    return Head(HeadShape(ITEMS, DIMENSION, 4, 0, 3.0), prior, {"V": corrections})


def test_a_supported_item_keeps_its_prior_and_all_corrections_stay() -> None:
    config = config_of()
    head = trained(config)
    held = bounded(head, VECTORS, config, config.plan())
    limit = support(0.05 * USERS, 4, config.plan().popularity.noise_std)
    np.testing.assert_array_equal(held.b[limit <= COUNTS], head.b[limit <= COUNTS])
    np.testing.assert_array_equal(held.parameters["V"], head.parameters["V"])
    assert (held.b <= head.b).all()
    assert held.b[TARGET] < head.b[TARGET]


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy": {"trust": "node"}},
        {"privacy": {"epsilon": math.inf}},
        {"federation": {"hostile_share": 0.0}},
    ],
    ids=["node", "none", "nobody"],
)
def test_where_nothing_bounds_a_node_or_nobody_is_feared_the_model_stays(changes: dict[str, Any]) -> None:
    config = config_of(**changes)
    head = trained(config)
    assert bounded(head, VECTORS, config, config.plan()) is head


def test_where_nearly_nothing_has_support_nothing_is_held_back(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(privacy={"popularity_length": 1}, federation={"hostile_share": 0.49})
    head = trained(config)
    assert bounded(head, VECTORS, config, config.plan()) is head
    assert "none is held back" in caplog.text


def test_support_is_what_hostile_users_cannot_make() -> None:
    assert support(50, 25, 0.0) == pytest.approx(10.0)
    assert support(50, 25, 2.0) == pytest.approx(15.0)
