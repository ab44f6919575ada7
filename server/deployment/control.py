"""Start and watch Flower runs through the Control API, which listens on loopback only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import httpx
from flwr.common.constant import Status
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import ListRunsRequest, StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from sottovoce.common.errors import FederationError
from sottovoce.server.deployment.app_bundle import app_bundle
from sottovoce.server.deployment.folder import ServerFolder

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
        try:
            with self._client() as client:
                runs = client.ListRuns(ListRunsRequest(limit=50)).run_dict
        except UNREACHABLE as error:
            raise FederationError(f"the SuperLink does not answer: {error}") from error
        return flower_run not in runs or runs[flower_run].status.status == Status.FINISHED

    def _client(self) -> ControlHttpClient:
        return ControlHttpClient.from_server_address(
            self.folder.settings.control,
            insecure=False,
            root_certificates=(self.folder.tls / "ca.pem").read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="sottovoce")],
        )
