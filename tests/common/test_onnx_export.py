"""What another runtime makes of the exported graph is what NumPy makes of the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import ITEMS, write_published

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import open_bundle
from sottovoce.common.onnx_export import export_onnx

HISTORIES = [[], [0], [5, 3, 5], list(range(40)), [7] * 500]


@pytest.mark.parametrize(("rank", "mix", "tied"), [(4, 0, True), (0, 0, True), (4, 3, True), (4, 0, False)])
def test_onnxruntime_ranks_alike(tmp_path: Path, rank: int, mix: int, tied: bool) -> None:
    runtime = pytest.importorskip("onnxruntime")
    bundle = open_bundle(write_published(tmp_path / "bundle", rank=rank, mix=mix, tied=tied))
    export_onnx(bundle, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    recommender = Recommender(bundle)
    for met in HISTORIES:
        history = np.array(met, dtype=np.int64)
        (scores,) = session.run(None, {"history": history})
        np.testing.assert_allclose(scores, bundle.model.scores(bundle.model.state(history)), atol=1e-4)
        scores[history] = -np.inf
        listed = [each.item for each in recommender.recommend(history, 10)]
        assert np.argsort(-scores, kind="stable")[: len(listed)].tolist() == listed


def test_the_command_writes_model_and_catalogue(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from sottovoce.cli.export import export

    assert export(write_published(tmp_path / "bundle"), tmp_path / "model.onnx", tmp_path / "catalogue.json") == 0
    assert (tmp_path / "model.onnx").stat().st_size < 40_000
    assert f'"Film {ITEMS - 1}"' in (tmp_path / "catalogue.json").read_text(encoding="utf-8")
