"""What a server tells its operator: metrics for Prometheus, a health check, and a status.

Every number is public or paid for: how many nodes were invited and are there, rounds, what was spent, what was
published. Nothing is computed from what a node sent.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sottovoce.common.privacy.plan import Trust
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.deployment.certificates import expiry
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.runs import state_of
from sottovoce.server.deployment.settings import split

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
    state, checkpoint = state_of(run.path), Store(run).load()
    return {
        "run": run.path.name,
        "outcome": state.outcome or "unfinished",
        "round": None if checkpoint is None else checkpoint.round,
        "rounds": run.config.plan().head.count,
        "version": state.version or None,
        "attempts": state.attempts,
        "error": state.error,
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
        """The metrics of this moment."""
        status = status_of(self.folder)
        budget, runs = status["budget"], status["runs"]
        nodes = GaugeMetricFamily("sottovoce_nodes", "Nodes by standing.", labels=["standing"])
        standings = Counter(node["standing"] for node in status["nodes"])
        for standing in STANDINGS:
            nodes.add_metric([standing], standings[standing])
        outcomes = GaugeMetricFamily("sottovoce_runs", "Training runs by outcome.", labels=["outcome"])
        for outcome, count in sorted(Counter(run["outcome"] for run in runs).items()):
            outcomes.add_metric([outcome], count)
        starts = CounterMetricFamily("sottovoce_superlink_starts", "Starts of the SuperLink.")
        starts.add_metric([], self.superlink_starts)
        yield from (nodes, outcomes, starts)
        gauges = {
            "superlink_up": ("Whether the SuperLink answers.", float(self.ready)),
            "epsilon_spent": ("Privacy spent by all releases.", budget["epsilon_spent"]),
            "epsilon_total": ("Privacy that all runs may spend.", budget["epsilon_total"]),
            "round": ("Last finished round of the newest run.", runs[-1]["round"] if runs else None),
            "published_version": ("Newest published model.", max(status["published"], default=0)),
            "certificate_expires_at_seconds": ("End of the certificate.", status["certificate_expires_at"]),
        }
        for name, (meaning, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"sottovoce_{name}", meaning, value=value)


@contextmanager
def serve_status(monitor: Monitor) -> Iterator[None]:
    """Serve `/metrics` and `/healthz` on the status address while the block runs."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(monitor)
    host, port = split(monitor.folder.settings.status)
    server = make_server(host, port, _application(monitor, make_wsgi_app(registry)), handler_class=_Silent)
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


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Say nothing: a scrape is no event."""
