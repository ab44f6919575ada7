"""Page and gRPC of one device, in one process, until somebody ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from sottovoce.client.home import Home
from sottovoce.client.service.access import Access
from sottovoce.client.service.device import Device
from sottovoce.client.service.models import Models
from sottovoce.client.service.page import make_page
from sottovoce.client.service.remote import start_remote
from sottovoce.common.errors import ConfigError

LOOPBACK = "127.0.0.1"
BACKLOG = 256
ADDRESS_FILE = "service.json"
"""In the home folder, for its owner's eyes only: where the service listens, and its token."""


@dataclass(frozen=True)
class Addresses:
    """Where a running service is found.

    Attributes:
        page: What a person opens; holds the token.
        grpc: `host:port`.
        token: What every call carries.
    """

    page: str
    grpc: str
    token: str


def serve(
    home: Home, user: str, bundle: Path | None, port: int, grpc_port: int, ready: Callable[[Addresses], None]
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        home: The device.
        user: Who the person is, among its users.
        bundle: A model to use instead of the federation's.
        port: Of the page; any free one for zero.
        grpc_port: Of gRPC; any free one for zero.
        ready: Called once both listen.

    Raises:
        ConfigError: a port is taken.
        DataError: the home cannot be used.
    """
    signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again once it has ended
    device = Device(home, Models(home, bundle), user)
    try:
        asyncio.run(_serve(device, port, grpc_port, ready))
    finally:
        device.close()


async def _serve(device: Device, port: int, grpc_port: int, ready: Callable[[Addresses], None]) -> None:
    listening = _listen("--port", port)
    _listen("--grpc-port", grpc_port).close()  # gRPC itself would tell of a taken port at length
    access = Access(listening.getsockname()[1])
    try:
        remote, remote_port = await start_remote(device, access, grpc_port)
    except OSError as error:
        raise ConfigError("--grpc-port", grpc_port, "a port that is free") from error
    config = uvicorn.Config(
        make_page(device, access), log_level="warning", access_log=False, server_header=False, lifespan="off",
        proxy_headers=False,  # who speaks is what the system says, not what a header does
        loop="asyncio", timeout_graceful_shutdown=3,
    )  # fmt: skip
    addresses = Addresses(
        f"http://{LOOPBACK}:{access.port}/?token={access.token}", f"{LOOPBACK}:{remote_port}", access.token
    )
    file = device.home.folder / ADDRESS_FILE
    try:
        _write(file, addresses)
        ready(addresses)
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        file.unlink(missing_ok=True)
        await remote.stop(grace=1)


def _end(*_: object) -> None:
    raise SystemExit(0)


def _listen(option: str, port: int) -> socket.socket:
    # By the protocol's name: asyncio sends what it has at once (TCP_NODELAY) only where it sees that this is TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(BACKLOG)  # before the address is told: who is early waits
    except OSError as error:
        listening.close()
        raise ConfigError(option, port, f"a port that is free ({error.strerror})") from error
    return listening


def _write(path: Path, addresses: Addresses) -> None:
    """Private from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"page": addresses.page, "grpc": addresses.grpc, "token": addresses.token}, file)
