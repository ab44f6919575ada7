"""What a network can reach of a server, through a real SuperLink, real TLS and Flower's own client."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import servers
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.control_pb2 import ListRunsRequest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree, PushObjectRequest
from flwr.proto.node_pb2 import Node as FlowerNode
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_push_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import push_objects
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from foreign import as_nobody, needs_root

from sottovoce.common.invitation import new_private_key
from sottovoce.common.messages import Receipt
from sottovoce.server.deployment.control import Control
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.settings import split
from sottovoce.server.deployment.setup import invite
from sottovoce.server.deployment.supervisor import environment
from sottovoce.server.deployment.tasks import DELIVERY_S

pytestmark = pytest.mark.slow


@contextmanager
def superlink(server: ServerFolder) -> Iterator[subprocess.Popen[bytes]]:
    module = "sottovoce.server.deployment.superlink"
    process = subprocess.Popen([sys.executable, "-m", module, str(server.path)], env=environment(server))
    try:
        until(Control(server).ready, 120)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def until(reached: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFolder]:
    made = servers.make(tmp_path_factory.mktemp("wire") / "server")
    with superlink(made):
        yield made


class Caller:
    """Speaks Flower's Fleet API as a SuperNode does."""

    def __init__(self, server: ServerFolder, private_key: str, authority: bytes | None = None) -> None:
        key = load_ssh_private_key(private_key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.public = public_key_to_bytes(key.public_key())
        self.client = FleetHttpClient.from_server_address(
            server.settings.listen,
            insecure=False,
            root_certificates=authority or (server.tls / "ca.pem").read_bytes(),
            interceptors=[NodeAuthHttpInterceptor(key, key.public_key())],
        )

        self.asked: list[Message] = []
        self._auth = NodeAuthHttpInterceptor(key, key.public_key())
        self._address = f"https://{server.settings.listen}/v1/fleet/"
        self._context = ssl.create_default_context(cafile=server.tls / "ca.pem")

    def post(self, call: str, body: bytes) -> httpx.Response:
        """Any bytes, with this node's signature."""
        request = httpx.Request(
            "POST", self._address + call, content=body, headers={"content-type": "application/protobuf"}
        )
        with httpx.Client(verify=self._context) as client:
            return self._auth.intercept(
                ProtobufRequestContext("", FlowerNode(), request), lambda _: client.send(request)
            )

    def pull(self, node: FlowerNode) -> list[Message]:
        """The messages for this node that came so far."""
        told = self.client.PullMessages(PullMessagesRequest(node=node))
        self.asked += [message_from_proto(each) for each in told.messages_list]
        return self.asked

    def activate(self) -> FlowerNode:
        asked = ActivateNodeRequest(public_key=self.public, heartbeat_interval=30)
        return FlowerNode(node_id=self.client.ActivateNode(asked).node_id)


def status_of(call: Callable[[], object]) -> int:
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call()
    return caught.value.response.status_code


def join(server: ServerFolder, name: str, days: float = 1.0) -> Caller:
    """An invited node, once the SuperLink knows of it."""
    caller = Caller(server, invite(server, name, None, days).private_key)
    time.sleep(2.5)
    return caller


def test_an_invited_node_is_let_in_and_known_by_its_name(server: ServerFolder) -> None:
    caller = join(server, "welcome")
    assert not caller.client.PullMessages(PullMessagesRequest(node=caller.activate())).messages_list
    until(lambda: "welcome" in {m.name for m in server.registry.members() if m.online}, 10)


def test_an_unregistered_key_is_refused(server: ServerFolder) -> None:
    stranger = Caller(server, new_private_key())
    assert status_of(stranger.activate) == 412
    assert status_of(lambda: stranger.client.PullMessages(PullMessagesRequest(node=FlowerNode(node_id=1)))) == 401


def test_a_node_cannot_speak_for_another(server: ServerFolder) -> None:
    one, other = join(server, "one"), join(server, "other")
    node = other.activate()
    assert status_of(lambda: one.client.PullMessages(PullMessagesRequest(node=node))) == 401


def test_a_revoked_node_is_out_within_seconds(server: ServerFolder) -> None:
    caller = join(server, "revoked")
    node = caller.activate()
    server.registry.revoke("revoked")
    time.sleep(2.5)
    assert status_of(lambda: caller.client.PullMessages(PullMessagesRequest(node=node))) == 401
    assert status_of(caller.activate) == 412


def test_an_expired_invitation_is_refused_and_one_that_was_used_in_time_is_not(server: ServerFolder) -> None:
    day = 86_400
    late = Caller(server, invite(server, "late", None, 0.0).private_key)
    early = join(server, "early", days=6 / day)
    node = early.activate()
    time.sleep(6)
    assert status_of(late.activate) == 412
    early.client.PullMessages(PullMessagesRequest(node=node))


def test_plain_http_is_refused(server: ServerFolder) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://{server.settings.listen}/v1/fleet/activate-node")


def test_a_certificate_of_another_authority_is_refused_by_a_node(server: ServerFolder, tmp_path: Path) -> None:
    other = servers.make(tmp_path / "other")
    caller = Caller(server, new_private_key(), (other.tls / "ca.pem").read_bytes())
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        caller.activate()


@pytest.mark.parametrize(
    "path", ["/v1/control/list-runs", "/v1/control/start-run", "/v1/runtime/acquire-task", "/docs"]
)
def test_control_is_not_there_for_a_network(server: ServerFolder, path: str) -> None:
    context = ssl.create_default_context(cafile=server.tls / "ca.pem")
    answer = httpx.post(f"https://{server.settings.listen}{path}", verify=context)
    assert answer.status_code == 404
    assert Control(server).ready(), "and it is there on loopback"


@needs_root
@pytest.mark.parametrize("headers", ["", "X-Forwarded-For: 127.0.0.2\r\n"])
def test_another_user_of_the_machine_is_turned_away_from_control(server: ServerFolder, headers: str) -> None:
    host, port = split(server.settings.control)
    context = ssl.create_default_context(cafile=server.tls / "ca.pem")
    body = ListRunsRequest(limit=1).SerializeToString()
    head = f"POST /v1/control/list-runs HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{headers}"

    def told() -> bytes:
        with context.wrap_socket(socket.create_connection((host, port)), server_hostname=host) as wire:
            wire.sendall(f"{head}Content-Type: application/protobuf\r\n\r\n".encode() + body)
            return wire.recv(64)

    assert as_nobody(told).startswith(b"HTTP/1.1 403")
    assert Control(server).ready(), "the server's own processes are not"


def test_rubbish_from_a_member_is_refused_and_the_server_goes_on(server: ServerFolder) -> None:
    caller = join(server, "fuzz")
    for call in ("activate-node", "push-messages", "push-object", "pull-messages", "get-fab"):
        for body in (b"", b"\xff" * 999, os.urandom(4096)):
            answer = caller.post(call, body)
            assert 400 <= answer.status_code < 500, (call, answer.status_code)
            assert "Traceback" not in answer.text
    assert Control(server).ready()


def reply_to(asked: Message, receipt: Receipt) -> Message:
    reply = Message(receipt.to_record(), reply_to=asked)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    return reply


def push_of(caller: FlowerNode, reply: Message) -> PushMessagesRequest:
    return PushMessagesRequest(
        node=caller,
        messages_list=[message_to_proto(remove_content_from_message(reply))],
        message_object_trees=[get_object_tree(reply)],
        clientapp_runtime_list=[0.1],
    )


def send(caller: Caller, node: FlowerNode, reply: Message) -> PushMessagesRequest:
    """Answer as a SuperNode does; the call that carried the answer."""
    with no_object_id_recompute():
        pushed = push_of(node, reply)
        told = caller.client.PushMessages(pushed)
        push_objects(
            get_all_nested_objects(reply),
            make_push_object_fn_protobuf(caller.client.PushObject, node, reply.metadata.run_id, told.session_id),
            object_ids_to_push=set(told.objects_to_push),
        )
    return pushed


def chunks(count: int, size: int) -> list[ArrayChunk]:
    return [ArrayChunk(memoryview(os.urandom(size))) for _ in range(count)]


def resident_mib(process: subprocess.Popen[bytes]) -> float:
    [line] = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1]) / 1024


def test_a_node_cannot_fill_the_servers_memory(tmp_path: Path) -> None:
    """Every way to have more there than an answer is refused, the SuperLink does not grow, and honest nodes go on."""
    made = servers.make(tmp_path / "server")
    with superlink(made) as process:
        hostile, honest = join(made, "hostile"), join(made, "honest")
        node, other = hostile.activate(), honest.activate()
        time.sleep(2.5)
        Control(made).start("deliver", "")
        until(lambda: bool(hostile.pull(node)), 90)
        until(lambda: bool(honest.pull(other)), 90)
        reply = reply_to(hostile.asked[0], Receipt(0, "mine"))
        with no_object_id_recompute():
            good = push_of(node, reply)

        def pushed(*children: ObjectTree, root: str = "") -> PushMessagesRequest:
            request = PushMessagesRequest()
            request.CopyFrom(good)
            tree = ObjectTree(object_id=root or good.message_object_trees[0].object_id, children=children)
            request.message_object_trees[0].CopyFrom(tree)
            return request

        def named(count: int) -> list[ObjectTree]:
            return [ObjectTree(object_id=os.urandom(32).hex()) for _ in range(count)]

        before = resident_mib(process)
        assert status_of(lambda: hostile.client.PushMessages(pushed(*named(1_000)))) == 413
        assert hostile.post("push-messages", pushed(*named(10_000)).SerializeToString()).status_code == 413
        assert status_of(lambda: hostile.client.PushMessages(pushed(root=os.urandom(32).hex()))) == 400
        [leaf] = named(1)
        doubling = [leaf]
        for each in named(30):
            last = doubling[-1].object_id
            doubling.append(ObjectTree(object_id=each.object_id, children=[ObjectTree(object_id=last)] * 2))
        assert status_of(lambda: hostile.client.PushMessages(pushed(*doubling))) == 400

        parts = chunks(40, 2**18 - 1000)
        told = hostile.client.PushMessages(pushed(*(ObjectTree(object_id=part.object_id) for part in parts)))
        assert len(told.objects_to_push) == 41
        taken = [push_part(hostile, node, reply.metadata.run_id, told.session_id, part) for part in parts]
        assert taken.count(True) == 1, "what an answer of sixty items can hold"
        for _ in range(200):
            again = hostile.client.PushMessages(pushed(*named(50)))
            assert not again.objects_to_push, "a message that is known gets no new objects"
        assert resident_mib(process) - before < 20

        send(honest, other, reply_to(honest.asked[0], Receipt(0, "no room")))
        until(lambda: "no room" in (made.log / "serverapp.jsonl").read_text(), DELIVERY_S + 30)
        assert Control(made).ready()


def push_part(caller: Caller, node: FlowerNode, run: int, session: str, part: ArrayChunk) -> bool:
    request = PushObjectRequest(
        node=node, run_id=run, object_id=part.object_id, object_content=part.deflate(), session_id=session
    )
    return bool(caller.client.PushObject(request).stored)


def test_an_answer_counts_once_and_from_its_own_node_alone(tmp_path: Path) -> None:
    made = servers.make(tmp_path / "server")
    with superlink(made):
        caller, other = join(made, "hub"), join(made, "other")
        node = caller.activate()
        time.sleep(2.5)
        run = Control(made).start("deliver", "")
        until(lambda: bool(caller.pull(node)), 90)
        asked = caller.asked[0]
        forged = push_of(node, reply_to(asked, Receipt(1)))
        forged.node.node_id = other.activate().node_id
        assert status_of(lambda: other.client.PushMessages(forged)) == 403
        first = send(caller, node, reply_to(asked, Receipt(0, "no room")))
        caller.client.PushMessages(first)
        caller.client.PushMessages(push_of(node, reply_to(asked, Receipt(1))))
        until(lambda: Control(made).finished(run), 60)
        held = {member.name: member.bundle for member in made.registry.members()}
        assert held == {"hub": 0, "other": 0}, "the first answer counts, and no later one"
        said = (made.log / "serverapp.jsonl").read_text()
        assert said.count("no room") == 1
        assert 400 <= status_of(lambda: caller.client.PushMessages(first)) < 500, "the run is over"
