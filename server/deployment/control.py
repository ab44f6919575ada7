"""Start and watch Flower runs through the Control API, which listens on loopback only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import httpx
from flwr.common.constant import Status
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import ListRunsRequest, StartRunRequest, StopRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from sottovoce.common.errors import FederationError
from sottovoce.server.deployment.app_bundle import app_bundle
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.gate import CONTROL_KEY_HEADER

UNREACHABLE = (httpx.TransportError, httpx.HTTPStatusError)


@dataclass(frozen=True)
class Control:
    """A client of a server's Control API.

    Attributes:
        folder: The server.
    """

    folder: ServerFolder

    def ready(self) -> bool:
        """Whether the SuperLink answers."""
        try:
            with self._client() as client:
                client.ListRuns(ListRunsRequest(limit=1))
        except UNREACHABLE:
            return False
        return True

    def start(self, task: str, run: str) -> int:
        """Start a Flower run of our app; its id.

        Args:
            task: `train` or `deliver`.
            run: Number of the run folder that is trained; empty otherwise.

        Raises:
            FederationError: the SuperLink does not answer, or refuses.
        """
        content = app_bundle()
        fab = Fab(hash_str=hashlib.sha256(content).hexdigest(), content=content)
        request = StartRunRequest(fab=fab, override_config=user_config_to_proto({"task": task, "run": run}))
        try:
            with self._client() as client:
                started = client.StartRun(request).run_id
        except UNREACHABLE as error:
            raise FederationError(f"the SuperLink does not start a run: {error}") from error
        if not started:
            raise FederationError("the SuperLink refuses to start a run")
        return int(started)

    def finished(self, flower_run: int) -> bool:
        """Whether a Flower run is over, or unknown to the SuperLink.

        Raises:
            FederationError: the SuperLink does not answer.
        """
        return self._status(flower_run) == Status.FINISHED

    def waits(self, flower_run: int) -> bool:
        """Whether nobody has taken a Flower run up yet.

        Raises:
            FederationError: the SuperLink does not answer.
        """
        return self._status(flower_run) == Status.PENDING

    def stop(self, flower_run: int) -> None:
        """Have a Flower run ended, whatever it is doing.

        Raises:
            FederationError: the SuperLink does not answer.
        """
        try:
            with self._client() as client:
                client.StopRun(StopRunRequest(run_id=flower_run))
        except UNREACHABLE as error:
            raise FederationError(f"the SuperLink does not stop a run: {error}") from error

    def _status(self, flower_run: int) -> str:
        try:
            with self._client() as client:
                runs = client.ListRuns(ListRunsRequest(limit=50)).run_dict
        except UNREACHABLE as error:
            raise FederationError(f"the SuperLink does not answer: {error}") from error
        return str(runs[flower_run].status.status) if flower_run in runs else Status.FINISHED

    def _client(self) -> ControlHttpClient:
        return ControlHttpClient.from_server_address(
            self.folder.settings.control,
            insecure=False,
            root_certificates=(self.folder.tls / "ca.pem").read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="sottovoce"), _Key(self.folder.control_key)],
        )


@dataclass(frozen=True)
class _Key:
    """Shows the server's key with each call."""

    key: str

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers[CONTROL_KEY_HEADER] = self.key
        return call_next(context)
