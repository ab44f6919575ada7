"""The training runs of a server: each has a folder, and is unfinished until the folder says otherwise.

So nothing has to be told from process to process: who wants a run makes its folder, and the supervisor goes on with the
first unfinished one, whatever happened in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from sottovoce.common.config import Config
from sottovoce.common.errors import ConfigError
from sottovoce.common.runfolder import RunFolder, replace_text
from sottovoce.server.deployment.folder import ServerFolder, locked
from sottovoce.server.deployment.publications import published_catalogue

PUBLISHED, BUDGET_SPENT, FAILED = "published", "budget spent", "failed"
CANCELLED, DAMAGED = "cancelled", "damaged"


@dataclass(frozen=True)
class RunState:
    """What became of a run.

    Attributes:
        outcome: Empty while it is unfinished; then `published`, `budget spent`, `failed` or `cancelled`, or `damaged`
            where that is not known any more.
        version: Of the bundle that it published; zero if none.
        attempts: How often in a row it was tried in vain since it last came further.
        error: Why the last attempt ended.
        round: The last round that was finished by the last attempt.
    """

    outcome: str = ""
    version: int = 0
    attempts: int = 0
    error: str = ""
    round: int = -1

    def failed(self, error: str, reached: int, fatal: bool) -> RunState:
        """The state after an attempt that ended with `error` at round `reached`."""
        attempts = 1 if reached > self.round else self.attempts + 1
        return replace(self, outcome=FAILED if fatal else "", attempts=attempts, error=error, round=reached)


def request_run(folder: ServerFolder, config: Config) -> Path:
    """Lay out a new run, which the supervisor will find.

    Raises:
        ConfigError: an earlier run is unfinished, or a setting does not fit.
        DataError: no catalogue is published yet.
    """
    if waiting := unfinished(folder):
        raise ConfigError("start-run", waiting.name, "no run before this one to be unfinished")
    config.plan()
    catalogue = published_catalogue(folder)
    place = folder.next_number("runs")
    place.parent.mkdir(exist_ok=True)
    part = place.with_name("unfinished")
    part.mkdir(exist_ok=True)
    data = config.data.model_copy(update={"prepared": str(catalogue)})
    config.model_copy(update={"data": data}).save(RunFolder(part).config_file)
    part.rename(place)
    return place


def unfinished(folder: ServerFolder) -> Path | None:
    """The first run that is not finished."""
    return next((path for path in folder.numbered("runs") if not state_of(path).outcome), None)


def state_of(run: Path) -> RunState:
    """What became of a run so far; where the file is damaged, that is what became of it, and other runs go on."""
    file = run / "state.json"
    if not file.exists():
        return RunState()
    try:
        return _STATE.validate_json(file.read_bytes())
    except ValueError:
        why = "not the state of a run: delete it, and the run goes on from its checkpoint at no more cost"
        return RunState(outcome=DAMAGED, error=f"{file}: {why}")


def save_state(run: Path, state: RunState) -> None:
    """Write down what became of a run, as a whole or not at all; one that was cancelled stays so."""
    settle(run, lambda: state)


def settle(run: Path, made: Callable[[], RunState]) -> bool:
    """Write down what `made` makes of a run, which nobody can cancel meanwhile; false, and no call, if somebody did."""
    with locked(run / "state.lock"):
        if state_of(run).outcome == CANCELLED:
            return False
        replace_text(run / "state.json", json.dumps(asdict(made())))
        return True


def cancel(folder: ServerFolder) -> Path:
    """End the unfinished run; what it has spent stays spent, and nothing of it is published any more.

    Raises:
        ConfigError: no run is unfinished.
    """
    none = ConfigError("cancel-run", str(folder.path), "a server with an unfinished run")
    run = unfinished(folder)
    if run is None:
        raise none

    def cancelled() -> RunState:
        state = state_of(run)
        if state.outcome:
            raise none
        return replace(state, outcome=CANCELLED)

    settle(run, cancelled)
    return run


_STATE = TypeAdapter(RunState)
