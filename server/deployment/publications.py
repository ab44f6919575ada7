"""What a federation has published: signed bundles, each under a version that only grows, and their way to the nodes.

Every version is kept, so that a node that was away gets the newest one when it comes back. A bundle travels as a
message of the Flower app, to the nodes that are there and known to hold an older one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import Grid

from sottovoce.common.bundle import load_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError, UpdateRefusedError
from sottovoce.common.messages import Publication, Receipt
from sottovoce.common.signature import SIGNED_FILES, sign_bundle
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.members import Members
from sottovoce.server.strategy import send_and_receive

log = logging.getLogger(__name__)

MESSAGE_TYPE = "query"


@dataclass(frozen=True)
class Publications:
    """The signed bundles of a server.

    Attributes:
        folder: The server.
    """

    folder: ServerFolder

    @property
    def newest(self) -> Path | None:
        """The newest bundle, if there is one."""
        versions = self.folder.numbered("published")
        return versions[-1] if versions else None

    @property
    def version(self) -> int:
        """Of the newest bundle; zero if there is none."""
        return int(self.newest.name) if self.newest else 0

    def add(self, bundle: Path) -> int:
        """Sign a bundle and keep it under the next version; its version.

        A bundle that is published already, byte for byte, keeps the version that it has: a server that was killed
        between publishing and noting so does it again.
        """
        newest = self.newest
        if newest and (newest / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes():
            return self.version
        place = self.folder.next_number("published")
        unfinished = place.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(bundle, unfinished)
        sign_bundle(unfinished, self.folder.signing_key, int(place.name), self.folder.settings.federation)
        unfinished.rename(place)
        log.info("version %d is published", self.version, extra={"version": self.version})
        return self.version

    def read(self) -> Publication:
        """The newest bundle as it is sent."""
        files = {name: (self.newest / name).read_bytes() for name in SIGNED_FILES} if self.newest else {}
        return Publication(self.folder.settings.federation, max(self.version, 1), files)


def published_catalogue(folder: ServerFolder) -> Path:
    """The catalogue that the newest bundle recommends, and that nodes hold.

    One that was made by a process that ended before it was published is nobody's: no run begins with it.

    Raises:
        DataError: nothing is published yet, or its catalogue is gone.
    """
    newest = Publications(folder).newest
    if newest is not None:
        held = load_bundle(newest).catalogue.sha256
        for place in reversed(folder.numbered("catalogues")):
            if Catalogue.load(place / "catalogue.json").sha256 == held:
                return place
    raise DataError(folder.path, "no published catalogue here: a server is made with one")


def deliver(grid: Grid, folder: ServerFolder, members: Members, deadline_s: float, ask_all: bool = False) -> None:
    """Bring the newest bundle to every node that is there and holds an older one.

    Args:
        grid: The way to the nodes.
        folder: The server.
        members: Who is there.
        deadline_s: How long to wait for receipts.
        ask_all: Whether to ask the others too what they hold: a device may have lost what it had.
    """
    publications = Publications(folder)
    publication = publications.read()
    if not publication.files:
        return
    offer = Publication(publication.federation, publication.version)
    present = members.present()
    lacking = {node for node, member in present.items() if member.bundle < publication.version}
    asked = {node: publication if node in lacking else offer for node in present if ask_all or node in lacking}
    for node, receipt in _exchange(grid, asked, deadline_s):
        _note(folder, members, node, receipt, publication.version)
        if receipt.version < publication.version and node not in lacking and not receipt.refusal:
            lacking.add(node)
    again = dict.fromkeys(lacking - {node for node in asked if asked[node] is publication}, publication)
    for node, receipt in _exchange(grid, again, deadline_s):
        _note(folder, members, node, receipt, publication.version)


def _exchange(grid: Grid, asked: dict[int, Publication], deadline_s: float) -> Iterator[tuple[int, Receipt]]:
    """Send to each node what it is to get, and give the receipts that come back in time."""
    messages = [
        Message(publication.to_record(), dst_node_id=node, message_type=MESSAGE_TYPE, ttl=deadline_s)
        for node, publication in asked.items()
    ]
    if not messages:
        return
    for reply in send_and_receive(grid, messages, deadline_s):
        node = reply.metadata.src_node_id
        try:
            if reply.has_error():
                raise UpdateRefusedError(f"failed (Flower error {reply.error.code})")
            yield node, Receipt.from_record(reply.content)
        except UpdateRefusedError as error:
            log.warning("node %d gave no receipt: %s", node, error)


def _note(folder: ServerFolder, members: Members, node: int, receipt: Receipt, newest: int) -> None:
    name = members.name_of(node)
    if name is None:
        return
    # A version that does not exist yet is a node's fancy: taken at its word, it would never get a newer one.
    folder.registry.holds(name, receipt.version if receipt.version <= newest else 0)
    if receipt.refusal:
        log.warning("node %s did not take version %d: %s", name, newest, receipt.refusal)
    else:
        log.info("node %s holds version %d", name, receipt.version)
