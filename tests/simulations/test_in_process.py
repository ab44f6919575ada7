"""Releases made in this process are those of a federation: the same model without noise, the right noise with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federation import ITEMS, make_config, make_federation, random_histories, space
from gaussian import has_std

from sottovoce.common.config import Config, given
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import Head, HeadShape
from sottovoce.server.optimiser import Optimiser
from sottovoce.simulations.in_process import InProcess

KNOWN = random_histories(40)
"""Histories of the small federation of the tests."""


def in_process(config: Config, plan: PrivacyPlan, nodes: int = 1) -> InProcess:
    head, train, vectors = config.head, config.train, space().vectors
    shape = HeadShape(ITEMS, vectors.shape[1], given(head.rank), given(head.mix), given(head.content_weight))
    optimiser = Optimiser(
        given(train.optimiser), given(train.learning_rate), given(train.weight_decay), given(train.averaging)
    )
    return InProcess(plan, nodes, KNOWN, vectors, shape, optimiser, given(head.window))


def test_without_privacy_the_model_is_that_of_a_federation(tmp_path: Path) -> None:
    config = make_config(privacy={"epsilon": float("inf")}).resolve(len(KNOWN))
    federated = make_federation(tmp_path, KNOWN, config).train().head

    federation = in_process(config, config.plan())
    b = federation.popularity(given(config.privacy.popularity_length), given(config.head.popularity_weight))
    model = federation.train(Head.untrained(federation.shape, b))

    np.testing.assert_allclose(model.head.b, federated.b, atol=1e-5)
    assert set(model.head.parameters) == {"V", "W"}
    for name, part in federated.parameters.items():
        assert np.abs(part).max() > 1e-3
        np.testing.assert_allclose(model.head.parameters[name], part, atol=1e-5)


@pytest.mark.parametrize(("trust", "nodes", "factor"), [("server", 1, 1.0), ("node", 1, 1.0), ("node", 400, 20.0)])
def test_the_noise_is_that_of_all_who_add_it(trust: str, nodes: int, factor: float) -> None:
    """One step of size one from zero: what it moves is the exact gradient and the noise."""
    config = make_config(train={"rounds": 1, "learning_rate": 1.0, "clip_norm": 0.1}).resolve(len(KNOWN))
    plan = replace(config.plan(), trust=Trust(trust))
    exact_plan = replace(plan, head=replace(plan.head, noise_multiplier=0.0))
    start = Head.untrained(in_process(config, plan).shape)
    exact = in_process(config, exact_plan).train(start).head.parameters["V"]
    moved = [in_process(config, plan, nodes).train(start).head.parameters["V"] - exact for _ in range(10)]
    noise = np.concatenate([part.ravel() for part in moved]).astype(np.float64)
    std = factor * plan.head.noise_std / plan.expected_cohort("head")
    assert has_std(noise, std)
    assert not has_std(noise, std * 2 / 3) and not has_std(noise, std * 3 / 2)


def test_a_cohort_is_drawn_where_the_plan_samples() -> None:
    table: dict[str, Any] = {
        "privacy": {"epsilon": float("inf"), "noise": "seeded"},
        "train": {"rounds": 1, "sampling_rate": 0.5},
    }
    config = make_config(**table).resolve(len(KNOWN))
    plan = config.plan()
    start = Head.untrained(in_process(config, plan).shape)
    models = [in_process(config, replace(plan, seed=seed)).train(start).head.parameters["V"] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(models[0], models[1])
    assert np.abs(models[0] - models[2]).max() > 1e-4
