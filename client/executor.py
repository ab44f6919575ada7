"""Answers a SuperNode's messages from one warm process, with the installed app and no other.

Flower's own SuperExec starts a new interpreter per message, imports PyTorch anew, and installs and imports whatever app
the server sent. Run beside `flower-supernode --isolation process`, this executor has everything imported once, forks
for each message (so that what training took is given back, and a fault ends one message), and refuses an app that
brings code or names other code than the installed package's.

Run as `python -m sottovoce.client.executor HOST:PORT SECRET_FILE`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import httpx
from flwr.app import Message
from flwr.app.error import Error
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from sottovoce.common.app_bundle import check_app_bundle
from sottovoce.common.errors import RequestRefusedError

log = logging.getLogger("sottovoce.client.executor")  # runs as `__main__`

LOOK_EVERY_S, REST_S, BUSY_S = 0.1, 1.0, 60.0
"""How often to look for a message within a minute after one, and how often otherwise: a device should rest."""


def serve(address: str, secret: bytes, app: ClientApp) -> None:
    """Answer messages until the process that started this one is gone.

    Args:
        address: Of the SuperNode's Runtime API, on loopback.
        secret: Shared with the SuperNode (`--superexec-auth-secret-file`), which gives nobody else a message.
        app: What answers.
    """
    protected = SuperExecAuthHttpInterceptor(
        master_secret=secret, protected_methods={"/flwr.proto.Runtime/AcquireTask"}
    )
    parent, client, busy_until = os.getppid(), _client(address, protected), 0.0
    while os.getppid() == parent:
        token = _next(client)
        if token:
            _in_a_child(address, token, app)
            busy_until = time.monotonic() + BUSY_S
        else:
            time.sleep(LOOK_EVERY_S if time.monotonic() < busy_until else REST_S)


def answer(address: str, token: str, app: ClientApp) -> None:
    """Answer one message."""
    client = _client(address, RuntimeTokenHttpInterceptor(token), retry=True)
    heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(client))
    heartbeat.start()
    message, context, _, fab = pull_task_input(client)
    status, details = SubStatus.COMPLETED, ""
    try:
        check_app_bundle(fab.content)
        reply = app(message=message, context=context)
    except RequestRefusedError as error:
        status, details = SubStatus.FAILED, str(error)
        reply = Message(Error(ErrorCode.INVALID_FAB, details), reply_to=message)
        log.warning("a message was refused: %s", error)
    except Exception as error:
        # Its text could tell of a history: neither that nor its kind may leave.
        status, details = SubStatus.FAILED, "a fault of the node"
        reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, details), reply_to=message)
        log.error("the app failed on a message: %s", type(error).__name__)
    push_message(client, reply, context)
    push_task_output(client=client, context=context, sub_status=status, details=details)
    heartbeat.stop()
    client.close()


def _next(client: RuntimeHttpClient) -> str:
    """The token of the next message's task; empty if there is none, or no SuperNode yet."""
    try:
        acquired = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
    except (httpx.TransportError, httpx.HTTPStatusError):
        return ""
    return str(acquired.token) if acquired.HasField("task") else ""


def _in_a_child(address: str, token: str, app: ClientApp) -> None:
    child = os.fork()
    if child == 0:
        try:
            answer(address, token, app)
        except BaseException as error:
            # Flower's SuperNode notices the missing heartbeat.
            log.error("a message was not answered: %s", type(error).__name__)
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)


def _client(address: str, interceptor: ProtobufClientInterceptor, retry: bool = False) -> RuntimeHttpClient:
    return RuntimeHttpClient.from_server_address(
        server_address=address,
        insecure=True,
        root_certificates=None,
        interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr-clientapp"), interceptor],
        retry_invoker=make_simple_http_retry_invoker() if retry else None,
    )


def main() -> None:
    """Serve the SuperNode that the command line names."""
    import torch

    import sottovoce.client.node  # noqa: F401 - imported once, before the first fork
    from sottovoce.client.app import app

    torch.set_num_threads(1)
    serve(sys.argv[1], Path(sys.argv[2]).read_bytes(), app)


if __name__ == "__main__":
    main()
