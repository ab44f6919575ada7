"""What a stranger who says nothing, or speaks without end, costs a server: over a wire, with small limits."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from sottovoce.server.deployment import connections
from sottovoce.server.deployment.certificates import make_authority, make_server_certificate
from sottovoce.server.deployment.connections import SHARE, Connection, Door, Loop

Connect = Callable[[], ssl.SSLSocket]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_S", 0.5)
    monkeypatch.setattr(connections, "HEAD_S", 0.5)


@contextmanager
def serving(folder: Path, most: int = 100, **options: int) -> Iterator[Connect]:
    """A server with our connections in a thread; what connects to it."""
    make_authority(folder, "people")
    make_server_certificate(folder, "people", ["127.0.0.1"])
    listening = Door(socket.create_server(("127.0.0.1", 0)), most)
    keys = {"ssl_certfile": folder / "server.pem", "ssl_keyfile": str(folder / "server.key")}
    config = uvicorn.Config(hello, http=Connection, lifespan="off", log_level="critical", **keys, **options)  # type: ignore[arg-type]
    server = uvicorn.Server(config)

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(server.serve([listening]))

    thread = threading.Thread(target=run)
    thread.start()
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    try:
        yield lambda: context.wrap_socket(
            socket.create_connection(listening.getsockname(), timeout=20), server_hostname="127.0.0.1"
        )
    finally:
        server.should_exit = True
        thread.join(30)


def _soon(connect: Connect) -> ssl.SSLSocket:
    """Once the server has noticed that somebody went."""
    for _ in range(100):
        with suppress(OSError):
            return connect()
        time.sleep(0.1)
    raise AssertionError("no connection")


def rest(wire: socket.socket) -> bytes:
    """Everything until the server hangs up, in whatever way."""
    read = b""
    with suppress(ConnectionError, ssl.SSLError):
        while part := wire.recv(4096):
            read += part
    return read


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_who_finishes_no_request_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    with serving(tmp_path) as connect, connect() as wire:
        wire.sendall(said)
        assert rest(wire) == b""


def test_a_second_request_has_to_come_in_time_too(tmp_path: Path) -> None:
    with serving(tmp_path, timeout_keep_alive=60) as connect, connect() as wire:
        wire.sendall(GET + GET[:9])
        assert rest(wire).endswith(b"hello")


def test_who_does_not_encrypt_is_hung_up_on(tmp_path: Path) -> None:
    with serving(tmp_path) as connect, connect() as wire, socket.create_connection(wire.getpeername()) as plain:
        plain.settimeout(20)
        assert rest(plain) == b""


def test_requests_one_after_the_other_are_served(tmp_path: Path) -> None:
    with serving(tmp_path) as connect, connect() as wire:
        for _ in range(3):
            wire.sendall(GET[:7])
            wire.sendall(GET[7:])
            told = b""
            while not told.endswith(b"hello"):
                told += wire.recv(4096)
        wire.sendall(GET + GET)
        assert rest(wire).count(b"hello") == 2


def test_a_head_without_end_is_refused_and_not_kept(tmp_path: Path) -> None:
    with serving(tmp_path) as connect, connect() as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        with suppress(ConnectionError, ssl.SSLError):
            while sent < 64:
                wire.sendall(b"a: " + b"x" * (2**20 - 5) + b"\r\n")
                sent += 1
        assert sent < 64


def test_one_address_has_a_share_of_the_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 60.0)
    monkeypatch.setattr(connections, "HANDSHAKE_S", 60.0)
    with serving(tmp_path, most=4 * SHARE) as connect:
        held = [connect() for _ in range(3)]
        with socket.create_connection(held[0].getpeername()) as silent:  # not even encrypted
            with pytest.raises(OSError):
                connect()
            silent.shutdown(socket.SHUT_RDWR)
        held.pop().close()
        held.append(_soon(connect))
        for wire in held:
            wire.sendall(GET)
            assert wire.recv(12) == b"HTTP/1.1 200"
            wire.close()
