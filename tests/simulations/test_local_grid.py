"""A run within one process is the run that Flower's runtime makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from federation import make_config, make_node, random_histories, write_data
from safetensors.numpy import load_file

from sottovoce.common.bundle import load_bundle
from sottovoce.common.config import parse
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.strategy import Federation, send_and_receive
from sottovoce.simulations.evaluate import Timing
from sottovoce.simulations.local_grid import LocalGrid, run_locally
from sottovoce.simulations.run import Runtime, evaluate_run, make_run, simulate

COMMAND = (sys.executable, "-c", "from sottovoce.cli.main import run; run()")
SMALL = ("--data", "synthetic:users=120,items=80,seed=1", "--nodes", "3", "--set", "encoder.dimensions=8")


def federation(folder: Path) -> Federation:
    histories = random_histories(40)
    data, config = write_data(folder / "data", histories), make_config().resolve(len(histories))
    nodes = [make_node(folder / "nodes", data, place, 2) for place in range(2)]
    run = RunFolder(folder / "run")
    run.path.mkdir()
    return Federation(
        grid=LocalGrid(nodes),
        config=config,
        plan=config.plan(),
        space=nodes[0].data.space,
        ledger=Ledger(run.ledger),
        store=Store(run),
        population="people",
        run="run",
    )


def test_every_node_answers_every_round(tmp_path: Path) -> None:
    local = federation(tmp_path)
    assert local.train().round == 3
    assert [record.nodes for record in local.store.records()] == [2] * 4
    for place in range(2):
        made = Ledger(tmp_path / "nodes" / f"node-{place}.sqlite").events()
        assert sum(event.count for events in made.values() for event in events) == 4


def test_an_answer_is_given_once_and_nobody_is_late(tmp_path: Path) -> None:
    grid = federation(tmp_path).grid
    assert list(grid.get_node_ids()) == [1, 2]
    assert send_and_receive(grid, [], deadline_s=0) == []
    assert list(grid.pull_messages(["1"])) == []


def test_the_model_card_names_data_and_an_oracles_metrics(tmp_path: Path) -> None:
    table = {
        "data": {"source": "synthetic:users=120,items=80,seed=1"},
        "encoder": {"dimensions": 8},
        "privacy": {"epsilon": 8.0, "delta": 1e-4},
        "train": {"rounds": 1},
    }
    folder = make_run(parse(table), tmp_path / "run")
    run_locally(folder.path, 1)
    published = (folder.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- **Data** the histories of the federation's nodes, which nobody sees who publishes." in published
    assert "- **Metrics** none: a federation releases none." in published
    finished = evaluate_run(folder, Timing(0, 0, 0))
    card = (folder.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- **Data** synthetic, in a simulation." in card
    ndcg = finished.result["metrics"]["full"]["ndcg@10"]
    assert f"full NDCG@10 {ndcg:.3f} on the test split, by an oracle that reads every history" in card
    assert load_bundle(folder.bundle).manifest == finished.bundle.manifest
    evaluate_run(folder, Timing(0, 0, 0))
    assert (folder.bundle / "MODEL_CARD.md").read_text(encoding="utf-8") == card


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--epsilon", "inf", "--rounds", "4"),
        ("--epsilon", "8", "--delta", "1e-3", "--rounds", "3", "--seeded-noise", "--set", "train.sampling_rate=0.5"),
        ("--epsilon", "8", "--delta", "1e-3", "--rounds", "3", "--seeded-noise", "--trust", "node"),
    ],
    ids=["no privacy", "server", "node"],
)
def test_the_model_is_that_of_flowers_runtime(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without noise to 1e-6; with seeded noise, whose grid swallows the last bits of a sum, to the byte."""
    flower, local = tmp_path / "flower", tmp_path / "local"
    done = subprocess.run(
        [*COMMAND, "simulate", *SMALL, *options, "--out", str(flower), "--json"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    folder = make_run(RunFolder(flower).config, local)
    finished = simulate(folder, runtime=Runtime.LOCAL)
    seeded = "--seeded-noise" in options
    parts, others = (load_file(run / "bundle" / "head.safetensors") for run in (flower, local))
    assert set(parts) == set(others)
    for name, part in parts.items():
        same = np.array_equal(part, others[name]) if seeded else np.allclose(part, others[name], rtol=0, atol=1e-6)
        assert same, (name, np.abs(part - others[name]).max())
    assert finished.result["privacy"] == result["privacy"]
    assert finished.result["communication"]["upload_bytes_per_node"] > 0
    for protocol, metrics in result["metrics"].items():
        assert finished.result["metrics"][protocol] == pytest.approx(metrics, abs=1e-6)
