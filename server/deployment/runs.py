"""The training runs of a server: each has a folder, and is unfinished until the folder says otherwise.

So nothing has to be told from process to process: who wants a run makes its folder, and the supervisor goes on with the
first unfinished one, whatever happened in between.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sottovoce.common.config import Config
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.deployment.folder import ServerFolder

PUBLISHED, BUDGET_SPENT, FAILED = "published", "budget spent", "failed"


@dataclass(frozen=True)
class RunState:
    """What became of a run.

    Attributes:
        outcome: Empty while it is unfinished; then `published`, `budget spent` or `failed`.
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
        DataError: there is no catalogue yet.
    """
    if waiting := unfinished(folder):
        raise ConfigError("start-run", waiting.name, "no run before this one to be unfinished")
    if not (catalogues := folder.numbered("catalogues")):
        raise DataError(folder.path, "no catalogue here: a server is made with one")
    config.plan()
    place = folder.next_number("runs")
    place.parent.mkdir(exist_ok=True)
    part = place.with_name("unfinished")
    part.mkdir(exist_ok=True)
    data = config.data.model_copy(update={"prepared": str(catalogues[-1])})
    config.model_copy(update={"data": data}).save(RunFolder(part).config_file)
    part.rename(place)
    return place


def unfinished(folder: ServerFolder) -> Path | None:
    """The first run that is not finished."""
    return next((path for path in folder.numbered("runs") if not state_of(path).outcome), None)


def state_of(run: Path) -> RunState:
    """What became of a run so far."""
    file = run / "state.json"
    return RunState(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else RunState()


def save_state(run: Path, state: RunState) -> None:
    """Write down what became of a run, as a whole or not at all."""
    part = run / "state.json.part"
    part.write_text(json.dumps(asdict(state)), encoding="utf-8")
    part.replace(run / "state.json")
