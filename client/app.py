"""The node's Flower app: a request for the node's part of a release, and a model that comes back.

Whatever happens, what leaves is an `Answer` or a `Receipt`: an exception's text would travel to the server, and could
tell of a history. What trains is imported when the first message comes, since a simulation's driver holds this app and
never trains.

The node's own configuration says what it is: `home` names the folder of a device, `partition-id` and `num-partitions`
the place of a simulated node.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from sottovoce.common.errors import DataError, RequestRefusedError, SottovoceError
from sottovoce.common.messages import Answer, Publication, Receipt, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder, run_of

if TYPE_CHECKING:
    from sottovoce.client.node import Node

log = logging.getLogger(__name__)

app = ClientApp()

HOME = "home"
"""The key of a device's own configuration that names its folder."""


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer a request for this node's part of a release."""
    config = context.node_config
    if HOME in config:
        return reply(message, 0, lambda: _node_at(Path(str(config[HOME]))))
    partition, partitions = int(config["partition-id"]), int(config["num-partitions"])
    return reply(message, partition, lambda: _kept_node(run_of(context), partition, partitions))


@app.query()
def receive(message: Message, context: Context) -> Message:
    """Take a published model, or say which one is here."""
    try:
        receipt = _receipt(Publication.from_record(message.content), Path(str(context.node_config[HOME])))
    except SottovoceError as error:
        receipt = Receipt(0, type(error).__name__)
    except Exception as error:
        log.error("a fault of the node: %s", type(error).__name__)
        receipt = Receipt(0, "a fault of the node")
    return Message(receipt.to_record(), reply_to=message)


def reply(message: Message, partition: int, node: Callable[[], Node]) -> Message:
    """What leaves the node at place `partition`, whatever happens while it is made or answers."""
    try:
        request = Request.from_record(message.content)
        answer = node().answer(request)
    except RequestRefusedError as error:
        answer = _declined(partition, str(error))
    except SottovoceError as error:
        log.error("%s", error)
        answer = _declined(partition, type(error).__name__)
    except Exception as error:
        # Not even its kind may leave; a fault while histories are read never comes this far.
        log.error("a fault of the node: %s", type(error).__name__)
        answer = _declined(partition, "a fault of the node")
    if answer.refusal:
        log.info("declined: %s", answer.refusal)
    return Message(answer.to_record(), reply_to=message)


def simulated_node(run: Path, partition: int, partitions: int) -> Node:
    """A node of a simulation: it shares the run's prepared data, and has a ledger of its own in the run folder."""
    from sottovoce.client.node import Node
    from sottovoce.client.store import NodeData

    _one_thread()
    folder = RunFolder(run)
    name = f"node-{partition}"
    ledger = Ledger(folder.node_ledger(name))
    return Node(name, NodeData(folder.data, partition, partitions), ledger, max_epsilon=math.inf, simulated=True)


_kept_node = cache(simulated_node)


def _node_at(folder: Path) -> Node:
    """The node of a device; made anew for each message, as its owner's settings and its model may have changed."""
    from sottovoce.client.deployed import deployed_node
    from sottovoce.client.home import Home

    _one_thread()
    return deployed_node(Home(folder))


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _receipt(publication: Publication, folder: Path) -> Receipt:
    from sottovoce.client.home import Home

    bundles, refusal = Home(folder).bundles, ""
    if publication.federation != bundles.federation:
        refusal = "of another federation"
    elif publication.files:
        try:
            signed = bundles.install_files(publication.files)
            log.info("version %d of the model is here", signed.version)
        except DataError as error:
            log.error("a model was refused: %s", error)
            refusal = "not the bundle that is due, or no room for it"
    return Receipt(bundles.version, refusal)


def _declined(partition: int, reason: str) -> Answer:
    return Answer(partition, request_sha256="", catalogue_sha256="", space_sha256="", refusal=reason)
