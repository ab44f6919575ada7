"""`sottovoce audit` as a person starts it."""

from __future__ import annotations

import json
import math
import resource
import sys
from pathlib import Path

import pytest
from audited import run_folder, small

from sottovoce.cli import main as module

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
QUICK = ("--canaries", "60", "--trials", "300", "--shadows", "4", "--readers", "4")


def left_with(monkeypatch: Patch, *arguments: str) -> int:
    """Run the command line in this process; the status it leaves with."""
    monkeypatch.setattr(sys, "argv", ["sottovoce", *arguments])
    with pytest.raises(SystemExit) as left:
        module.run()
    return int(left.value.code or 0)


def test_json_is_all_that_is_printed_and_lies_in_the_folder(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    run = small(tmp_path / "data", train={"rounds": 1})
    folder = run_folder(tmp_path / "run", run, run.plan.epsilon)
    assert left_with(monkeypatch, "audit", str(folder.path), *QUICK, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((folder.path / "audit.json").read_text())
    assert found["claimed_epsilon"] == run.plan.epsilon
    assert (found["delta"], found["confidence"], found["noise"], found["seed"]) == (1e-5, 0.999, "seeded", 0)
    assert set(found["attacks"]) == {"one_run", "repeated", "repeated_gaussian", "membership", "interactions"}
    assert set(found["checks"]) == {"sensitivity", "releases", "noise"}
    assert all("epsilon_lower_bound" in attack for attack in found["attacks"].values())
    assert found["refuted"] == []


def test_a_claim_that_falls_leaves_with_1_and_is_named(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    run = small(tmp_path / "data", privacy={"epsilon": 8.0}, train={"rounds": 1})
    folder = run_folder(tmp_path / "run", run, 0.01)
    monkeypatch.setenv("COLUMNS", "160")
    assert left_with(monkeypatch, "audit", str(folder.path), *QUICK) == 1
    shown = capsys.readouterr().out
    assert "claimed: ε = 0.01" in shown
    assert "refuted by: " in shown
    assert "repeated_gaussian" in shown


def test_a_run_without_privacy_has_no_claim_to_refute(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    run = small(tmp_path / "data", privacy={"epsilon": math.inf, "trust": "none"}, train={"rounds": 1})
    folder = run_folder(tmp_path / "run", run, None)
    assert left_with(monkeypatch, "audit", str(folder.path), *QUICK, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["claimed_epsilon"] is None
    assert set(found["attacks"]) == {"membership", "interactions"}


@pytest.mark.parametrize(
    "wrong",
    [("--confidence", "2"), ("--confidence", "nan"), ("--canaries", "1"), ("--trials", "0"), ("--shadows", "1")],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_exits_with_2(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch, wrong: tuple[str, str]
) -> None:
    assert left_with(monkeypatch, "audit", str(tmp_path), *wrong) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"sottovoce: {wrong[0]} = ")


def test_what_is_no_finished_run_is_refused(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    assert left_with(monkeypatch, "audit", str(tmp_path / "nothing")) == 2
    run = small(tmp_path / "data")
    folder = run_folder(tmp_path / "run", run, 1.0)
    for text in ("", "{}", '{"privacy": {"epsilon": 1.0, "releases": [{}]}}'):
        folder.result.write_text(text)
        assert left_with(monkeypatch, "audit", str(folder.path)) == 2
    folder.result.unlink()
    assert left_with(monkeypatch, "audit", str(folder.path)) == 2
    assert not (folder.path / "audit.json").exists()
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_a_full_disk_leaves_the_earlier_audit_whole(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    run = small(tmp_path / "data", privacy={"epsilon": math.inf, "trust": "none"}, train={"rounds": 1})
    folder = run_folder(tmp_path / "run", run, None)
    command = ("audit", str(folder.path), "--shadows", "0", "--readers", "0", "--json")
    assert left_with(monkeypatch, *command) == 0
    earlier = (folder.path / "audit.json").read_bytes()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, most))
    try:
        assert left_with(monkeypatch, *command, "--seed", "1") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert "audit.json: cannot be written (File too large)" in capsys.readouterr().err
    assert (folder.path / "audit.json").read_bytes() == earlier
