"""What an owner allows is kept whole, read strictly, and held against every plan."""

from __future__ import annotations

import math
import tomllib
from collections import namedtuple
from dataclasses import replace
from datetime import datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.client.owner import Conditions, Owner
from sottovoce.common.errors import ConfigError, DataError, RequestRefusedError
from sottovoce.common.privacy.plan import PrivacyPlan, Trust, make_plan


def plan(trust: Trust = Trust.SERVER, **changes: Any) -> PrivacyPlan:  # noqa: ANN401
    budget = math.inf if trust is Trust.NONE else 8.0
    given: dict[str, Any] = {"target_epsilon": budget, "delta": 1e-5, "population": 50, "clip_norm": 0.1, "rounds": 3}
    return make_plan(trust=trust, **{**given, **changes})


Battery = namedtuple("Battery", "percent secsleft power_plugged")


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "owner.toml"
    assert Owner.load(file) == Owner()
    owner = Owner(
        max_epsilon=2.5, max_delta=1e-6, trust=("node",), conditions=Conditions(hours="22:00-07:00", max_load=0.5)
    )
    owner.save(file)
    assert Owner.load(file) == owner
    Owner().save(file)
    assert Owner.load(file) == Owner()


@pytest.mark.parametrize(
    "text", ["max_epsilon = -1", "max_epsilon = inf", "max_epsilon = nan", "max_epsilon =", 'trust = ["none"]',
             'trust = ["aggregate"]', 'unit = "interaction"', "cap = 3", '[conditions]\nhours = "late"', "\x00", "",
             "max_epsilon = 1.0"]
)  # fmt: skip
def test_a_broken_cap_is_never_taken_for_the_default(tmp_path: Path, text: str) -> None:
    file = tmp_path / "owner.toml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        Owner.load(file)
    assert "\n" not in str(caught.value)


def test_settings_that_lack_one_are_not_completed_by_the_default(tmp_path: Path) -> None:
    """A file that lost its end would else allow more than its owner did."""
    file = tmp_path / "owner.toml"
    Owner(max_epsilon=0.5, conditions=Conditions(hours="22:00-07:00")).save(file)
    whole = file.read_text()
    for section in ((), ("conditions",)):
        for name in reduce(getitem, section, tomllib.loads(whole)):
            table = tomllib.loads(whole)
            del reduce(getitem, section, table)[name]
            file.write_text(tomli_w.dumps(table))
            with pytest.raises(DataError, match=f"{name} is missing"):
                Owner.load(file)
    for end in range(len(whole) - 1):
        file.write_text(whole[:end])
        with pytest.raises(DataError):
            Owner.load(file)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    file = tmp_path_factory.mktemp("owner") / "owner.toml"
    file.write_bytes(rubbish)
    with pytest.raises(DataError) as caught:
        Owner.load(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("owner", "made", "reason"),
    [
        (Owner(trust=("node",)), plan(Trust.SERVER), "trust = server"),
        (Owner(trust=("server",)), plan(Trust.NODE), "trust = node"),
        (Owner(), plan(Trust.NONE, clip_norm=math.inf), "trust = none"),
        (Owner(), plan(Trust.AGGREGATE), "trust = aggregate"),
        (Owner(max_epsilon=7.9), plan(), "so large an epsilon"),
        (Owner(max_delta=1e-6), plan(), "epsilon or delta"),
        (Owner(max_epsilon=1.0), replace(plan(), target_epsilon=0.1), "so large an epsilon"),
    ],
)
def test_a_plan_weaker_than_the_owner_allows_is_declined(owner: Owner, made: PrivacyPlan, reason: str) -> None:
    with pytest.raises(RequestRefusedError, match=reason):
        owner.check(made)


def test_a_plan_that_the_owner_allows_is_not() -> None:
    for trust in (Trust.SERVER, Trust.NODE):
        Owner().check(plan(trust))


@pytest.mark.parametrize(
    ("hours", "at", "holds"),
    [("", "03:00", True), ("22:00-07:00", "23:30", True),
     ("22:00-07:00", "06:59", True), ("22:00-07:00", "07:00", False),
     ("22:00-07:00", "12:00", False), ("09:00-17:00", "12:00", True), ("09:00-17:00", "08:59", False)],
)  # fmt: skip
def test_hours(hours: str, at: str, holds: bool) -> None:
    assert Conditions(hours=hours).hold(datetime.fromisoformat(f"2024-01-01T{at}")) is holds


@pytest.mark.parametrize("hours", ["22:00Z-07:00Z", "22:00+01:00-07:00", "22:00", "22:00-07:00-08:00", "late-early"])
def test_hours_are_the_devices_own(hours: str) -> None:
    with pytest.raises(ConfigError, match="22:00-07:00"):
        Owner().with_changes(conditions={"hours": hours})


@pytest.mark.parametrize(("load", "holds"), [(0.1, True), (900.0, False)])
def test_load(monkeypatch: pytest.MonkeyPatch, load: float, holds: bool) -> None:
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, 0.0, 0.0))
    assert Conditions(max_load=0.5).hold() is holds
    assert Conditions().hold()


@pytest.mark.parametrize(
    ("battery", "holds"),
    [(None, True), (Battery(80, 0, True), True), (Battery(80, 0, False), False), (Battery(80, 0, None), True)],
)
def test_power(monkeypatch: pytest.MonkeyPatch, battery: Battery | None, holds: bool) -> None:
    monkeypatch.setattr("psutil.sensors_battery", lambda: battery)
    assert Conditions().hold() is holds
    assert Conditions(on_power=False).hold()


def test_outside_the_conditions_a_request_is_declined_whatever_the_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.sensors_battery", lambda: Battery(80, 0, False))
    with pytest.raises(RequestRefusedError, match="do not hold now"):
        Owner().check(plan())


def test_a_change_outside_its_range_is_named() -> None:
    assert Owner().with_changes(max_epsilon=1.0).max_epsilon == 1.0
    with pytest.raises(ConfigError, match="max_epsilon = -1"):
        Owner().with_changes(max_epsilon=-1)
