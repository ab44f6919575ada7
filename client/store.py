"""What a node holds: the public item space and its own users' histories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from sottovoce.client.states import Positions, positions_of, text_states
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.encoder import find_encoder
from sottovoce.common.history import Histories, IntArray
from sottovoce.common.messages import Objective
from sottovoce.common.scoring import FloatArray
from sottovoce.common.vectors import ItemSpace


class Holdings(ABC):
    """What a node trains on. Read when first needed, then kept.

    Attributes:
        partition: The node's public place among the nodes, which orders a sum.
    """

    partition: int

    @property
    @abstractmethod
    def catalogue(self) -> Catalogue:
        """The public items."""

    @property
    @abstractmethod
    def space(self) -> ItemSpace:
        """The public item vectors."""

    @property
    @abstractmethod
    def histories(self) -> Histories:
        """What this node's users did, as positions in `catalogue` and nowhere else: never leaves the node."""

    @cached_property
    def _kept(self) -> dict[tuple[str, int], Positions]:
        return {}

    def positions(self, objective: Objective, candidates: IntArray | None) -> Positions:
        """The positions of all users; kept between rounds where they do not depend on the round."""
        if candidates is not None:
            return self._positions(objective, candidates)
        key = (objective.state, objective.window)
        if key not in self._kept:
            self._kept[key] = self._positions(objective, None)
        return self._kept[key]

    def _positions(self, objective: Objective, candidates: IntArray | None) -> Positions:
        texts = text_states(self.catalogue.titles, self._encode) if objective.state == "text" else None
        return positions_of(self.histories, objective.window, candidates, texts)

    def _encode(self, texts: list[str]) -> FloatArray:
        if not texts:
            return np.zeros((0, self.space.dimension), np.float32)
        encoder = find_encoder(self.space.encoder, self.space.revision)
        return self.space.project(texts, encoder.encode(texts))


@dataclass(frozen=True)
class NodeData(Holdings):
    """The data of one node: every `partitions`-th user of a prepared folder. Read when first needed, then kept.

    Attributes:
        folder: Holds `catalogue.json`, `items.safetensors` (public) and `histories.npz` (private).
        partition: The node's place among the nodes.
        partitions: How many nodes share the folder.
    """

    folder: Path
    partition: int
    partitions: int

    @cached_property
    def catalogue(self) -> Catalogue:
        """The public items."""
        return _catalogue(*_version(self.folder / "catalogue.json"))

    @cached_property
    def space(self) -> ItemSpace:
        """The public item vectors."""
        return _space(*_version(self.folder / "items.safetensors"))

    @cached_property
    def histories(self) -> Histories:
        """What this node's users did: never leaves it.

        An item that the catalogue lacks is left out of its own user's history. Were it a fault, the node would answer
        without anybody's part, and one user would have moved the sum by more than their own.
        """
        whole = Histories.load(self.folder / "histories.npz")
        return whole.shard(self.partition, self.partitions).within(len(self.catalogue))


@lru_cache(maxsize=1)
def _catalogue(file: Path, _: int) -> Catalogue:
    return Catalogue.load(file)


@lru_cache(maxsize=1)
def _space(file: Path, _: int) -> ItemSpace:
    """What is public is read once for all the nodes of one process: a simulation may have one per person."""
    return ItemSpace.load(file)


def _version(file: Path) -> tuple[Path, int]:
    """A file, and when it was written: zero where it is missing, so that reading it says so."""
    return file, file.stat().st_mtime_ns if file.exists() else 0
