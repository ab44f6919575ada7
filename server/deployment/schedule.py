"""Runs that begin by themselves: every so many hours, as long as the budget lasts."""

from __future__ import annotations

import json
import logging
import time

from sottovoce.common.config import override, parse
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.runs import BUDGET_SPENT, request_run, state_of, unfinished

log = logging.getLogger(__name__)


def repeat_every(folder: ServerFolder, hours: float, settings: list[str]) -> None:
    """Let a run begin every so many hours from now on; zero ends the schedule.

    Args:
        folder: The server.
        hours: The interval.
        settings: `section.key=value` for each of these runs.
    """
    if hours <= 0:
        folder.schedule.unlink(missing_ok=True)
        return
    _write(folder, hours, time.time() + hours * 3600, settings)


def begin_if_due(folder: ServerFolder) -> None:
    """Lay out the next scheduled run when its time has come and no other run is unfinished.

    A schedule ends with the budget: the next run would be refused at once, and every one after it.
    """
    if not folder.schedule.exists():
        return
    table = json.loads(folder.schedule.read_text(encoding="utf-8"))
    if time.time() < table["next"] or unfinished(folder):
        return
    runs = folder.numbered("runs")
    if runs and state_of(runs[-1]).outcome == BUDGET_SPENT:
        log.warning("the budget is spent: the schedule ends")
        folder.schedule.unlink()
        return
    config = parse(override(folder.settings.training.model_dump(), table["settings"]))
    place = request_run(folder, config)
    log.info("run %s is due", place.name, extra={"run": place.name})
    _write(folder, table["hours"], time.time() + table["hours"] * 3600, table["settings"])


def _write(folder: ServerFolder, hours: float, next_at: float, settings: list[str]) -> None:
    part = folder.schedule.with_suffix(".part")
    part.write_text(json.dumps({"hours": hours, "next": next_at, "settings": settings}), encoding="utf-8")
    part.replace(folder.schedule)
