"""The folder of a run: where everything lies that a run reads and leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from sottovoce.common.config import Config, load_config
from sottovoce.common.errors import ConfigError, DataError

RUN_VARIABLE = "SOTTOVOCE_RUN"
"""Names the run folder of a simulation that was started from Python, where there is no Flower run configuration."""


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved settings."""
        return self.path / "config.toml"

    @property
    def ledger(self) -> Path:
        """The server's ledger."""
        return self.path / "ledger.sqlite"

    @property
    def checkpoint(self) -> Path:
        """The state after the last finished round."""
        return self.path / "checkpoint" / "latest.safetensors"

    @property
    def bundle(self) -> Path:
        """The published model."""
        return self.path / "bundle"

    @property
    def rounds(self) -> Path:
        """What each round took: seconds, bytes, answers."""
        return self.path / "rounds.json"

    @property
    def result(self) -> Path:
        """What the run was worth."""
        return self.path / "result.json"

    @property
    def log(self) -> Path:
        """What was said during the run."""
        return self.path / "log.txt"

    def node_ledger(self, name: str) -> Path:
        """The ledger of a simulated node."""
        folder = self.path / "nodes"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.sqlite"

    @cached_property
    def config(self) -> Config:
        """The resolved settings.

        Raises:
            DataError: this is not a run folder.
        """
        if not self.config_file.exists():
            raise DataError(self.path, "not a run folder: make one with `sottovoce simulate` or `sottovoce prepare`")
        return load_config(self.config_file)

    @property
    def data(self) -> Path:
        """The prepared data of a simulation: public items, and the histories that its nodes share out."""
        prepared = self.config.data.prepared
        if prepared is None:
            raise ConfigError("data.prepared", None, "a folder written by `sottovoce prepare`")
        return Path(prepared)


def replace_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, also when the power goes."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class _HasRunConfig(Protocol):
    run_config: dict[str, bool | float | int | str]


def run_of(context: _HasRunConfig) -> Path:
    """The run folder that a Flower context belongs to: the environment's, else its run configuration's `run`.

    Raises:
        ConfigError: neither names one.
    """
    named = os.environ.get(RUN_VARIABLE) or context.run_config.get("run")
    if not named:
        raise ConfigError("run", named, "the path of a run folder")
    return Path(str(named)).absolute()
