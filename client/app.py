"""The node's Flower app: one kind of message, a request for the node's part of a release.

Whatever happens, what leaves is an `Answer`: an exception's text would travel to the server, and could tell of a
history. What trains is imported when the first message comes, since a simulation's driver holds this app and never
trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from sottovoce.common.errors import SottovoceError
from sottovoce.common.messages import Answer, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder, run_of

if TYPE_CHECKING:
    from sottovoce.client.node import Node

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer a request for this node's part of a release."""
    partition = int(context.node_config["partition-id"])
    partitions = int(context.node_config["num-partitions"])
    return reply(message, partition, lambda: _kept_node(run_of(context), partition, partitions))


def reply(message: Message, partition: int, node: Callable[[], Node]) -> Message:
    """What leaves the node at place `partition`, whatever happens while it is made or answers."""
    try:
        request = Request.from_record(message.content)
        answer = node().answer(request)
    except SottovoceError as error:
        answer = _declined(partition, type(error).__name__)
    except Exception:
        # Not even its kind may leave; a fault while histories are read never comes this far.
        answer = _declined(partition, "a fault of the node")
    return Message(answer.to_record(), reply_to=message)


def simulated_node(run: Path, partition: int, partitions: int) -> Node:
    """A node of a simulation: it shares the run's prepared data, and has a ledger of its own in the run folder."""
    import torch

    from sottovoce.client.node import Node
    from sottovoce.client.store import NodeData

    torch.set_num_threads(1)
    folder = RunFolder(run)
    name = f"node-{partition}"
    ledger = Ledger(folder.node_ledger(name))
    return Node(name, NodeData(folder.data, partition, partitions), ledger, max_epsilon=math.inf, simulated=True)


_kept_node = cache(simulated_node)


def _declined(partition: int, reason: str) -> Answer:
    return Answer(partition, request_sha256="", catalogue_sha256="", space_sha256="", refusal=reason)
