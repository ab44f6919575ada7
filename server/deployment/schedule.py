"""Runs that begin by themselves: every so many hours, as long as the budget lasts."""

from __future__ import annotations

import logging
import math
import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sottovoce.common.config import override, parse
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.runfolder import replace_text
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.runs import BUDGET_SPENT, request_run, state_of, unfinished

log = logging.getLogger(__name__)


class Schedule(BaseModel):
    """When runs begin by themselves.

    Attributes:
        hours: The interval.
        next: When the next one begins, in seconds since 1970.
        settings: `section.key=value` for each of these runs.
    """

    model_config = ConfigDict(extra="forbid")

    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    next: Annotated[float, Field(allow_inf_nan=False)]
    settings: list[str]


def check_interval(hours: float) -> None:
    """Refuse an interval at which no run could begin.

    Raises:
        ConfigError: it is no finite number, or below zero.
    """
    if not (math.isfinite(hours) and hours >= 0):
        raise ConfigError("--every", hours, "hours above 0, or 0 to end the schedule")


def repeat_every(folder: ServerFolder, hours: float, settings: list[str]) -> None:
    """Let a run begin every so many hours from now on; zero ends the schedule.

    Args:
        folder: The server.
        hours: The interval.
        settings: `section.key=value` for each of these runs.

    Raises:
        ConfigError: the interval is no finite number, or below zero.
    """
    check_interval(hours)
    if hours == 0:
        folder.schedule.unlink(missing_ok=True)
    else:
        _write(folder, Schedule(hours=hours, next=time.time() + hours * 3600, settings=settings))


def begin_if_due(folder: ServerFolder) -> None:
    """Lay out the next scheduled run when its time has come and no other run is unfinished.

    A schedule ends with the budget: the next run would be refused at once, and every one after it.

    Raises:
        DataError: the schedule is damaged.
        ConfigError: its settings do not fit any more.
    """
    schedule = _read(folder)
    if schedule is None or time.time() < schedule.next or unfinished(folder):
        return
    runs = folder.numbered("runs")
    if runs and state_of(runs[-1]).outcome == BUDGET_SPENT:
        log.warning("the budget is spent: the schedule ends")
        folder.schedule.unlink()
        return
    config = parse(override(folder.settings.training.model_dump(), schedule.settings))
    place = request_run(folder, config)
    log.info("run %s is due", place.name, extra={"run": place.name})
    _write(folder, schedule.model_copy(update={"next": time.time() + schedule.hours * 3600}))


def _read(folder: ServerFolder) -> Schedule | None:
    if not folder.schedule.exists():
        return None
    try:
        return Schedule.model_validate_json(folder.schedule.read_bytes())
    except ValueError as error:
        raise DataError(folder.schedule, "not a schedule: set it anew by `start-run --every`") from error


def _write(folder: ServerFolder, schedule: Schedule) -> None:
    replace_text(folder.schedule, schedule.model_dump_json())
