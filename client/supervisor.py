"""Keeps the SuperNodes of devices up: through every refusal, a server that is away, and a worker that dies.

A SuperNode ends when a server turns it down: HTTP 412 for an unknown key, exit 305 for one whose last connection has
not lapsed yet, or nobody there. It is started again with back-off, at the next of the server's addresses.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from sottovoce.client.app import HOME
from sottovoce.client.executor import Executor, Workers
from sottovoce.client.home import Home
from sottovoce.common.errors import ConfigError
from sottovoce.common.supervised import supervised

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
AT_WORK_S = 0.05
"""While all workers are at work nobody is asked for tasks: looking whether one is done costs next to nothing."""
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0
STEADY_S = 60.0
"""A SuperNode that was up for that long was well: its next end is met with the shortest delay."""
GIVE_UP_S = 120.0
"""A SuperNode that reaches nobody for that long ends, so that the next address is tried."""

QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}


@dataclass
class NodeSupervisor:
    """What runs of one device.

    Attributes:
        home: The device.
        workers: Who answers its messages; others may use them too.
        starts: How often a SuperNode was started.
    """

    home: Home
    workers: Workers = field(default_factory=Workers)
    starts: int = 0
    _node: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _executor: Executor | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)
    _failures: int = field(default=0, init=False)

    def step(self) -> None:
        """Look once: start what is down and due, and let the executor look for a task."""
        if self._node is not None and self._node.poll() is not None:
            self._note_end(self._node.returncode)
        if self._node is None and time.monotonic() >= self._not_before:
            try:
                self._start()
            except OSError as error:  # a full disk, or no process to be had: it may pass
                log.warning("no SuperNode could be started: %s", error.strerror)
                self._started = time.monotonic()
                self._retry_later()
        if self._executor is not None:
            try:
                self._executor.step()
            except OSError as error:  # the message is not answered; the next one may be
                log.warning("no worker could be started: %s", error.strerror)

    def _start(self) -> None:
        folder, secret = self._folder(), secrets.token_bytes(32)
        for name, content in (
            ("node.key", self.home.joined.private_key.encode()),
            ("ca.pem", self.home.joined.certificate_authority.encode()),
            ("node.toml", tomli_w.dumps({HOME: str(self.home.folder.absolute())}).encode()),
            ("secret", secret),
        ):
            _write_private(folder / name, content)
        addresses, port = self.home.joined.addresses, _free_port()
        address = addresses[self.starts % len(addresses)]
        command = [
            *(sys.executable, "-m", "sottovoce.client.supernode", "--superlink", address),
            *("--root-certificates", str(folder / "ca.pem"), "--auth-supernode-private-key", str(folder / "node.key")),
            *("--node-config", str(folder / "node.toml"), "--isolation", "process"),
            *("--superexec-auth-secret-file", str(folder / "secret"), "--host", "127.0.0.1", "--port", str(port)),
            *("--max-wait-time", str(GIVE_UP_S)),
        ]
        log.info("connecting to %s", address)
        self._node = subprocess.Popen(command, env=os.environ | QUIET | supervised())  # noqa: S603
        self._executor = Executor(f"127.0.0.1:{port}", secret, self.workers)
        self._started, self.starts = time.monotonic(), self.starts + 1

    def _note_end(self, status: int) -> None:
        log.warning("the SuperNode ended with status %d", status)
        self.end()
        self._retry_later()

    def _retry_later(self) -> None:
        self._failures = 0 if time.monotonic() - self._started > STEADY_S else self._failures + 1
        delay = min(FIRST_DELAY_S * 2.0**self._failures, LONGEST_DELAY_S) * random.uniform(0.75, 1.25)  # noqa: S311
        log.info("the next try is in %.0f s", delay)
        self._not_before = time.monotonic() + delay

    def tell_to_end(self) -> None:
        """Ask the SuperNode to end, without waiting for it."""
        if self._node is not None and self._node.poll() is None:
            self._node.terminate()

    def end(self) -> None:
        """End what was started."""
        self.tell_to_end()
        if self._executor is not None:
            self._executor.close()
        if self._node is not None and self._node.poll() is None:
            try:
                self._node.wait(10)
            except subprocess.TimeoutExpired:
                self._node.kill()
                self._node.wait()
        self._node = self._executor = None
        shutil.rmtree(self.home.folder / "supernode", ignore_errors=True)

    def _folder(self) -> Path:
        folder = self.home.folder / "supernode"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other supervisors of this device away while the block runs.

        Raises:
            ConfigError: another process keeps this device's SuperNode up.
        """
        with (self.home.folder / "lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                expected = "a device whose node is not kept up by another process already"
                raise ConfigError("home", str(self.home.folder), expected) from error
            yield


def keep_up(nodes: Sequence[NodeSupervisor], stop: threading.Event) -> None:
    """Keep the SuperNodes of some devices up until `stop` is set; then end everything that was started.

    Raises:
        DataError: a device joined no federation.
        ConfigError: another process keeps the SuperNode of one of them up.
    """
    for node in nodes:
        _ = node.home.joined
    with ExitStack() as held:
        for node in nodes:
            held.enter_context(node.alone())
        shared = {node.workers for node in nodes}
        try:
            while not stop.wait(LOOK_EVERY_S if any(workers.free for workers in shared) else AT_WORK_S):
                # In another order each time, so that where workers are few, no device is always the last one.
                for node in random.sample(nodes, len(nodes)):
                    node.step()
        finally:
            for node in nodes:
                node.tell_to_end()
            for node in nodes:
                node.end()
            for workers in shared:
                workers.close()


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
