"""What a network can reach of a server, through a real SuperLink, real TLS and Flower's own client."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
from processes import processes_with

from sottovoce.client.home import Home
from sottovoce.client.supervisor import NodeSupervisor, keep_up
from sottovoce.common.invitation import new_private_key
from sottovoce.common.messages import Receipt
from sottovoce.server.deployment import supervisor as supervisors
from sottovoce.server.deployment.control import Control
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.gate import CONTROL_KEY_HEADER
from sottovoce.server.deployment.runs import cancel, request_run, state_of
from sottovoce.server.deployment.settings import split
from sottovoce.server.deployment.setup import invite
from sottovoce.server.deployment.supervisor import Supervisor, environment
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
    late = Caller(server, invite(server, "late", None, 1e-9).private_key)
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


Ask = Callable[[tuple[str, int] | None], bytes]


def asking_control(server: ServerFolder, headers: str) -> Ask:
    """What tells the first line that the loopback door answers whoever asks it for the runs, from any address."""
    host, port = split(server.settings.control)
    context = ssl.create_default_context(cafile=server.tls / "ca.pem")
    body = ListRunsRequest(limit=1).SerializeToString()
    head = f"POST /v1/control/list-runs HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{headers}"

    def ask(source: tuple[str, int] | None) -> bytes:
        wire = socket.create_connection((host, port), source_address=source)
        with context.wrap_socket(wire, server_hostname=host) as secured:
            secured.sendall(f"{head}Content-Type: application/protobuf\r\n\r\n".encode() + body)
            return secured.recv(4096).partition(b"\r\n")[0]

    return ask


def shown(server: ServerFolder) -> str:
    return f"{CONTROL_KEY_HEADER}: {server.control_key}\r\n"


@needs_root
@pytest.mark.parametrize("headers", ["", "X-Forwarded-For: 127.0.0.2\r\n"])
def test_another_user_of_the_machine_is_turned_away_from_control(server: ServerFolder, headers: str) -> None:
    ask = asking_control(server, headers + shown(server))
    assert b"403" in as_nobody(lambda: ask(None))
    assert b"403" not in ask(None), "the server's own processes are not"


@needs_root
def test_the_port_of_an_own_connection_opens_control_to_nobody_else(server: ServerFolder) -> None:
    """All of 127.0.0.0/8 is loopback, and a port is free at each address of it on its own."""
    ask = asking_control(server, shown(server))
    with socket.create_connection(split(server.settings.control)) as own:
        port = own.getsockname()[1]
        answers = as_nobody(lambda: b" ".join(ask((f"127.0.0.{each}", port)) for each in range(2, 34)))
        assert answers.count(b"403") == 32, answers


@pytest.mark.parametrize("headers", ["", f"{CONTROL_KEY_HEADER}: {'0' * 64}\r\n"])
def test_control_wants_to_see_the_servers_key(server: ServerFolder, headers: str) -> None:
    assert b"403" in asking_control(server, headers)(None)
    assert b"403" not in asking_control(server, shown(server))(None)


def test_flower_gives_its_tasks_to_nobody_without_the_servers_key(server: ServerFolder) -> None:
    context = ssl.create_default_context(cafile=server.tls / "ca.pem")
    for call in ("acquire-task", "pull-task-input", "pull-app-messages", "push-app-messages", "create-task"):
        answer = httpx.post(
            f"https://{server.settings.control}/v1/runtime/{call}",
            verify=context,
            headers={"content-type": "application/protobuf", CONTROL_KEY_HEADER: server.control_key},
        )
        assert 400 <= answer.status_code < 500, call


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


@contextmanager
def foreign_server(tls: Path, address: tuple[str, int]) -> Iterator[None]:
    """Somebody else's program on a port, with a certificate of another authority, as a captive portal has."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    with socket.create_server(address) as listening:

        def serve() -> None:
            while True:
                try:
                    met, _ = listening.accept()
                except OSError:
                    return
                met.settimeout(5)
                with met, suppress(OSError), context.wrap_socket(met, server_side=True) as wire:
                    wire.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_node_that_met_a_foreign_server_comes_back_to_its_own(tmp_path: Path) -> None:
    made, other = servers.make(tmp_path / "server"), servers.make(tmp_path / "other")
    node = NodeSupervisor(Home(tmp_path / "home").join(invite(made, "hub", None, None)))

    def online() -> bool:
        return any(member.online for member in made.registry.members())

    stop = threading.Event()
    thread = threading.Thread(target=keep_up, args=([node], stop))
    thread.start()
    try:
        with superlink(made):
            until(online, 120)
        made.registry.seen(set())
        with foreign_server(other.tls, split(made.settings.listen)):
            until(lambda: node.starts >= 2, 120)
        with superlink(made):
            until(online, 120)
    finally:
        stop.set()
        thread.join(60)


def test_a_superlink_without_superexec_ends(tmp_path: Path) -> None:
    """Else runs would be begun, and nobody would carry them out."""
    made = servers.make(tmp_path / "server")
    with superlink(made) as process:
        until(lambda: bool(processes_with("flower-superexec", str(made.path))), 30)
        [superexec] = processes_with("flower-superexec", str(made.path))
        os.kill(superexec, signal.SIGKILL)
        process.wait(30)
        assert "SuperExec ended" in (made.log / "superlink.jsonl").read_text()


@pytest.mark.parametrize("name", ["listen", "control"])
def test_a_port_that_is_taken_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    made = servers.make(tmp_path / "server")
    module = "sottovoce.server.deployment.superlink"
    with socket.create_server(split(getattr(made.settings, name))):
        command = [sys.executable, "-m", module, str(made.path)]
        ended = subprocess.run(command, env=environment(made), capture_output=True, text=True, timeout=120)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    [line] = (made.log / "superlink.jsonl").read_text().splitlines()
    assert f"{name} = '{getattr(made.settings, name)}'" in line


def test_a_stranger_cannot_grow_the_server_by_headers_or_stay_without_speaking(tmp_path: Path) -> None:
    made = servers.make(tmp_path / "server")
    context = ssl.create_default_context(cafile=made.tls / "ca.pem")
    host, port = split(made.settings.listen)

    def connect() -> ssl.SSLSocket:
        return context.wrap_socket(socket.create_connection((host, port), timeout=60), server_hostname=host)

    with superlink(made) as process, connect() as idle:
        before = resident_mib(process)
        with connect() as wire, suppress(OSError):
            wire.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: x\r\n")
            for _ in range(100):
                wire.sendall(b"a: " + b"x" * (2**20 - 5) + b"\r\n")
        assert resident_mib(process) - before < 20
        with suppress(OSError):
            assert idle.recv(1) == b"", "who says nothing is hung up on"


def test_flower_is_started_anew_where_superexec_takes_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and hangs: the run is carried out all the same, as far as it can without nodes."""
    monkeypatch.setattr(supervisors, "PENDING_S", 3.0)
    made = servers.make(tmp_path / "server")
    keeper, stop = Supervisor(made), threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    try:
        until(lambda: keeper.monitor.ready and bool(processes_with("flower-superexec", str(made.path))), 120)
        [superexec] = processes_with("flower-superexec", str(made.path))
        os.kill(superexec, signal.SIGSTOP)
        run = request_run(made, made.settings.training)
        until(lambda: not keeper.monitor.ready, 60)
        until(lambda: bool(processes_with("flwr-serverapp", str(made.path))), 120)
        os.kill(superexec, signal.SIGKILL)
        cancel(made)
        until(lambda: not processes_with("flwr-serverapp", str(made.path)), 60)
        assert state_of(run).outcome == "cancelled"
    finally:
        stop.set()
        thread.join(60)
