from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from starlette.types import Receive, Scope, Send

from sottovoce.server.deployment.gate import ACTIVATE, FLEET, MAX_BODY, MAX_CALL, PUSH, PUSH_OBJECT, Gate

KEY = b"the key of an admitted node"
KNOWN = {FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(KEY).decode()}


@dataclass
class Behind:
    """An application that keeps what comes through."""

    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"through"})


def call(
    path: str, body: bytes = b"", headers: Mapping[str, str] = KNOWN, method: str = "POST"
) -> tuple[int, list[bytes]]:
    """Status, and what came through."""
    behind = Behind()
    gate = Gate(behind, lambda key: key == KEY)

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="https://server") as client:
            return (await client.request(method, path, content=body, headers=headers)).status_code

    return asyncio.run(ask()), behind.bodies


def push(sender: int, signer: int = 7, messages: int = 1) -> bytes:
    message = Message(metadata=Metadata(src_node_id=sender))
    trees = [ObjectTree(object_id="x")] * messages
    request = PushMessagesRequest(
        node=Node(node_id=signer), messages_list=[message] * messages, message_object_trees=trees
    )
    return request.SerializeToString()


@pytest.mark.parametrize("path", sorted(FLEET - {PUSH}))
def test_what_a_node_calls_comes_through_as_it_was_sent(path: str) -> None:
    assert call(path, b"body") == (200, [b"body"])


def test_a_nodes_own_reply_comes_through_as_it_was_sent() -> None:
    assert call(PUSH, push(sender=7)) == (200, [push(sender=7)])


def test_every_other_call_that_flower_knows_is_not_there() -> None:
    others = {path for method, path in PROTOBUF_REQUEST_TYPES if path not in FLEET}
    assert len(others) > 30
    assert {"/v1/control/start-run", "/v1/runtime/acquire-task", "/v1/fleet/register-node"} <= others
    for path in others:
        assert call(path) == (404, [])


LOOKALIKES = ["/", "/docs", "/openapi.json", "/health", "/v1/fleet/../control/start-run", "/v1/FLEET/get-run"]


@pytest.mark.parametrize("path", [*LOOKALIKES, f"{ACTIVATE}/", f"/{ACTIVATE}"])
def test_a_path_that_only_looks_like_one_is_not_there(path: str) -> None:
    assert call(path)[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_not_there(method: str) -> None:
    assert call(ACTIVATE, method=method) == (404, [])


@pytest.mark.parametrize("header", ["", "!", b64encode(b"another key").decode()])
def test_a_stranger_is_turned_away_before_its_body_is_read(header: str) -> None:
    headers = {FLEET_HTTP_PUBLIC_KEY_HEADER: header}
    assert call(ACTIVATE, headers=headers) == (412, [])
    for path in FLEET - {ACTIVATE}:
        assert call(path, headers=headers) == (401, [])


def test_a_body_that_is_larger_than_a_part_is_refused() -> None:
    assert call("/v1/fleet/push-object", bytes(MAX_BODY + 1)) == (413, [])
    assert call("/v1/fleet/push-object", bytes(MAX_BODY))[0] == 200
    for path in FLEET - {PUSH_OBJECT}:
        assert call(path, bytes(MAX_CALL + 1)) == (413, [])


def test_a_body_of_unknown_length_is_refused() -> None:
    behind = Behind()
    gate = Gate(behind, lambda _: True)

    async def parts() -> object:  # httpx then sends no length
        yield b"x"

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="https://server") as client:
            return (await client.post(ACTIVATE, content=parts())).status_code  # type: ignore[arg-type]

    assert asyncio.run(ask()) == 411
    assert not behind.bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (push(sender=8), 403),
        (push(sender=0), 403),
        (push(sender=7, messages=0), 400),
        (push(sender=7, messages=2), 400),
        (b"\xff\xff\xff", 400),
        (b"", 400),
    ],
)
def test_a_reply_in_another_nodes_name_is_refused(body: bytes, status: int) -> None:
    assert call(PUSH, body) == (status, [])
