"""The gate before Flower's SuperLink: what a network may reach of it.

Flower 1.41 serves three APIs on one port. Fleet, which nodes speak to, authenticates them. Control and Runtime start
runs and read messages, and ask nobody who they are. So the public port leads through this gate, which lets Fleet's
calls through and nothing else, while the whole application listens on loopback only, for the server's own processes.

The gate also closes what Fleet leaves open: a body is read before its sender is known (so strangers are turned away by
their key first, and no body is larger than its call needs), and a reply's stated sender is not compared with the
node that signed the call (so one node could answer in the name of another).
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping

from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER
from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sottovoce.common.peer import is_foreign

ACTIVATE, PUSH, PUSH_OBJECT = (f"/v1/fleet/{call}" for call in ("activate-node", "push-messages", "push-object"))
FLEET = frozenset(
    f"/v1/fleet/{call}"
    for call in (
        *("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "push-messages", "get-run"),
        *("get-fab", "push-object", "pull-object", "confirm-message-received"),
    )
)
"""What a node calls. Registering itself is not among them: nodes are invited."""

MAX_BODY = 16 * 2**20
"""Of an object: Flower sends arrays in parts of 5 MiB."""
MAX_CALL = 2**18
"""Of every other call: a message travels as the names of its objects."""

CONTROL_KEY_HEADER = "sottovoce-control-key"
"""Carries the server's key to the loopback door."""
RUNTIME = "/v1/runtime/"
"""What SuperExec and apps call."""

_KEY_HEADER = FLEET_HTTP_PUBLIC_KEY_HEADER.lower().encode()


class Gate:
    """An ASGI application that passes on Fleet calls of admitted nodes.

    Args:
        app: Flower's application.
        admitted: Whether a node with this public key (PEM) may speak.
        refused: Told why, each time a call is turned away.
    """

    def __init__(
        self, app: ASGIApp, admitted: Callable[[bytes], bool], refused: Callable[[str], None] = lambda _: None
    ) -> None:
        self._app = app
        self._admitted = admitted
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer it with a refusal."""
        if scope["type"] != "http":
            return
        refusal = self._check(scope)
        if refusal is None and scope["path"] == PUSH:
            body = await _read(receive)
            refusal = _check_sender(body) if body is not None else (413, "the body is too large")
            receive = _again(body or b"")
        if refusal is None:
            await self._app(scope, receive, send)
            return
        self._refused(refusal[1])
        await _answer(send, *refusal)

    def _check(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason of a refusal, from the call's head alone."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["method"] != "POST" or scope["path"] not in FLEET:
            return 404, "there is nothing here"
        if not headers.get(b"content-length", b"").isdigit():
            return 411, "the body's length is not stated"
        if int(headers[b"content-length"]) > (MAX_BODY if scope["path"] == PUSH_OBJECT else MAX_CALL):
            return 413, "the body is too large"
        if not self._admitted(_key(headers)):
            # What Flower answers: its SuperNode gives up on 412 when it joins, and stops on 401 later.
            status = 412 if scope["path"] == ACTIVATE else 401
            return status, "this node is not admitted: never invited, revoked, or its invitation expired"
        return None


class OwnDoor:
    """An ASGI application that answers the server's own processes, and nobody else on this machine.

    A process of another user is turned away as far as the system tells whose a connection is (Linux does). Whoever it
    is has to show the server's key; Flower itself asks the Runtime API's callers, its SuperExec for a signature by that
    key, an app for the token of its task.

    Args:
        app: Flower's application.
        key: The server's key, as `folder.control_key` has it.
        refused: Told why, each time a call is turned away.
    """

    def __init__(self, app: ASGIApp, key: str, refused: Callable[[str], None] = lambda _: None) -> None:
        self._app = app
        self._key = key.encode()
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer it with a refusal."""
        refusal = self._check(scope) if scope["type"] == "http" else None
        if refusal is not None:
            self._refused(refusal)
            await _answer(send, 403, "this is for the server's own processes")
        elif scope["type"] in ("http", "lifespan"):
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> str | None:
        """Why a call is turned away."""
        if is_foreign(scope["client"], scope["server"]):
            return "another user of this machine, or one who has gone"
        shown = dict(scope["headers"]).get(CONTROL_KEY_HEADER.encode(), b"")
        if not scope["path"].startswith(RUNTIME) and not hmac.compare_digest(shown, self._key):
            return "a process without the server's key"
        return None


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    try:
        return b64decode(headers.get(_KEY_HEADER, b""), validate=True)
    except Base64Error:
        return b""


def _check_sender(body: bytes) -> tuple[int, str] | None:
    """Refuse a reply in another node's name: Flower authenticates `node`, and stores what `metadata` says."""
    try:
        request = PushMessagesRequest.FromString(body)
    except DecodeError:
        return 400, "not a call that Flower knows"
    if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
        return 400, "one message at a time"
    if request.messages_list[0].metadata.src_node_id != request.node.node_id:
        return 403, "a reply in another node's name"
    return None


async def _read(receive: Receive) -> bytes | None:
    """A whole body; nothing if it is larger than it may be."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_CALL:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes) -> Receive:
    """Gives a body that was read already; what follows it is a disconnection."""
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if len(messages) > 1 else messages[0]

    return receive


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
