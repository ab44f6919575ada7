"""What the content prior is worth on ML-100K beside the exact popularity, with nothing trained: floors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sottovoce.common.config import Config
from sottovoce.simulations.run import Runtime, make_run, simulate

ALONE: dict[str, Any] = {"epsilon": float("inf")}
HALF_WHITENED = {"dimensions": 32, "word_dimensions": 32, "whitening": 0.5}
"""α = 5 was chosen on the validation split."""


@pytest.mark.data
@pytest.mark.slow
def test_encoder_and_words_half_whitened_reach_the_floor_untrained(tmp_path: Path) -> None:
    config = Config.model_validate({
        "privacy": ALONE,
        "encoder": HALF_WHITENED,
        "head": {"rank": 0, "mix": 0, "content_weight": 5.0},
        "federation": {"nodes": 1},
    })  # fmt: skip

    means = simulate(make_run(config, tmp_path / "run"), runtime=Runtime.LOCAL).evaluation.means()

    assert means["sampled"]["hr@10"] >= 0.62
    assert means["full"]["ndcg@10"] >= 0.06
