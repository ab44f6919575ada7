"""What a server tells its operator: metrics for Prometheus, a health check, and a status.

Every number is public or paid for: how many nodes were invited and are there, rounds, what was spent, what was
published. Nothing is computed from what a node sent.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sottovoce.common.errors import ConfigError, SottovoceError
from sottovoce.common.privacy.plan import Trust
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.deployment.certificates import expiry
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.runs import state_of
from sottovoce.server.deployment.settings import split

log = logging.getLogger(__name__)

CALLERS = 16
"""Who is answered at a time."""
CALL_S = 5.0
"""How long a caller may say nothing."""
STANDINGS = ("online", "away", "invited", "expired", "revoked")


def status_of(folder: ServerFolder) -> dict[str, Any]:
    """Nodes, runs, budget and publications of a server, from its folder alone: it need not be up."""
    now = datetime.now(UTC).timestamp()
    settings, plan = folder.settings, folder.settings.training.plan()
    private = plan.trust is not Trust.NONE
    spent = folder.ledger.epsilon(plan.delta) if private else None
    return {
        "federation": settings.federation,
        "nodes": [
            {
                "name": member.name,
                "standing": member.standing(now),
                "capacity": member.capacity,
                "bundle": member.bundle,
                "seen_at": member.seen_at,
                "expires_at": member.expires_at,
            }
            for member in folder.registry.members()
        ],
        "runs": [_run_status(RunFolder(path)) for path in folder.numbered("runs")],
        "budget": {
            "epsilon_spent": spent,
            "epsilon_total": settings.total_epsilon if private else None,
            "epsilon_left": max(settings.total_epsilon - spent, 0.0) if spent is not None else None,
            "delta": plan.delta,
        },
        "published": [int(path.name) for path in folder.numbered("published")],
        "certificate_expires_at": expiry(folder.tls / "server.pem").timestamp(),
    }


def _run_status(run: RunFolder) -> dict[str, Any]:
    """Of one run; one whose files are damaged is told with the others, and why."""
    state, reached, rounds, error = state_of(run.path), None, 0, ""
    try:
        rounds = run.config.plan().head.count
        checkpoint = Store(run).load()
        reached = None if checkpoint is None else checkpoint.round
    except SottovoceError as damage:
        error = str(damage)
    return {
        "run": run.path.name,
        "outcome": state.outcome or "unfinished",
        "round": reached,
        "rounds": rounds,
        "version": state.version or None,
        "attempts": state.attempts,
        "error": state.error or error,
    }


@dataclass(eq=False)
class Monitor(Collector):
    """What is scraped; read from the folder at each scrape.

    Attributes:
        folder: The server.
        ready: Whether the SuperLink answers.
        superlink_starts: How often it was started.
    """

    folder: ServerFolder
    ready: bool = False
    superlink_starts: int = 0

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment; where the folder cannot be read, those that it need not be read for."""
        starts = CounterMetricFamily("sottovoce_superlink_starts", "Starts of the SuperLink.")
        starts.add_metric([], self.superlink_starts)
        yield starts
        yield _gauge("superlink_up", "Whether the SuperLink answers, and SuperExec is there.", float(self.ready))
        try:
            status = status_of(self.folder)
        except (OSError, sqlite3.Error, SottovoceError) as error:
            log.error("some metrics are missing: %s", error)
            return
        yield from _counts(status)
        yield from _numbers(status)


def _counts(status: dict[str, Any]) -> Iterator[Metric]:
    nodes = GaugeMetricFamily("sottovoce_nodes", "Nodes by standing.", labels=["standing"])
    standings = Counter(node["standing"] for node in status["nodes"])
    for standing in STANDINGS:
        nodes.add_metric([standing], standings[standing])
    outcomes = GaugeMetricFamily("sottovoce_runs", "Training runs by outcome.", labels=["outcome"])
    for outcome, count in sorted(Counter(run["outcome"] for run in status["runs"]).items()):
        outcomes.add_metric([outcome], count)
    yield from (nodes, outcomes)


def _numbers(status: dict[str, Any]) -> Iterator[Metric]:
    budget, runs = status["budget"], status["runs"]
    gauges = {
        "epsilon_spent": ("Privacy spent by all releases.", budget["epsilon_spent"]),
        "epsilon_total": ("Privacy that all runs may spend.", budget["epsilon_total"]),
        "round": ("Last finished round of the newest run.", runs[-1]["round"] if runs else None),
        "published_version": ("Newest published model.", max(status["published"], default=0)),
        "certificate_expires_at_seconds": ("End of the certificate.", status["certificate_expires_at"]),
    }
    for name, (meaning, value) in gauges.items():
        if value is not None:
            yield _gauge(name, meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sottovoce_{name}", meaning, value=value)


@contextmanager
def serve_status(monitor: Monitor) -> Iterator[None]:
    """Serve `/metrics` and `/healthz` on the status address while the block runs.

    Raises:
        ConfigError: somebody else listens there.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(monitor)
    address = monitor.folder.settings.status
    try:
        server = make_server(
            *split(address), _application(monitor, make_wsgi_app(registry)), _StatusServer, handler_class=_Silent
        )
    except OSError as error:
        raise ConfigError("status", address, f"an address that is free to listen at ({error.strerror})") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="status")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _application(monitor: Monitor, metrics: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/metrics":
            return metrics(environ, start_response)
        well = environ.get("PATH_INFO") == "/healthz"
        status = "404 Not Found" if not well else "200 OK" if monitor.ready else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps({"superlink": monitor.ready}).encode()] if well else []

    return application


class _StatusServer(ThreadingMixIn, WSGIServer):
    """Answers a few callers at a time, so that one who says nothing keeps no other from being answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *given: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*given, **options)
        self._places = threading.Semaphore(CALLERS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Begin to answer, or hang up where too many are being answered."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, and make room for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: whoever hung up, or said nothing in time, is no event."""


class _Silent(WSGIRequestHandler):
    timeout = CALL_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Say nothing: a scrape is no event."""
