"""A federation within one process: Flower's `Grid` without a runtime, for the many short runs of an experiment.

The server is `server.app`'s, each node answers by `client.app.reply`, and the messages are those that Flower would
carry. What is left out is the transport: nodes answer one after the other, none is late, and nothing is serialised
that a message does not hold as bytes already. So a run gives the model that Flower's runtime gives, without the ten
seconds that this takes to start.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from sottovoce.client.app import reply, simulated_node
from sottovoce.client.node import Node
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.training import run_federation


def run_locally(run: Path, nodes: int) -> None:
    """Run the federation of a run folder with `nodes` nodes, all in this process.

    Raises:
        SottovoceError: what the server raised on purpose.
    """
    grid = LocalGrid([simulated_node(run, partition, nodes) for partition in range(nodes)])
    run_federation(grid, RunFolder(run))


class LocalGrid(Grid):
    """Hands each message to a node of this process, which answers it when the answer is asked for.

    Args:
        nodes: Node ids are their places, counted from one.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._waiting: dict[str, Message] = {}
        self._numbers = itertools.count(1)
        # A message asks who made it; under a runtime, that one says so.
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1

    def get_node_ids(self) -> Iterable[int]:
        """The ids of all nodes."""
        return range(1, len(self._nodes) + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take messages to the nodes; the ids by which their answers can be asked for."""
        pushed = {str(next(self._numbers)): message for message in messages}
        for identifier, message in pushed.items():
            message.metadata.__dict__["_message_id"] = identifier
        self._waiting |= pushed
        return list(pushed)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers to those of the messages that were not answered yet."""
        return [self._answer(self._waiting.pop(each)) for each in sorted(message_ids, key=int) if each in self._waiting]

    def _answer(self, message: Message) -> Message:
        place = message.metadata.dst_node_id - 1
        return reply(message, place, lambda: self._nodes[place])

    @property
    def run(self) -> NoReturn:
        """There is no Flower run."""
        raise NotImplementedError("a run within one process is none of Flower's")

    def set_run(self, run: Any) -> None:  # noqa: ANN401 - narrower types are Flower's own
        """There is no Flower run."""
        _ = self.run

    def create_message(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        """Deprecated in Flower; a `Message` is made by its constructor."""
        raise NotImplementedError("make a Message instead")

    def get_nodes(self) -> Any:  # noqa: ANN401
        """Nodes have no more than an id here."""
        raise NotImplementedError("nodes have no more than an id here")

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push, and pull at once: nobody is late."""
        return self.pull_messages(self.push_messages(messages))
