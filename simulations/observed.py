"""A federation within this process that remembers what an observer would have seen: for audits.

The server and node code are a run's own (`simulations.local_grid`); every exchange and every release is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Message

from sottovoce.client.node import Node
from sottovoce.client.store import NodeData
from sottovoce.common.config import Config
from sottovoce.common.messages import Answer, Arrays, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Store
from sottovoce.server.strategy import Federation, Released
from sottovoce.simulations.local_grid import LocalGrid


class ObservedGrid(LocalGrid):
    """A grid that keeps every request, with what its node answered."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(nodes)
        self.exchanges: list[tuple[Request, Answer]] = []

    def _answer(self, message: Message) -> Message:
        reply = super()._answer(message)
        self.exchanges.append((Request.from_record(message.content), Answer.from_record(reply.content)))
        return reply


@dataclass
class ObservedFederation(Federation):
    """A federation over an `ObservedGrid` that remembers what it released.

    Attributes:
        released: Every release in order, with its name and round.
    """

    released: list[tuple[str, int, Released]] = field(default_factory=list)

    def release(self, name: str, number: int, arrays: Arrays) -> Released:
        """Make a release as any federation does, and remember it."""
        made = super().release(name, number, arrays)
        self.released.append((name, number, made))
        return made

    @property
    def exchanges(self) -> list[tuple[Request, Answer]]:
        """What went over the wire."""
        if not isinstance(self.grid, ObservedGrid):
            raise TypeError("an observed federation runs on an observed grid")
        return self.grid.exchanges


def node_name(place: int) -> str:
    """What the node at a place of an observed federation is called."""
    return f"node-{place}"


def observed_federation(folder: Path, data: Path, config: Config, plan: PrivacyPlan) -> ObservedFederation:
    """A federation of `config.federation.nodes` nodes that share the histories in `data`; its ledgers lie in `folder`.

    Args:
        folder: New or empty.
        data: Holds `catalogue.json`, `items.safetensors` and `histories.npz`.
        config: Resolved settings.
        plan: What may be released: that of `config`, perhaps with another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, count = RunFolder(folder), config.federation.nodes
    nodes = [
        Node(name, NodeData(data, place, count), Ledger(run.node_ledger(name)), float("inf"), simulated=True)
        for place, name in enumerate(map(node_name, range(count)))
    ]
    return ObservedFederation(
        grid=ObservedGrid(nodes),
        config=config,
        plan=plan,
        space=ItemSpace.load(data / "items.safetensors"),
        ledger=Ledger(run.ledger),
        store=Store(run),
        population="audit",
        run="audit",
        simulated=True,
    )
