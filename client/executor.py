"""Takes a SuperNode's tasks, one after the other, and has each run by a warm worker of the installed package.

It stands where Flower's SuperExec would (`--isolation process`), and asks for tasks of client apps only. The SuperNode
listens on loopback, and hands tasks to nobody who does not know the secret that both were started with. Workers are few
and dear, and belong to no node: those of one process share them.
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
"""A worker that had nothing to do for that long is let go: it holds PyTorch, some 330 MB."""

UNREACHABLE = (httpx.TransportError, httpx.HTTPStatusError)
PROGRAM = (sys.executable, "-m", "sottovoce.client.task")
_PROTECTED = frozenset({"/flwr.proto.Runtime/AcquireTask"})


class Worker:
    """A process that imported PyTorch once, and runs one task at a time in a fork of itself."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._token = ""
        self._idle_since = time.monotonic()

    @property
    def task(self) -> str:
        """The token of the task that runs; empty if none does."""
        out = self._process.stdout
        if self._token and out is not None and select.select([out], [], [], 0)[0]:  # it said so, or died
            self._token, self._idle_since = "", time.monotonic()
            os.read(out.fileno(), 64)
        return self._token

    @property
    def of_use(self) -> bool:
        """Whether it lives, and had something to do not long ago."""
        rested = not self.task and time.monotonic() - self._idle_since > REST_S
        return self._process.poll() is None and not rested

    def begin(self, address: str, token: str) -> None:
        """The token goes by standard input: a command line is there for every user of the machine to read."""
        self._token = token
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died just now: the next look finds that out
                self._process.stdin.write(f"{address} {token}\n".encode())
                self._process.stdin.flush()

    def end(self) -> None:
        """End it, and the task that it runs, if any."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


class Workers:
    """At most `limit` workers: so many tasks of one process' nodes run at a time."""

    def __init__(self, limit: int = 1) -> None:
        self._limit = limit
        self._all: list[Worker] = []

    @property
    def free(self) -> bool:
        """Whether one more task could begin; who died or rested for long is let go."""
        for worker in [each for each in self._all if not each.of_use]:
            self.end(worker)
        return len(self._all) < self._limit or not all(worker.task for worker in self._all)

    def begin(self, address: str, token: str) -> Worker:
        """Have a task run, by a new worker if all are at work."""
        worker = next((each for each in self._all if not each.task), None)
        if worker is None:
            worker = Worker()
            self._all.append(worker)
        worker.begin(address, token)
        return worker

    def end(self, worker: Worker) -> None:
        """Let a worker go."""
        worker.end()
        self._all.remove(worker)

    def close(self) -> None:
        """Let all of them go."""
        while self._all:
            self.end(self._all[0])


@dataclass
class Executor:
    """Runs the tasks of the SuperNode at a loopback address.

    Attributes:
        address: `host:port` of its Runtime API.
        secret: What it was started with.
        workers: Who runs them.
    """

    address: str
    secret: bytes
    workers: Workers
    _worker: Worker | None = field(default=None, init=False)
    _token: str = field(default="", init=False)
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
        """Begin the next task, if there is one, the last one is over, and a worker is free."""
        if self._at_work() or not self.workers.free:
            return
        try:
            given = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
        except UNREACHABLE:
            return  # it is starting, or gone: the supervisor sees to it
        if given.HasField("task") and given.token:
            self._worker, self._token = self.workers.begin(self.address, given.token), given.token

    def close(self) -> None:
        """End the task that runs, if any."""
        self._client.close()
        if self._worker is not None and self._at_work():
            self.workers.end(self._worker)
        self._worker = None

    def _at_work(self) -> bool:
        """Whether this node's task runs, and not by now another's in the same worker."""
        return self._worker is not None and self._worker.task == self._token
