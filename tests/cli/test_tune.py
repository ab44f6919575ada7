"""`sottovoce tune` on the command line: what it asks for, and what it says of what was found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sottovoce.cli import main as main_module
from sottovoce.simulations import tune as module


def left_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process; the status it leaves with."""
    monkeypatch.setattr(sys, "argv", ["sottovoce", "tune", *arguments])
    with pytest.raises(SystemExit) as left:
        main_module.run()
    return int(left.value.code or 0)


def test_options_become_a_search_and_its_findings_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    best = {"from": "trial 3", "values": {"rounds": 7}, "mean": 0.1, "low": 0.09, "high": 0.11, "runs": 4}

    def search(configs: Any, contenders: Any, out: Path, effort: Any, workers: int, watch: Any) -> dict[str, Any]:  # noqa: ANN401
        asked.update(configs=configs, contenders=contenders, out=out, effort=effort, workers=workers)
        watch(3, 3)
        found = {"contender": "from zero", "epsilon": 1.0, "trials": 3, "committed": {"error": "x"}, "best": best}
        return {"dataset": "d", "metric": "full.ndcg@10", "says": module.SAYS, "searches": [found]}

    monkeypatch.setattr(module, "tune", search)
    arguments = ("--epsilon", "1", "--epsilon", "inf", "--contender", "from zero", "--trials", "3", "--seed", "4")
    assert left_with(monkeypatch, *arguments, "--set", "encoder.dimensions=8", "--out", str(tmp_path)) == 0
    assert [each.privacy.epsilon for each in asked["configs"]] == [1.0, float("inf")]
    assert {each.encoder.dimensions for each in asked["configs"]} == {8}
    assert (asked["contenders"], asked["effort"].trials, asked["effort"].seed) == (["from zero"], 3, 4)
    said = " ".join(capsys.readouterr().out.split())
    for part in ("0.1000", "failed", "from zero", "outside any privacy budget"):
        assert part in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--trials", "0"), "--trials"),
        (("--contender", "nobody"), "--contender"),
        (("--epsilon", "much"), "--epsilon"),
        (("--set", "train.raunds=3"), "train.raunds"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    named: str,
) -> None:
    out = tmp_path / "out"
    source = ("--data", "synthetic:users=60,items=40", "--delta", "1e-3", "--out", str(out))
    assert left_with(monkeypatch, *source, *arguments) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sottovoce: ")]
    assert named in line
    assert not out.exists()
