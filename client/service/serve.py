"""Page and gRPC of one device, in one process, until somebody ends it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from sottovoce.client.histories import OWNER
from sottovoce.client.home import Home
from sottovoce.client.service.access import Access
from sottovoce.client.service.device import Device
from sottovoce.client.service.models import Models
from sottovoce.client.service.page import make_page
from sottovoce.client.service.remote import start_remote
from sottovoce.common.errors import ConfigError

LOOPBACK = "127.0.0.1"
BACKLOG = 256
ANSWERS_S = 2.0
"""How long a service that runs already may take to say so."""


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
        ConfigError: a port is taken, or the person's page is served already.
        DataError: the home cannot be used.
    """
    _refuse_second(address_file(home, user))
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
    file = address_file(device.home, device.user)
    try:
        try:
            _write(file, addresses, device.user)
        except OSError as error:  # a full disk keeps nobody from reading what is there
            logging.getLogger(__name__).warning("apps will not find this service: %s: %s", file, error.strerror)
        ready(addresses)
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        file.unlink(missing_ok=True)
        await remote.stop(grace=1)


def address_file(home: Home, user: str) -> Path:
    """Where a person's service says where it listens, and its token: in the home folder, for its owner's eyes only.

    Each person has a file of their own, whose name does not tell theirs.
    """
    own = "" if user == OWNER else f"-{hashlib.sha256(user.encode()).hexdigest()[:16]}"
    return home.folder / f"service{own}.json"


def _refuse_second(file: Path) -> None:
    """One service a person: a second one would take the first one's address away.

    Raises:
        ConfigError: the service that the file names answers to its token; who was killed does not.
    """
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        user, page = written["user"], urlsplit(written["page"])
        with closing(HTTPConnection(LOOPBACK, page.port, timeout=ANSWERS_S)) as wire:
            wire.request("GET", "/api/status", headers={"authorization": f"Bearer {written['token']}"})
            answers = wire.getresponse().status == HTTPStatus.OK
    except (OSError, ValueError, LookupError, TypeError, HTTPException):
        return
    if answers:
        raise ConfigError("--user", user, f"somebody whose page is not open yet: end {page.netloc} first")


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


def _write(path: Path, addresses: Addresses, user: str) -> None:
    """Private from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**asdict(addresses), "user": user}, file)
