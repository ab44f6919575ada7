"""An honest answer fits the bound, and what is more than that, or of another form, does not."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import servers
from fastapi import HTTPException
from federation import space
from flwr.app import Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager

from sottovoce.common.messages import LONGEST, Answer
from sottovoce.server.deployment import bounds
from sottovoce.server.deployment.bounds import FEW, WAITING, BoundedState, largest_answer


def name() -> str:
    return os.urandom(32).hex()


def tree(*children: ObjectTree, root: str = "") -> ObjectTree:
    return ObjectTree(object_id=root or name(), children=children)


def sent(answer: Answer) -> Message:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    asked = Message(RecordDict(), dst_node_id=1, message_type="train")
    asked.metadata.__dict__["_message_id"] = asked.object_id
    return Message(answer.to_record(), reply_to=asked)


def test_the_largest_honest_answer_fits(tmp_path: Path) -> None:
    items, dimension = space().vectors.shape
    sums = {"V": np.ones((items, dimension), np.float32), "W": np.ones((dimension, dimension), np.float32)}
    reply = sent(Answer(2**31, "x" * LONGEST, "x" * LONGEST, "x" * LONGEST, sums, "x" * LONGEST))
    size = sum(len(each.deflate()) for each in get_all_nested_objects(reply).values())
    largest = largest_answer(servers.make(tmp_path / "server"))
    assert size < largest < size + 2**19
    assert len(bounds._parts(get_object_tree(reply), FEW)) == len(get_all_nested_objects(reply))


def test_one_object_may_stand_in_two_places_in_one_form_alone() -> None:
    leaf = tree()
    twice = tree(tree(leaf), tree(leaf))
    assert len(bounds._parts(twice, 9)) == 4
    with pytest.raises(HTTPException, match="two forms"):
        bounds._parts(tree(tree(leaf), tree(tree(), root=leaf.object_id)), 9)
    with pytest.raises(HTTPException, match="more objects"):
        bounds._parts(tree(*[leaf] * 9), 9)
    with pytest.raises(HTTPException, match="not the name"):
        bounds._parts(tree(root="x"), 9)


def test_of_many_answers_that_nobody_took_the_latest_stay() -> None:
    store = InMemoryObjectStore()
    state = BoundedState(NoOpFederationManager(), store, lambda: 1000)
    shared, roots = tree(), []
    for number in range(WAITING + 3):
        for node in (1, 2):
            answer = tree(tree(), shared)
            store.preregister(7, answer)
            message: Any = SimpleNamespace(metadata=SimpleNamespace(message_id=answer.object_id, src_node_id=node))
            state._note(message, 1000)
            if node == 1:
                roots.append(answer.object_id)
        assert len(store) <= 2 * 2 * WAITING + 1
        if number == 0:
            store.delete(roots[0])  # as the ServerApp does when it took one
    assert [root in store for root in roots] == [False] * 3 + [True] * WAITING
