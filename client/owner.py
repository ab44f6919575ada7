"""What the owner of a device allows: how much privacy may be spent, on whose word, and when the device may work."""

from __future__ import annotations

import math
import os
import tomllib
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sottovoce.common.errors import ConfigError, DataError, RequestRefusedError
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.signature import write_secret


class Conditions(BaseModel):
    """When training may use the device.

    Attributes:
        hours: `22:00-07:00` by the device's own clock; empty allows every hour.
        max_load: The highest load average over one minute, per processor.
        on_power: Whether a device with a battery takes part only while it is plugged in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: str = ""
    max_load: Annotated[float, Field(gt=0)] = math.inf
    on_power: bool = True

    @field_validator("hours")
    @classmethod
    def _readable(cls, value: str) -> str:
        _span(value)
        return value

    def hold(self, now: datetime | None = None) -> bool:
        """Whether training may begin now."""
        return self._in_hours(now or datetime.now().astimezone()) and self._idle() and self._powered()

    def _in_hours(self, now: datetime) -> bool:
        if not self.hours:
            return True
        begin, end = _span(self.hours)
        moment = now.time()
        return begin <= moment < end if begin <= end else moment >= begin or moment < end

    def _idle(self) -> bool:
        if math.isinf(self.max_load):
            return True
        import psutil

        return float(psutil.getloadavg()[0]) / (os.cpu_count() or 1) <= self.max_load

    def _powered(self) -> bool:
        if not self.on_power:
            return True
        import psutil

        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return battery is None or battery.power_plugged is not False


class Owner(BaseModel):
    """The owner's settings, kept as `owner.toml`.

    Attributes:
        max_epsilon: The ε that all releases together may not pass.
        max_delta: The largest δ at which ε is counted, whatever δ a server names.
        trust: On whose word releases may be noised; `none` and `aggregate` cannot be allowed.
        unit: Whom a plan must protect: a person's whole history, as every plan of ours does.
        conditions: When training may use the device.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 8.0
    max_delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    trust: tuple[Literal["server", "node"], ...] = ("server", "node")
    unit: Literal["user"] = "user"
    conditions: Conditions = Conditions()

    def check(self, plan: PrivacyPlan) -> None:
        """Decline a plan that is weaker than the owner allows, from public input alone.

        Raises:
            RequestRefusedError: says which of its promises is too weak.
        """
        if plan.trust.value not in self.trust:
            raise RequestRefusedError(f"the owner does not allow trust = {plan.trust.value}")
        # What it says, and what it costs: a server may call a plan cheaper than it is.
        if not max(plan.target_epsilon, plan.epsilon) <= self.max_epsilon or plan.delta > self.max_delta:
            raise RequestRefusedError("the owner does not allow a plan of so large an epsilon or delta")
        if not self.conditions.hold():
            raise RequestRefusedError("the owner's conditions for training do not hold now")

    def save(self, path: Path) -> None:
        """Write the settings; the earlier ones stay until the new ones are whole, also when the power goes.

        Raises:
            DataError: they cannot be written.
        """
        table = self.model_dump(mode="json")
        table["conditions"]["max_load"] = self.conditions.max_load
        unfinished = path.with_name(path.name + ".part")
        unfinished.unlink(missing_ok=True)
        write_secret(unfinished, tomli_w.dumps(table))
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Owner:
        """Read the settings; the defaults where nothing was set.

        Raises:
            DataError: the file cannot be read, or a setting is missing. A broken cap is never taken for the default.
        """
        if not path.exists():
            return cls()
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            owner = cls.model_validate(table)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise DataError(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (OSError, ValueError) as error:
            raise DataError(path, f"not the owner's settings: {error}") from error
        missing = cls.model_fields.keys() - table.keys() or Conditions.model_fields.keys() - table["conditions"]
        if missing:
            raise DataError(
                path, f"{min(missing)} is missing, so that this is not all that was set: restore it, or remove it"
            )
        return owner

    def with_changes(self, **changes: object) -> Owner:
        """The same settings with some of them changed.

        Raises:
            ConfigError: a value is outside its range.
        """
        try:
            return Owner.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(".".join(map(str, first["loc"])), first["input"], first["msg"]) from error


def _span(hours: str) -> tuple[time, time]:
    """Begin and end of `HH:MM-HH:MM`.

    Raises:
        ValueError: it has another form.
    """
    if not hours:
        return time.min, time.max
    try:
        begin, end = (time.fromisoformat(each.strip()) for each in hours.split("-"))
        if begin.tzinfo or end.tzinfo:  # the device's own clock is meant
            raise ValueError(hours)
        return begin, end
    except ValueError as error:
        raise ValueError("expected hours as 22:00-07:00") from error
