"""How many times DP popularity the presets are worth, over seeds, and how much of a model without privacy is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sottovoce.simulations.report import NDCG, read_results
from sottovoce.simulations.summary import DP_POPULARITY, NO_DP, Ratio, ratios
from sottovoce.simulations.sweep.sweep import sweep

SHARED = Path(os.environ.get("SOTTOVOCE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
MSWEB = SHARED / "msweb"
FILE = """
schema = 1
references = "popularity"
[base]
data.source = "{source}"
federation.nodes = 4
[grid]
privacy.epsilon = [{epsilon}]
seed = {seeds}
[[also]]
privacy.epsilon = "inf"
"""

pytestmark = pytest.mark.slow


def worth(folder: Path, source: str, epsilon: float, seeds: int) -> dict[str, Ratio]:
    """Ratios of a sweep at the presets, by reference."""
    file = folder / "floors.toml"
    file.write_text(FILE.format(source=source, epsilon=epsilon, seeds=list(range(seeds))), encoding="utf-8")
    sweep(file, folder / "out", workers=2)
    return {ratio.reference: ratio for ratio in ratios(read_results(folder / "out"), NDCG)}


@pytest.mark.data
@pytest.mark.parametrize(("epsilon", "floor", "excluded"), [(1, 1.4, 1.2), (8, 1.75, 1.2)])
def test_movielens_is_worth_its_floor_over_dp_popularity(
    tmp_path: Path, epsilon: float, floor: float, excluded: float
) -> None:
    found = worth(tmp_path, "ml-100k", epsilon, 10)[DP_POPULARITY]
    assert found.seeds == 10
    assert found.ratio >= floor
    assert found.low > excluded


@pytest.mark.skipif(not MSWEB.exists(), reason="needs msweb in the shared data")
def test_msweb_keeps_nearly_all_of_the_model_without_privacy(tmp_path: Path) -> None:
    assert worth(tmp_path, str(MSWEB), 1, 3)[NO_DP].low >= 0.95
