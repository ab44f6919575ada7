"""Takes a SuperNode's tasks, one after the other, and runs each in a process of the installed package.

It stands where Flower's SuperExec would (`--isolation process`), and asks for tasks of client apps only. The SuperNode
listens on loopback, and hands tasks to nobody who does not know the secret that both were started with.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass, field

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

log = logging.getLogger(__name__)

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
    _task: subprocess.Popen[bytes] | None = field(default=None, init=False)
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
        if self._task is not None and self._task.poll() is None:
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
        if self._task is not None and self._task.poll() is None:
            self._task.kill()
            self._task.wait()

    def _begin(self, token: str) -> None:
        """The token goes by standard input: a command line is there for every user of the machine to read."""
        command = [sys.executable, "-m", "sottovoce.client.task", self.address]
        self._task = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603
        if self._task.stdin is not None:
            with self._task.stdin as pipe:
                pipe.write(f"{token}\n".encode())
