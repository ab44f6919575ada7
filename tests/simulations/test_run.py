"""Whole runs through Flower's real runtime, as a person starts them."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from sottovoce.common.bundle import load_bundle
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder

SMALL = ("--data", "synthetic:users=240,items=120,seed=1", "--nodes", "2", "--set", "encoder.dimensions=8")
COMMAND = (sys.executable, "-c", "from sottovoce.cli.main import run; run()")
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def sottovoce(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    return done


def simulate(out: Path, *more: str, status: int = 0) -> dict[str, Any]:
    done = sottovoce("simulate", *SMALL, *more, "--out", str(out), "--json", status=status)
    result: dict[str, Any] = json.loads(done.stdout)
    assert result == json.loads((out / "result.json").read_text())
    return result


def model(out: Path) -> dict[str, np.ndarray]:
    return load_file(out / "bundle" / "head.safetensors")


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without privacy and with full participation: it has one right answer."""
    out = tmp_path_factory.mktemp("runs") / "exact"
    simulate(out, "--epsilon", "inf", "--rounds", "4")
    return out


def test_a_private_run_leaves_what_it_should(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = simulate(out, "--epsilon", "8", "--rounds", "3", "--set", "privacy.delta=1e-4")
    assert set(result) == {"schema", "dataset", "privacy", "metrics", "communication", "timing", "seed"}
    assert result["dataset"] == {
        "name": "synthetic",
        "users": 240,
        "items": 120,
        "interactions": result["dataset"]["interactions"],
    }
    privacy = result["privacy"]
    assert (privacy["unit"], privacy["relation"], privacy["trust"]) == ("user", "add-or-remove-one", "server")
    assert epsilon([ReleaseEvent(**each) for each in privacy["releases"]], privacy["delta"]) == privacy["epsilon"]
    assert 7.9 < privacy["epsilon"] <= 8.0
    assert [(each["name"], each["count"]) for each in privacy["releases"]] == [("popularity", 1), ("head", 3)]
    assert {"hr@10", "ndcg@10"} <= set(result["metrics"]["sampled"]) & set(result["metrics"]["full"])
    assert result["timing"]["user_updates_per_s"] > 0
    assert Ledger(out / "ledger.sqlite").epsilon(1e-4) == privacy["epsilon"]
    for name in ("config.toml", "log.txt", "checkpoint/latest.safetensors", "bundle/MODEL_CARD.md"):
        assert (out / name).stat().st_size > 0
    bundle = load_bundle(out / "bundle")
    assert bundle.manifest["privacy"]["epsilon"] == privacy["epsilon"]
    floats = sum(part.size for name, part in model(out).items() if name != "b")
    assert 4 * (3 * floats + 120) <= result["communication"]["upload_bytes_per_node"] < 4 * (3 * floats + 120) + 8192


def test_without_privacy_the_result_says_so(exact: Path) -> None:
    privacy = json.loads((exact / "result.json").read_text())["privacy"]
    assert privacy["epsilon"] is None
    assert privacy["trust"] == "none"


def test_the_number_of_nodes_does_not_change_an_exact_model(exact: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "run", "--epsilon", "inf", "--rounds", "4", "--nodes", "5")
    for name, part in model(exact).items():
        assert np.allclose(part, model(tmp_path / "run")[name], atol=1e-4), name


def test_node_trust_runs_and_costs_what_it_says(tmp_path: Path) -> None:
    result = simulate(tmp_path / "run", "--epsilon", "8", "--trust", "node", "--rounds", "2", "--delta", "1e-4")
    assert result["privacy"]["trust"] == "node"
    assert result["privacy"]["epsilon"] <= 8.0
    for ledger in (tmp_path / "run" / "nodes").glob("*.sqlite"):
        assert Ledger(ledger).epsilon(1e-4) == pytest.approx(result["privacy"]["epsilon"])


def test_aggregate_trust_runs_and_says_that_it_is_simulated(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = simulate(out, "--epsilon", "8", "--trust", "aggregate", "--rounds", "2", "--delta", "1e-4")
    assert (result["privacy"]["trust"], result["privacy"]["secure_aggregation"]) == ("aggregate", "simulated")
    assert 7.9 < result["privacy"]["epsilon"] <= 8.0
    assert "simulated" in (out / "bundle" / "MODEL_CARD.md").read_text()
    assert load_bundle(out / "bundle").manifest["privacy"]["secure_aggregation"] == "simulated"
    assert "trust aggregate (simulated)" in sottovoce("evaluate", str(out)).stdout
    for ledger in (out / "nodes").glob("*.sqlite"):
        assert Ledger(ledger).epsilon(1e-4) == pytest.approx(result["privacy"]["epsilon"])


def test_seeded_noise_repeats_and_is_named(tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    results = [
        simulate(
            run, "--epsilon", "4", "--head", "W", "--rounds", "2", "--seeded-noise", "--set", "train.sampling_rate=0.5"
        )
        for run in runs
    ]
    assert results[0]["privacy"]["noise"] == "seeded"
    assert results[0]["metrics"] == results[1]["metrics"]
    assert "seeded" in (runs[0] / "bundle" / "MODEL_CARD.md").read_text()


def test_noise_of_the_system_never_repeats(tmp_path: Path) -> None:
    for run in ("a", "b"):
        simulate(tmp_path / run, "--epsilon", "4", "--head", "none")
    assert not np.allclose(model(tmp_path / "a")["b"], model(tmp_path / "b")["b"])


def test_a_spent_budget_stops_the_run_publishes_its_last_model_and_exits_3(tmp_path: Path) -> None:
    result = simulate(
        tmp_path / "run", "--epsilon", "4", "--rounds", "40", "--set", "privacy.noise_multiplier=1.5", status=3
    )
    assert 0 < result["privacy"]["epsilon"] <= 4.0
    assert 0 < result["privacy"]["releases"][1]["count"] < 40
    assert load_bundle(tmp_path / "run" / "bundle").manifest["round"] == result["privacy"]["releases"][1]["count"]


@pytest.mark.parametrize("variant", [("--state", "text"), ("--loss", "sigmoid", "--head", "W")])
def test_the_other_readings_run(tmp_path: Path, variant: tuple[str, ...]) -> None:
    few = ("--data", "synthetic:users=40,items=60,seed=1", "--rounds", "2", "--set", "head.window=2")
    result = simulate(tmp_path / "run", "--epsilon", "inf", *few, *variant)
    assert result["metrics"]["sampled"]["hr@10"] > 0.2


def test_flwr_run_gives_the_same_model_as_simulate(exact: Path, tmp_path: Path) -> None:
    """`flwr run .` on the local runtime: a SuperLink, the app bundle of this repository, the same apps."""
    out = tmp_path / "flower"
    sottovoce("prepare", *SMALL, "--epsilon", "inf", "--rounds", "4", "--out", str(out))
    flower = {
        **os.environ,
        "FLWR_HOME": str(tmp_path / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        str(Path(sys.executable).parent / "flwr"), "run", str(REPOSITORY), "--stream",
        "--run-config", f"run='{out}'",
        "--federation-config", "num-supernodes=2 client-resources-num-cpus=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=flower)
    try:
        assert (out / "bundle").exists(), done.stdout[-3000:] + done.stderr[-3000:]
        for name, part in model(exact).items():
            assert np.allclose(part, model(out)[name], atol=1e-6), name
        first = json.loads(sottovoce("evaluate", str(out), "--json").stdout)["metrics"]
        second = json.loads((exact / "result.json").read_text())["metrics"]
        for protocol, metrics in second.items():
            assert first[protocol] == pytest.approx(metrics, abs=1e-6)
    finally:
        stop_local_superlink(tmp_path / "flwr")


def stop_local_superlink(home: Path) -> None:
    """End the background SuperLink that `flwr run` started under `home`, and nothing else."""
    for process in Path("/proc").iterdir():
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if f"FLWR_HOME={home}".encode() in environment.split(b"\0") and b"flower-superlink" in command:
            os.kill(int(process.name), signal.SIGTERM)


@pytest.mark.parametrize("release", ["popularity", "head"])
def test_a_killed_run_goes_on_and_spends_what_the_ledger_says(tmp_path: Path, release: str) -> None:
    out = tmp_path / "run"
    options = ("--epsilon", "8", "--rounds", "12", "--delta", "1e-4")
    process = subprocess.Popen(
        [*COMMAND, "simulate", *SMALL, *options, "--out", str(out), "--json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_for_release(out, release)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = Ledger(out / "ledger.sqlite").events()["server"]
    done = sottovoce("simulate", "--resume", "--out", str(out), "--json")
    privacy = json.loads(done.stdout)["privacy"]
    assert [(each["name"], each["count"]) for each in privacy["releases"]] == [("popularity", 1), ("head", 12)]
    assert sum(event.count for event in before) <= 13
    assert privacy["epsilon"] <= 8.0
    assert Ledger(out / "ledger.sqlite").epsilon(1e-4) == privacy["epsilon"]


def wait_for_release(out: Path, name: str) -> None:
    """Until the ledger of the run shows a release called `name`."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if (out / "ledger.sqlite").exists():
            events = [event.name for made in Ledger(out / "ledger.sqlite").events().values() for event in made]
            if name in events:
                return
        time.sleep(0.02)
    raise AssertionError(f"no release {name} within the time")


@pytest.mark.data
def test_ml_100k_reaches_its_floors_within_its_bounds(tmp_path: Path) -> None:
    """One seed with some room; the README's figures are means over five."""
    out = tmp_path / "run"
    done = sottovoce("simulate", "--data", "ml-100k", "--epsilon", "8", "--nodes", "4", "--out", str(out), "--json")
    result = json.loads(done.stdout)
    assert result["dataset"] == {"name": "ml-100k", "users": 943, "items": 1682, "interactions": 100000}
    assert result["metrics"]["sampled"]["hr@10"] > 0.61
    assert result["metrics"]["full"]["ndcg@10"] > 0.065
    assert result["communication"]["upload_bytes_per_node"] <= 1_000_000


BAD = [
    (("--epsilon", "0"), "--epsilon"),
    (("--epsilon", "-3"), "--epsilon"),
    (("--epsilon", "nan"), "--epsilon"),
    (("--epsilon", "many"), "--epsilon"),
    (("--delta", "0"), "privacy.delta"),
    (("--delta", "0.01"), "privacy.delta"),
    (("--delta", "nan"), "privacy.delta"),
    (("--rounds", "0"), "train.rounds"),
    (("--nodes", "0"), "federation.nodes"),
    (("--nodes", "241"), "federation.nodes"),
    (("--trust", "none"), "privacy.trust"),
    (("--trust", "everybody"), "privacy.trust"),
    (("--epsilon", "inf", "--trust", "aggregate"), "privacy.trust"),
    (("--epsilon", "inf", "--trust", "server"), "privacy.trust"),
    (("--set", "train.sampling_rate=1.5"), "train.sampling_rate"),
    (("--set", "train.sampling_rate=nan"), "train.sampling_rate"),
    (("--set", "train.clip_norm=0"), "train.clip_norm"),
    (("--set", "head.window"), "--set"),
    (("--set", "head.windw=3"), "head.windw"),
    (("--encoder", "no/such-model"), "no/such-model"),
    (("--data", "/no/such/file.csv"), "/no/such/file.csv"),
]


@pytest.mark.parametrize(("options", "named"), BAD)
def test_bad_input_exits_2_with_one_line_before_anything_is_made(
    tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    done = sottovoce("simulate", *SMALL, *options, "--out", str(tmp_path / "run"), "--json", status=2)
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert named in line
    assert not (tmp_path / "run").exists()


def test_an_earlier_run_is_not_overwritten(exact: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exact, copy)
    done = sottovoce("simulate", *SMALL, "--out", str(copy), status=2)
    assert "--resume" in done.stderr
    assert (copy / "result.json").read_bytes() == (exact / "result.json").read_bytes()


def test_a_list_of_nobody_is_refused_before_anything_is_trained(exact: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exact, copy)
    (copy / "result.json").unlink()
    done = sottovoce("simulate", "--resume", "--out", str(copy), "--user", "999999", status=2)
    assert "--user = 999999: expected a row from 0 to " in done.stderr
    assert not (copy / "result.json").exists()
    sottovoce("simulate", *SMALL, "--out", str(copy), "--force", "--user", "999999", status=2)
    assert (copy / "bundle").exists(), "the earlier run is thrown away for a run that is made"


def test_resuming_what_is_no_run_is_refused(tmp_path: Path) -> None:
    done = sottovoce("simulate", "--resume", "--out", str(tmp_path / "nothing"), status=2)
    assert "not a run folder" in done.stderr


def test_resuming_a_finished_run_changes_nothing(exact: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exact, copy)
    sottovoce("simulate", "--resume", "--out", str(copy), "--json")
    for name, part in model(exact).items():
        assert np.array_equal(part, model(copy)[name])
    assert Ledger(copy / "ledger.sqlite").epsilon(1e-5) == math.inf
    assert RunFolder(copy).config == RunFolder(exact).config
