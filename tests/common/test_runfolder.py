"""Where everything of a run lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sottovoce.common.config import Config
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.runfolder import RUN_VARIABLE, RunFolder, run_of


@dataclass
class Context:
    """What `run_of` looks at of a Flower context."""

    run_config: dict[str, bool | float | int | str] = field(default_factory=dict)


def test_a_run_leaves_what_the_design_names(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    named = [folder.config_file, folder.result, folder.ledger, folder.bundle, folder.log, folder.checkpoint.parent]
    expected = ["config.toml", "result.json", "ledger.sqlite", "bundle", "log.txt", "checkpoint"]
    assert [path.relative_to(tmp_path).as_posix() for path in named] == expected
    assert folder.checkpoint.suffix == ".safetensors"


def test_a_node_has_its_own_ledger(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    ledgers = {folder.ledger, *(folder.node_ledger(f"node-{number}") for number in range(3))}
    assert len(ledgers) == 4
    assert all(ledger.parent.is_dir() for ledger in ledgers)


def test_its_settings_are_those_of_its_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder: make one with"):
        _ = RunFolder(tmp_path).config
    Config(seed=9).save(tmp_path / "config.toml")
    assert RunFolder(tmp_path).config == Config(seed=9)


def test_data_that_is_not_prepared_is_asked_for(tmp_path: Path) -> None:
    Config().save(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match=r"data\.prepared = None: expected a folder written by `sottovoce prepare`"):
        _ = RunFolder(tmp_path).data


def test_a_run_is_named_by_its_context_or_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    assert run_of(Context({"run": "runs/a"})) == Path("runs/a").absolute()
    with pytest.raises(ConfigError, match="run = None: expected the path of a run folder"):
        run_of(Context())
    monkeypatch.setenv(RUN_VARIABLE, "/elsewhere/b")
    assert run_of(Context()) == Path("/elsewhere/b")


def test_a_simulation_overrules_the_default_that_the_flower_app_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "/elsewhere/b")
    assert run_of(Context({"run": "runs/flower"})) == Path("/elsewhere/b")
