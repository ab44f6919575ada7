"""The server's Flower app: simulate the federation of a run folder, or do what a deployed server wants done."""

from __future__ import annotations

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from sottovoce.common.runfolder import RunFolder, run_of
from sottovoce.common.supervised import end_without_parent
from sottovoce.server.deployment.folder import served_folder
from sottovoce.server.deployment.logs import log_as_json
from sottovoce.server.deployment.tasks import perform
from sottovoce.server.training import run_federation

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, or go on with, the federation of a run folder.

    Raises:
        BudgetSpentError: a release would have passed the budget; the model before it is published.
        FederationError: a deployed run could not go on; what it reached is on disk.
    """
    served = served_folder()
    if served is None:
        run_federation(grid, RunFolder(run_of(context)))
    else:
        end_without_parent()  # Flower's own signal is lost where it meets a call that waits for the SuperLink
        log_as_json(served.log / "serverapp.jsonl")
        perform(grid, served, str(context.run_config["task"]), str(context.run_config["run"]))
