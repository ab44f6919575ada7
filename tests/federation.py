"""A small federation in memory: the real node and server code, with Flower's grid replaced where faults are planted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from sottovoce.client.node import Node
from sottovoce.client.store import NodeData
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.config import Config, parse
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Objective, Request
from sottovoce.common.privacy.ledger import SERVER, Ledger, Release
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.scoring import FloatArray, Head, HeadShape
from sottovoce.common.vectors import ItemSpace, unit_rows
from sottovoce.server.checkpoint import Store
from sottovoce.server.strategy import Federation

ITEMS, DIMENSION = 60, 12
MAPS = ("encoder.mean", "encoder.components", "words.components", "words.offset", "words.idf", "rotation")
FACTS = {
    "encoder": "none",
    "revision": "",
    "encoder_sha256": "e",
    "catalogue_sha256": "",
    "vocabulary": "[]",
}


def catalogue(items: int = ITEMS) -> Catalogue:
    names = tuple(f"item {number}" for number in range(items))
    return Catalogue(names, names, names)


def space(items: int = ITEMS, dimension: int = DIMENSION) -> ItemSpace:
    rng = np.random.default_rng(5)
    vectors = unit_rows(rng.normal(size=(items, dimension)).astype(np.float32))
    return ItemSpace(
        vectors,
        {
            **FACTS,
            "catalogue_sha256": catalogue(items).sha256,
            "blocks": json.dumps([["encoder", dimension]]),
        },
        {**{name: np.zeros((1, 1), np.float32) for name in MAPS}, "rotation": np.eye(dimension, dtype=np.float32)},
    )


def random_histories(users: int, items: int = ITEMS, seed: int = 0, longest: int = 30) -> Histories:
    rng = np.random.default_rng(seed)
    lists = [rng.choice(items, rng.integers(3, longest), replace=False) for _ in range(users)]
    return Histories.from_lists([f"u{user}" for user in range(users)], lists)


def write_data(folder: Path, histories: Histories, items: int = ITEMS) -> Path:
    """A prepared folder as nodes read it."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue(items).save(folder / "catalogue.json")
    space(items).save(folder / "items.safetensors")
    histories.save(folder / "histories.npz")
    return folder


def make_node(folder: Path, data: Path, partition: int = 0, partitions: int = 1, **changes: Any) -> Node:  # noqa: ANN401
    folder.mkdir(parents=True, exist_ok=True)
    name = f"node-{partition}"
    settings = {"max_epsilon": float("inf"), "simulated": True, **changes}
    return Node(name, NodeData(data, partition, partitions), Ledger(folder / f"{name}.sqlite"), **settings)


def make_config(**sections: dict[str, Any]) -> Config:
    """A resolved configuration for a small federation."""
    table: dict[str, Any] = {
        "privacy": {"epsilon": 8.0, "delta": 1e-4},
        "head": {"rank": 4, "mix": 6, "content_weight": 3.0, "window": 20},
        "train": {"rounds": 3, "clip_norm": 0.1, "learning_rate": 5.0, "optimiser": "sgd"},
        "federation": {"nodes": 2, "deadline_s": 5.0},
    }
    for section, values in sections.items():
        table[section] = {**table.get(section, {}), **values}
    return parse(table)


def make_request(
    plan: PrivacyPlan, name: str = "head", number: int = 1, head: Head | None = None, **objective: Any  # noqa: ANN401
) -> Request:  # fmt: skip
    shape = head.shape if head else HeadShape(ITEMS, DIMENSION, 4, 6, 3.0)
    head = head or Head.untrained(shape)
    loss = {
        "loss": "softmax",
        "state": "items",
        "window": 20,
        "negatives": 8,
        "candidates": 10_000,
        "popularity_length": 20,
    }
    return Request(
        Release("people", "run", number, name, SERVER),
        plan,
        shape,
        Objective(**{**loss, **objective}),
        catalogue(shape.items).sha256,
        space(shape.items, shape.dimension).sha256,
        {"b": head.b, **head.parameters} if name == "head" else {},
    )


def random_head(items: int = ITEMS, rank: int = 4, mix: int = 6, seed: int = 1, tied: bool = True) -> Head:
    rng = np.random.default_rng(seed)
    shape = HeadShape(items, DIMENSION, rank, mix, 3.0, tied)
    b: FloatArray = rng.normal(size=items).astype(np.float32)
    return Head(shape, b, {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in shape.trained.items()})


Reply = Callable[[Request, int], RecordDict | None]
"""What a node sends for a request, by its place; nothing if it stays silent."""


@dataclass
class LocalGrid(Grid):
    """Answers messages in this process; what each node does can be replaced. Every answer is recorded."""

    replies: list[Reply]
    sent: list[RecordDict] = field(default_factory=list)
    received: list[RecordDict] = field(default_factory=list)
    _waiting: dict[str, Message] = field(default_factory=dict)
    _number: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1

    def set_run(self, *args: object) -> None: ...

    @property
    def run(self) -> Any:  # noqa: ANN401
        return None

    def create_message(self, *args: object, **kwargs: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return range(1, len(self.replies) + 1)

    def get_nodes(self) -> Any:  # noqa: ANN401
        return []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        identifiers = []
        for message in messages:
            identifier = str(next(self._number))
            message.metadata.__dict__["_message_id"] = identifier
            self.sent.append(message.content)
            identifiers.append(identifier)
            node = message.metadata.dst_node_id
            try:
                record = self.replies[node - 1](Request.from_record(message.content), node)
            except RuntimeError as error:
                self._waiting[identifier] = Message(Error(1, str(error)), reply_to=message)
                continue
            if record is not None:
                self.received.append(record)
                self._waiting[identifier] = Message(record, reply_to=message)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._waiting.pop(each) for each in list(message_ids) if each in self._waiting]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise NotImplementedError


def honest(node: Node) -> Reply:
    """A node that does what it should."""
    return lambda request, _: node.answer(request).to_record()


def altered(node: Node, change: Callable[[Answer], Answer]) -> Reply:
    """A node whose honest answer is changed on its way."""
    return lambda request, _: change(node.answer(request)).to_record()


def make_federation(
    folder: Path, histories: Histories, config: Config, replies: Callable[[list[Node]], list[Reply]] | None = None
) -> Federation:
    """A federation over `config.federation.nodes` nodes that share `histories`."""
    data = write_data(folder / "data", histories)
    config = config.resolve(len(histories))
    count = config.federation.nodes
    nodes = [make_node(folder / "nodes", data, place, count) for place in range(count)]
    run = RunFolder(folder / "run")
    run.path.mkdir(exist_ok=True)
    return Federation(
        grid=LocalGrid(replies(nodes) if replies else [honest(node) for node in nodes]),
        config=config,
        plan=config.plan(),
        space=space(),
        ledger=Ledger(run.ledger),
        store=Store(run),
        population="people",
        run="run",
        simulated=True,
    )
