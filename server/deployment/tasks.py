"""What a Flower run does on the server: train and publish, or bring nodes what was published."""

from __future__ import annotations

import logging
import sqlite3

from flwr.serverapp import Grid

from sottovoce.common.errors import BudgetSpentError, ConfigError, DataError, LedgerError, SottovoceError
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.deployment.folder import ServerFolder, locked
from sottovoce.server.deployment.members import Members
from sottovoce.server.deployment.publications import Publications, deliver
from sottovoce.server.deployment.runs import BUDGET_SPENT, PUBLISHED, RunState, save_state, settle, state_of
from sottovoce.server.training import train_and_publish

log = logging.getLogger(__name__)

DELIVERY_S = 120.0


def perform(grid: Grid, folder: ServerFolder, task: str, run: str) -> None:
    """Do what a Flower run was started for.

    Raises:
        SottovoceError: the run could not go on; what it reached is on disk.
    """
    members = Members(grid, folder.registry)
    # Of a killed server the last process may still be there, and about to write.
    with locked(folder.path / "task.lock"):
        if task == "train":
            train(grid, folder, RunFolder(folder.path / "runs" / run), members)
        else:
            deliver(grid, folder, members, DELIVERY_S)


def train(grid: Grid, folder: ServerFolder, run: RunFolder, members: Members) -> None:
    """Go on with a training run to its end, and publish what came out."""
    before = state_of(run.path)
    try:
        deliver(grid, folder, members, DELIVERY_S, ask_all=True)
        try:
            outcome = PUBLISHED
            train_and_publish(
                grid,
                run,
                ledger=folder.ledger,
                population=folder.settings.federation,
                simulated=False,
                capacity_of=members.capacity_of,
                present=members.present,
                cap=(folder.settings.total_epsilon, folder.settings.training.plan().delta),
                repeats=True,
            )
        except BudgetSpentError:
            outcome = BUDGET_SPENT

        def published() -> RunState:
            version = Publications(folder).add(run.bundle) if run.bundle.exists() else 0
            return RunState(outcome=outcome, version=version, round=_reached(run))

        if not settle(run.path, published):
            return
        log.info("run %s: %s", run.path.name, outcome, extra={"run": run.path.name})
    except (SottovoceError, OSError, sqlite3.Error) as error:
        fatal = isinstance(error, ConfigError | DataError | LedgerError)
        save_state(run.path, before.failed(str(error), _reached(run), fatal))
        raise
    deliver(grid, folder, members, DELIVERY_S)


def _reached(run: RunFolder) -> int:
    checkpoint = Store(run).load()
    return -1 if checkpoint is None else checkpoint.round
