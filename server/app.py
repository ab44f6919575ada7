"""The server's Flower app: train what the run folder's plan allows, and publish the result."""

from __future__ import annotations

import logging
import uuid

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from sottovoce.common.errors import BudgetSpentError
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder, run_of
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Store
from sottovoce.server.publish import publish
from sottovoce.server.strategy import Federation

log = logging.getLogger(__name__)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, or go on with, the federation of a run folder.

    Raises:
        BudgetSpentError: a release would have passed the budget; the model before it is published.
    """
    run_federation(grid, RunFolder(run_of(context)))


def run_federation(grid: Grid, folder: RunFolder) -> None:
    """Train and publish; whatever happened before in the folder is gone on with."""
    plan = folder.config.plan()
    ledger, store = Ledger(folder.ledger), Store(folder)
    federation = Federation(
        grid=grid,
        config=folder.config,
        plan=plan,
        space=ItemSpace.load(folder.data / "items.safetensors"),
        ledger=ledger,
        store=store,
        population="simulation",
        run=_run_name(folder),
        simulated=True,
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
