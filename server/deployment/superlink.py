"""Flower's SuperLink as one process with two doors: all of it on loopback, Fleet behind the gate for nodes.

What it knows is in memory: messages, exact sums included, never touch a disk. Who may join it reads from the registry,
once a second, so that an invitation or a revocation holds at once and also after a restart.

Run as `python -m sottovoce.server.deployment.superlink DIR`; the supervisor does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, TRANSPORT_TYPE_GRPC_RERE
from flwr.server.superlink.linkstate import LinkState
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NodeStatus
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app

from sottovoce.common.errors import ConfigError, SottovoceError
from sottovoce.common.supervised import supervisor
from sottovoce.server.deployment.bounds import BoundedState, largest_answer
from sottovoce.server.deployment.connections import Connection, Door, Loop
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.gate import Gate, OwnDoor
from sottovoce.server.deployment.logs import log_as_json
from sottovoce.server.deployment.registry import Registry
from sottovoce.server.deployment.settings import split

log = logging.getLogger("sottovoce.server.deployment.superlink")  # runs as `__main__`

SYNC_S = 1.0
MAX_CONNECTIONS = 2_000
"""From the network at a time, over which the server hangs up: a SuperNode tries again."""


class Admission:
    """Keeps Flower's list of nodes as the registry has it, and tells the registry who is there.

    Args:
        registry: Who may join.
        state: Flower's list.
    """

    def __init__(self, registry: Registry, state: LinkState) -> None:
        self._registry = registry
        self._state = state
        self._known: dict[str, int] = {}
        self._keys: frozenset[bytes] = frozenset()

    def admitted(self, public_key: bytes) -> bool:
        """Whether the node with this key may speak."""
        return public_key in self._keys

    def sync(self) -> None:
        """Register who is admitted, unregister who is no longer, and note who is online."""
        members = self._registry.admitted()
        for member in members:
            if member.name not in self._known:
                self._known[member.name] = self._state.create_node(
                    NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, member.public_key.encode(), 0, name=member.name
                )
        self._keys = frozenset(member.public_key.encode() for member in members)
        nodes = {info.node_id: info for info in self._state.get_node_info()}
        for name in self._known.keys() - {member.name for member in members}:
            info = nodes[self._known[name]]
            # One that never came has no time until which it is online, and Flower's deletion would stumble over that:
            # the gate alone keeps it out.
            if info.status != NodeStatus.UNREGISTERED and info.HasField("online_until"):
                self._state.delete_node(NOOP_FLWR_AID, info.node_id)
                log.info("node %s is shut out", name)
        self._registry.seen({info.name for info in nodes.values() if info.status == NodeStatus.ONLINE})


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs several."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(folder: ServerFolder) -> None:
    """Run until told to stop by SIGTERM or SIGINT, or until the supervisor or SuperExec is gone."""
    settings, parent = folder.settings, supervisor()
    doors = _listening("control", settings.control), Door(_listening("listen", settings.listen), MAX_CONNECTIONS)
    app = create_app(_flower_settings(folder), SuperLinkLifespan)
    admission = Admission(folder.registry, _bounded(app, folder))
    admission.sync()

    def refused(reason: str) -> None:
        log.warning("a call was refused: %s", reason)

    gate = Gate(app, admission.admitted, refused)
    door = OwnDoor(app, folder.control_key, refused)
    control = _server(folder, door, lifespan="on")
    fleet = _server(folder, gate, lifespan="off")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pairs = zip((control, fleet), doors, strict=True)
    serving = [asyncio.create_task(server.serve([listening])) for server, listening in pairs]
    with _superexec(folder) as superexec:
        while not stop.is_set() and os.getppid() == parent and not any(task.done() for task in serving):
            try:
                await asyncio.wait_for(stop.wait(), SYNC_S)
            except TimeoutError:
                await _sync(admission)
            if superexec.poll() is not None:
                log.error("SuperExec ended with status %d: nothing would start a run any more", superexec.returncode)
                break
    for server in (fleet, control):
        server.should_exit = True
    await asyncio.gather(*serving)


async def _sync(admission: Admission) -> None:
    try:
        await asyncio.to_thread(admission.sync)
    except (OSError, sqlite3.Error, SottovoceError) as error:
        log.error("the registry cannot be read or written: %s", error)


@contextmanager
def _superexec(folder: ServerFolder) -> Iterator[subprocess.Popen[bytes]]:
    """Flower's SuperExec, which starts the ServerApp of each run, while the block runs."""
    command = [
        *("flower-superexec", "--runtime-api-address", folder.settings.control),
        *("--root-certificates", str(folder.tls / "ca.pem"), "--parent-pid", str(os.getpid())),
        *("--superexec-auth-secret-file", str(folder.control_key_file)),
    ]
    process = subprocess.Popen(command)  # noqa: S603 - Flower's own program, from our PATH
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _bounded(app: FastAPI, folder: ServerFolder) -> LinkState:
    """Put a state in the place of Flower's own that holds nodes to a bound."""
    factory = app.state.linkstate_factory
    store = factory.objectstore_factory.store()
    factory.state_instance = state = BoundedState(factory.federation_manager, store, lambda: largest_answer(folder))
    return state


def _listening(name: str, address: str) -> socket.socket:
    """A socket that listens at the address of a setting.

    Raises:
        ConfigError: somebody else listens there, or this machine has no such address.
    """
    host, port = split(address)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(name, address, f"an address that is free to listen at ({error.strerror})") from error


def _server(folder: ServerFolder, app: Any, **options: Any) -> _Server:  # noqa: ANN401
    return _Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            ssl_certfile=folder.tls / "server.pem",
            ssl_keyfile=folder.tls / "server.key",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=False,  # who speaks is what the system says, not what a header does
            **options,
        )
    )


def _flower_settings(folder: ServerFolder) -> SuperLinkLifespanConfig:
    """What `flower-superlink --enable-supernode-auth` with our certificates and without a database would run with."""
    ca, certificate, key = (folder.tls / name for name in ("ca.pem", "server.pem", "server.key"))
    host, port = split(folder.settings.control)
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=host,
        port=port,
        insecure=False,
        certificates=(ca.read_bytes(), certificate.read_bytes(), key.read_bytes()),
        superexec_auth_secret=folder.control_key.encode(),
        authn_plugin=NoOpControlAuthnPlugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=str(ca),
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        database=FLWR_IN_MEMORY_DB_NAME,
        isolation="process",  # its own way to start SuperExec would not give it the key
        runtime_dependency_install=False,
    )


def main() -> int:
    """Serve the folder that the command line names; the status to end with."""
    folder = ServerFolder(Path(sys.argv[1]).absolute())
    log_as_json(folder.log / "superlink.jsonl")
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(serve(folder))
    except SottovoceError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
