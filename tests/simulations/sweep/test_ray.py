"""Cells as tasks on a cluster of two Ray nodes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells import make_cell, name_the_node

from sottovoce.simulations.sweep.store import read_table
from sottovoce.simulations.sweep.workers import compute_on_ray

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-c", "from sottovoce.cli.main import run; run()")
FILE = """
schema = 1
references = "none"
[base]
data.source = "synthetic:users=60,items=40,seed=1"
encoder.dimensions = 8
privacy.delta = 1e-3
train.rounds = 2
[grid]
seed = [0, 1]
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parents[2])
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Cluster()
        try:
            for _ in range(2):
                started.add_node(num_cpus=1, object_store_memory=100_000_000, include_dashboard=False)
            started.wait_for_nodes()
            yield started.address
        finally:
            started.shutdown()  # type: ignore[no-untyped-call]


def test_both_nodes_compute(cluster: str) -> None:
    cells = [make_cell(seed) for seed in range(12)]
    outcomes = list(compute_on_ray(cells, cluster, name_the_node))
    assert {outcome.key for outcome in outcomes} == {cell.key for cell in cells}
    assert len({outcome.rows[0]["node"] for outcome in outcomes}) == 2


def test_a_sweep_runs_on_the_cluster_that_ray_address_names(cluster: str, tmp_path: Path) -> None:
    file, out = tmp_path / "experiment.toml", tmp_path / "out"
    file.write_text(FILE, encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "sweep", str(file), "--out", str(out)],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "RAY_ADDRESS": cluster},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    table = read_table(out / "results.parquet")
    assert table["error"].isna().all()
    assert table["full.ndcg@10"].between(0, 1).all()
