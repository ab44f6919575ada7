"""Whole runs over examples of each domain: what a bundle says of them, and that impressions are evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sottovoce.common.config import Config
from sottovoce.common.impressions import METRICS
from sottovoce.simulations.datasets.examples import write_example
from sottovoce.simulations.run import Runtime, make_run, references, simulate

BLOCKS = {  # a bundle of texts alone carries none, so that it stays small
    "news": [],
    "shop": ["encoder", "words", "price", "average_rating", "brand"],
    "courses": ["encoder", "words", "school"],
    "social": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("domain", BLOCKS)
def test_a_run_over_an_example_names_its_domain_and_its_blocks(tmp_path: Path, domain: str) -> None:
    write_example(domain, tmp_path / domain, people=60, items=96)
    config = Config.model_validate({
        "data": {"source": str(tmp_path / domain)},
        "privacy": {"epsilon": float("inf")},
        "federation": {"nodes": 2},
        "head": {"rank": 0},
    })  # fmt: skip

    finished = simulate(make_run(config, tmp_path / "run"), runtime=Runtime.LOCAL)

    assert finished.bundle.manifest["domain"] == domain
    history = finished.prepared.held_out.known[0]
    told = finished.bundle.model.explain(history, 5)
    assert list(told.blocks) == BLOCKS[domain]
    if BLOCKS[domain]:
        np.testing.assert_allclose(sum(told.blocks.values()), told.content, atol=1e-3)
    shown = finished.result["metrics"].get("impressions")
    if domain != "news":
        assert shown is None
        return
    assert tuple(shown) == METRICS
    assert finished.evaluation.per_user["impressions"]["auc"].shape == (60,)
    popularity = references(finished)["popularity"].per_user["impressions"]["auc"].mean()
    assert shown["auc"] > popularity > 0.4
