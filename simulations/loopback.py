"""A federation of real processes on this machine: what `make federation` shows, and what tests of faults drive.

Everything goes by the command line and over TLS, as an operator and the owners of devices would do it; only the
addresses are loopback's. Each process is the leader of a group of its own, and whatever of it is left is killed at
the end.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sottovoce.common.errors import FederationError
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.monitoring import status_of

SERVER = "server"
START_S = 120.0


@dataclass
class Loopback:
    """One server and its nodes.

    Attributes:
        folder: Where they live: `server/`, a home for each node, logs.
        environment: What their processes find beside this process' environment.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    address: str = ""
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def server(self) -> Path:
        """The server's folder."""
        return self.folder / SERVER

    def home(self, node: str) -> Path:
        """The folder of a node."""
        return self.folder / node

    def command(self, *arguments: str) -> str:
        """Run a verb of the command line to its end; what it printed.

        Raises:
            FederationError: it failed; says how.
        """
        done = subprocess.run(  # noqa: S603 - our own program
            [*_PROGRAM, *arguments], env=self._environment(), capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise FederationError(f"sottovoce {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def make_server(self, *options: str) -> None:
        """`sottovoce server init` on free ports; `options` say what is recommended, and how it is learned."""
        listen, control, status = (f"127.0.0.1:{port}" for port in _free_ports(3))
        self.address = listen
        places = ("--address", listen, "--listen", listen, "--control", control, "--status", status)
        self.command("server", "init", str(self.server), *places, *options)

    def add_node(self, node: str, *invitation: str) -> None:
        """Invite a node, and let it join."""
        file = self.folder / f"{node}.invitation.json"
        self.command("server", "invite", str(self.server), node, "--out", str(file), *invitation)
        self.command("client", "join", str(file), "--home", str(self.home(node)))

    def start_server(self) -> None:
        """`sottovoce server up`."""
        self._start(SERVER, "server", "up", str(self.server))

    def start_node(self, node: str) -> None:
        """`sottovoce client run`."""
        self._start(node, "client", "run", "--home", str(self.home(node)))

    def start_hub(self, name: str, nodes: Sequence[str], workers: int) -> None:
        """`sottovoce client run` for several nodes, which share a few workers."""
        homes = [word for node in nodes for word in ("--home", str(self.home(node)))]
        self._start(name, "client", "run", *homes, "--workers", str(workers))

    def pid(self, name: str) -> int:
        """The process that keeps a node, a hub or the server up."""
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL what keeps a node or the server up; what it started has to notice by itself."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, patience_s: float = 60.0) -> None:
        """SIGTERM, and SIGKILL for what is left after a while."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def status(self) -> dict[str, Any]:
        """What `sottovoce server status` tells; read here, since a new interpreter every second would slow all down."""
        return status_of(ServerFolder(self.server))

    def wait(self, what: str, reached: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
        """Look at the status until it is as wanted; the status.

        Raises:
            FederationError: it is not in time, or the server ended.
        """
        end = time.monotonic() + timeout_s
        while True:
            facts = self.status()
            if reached(facts):
                return facts
            process = self._running.get(SERVER)
            if process is not None and process.poll() is not None:
                raise FederationError(f"the server ended with {process.returncode}: see {self.folder}/{SERVER}.log")
            if time.monotonic() > end:
                raise FederationError(f"{what}: not within {timeout_s:g} s; the status is {facts}")
            time.sleep(1)

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own program
                [*_PROGRAM, *arguments], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", **self.environment}


@contextmanager
def loopback(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Loopback]:
    """A federation in a new folder; when the block ends, everything that it started is stopped."""
    folder.mkdir(parents=True)
    federation = Loopback(folder.absolute(), environment or {})
    try:
        yield federation
    finally:
        processes = dict(federation._running)
        for name in [name for name in processes if name != SERVER] + [name for name in processes if name == SERVER]:
            federation.stop(name)
        for process in processes.values():
            _kill_group(process.pid)


def left_over(folder: Path) -> list[int]:
    """Processes of this machine that name something in `folder` on their command line (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if f"{folder}/".encode() in words and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


_PROGRAM = (sys.executable, "-m", "sottovoce.cli.main")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
