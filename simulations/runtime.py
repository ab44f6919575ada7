"""Flower's simulation runtime on one machine: the same apps as in a deployment, on Ray."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from typing import Any

from sottovoce.common.errors import FederationError, SottovoceError
from sottovoce.common.runfolder import RUN_VARIABLE

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_max_direct_call_object_size": "4194304",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
"""Set before Flower and Ray start: nothing is sent to anybody, a worker has one thread, no worker starts that nobody
needs, a message of a few megabytes travels inside Ray's call instead of through its shared memory, and a worker keeps
the memory of one batch for the next instead of handing it back to the system."""

LOOK_EVERY_S = 0.005
"""How often the runtime looks for messages: Flower's own 100 ms are as long as a round of a thousand users."""

OBJECT_STORE_BYTES = 100_000_000
"""Ray's shared memory: messages seldom need it."""

MAX_WORKERS = 2
"""Ray actors at a time: each holds PyTorch and Opacus, some 450 MiB."""


def run_on_flower(run: Path, nodes: int, workers: int) -> None:
    """Run the federation of a run folder with `nodes` SuperNodes, `workers` of them at a time.

    Raises:
        SottovoceError: what the server app raised on purpose.
        FederationError: the runtime itself failed.
    """
    os.environ.update(QUIET)
    os.environ[RUN_VARIABLE] = str(run)
    from flwr.server.superlink.fleet.vce import vce_api
    from flwr.simulation import run_simulation

    from sottovoce.client.app import app as client_app
    from sottovoce.server.app import app as server_app

    logging.getLogger("flwr").setLevel(logging.ERROR)
    # Flower has no setting for this; where the name is gone, messages wait a little longer and nothing else changes.
    vce_api.add_messages_to_queue = _hand_out  # type: ignore[assignment]
    backend = {
        "init_args": {
            "num_cpus": workers,
            "object_store_memory": OBJECT_STORE_BYTES,
            "logging_level": "error",
            "log_to_driver": False,
            "include_dashboard": False,
        },
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_simulation(server_app, client_app, nodes, backend_config=backend)  # type: ignore[arg-type]
    except SottovoceError:
        raise
    except Exception as error:
        raise FederationError(f"Flower's runtime failed: {error}; `sottovoce doctor` tells what is missing") from error
    finally:
        os.environ.pop(RUN_VARIABLE, None)


def _hand_out(state: Any, queue: Queue[Any], nodes_mapping: Mapping[int, int], stop: threading.Event) -> None:  # noqa: ANN401
    """Take the nodes' messages from Flower's state to the workers, as Flower's own loop does, but more often."""
    while not stop.wait(LOOK_EVERY_S):
        for node in nodes_mapping:
            for message in state.get_message_ins(node_id=node, limit=1):
                queue.put(message)
