"""The node of a deployed device: what it holds, whom it answers, and which models it takes.

The item space that it trains in is the one of the newest bundle, so that the federation's signature vouches for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sottovoce.client.home import Home
from sottovoce.client.node import Node
from sottovoce.client.owner import Owner
from sottovoce.client.store import Holdings
from sottovoce.common.bundle import Published, open_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError, RequestRefusedError
from sottovoce.common.history import Histories
from sottovoce.common.messages import Request
from sottovoce.common.signature import verify_bundle
from sottovoce.common.vectors import ItemSpace


@dataclass(frozen=True)
class HomeHoldings(Holdings):
    """What a device holds: its newest bundle's items, and its people's histories as they are now.

    Attributes:
        home: The device.
        bundle: A bundle whose signature was checked.
        partition: A number from the node's public name.
    """

    home: Home
    bundle: Path
    partition: int

    @cached_property
    def published(self) -> Published:
        """The bundle, as it lies on the disk."""
        return open_bundle(self.bundle)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The items of the bundle."""
        return self.published.catalogue.catalogue()

    @cached_property
    def space(self) -> ItemSpace:
        """The item vectors of the bundle."""
        return ItemSpace.of_bundle(self.published)

    @cached_property
    def histories(self) -> Histories:
        """Read when a release is made, so that feedback counts from the next one on."""
        return self.home.histories.histories(self.catalogue)


def deployed_node(home: Home) -> Node:
    """The node of a device, with its owner's settings as they are now.

    Raises:
        RequestRefusedError: no model was received yet, or the one on this device is damaged.
        DataError: the device joined no federation, or its settings cannot be read.
        LedgerError: its ledger cannot be read.
    """
    bundle, owner = home.bundles.current(), home.owner
    if bundle is None:
        raise RequestRefusedError("no signed model was received yet")
    try:
        verify_bundle(bundle, home.joined.signing_key)
    except DataError as error:
        raise RequestRefusedError("the model on this device is damaged") from error
    name = home.joined.node
    partition = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return Node(
        name=name,
        data=HomeHoldings(home, bundle, partition),
        ledger=home.ledger,
        max_epsilon=owner.max_epsilon,
        max_delta=owner.max_delta,
        allow=lambda request: _check(request, home.joined.federation, owner),
    )


def _check(request: Request, federation: str, owner: Owner) -> None:
    if request.release.population != federation:
        raise RequestRefusedError("the request is for another federation")
    owner.check(request.plan)
