"""A federation within this process: the real server and node code, without Flower's runtime between them.

It is for experiments that train many small federations. Every exchange is kept, so that an auditor sees what an
observer of the wire would see.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from sottovoce.client.node import Node
from sottovoce.client.store import NodeData
from sottovoce.common.config import Config
from sottovoce.common.messages import Answer, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Store
from sottovoce.server.strategy import Federation, Released


@dataclass
class LocalGrid(Grid):
    """Hands every message to its node at once.

    Attributes:
        nodes: Who answers; the n-th has the Flower id n + 1.
        exchanges: Every request, with what its node answered.
    """

    nodes: Sequence[Node]
    exchanges: list[tuple[Request, Answer]] = field(default_factory=list)
    _replies: dict[str, Message] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        # Flower's messages name the task that they belong to: outside its runtime there is but this one.
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1

    def set_run(self, *_: object) -> None:
        """There is but one run."""

    @property
    def run(self) -> Any:  # noqa: ANN401 - as Flower declares it
        """There is but one run."""
        return None

    def create_message(self, *_: object, **__: object) -> Message:
        """Deprecated by Flower, and not used."""
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        """The ids of all nodes."""
        return range(1, len(self.nodes) + 1)

    def get_nodes(self) -> Any:  # noqa: ANN401 - as Flower declares it
        """Facts about nodes: none."""
        return []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Have every message answered, and name them."""
        return [self._answer(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies to those messages that have one."""
        return [self._replies.pop(each) for each in list(message_ids) if each in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push and pull in one."""
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, message: Message) -> str:
        identifier = str(next(self._numbers))
        message.metadata.__dict__["_message_id"] = identifier
        request = Request.from_record(message.content)
        answer = self.nodes[message.metadata.dst_node_id - 1].answer(request)
        self.exchanges.append((request, answer))
        self._replies[identifier] = Message(answer.to_record(), reply_to=message)
        return identifier


@dataclass
class LocalFederation(Federation):
    """A federation over a `LocalGrid` that remembers what it released.

    Attributes:
        released: Every release in order, with its name and round.
    """

    released: list[tuple[str, int, Released]] = field(default_factory=list)

    def release(self, name: str, number: int, arrays: dict[str, Any]) -> Released:
        """Make a release as any federation does, and remember it."""
        made = super().release(name, number, arrays)
        self.released.append((name, number, made))
        return made

    @property
    def exchanges(self) -> list[tuple[Request, Answer]]:
        """What went over the wire."""
        if not isinstance(self.grid, LocalGrid):
            raise TypeError("a local federation runs on a local grid")
        return self.grid.exchanges


def local_federation(folder: Path, data: Path, config: Config, plan: PrivacyPlan) -> LocalFederation:
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
        Node(
            name := f"node-{place}",
            NodeData(data, place, count),
            Ledger(run.node_ledger(name)),
            max_epsilon=float("inf"),
            accepts_seeded=True,
        )
        for place in range(count)
    ]
    space = ItemSpace.load(data / "items.safetensors")
    return LocalFederation(LocalGrid(nodes), config, plan, space, Ledger(run.ledger), Store(run), "audit", "audit")
