"""A run on the server, from whatever its folder holds to a published model: in a simulation and in a deployment."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from flwr.serverapp import Grid

from sottovoce.common.errors import BudgetSpentError
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Store
from sottovoce.server.publish import publish
from sottovoce.server.strategy import Federation

log = logging.getLogger(__name__)


def run_federation(grid: Grid, folder: RunFolder) -> None:
    """Simulate: train and publish with a ledger of the run's own.

    Raises:
        BudgetSpentError: a release would have passed the budget; the model before it is published.
    """
    train_and_publish(grid, folder, Ledger(folder.ledger), population="simulation", simulated=True)


def train_and_publish(grid: Grid, folder: RunFolder, ledger: Ledger, **options: Any) -> None:  # noqa: ANN401
    """Train and publish; whatever happened before in the folder is gone on with.

    Args:
        grid: The way to the nodes.
        folder: The run.
        ledger: Of the population.
        options: What else a `Federation` is made of.

    Raises:
        BudgetSpentError: a release would have passed the budget; the model before it is published.
        RoundAbandonedError: too few nodes answered.
    """
    plan, store = folder.config.plan(), Store(folder)
    federation = Federation(
        grid=grid,
        config=folder.config,
        plan=plan,
        space=ItemSpace.load(folder.data / "items.safetensors"),
        ledger=ledger,
        store=store,
        run=_run_name(folder),
        **options,
    )
    try:
        federation.train()
    except BudgetSpentError as error:
        log.warning("%s", error)
        raise
    finally:
        state = store.load()
        if state is not None:
            publish(folder, plan, ledger, state)


def _run_name(folder: RunFolder) -> str:
    """The run's unique name: made once, then kept in the folder, so that a resumed run is the same run."""
    file = folder.path / "run"
    if not file.exists():
        unfinished = file.with_suffix(".part")
        unfinished.write_text(uuid.uuid4().hex, encoding="ascii")
        unfinished.replace(file)
    return file.read_text(encoding="ascii")
