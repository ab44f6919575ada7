"""Lies go through the same server as answers: what they are, what is kept of them, and what they reach."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from federation import (
    ITEMS,
    LocalGrid,
    honest,
    make_config,
    make_federation,
    make_node,
    make_request,
    random_head,
    random_histories,
    space,
    write_data,
)

from sottovoce.client.node import Node
from sottovoce.common.messages import Arrays
from sottovoce.common.scoring import Head, ScoringModel
from sottovoce.server.strategy import Federation
from sottovoce.simulations.poisoning import (
    HostileNode,
    Population,
    Promotion,
    _signal,
    random_noise,
    scaling,
    sign_flip,
    spread,
)

USERS, TARGET = 40, 11
HISTORIES = random_histories(USERS)
VECTORS = space().vectors
PEOPLE = Population.of(HISTORIES, ITEMS)


def flat(sums: Arrays) -> np.ndarray:
    return np.concatenate([part.ravel() for part in sums.values()]).astype(np.float64)


def test_the_simple_lies_are_what_they_are_called(tmp_path: Path) -> None:
    node = make_node(tmp_path, write_data(tmp_path / "data", HISTORIES))
    request = make_request(make_config().resolve(USERS).plan(), head=random_head())
    true = node.answer(request).sums
    assert np.allclose(flat(HostileNode(node, scaling(3.0)).answer(request).sums), 3 * flat(true))
    assert np.allclose(flat(HostileNode(node, sign_flip(3.0)).answer(request).sums), -3 * flat(true))
    drawn = HostileNode(node, random_noise(5.0, np.random.default_rng(0))).answer(request).sums
    assert np.linalg.norm(flat(drawn)) == pytest.approx(5.0, rel=1e-5)
    assert {name: part.shape for name, part in drawn.items()} == {name: part.shape for name, part in true.items()}


def test_a_hostile_node_that_declines_says_so(tmp_path: Path) -> None:
    node = make_node(tmp_path, write_data(tmp_path / "data", HISTORIES), max_epsilon=1e-9)
    answer = HostileNode(node, scaling(3.0)).answer(make_request(make_config().resolve(USERS).plan()))
    assert answer.refusal
    assert not answer.sums


def test_the_attacker_sees_what_a_device_computes() -> None:
    head = random_head(mix=0)
    model = ScoringModel(VECTORS, head)
    scores = PEOPLE.scores(head, VECTORS)
    placed = []
    for user, history in enumerate(HISTORIES):
        own = model.scores(model.state(history))
        unmet = np.setdiff1d(np.arange(ITEMS), history)
        assert np.allclose(scores[user, unmet], own[unmet], atol=1e-4)
        assert np.isneginf(scores[user, history]).all()
        if TARGET in unmet:
            placed.append(TARGET in unmet[np.argsort(-own[unmet])[:5]])
    assert PEOPLE.exposure(scores, TARGET) == pytest.approx(np.mean(placed))


def promotion(norm: float, **changes: float) -> Promotion:
    return Promotion(TARGET, VECTORS, PEOPLE, norm=norm, entry=norm, **changes)


@pytest.mark.parametrize("focus", [1.0, 0.2])
def test_the_gradient_is_that_of_the_scores_it_wants_to_move(focus: float) -> None:
    """Against finite differences: corrections stand on both sides of a score."""
    head = random_head(mix=0)
    met = PEOPLE.met[:, TARGET]
    signal = _signal(PEOPLE.scores(head, VECTORS), TARGET, met, focus).astype(np.float64)

    def objective(corrections: np.ndarray) -> float:
        vectors = VECTORS.astype(np.float64)
        vectors[:, :4] += corrections
        scores = head.shape.content_weight * (PEOPLE.mixing.astype(np.float64) @ vectors) @ vectors.T
        return float((signal * scores).sum())

    found = promotion(1.0, focus=focus).gradient(head)
    base = head.parameters["V"].astype(np.float64)
    for place in ((TARGET, 0), (TARGET, 3), (0, 1), (30, 2)):
        step = np.zeros_like(base)
        step[place] = 1e-4
        slow = (objective(base + step) - objective(base - step)) / 2e-4
        assert found[place] == pytest.approx(slow, rel=1e-3, abs=1e-4)


def test_a_spread_gradient_uses_its_norm_and_no_row_passes_its_limit() -> None:
    gradient = np.random.default_rng(2).normal(size=(50, 4)) * np.geomspace(1, 1e-3, 50)[:, None]
    for limit in (np.inf, 2.0, 0.5):
        sent = spread(gradient, 3.0, limit)
        assert np.linalg.norm(sent, axis=1).max() <= limit * (1 + 1e-5)
        assert np.linalg.norm(sent) == pytest.approx(3.0, rel=0.02)
    assert np.linalg.norm(spread(gradient, 3.0, 0.1)) <= 0.1 * math.sqrt(50) * (1 + 1e-5)


def trained(folder: Path, hostile: bool, capacity: int) -> Head:
    """One honest node, and one that is hostile or honest."""
    federation = {"nodes": 2, "deadline_s": 5.0}
    config = make_config(federation=federation, head={"mix": 0}, privacy={"noise": "seeded", "epsilon": 200.0})

    def made() -> Federation:
        return make_federation(folder, HISTORIES, config, lambda nodes: [honest(node) for node in nodes])

    folder.mkdir()
    whole = dataclasses.replace(made(), capacity_of=lambda node: USERS if node == 1 else capacity)
    grid = whole.grid
    assert isinstance(grid, LocalGrid)
    if hostile:
        lie = promotion(1e3)
        own: Node = make_node(folder / "hostile", folder / "data", 1, 2)
        grid.replies[1] = lambda request, _: HostileNode(own, lie).answer(request).to_record()
    return whole.train().published


def test_promotion_exposes_its_target_as_far_as_the_capacity_of_its_node_reaches(tmp_path: Path) -> None:
    """An oracle of the attack's strength: it must work, or a defence that is held against it shows nothing."""
    clean = trained(tmp_path / "clean", hostile=False, capacity=20)
    small = trained(tmp_path / "small", hostile=True, capacity=1)
    large = trained(tmp_path / "large", hostile=True, capacity=200)
    exposures = [PEOPLE.exposure(PEOPLE.scores(head, VECTORS), TARGET) for head in (clean, small, large)]
    assert exposures[0] < 0.3
    assert exposures[2] > 0.9
    assert exposures[1] < exposures[2]
