"""Takes a SuperNode's tasks, one after the other, and has each run by a warm worker of the installed package.

It stands where Flower's SuperExec would (`--isolation process`), and asks for tasks of client apps only. The SuperNode
listens on loopback, and hands tasks to nobody who does not know the secret that both were started with.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

log = logging.getLogger(__name__)

REST_S = 300.0
"""A worker that had nothing to do for that long is let go: it holds PyTorch, some 400 MiB."""

UNREACHABLE = (httpx.TransportError, httpx.HTTPStatusError)
_PROTECTED = frozenset({"/flwr.proto.Runtime/AcquireTask"})


@dataclass
class Executor:
    """Runs the tasks of the SuperNode at a loopback address.

    Attributes:
        address: `host:port` of its Runtime API.
        secret: What it was started with.
    """

    address: str
    secret: bytes
    _worker: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _busy: bool = field(default=False, init=False)
    _idle_since: float = field(default=0.0, init=False)
    _client: RuntimeHttpClient = field(init=False)

    def __post_init__(self) -> None:
        self._client = RuntimeHttpClient.from_server_address(
            self.address,
            insecure=True,
            root_certificates=None,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="sottovoce"),
                SuperExecAuthHttpInterceptor(master_secret=self.secret, protected_methods=_PROTECTED),
            ],
        )

    def step(self) -> None:
        """Begin the next task, if there is one and the last one is over."""
        if self._at_work():
            return
        try:
            given = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
        except UNREACHABLE:
            return  # it is starting, or gone: the supervisor sees to it
        if given.HasField("task") and given.token:
            self._begin(given.token)

    def close(self) -> None:
        """End the task that runs, if any."""
        self._client.close()
        self._end_worker()

    def _at_work(self) -> bool:
        """Whether a task runs; a worker that died, or had nothing to do for a while, is let go."""
        worker = self._worker
        if worker is None or worker.stdout is None:
            return False
        if worker.poll() is None and self._busy and select.select([worker.stdout], [], [], 0)[0]:
            self._busy = not os.read(worker.stdout.fileno(), 64)
            self._idle_since = time.monotonic()
        if worker.poll() is not None or (not self._busy and time.monotonic() - self._idle_since > REST_S):
            self._end_worker()
        return self._busy

    def _begin(self, token: str) -> None:
        """The token goes by standard input: a command line is there for every user of the machine to read."""
        if self._worker is None:
            command = [sys.executable, "-m", "sottovoce.client.task", self.address]
            self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._busy = True
        if self._worker.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the worker died just now: the next look finds that out
                self._worker.stdin.write(f"{token}\n".encode())
                self._worker.stdin.flush()

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            with contextlib.suppress(BrokenPipeError):
                self._worker.communicate()
        self._worker, self._busy = None, False
