"""What the server keeps between rounds, so that a killed run goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.numpy import load_file

from sottovoce.common.errors import DataError
from sottovoce.common.messages import Arrays
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.scoring import Head, HeadShape, save_arrays


@dataclass(frozen=True)
class Checkpoint:
    """The model after a round.

    Attributes:
        run: The run's unique name, under which the ledger knows its releases.
        round: The last finished round; zero after the popularity release.
        head: The model.
        moments: State of the server's optimiser.
    """

    run: str
    round: int
    head: Head
    moments: Arrays

    @property
    def published(self) -> Head:
        """The model that leaves: the average over rounds where one is kept, else the last."""
        averages = _named(self.moments, "average.")
        return replace(self.head, parameters=averages) if averages else self.head


@dataclass(frozen=True)
class RoundRecord:
    """What one release took.

    Attributes:
        name: `popularity` or `head`.
        round: Its number; zero for popularity.
        seconds: From opening the release to the step that was made of it.
        nodes: Valid answers.
        upload_bytes: Content of the largest answer of one node.
        download_bytes: Content of the request to one node.
    """

    name: str
    round: int
    seconds: float
    nodes: int
    upload_bytes: int
    download_bytes: int


@dataclass(frozen=True)
class Store:
    """Reads and writes the checkpoint and the records of a run folder."""

    folder: RunFolder

    def save(self, state: Checkpoint) -> None:
        """Replace the checkpoint, as a whole or not at all."""
        self.folder.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"b": state.head.b, **{f"head.{name}": part for name, part in state.head.parameters.items()}}
        arrays |= {f"moment.{name}": part for name, part in state.moments.items()}
        facts = {"run": state.run, "round": str(state.round), "shape": json.dumps(asdict(state.head.shape))}
        save_arrays(self.folder.checkpoint, cast(dict[str, Any], arrays), facts)

    def load(self) -> Checkpoint | None:
        """The last checkpoint, if there is one.

        Raises:
            DataError: it is damaged.
        """
        path: Path = self.folder.checkpoint
        if not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as file:
                facts = dict(file.metadata())
            arrays = cast(Arrays, load_file(path))
            head = Head(HeadShape(**json.loads(facts["shape"])), arrays["b"], _named(arrays, "head."))
            check_head(head)
            return Checkpoint(facts["run"], int(facts["round"]), head, _named(arrays, "moment."))
        except Exception as error:
            raise DataError(path, f"not a checkpoint: {error}") from error

    def add(self, record: RoundRecord) -> None:
        """Add to what the rounds took; one whose release was read again after a kill stands as it was first made."""
        kept = self.records()
        if any((old.name, old.round) == (record.name, record.round) for old in kept):
            return
        text = json.dumps([asdict(each) for each in (*kept, record)], indent=1)
        unfinished = self.folder.rounds.with_suffix(".part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.folder.rounds)

    def records(self) -> list[RoundRecord]:
        """What the rounds took so far.

        Raises:
            DataError: the file is damaged.
        """
        if not self.folder.rounds.exists():
            return []
        try:
            return _RECORDS.validate_json(self.folder.rounds.read_bytes())
        except ValueError as error:
            raise DataError(self.folder.rounds, "not a record of rounds: remove it, it holds times alone") from error


_RECORDS = TypeAdapter(list[RoundRecord])


def check_head(head: Head) -> None:
    """Refuse arrays that are not those of the head's shape.

    Raises:
        ValueError: one is missing, has another size, is not float32 or not finite.
    """
    arrays = {"b": head.b, **head.parameters}
    if {name: array.shape for name, array in arrays.items()} != {"b": (head.shape.items,), **head.shape.trained}:
        raise ValueError("its arrays do not fit its shape")
    if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("an array is not float32, or not finite")


def _named(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): part for name, part in arrays.items() if name.startswith(prefix)}
