"""What one node may have in the SuperLink's memory: a few answers, each no larger than an honest one.

Flower keeps all that an admitted node pushes, in objects that the node names in a tree beforehand: as many as it likes,
again and again for the same answer, and trees whose parts lead to each other, so that one of a few kilobytes unfolds to
gigabytes when the ServerApp asks for it. Here a tree is an honest answer's or is refused, and a node that has several
answers waiting loses the oldest. An answer that is announced and does not come keeps nobody waiting for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import HTTPException
from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.superlink.federation import FederationManager
from safetensors import safe_open

from sottovoce.server.deployment.folder import ServerFolder

log = logging.getLogger(__name__)

WAITING = 4
"""Answers of one node that nobody has taken yet: late ones stay until the run ends."""
RESERVE = 2**18
"""Bytes of an answer beside its sums: its JSON, and the heads of its objects."""
FEW = 64
"""Objects of an answer beside the parts of its arrays: Flower cuts arrays into parts of 5 MiB."""

Parts = dict[str, tuple[str, ...]]
"""The objects of a tree by their ids, each with the ids of what it consists of."""


@dataclass
class _Answer:
    node: int
    bytes_left: int


class BoundedState(InMemoryLinkState):
    """Flower's state of a SuperLink, with a bound on what each node has in it.

    Args:
        federation_manager: Flower's.
        object_store: Where messages lie.
        largest: How many bytes an honest answer may have, as far as is known now.
    """

    def __init__(
        self, federation_manager: FederationManager, object_store: InMemoryObjectStore, largest: Callable[[], int]
    ) -> None:
        super().__init__(federation_manager, object_store)
        self._objects = object_store
        self._largest = largest
        self._answers: dict[str, _Answer] = {}
        """By the id of the message, oldest first."""

    def store_message_and_object_tree(
        self, message: Message, object_tree: ObjectTree, session_id: str
    ) -> tuple[bool, list[str]]:
        """Store a message; of a node's answer only if its tree is one.

        Raises:
            HTTPException: the tree is larger than an honest one, or none that Flower builds.
        """
        if not message.metadata.reply_to_message_id:
            return super().store_message_and_object_tree(message, object_tree, session_id)
        stored = False
        try:
            largest = self._largest()
            parts = _parts(object_tree, FEW + largest // 2**20)
            if object_tree.object_id != message.metadata.message_id:
                raise HTTPException(400, "the tree is another message's")
            with self.lock, self._lock_object_push_sessions:
                if not self._fits(message, parts):
                    return False, []
                stored, missing = super().store_message_and_object_tree(message, object_tree, session_id)
                if stored:
                    self._note(message, largest)
                return stored, missing
        finally:
            if not stored:  # Flower begins a session before it looks
                self._cleanup_push_session(session_id, cleanup_messages=False)

    def store_object(self, run_id: int, session_id: str, object_id: str, object_content: bytes) -> bool:
        """Store an object that was announced; of an answer no more than an honest one has in all."""
        with self._lock_object_push_sessions:
            session = self._object_push_sessions.get(session_id)
            if session is None:  # also of those that name none: every version that may come here does
                return False
            answers = [self._answers[root] for root in session.root_object_ids if root in self._answers]
            if any(len(object_content) > answer.bytes_left for answer in answers):
                log.warning("node %d pushes more than an answer can hold: refused", answers[0].node)
                return False
            stored = super().store_object(run_id, session_id, object_id, object_content)
            for answer in answers:
                answer.bytes_left -= len(object_content) if stored else 0
            return stored

    def get_message_res(self, message_ids: set[str], run_id: int) -> list[Message]:
        """The answers that are there as a whole: the ServerApp would wait for the rest of one, and with it for all."""
        with self.lock, self._lock_object_push_sessions:
            whole = {name for name in message_ids if not self._unfinished(name)}
            return super().get_message_res(whole, run_id) if whole else []

    def _unfinished(self, asked: str) -> bool:
        answer = self.message_ins_id_to_message_res_id.get(asked, "")
        session = self._object_push_sessions.get(self._object_push_session_by_root.get(answer, ""))
        return session is not None and bool(session.pending_object_ids)

    def _fits(self, message: Message, parts: Parts) -> bool:
        """Whether a tree agrees with what is there: an object that is known has the same parts in it."""
        known = {name: self._objects.store[name] for name in parts if name in self._objects.store}
        if any(tuple(entry.child_object_ids) != parts[name] for name, entry in known.items()):
            log.warning("node %d pushes another tree for what is known: refused", message.metadata.src_node_id)
            return False
        return True

    def _note(self, message: Message, largest: int) -> None:
        """Count a new answer; who has too many waiting loses the oldest."""
        self._answers = {name: answer for name, answer in self._answers.items() if name in self._objects.store}
        name, node = message.metadata.message_id, message.metadata.src_node_id
        self._answers.setdefault(name, _Answer(node, largest))
        own = [each for each, answer in self._answers.items() if answer.node == node]
        for oldest in own[:-WAITING]:
            session = self._object_push_session_by_root.get(oldest)
            if session is not None:
                self._cleanup_push_session(session, cleanup_messages=False)
            self._objects.delete(oldest)
            self._on_push_session_expired({oldest})
            del self._answers[oldest]


def largest_answer(folder: ServerFolder) -> int:
    """Bytes of the largest honest answer: sums over a whole catalogue of this server, of all ranks that fit it."""
    sizes = [_size(place / "items.safetensors") for place in folder.numbered("catalogues")]
    return RESERVE + 4 * max((items * (dimension + 1) + dimension**2 for items, dimension in sizes), default=0)


@lru_cache(maxsize=1_000)
def _size(space: Path) -> tuple[int, int]:
    with safe_open(space, "numpy") as file:
        items, dimension = file.get_slice("vectors").get_shape()
    return int(items), int(dimension)


def _parts(tree: ObjectTree, most: int) -> Parts:
    """The objects of a tree.

    Raises:
        HTTPException: it has more than `most` places, or an object has other parts in one place than in another.
    """
    parts: Parts = {}
    for number, each in enumerate(iterate_object_tree(tree), start=1):
        if number > most:
            raise HTTPException(413, "more objects than an answer has")
        if len(each.object_id) != 64:
            raise HTTPException(400, "not the name of an object")
        own = tuple(child.object_id for child in each.children)
        if parts.setdefault(each.object_id, own) != own:
            raise HTTPException(400, "an object has two forms")
    return parts
