"""`sottovoce budget`: both directions, against the accountant."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sottovoce.cli.budget import budget
from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy.accounting import ReleaseEvent, calibrate, epsilon

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, releases: list[str], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    assert budget(releases, as_json=True, **{"epsilon": None, "delta": 1e-5, **options}) == 0
    table: dict[str, Any] = json.loads(capsys.readouterr().out)
    return table


@pytest.mark.parametrize(
    ("texts", "events"),
    [
        (["noise=1.5"], [ReleaseEvent("release 1", 1.5, 1.0, 1)]),
        (["noise=4,count=8,name=head"], [ReleaseEvent("head", 4.0, 1.0, 8)]),
        (
            ["noise=3.7,name=popularity", "count=5,noise=2,rate=0.3"],
            [ReleaseEvent("popularity", 3.7, 1.0, 1), ReleaseEvent("release 2", 2.0, 0.3, 5)],
        ),
    ],
)
def test_what_releases_cost_is_what_the_accountant_says(
    capsys: Capture, texts: list[str], events: list[ReleaseEvent]
) -> None:
    found = said(capsys, texts, delta=1e-6)
    assert found == {"epsilon": epsilon(events, 1e-6), "delta": 1e-6, "releases": [each.public() for each in events]}


@pytest.mark.parametrize("target", ["0.5", "8"])
def test_the_noise_for_a_target_costs_just_below_it(capsys: Capture, target: str) -> None:
    found = said(capsys, ["noise=2,name=popularity", "noise=3,count=4,name=head"], epsilon=target)
    assert 0.9999 * float(target) < found["epsilon"] <= float(target)
    popularity, head = found["releases"]
    assert head["noise_multiplier"] / popularity["noise_multiplier"] == pytest.approx(1.5)
    events = [ReleaseEvent(**each) for each in found["releases"]]
    assert epsilon(events, found["delta"]) == found["epsilon"]
    scale = calibrate(
        lambda factor: [ReleaseEvent("popularity", 2 * factor, 1, 1), ReleaseEvent("head", 3 * factor, 1, 4)],
        float(target),
        1e-5,
    )
    assert popularity["noise_multiplier"] == pytest.approx(2 * scale)


def test_noise_there_and_epsilon_back_agree(capsys: Capture) -> None:
    [release] = said(capsys, ["rate=0.5,count=3"], epsilon="2")["releases"]
    text = f"noise={release['noise_multiplier']!r},rate=0.5,count=3"
    assert 1.999 < said(capsys, [text])["epsilon"] <= 2


def test_without_noise_there_is_no_epsilon(capsys: Capture) -> None:
    assert said(capsys, ["noise=0"])["epsilon"] is None
    assert budget(["noise=0"]) == 0
    assert "ε = inf" in capsys.readouterr().out


def test_the_table_names_epsilon_delta_and_every_release(capsys: Capture) -> None:
    assert budget(["noise=2,name=popularity", "noise=4,count=8,name=head"], delta=1e-6) == 0
    shown = capsys.readouterr().out
    cost = epsilon([ReleaseEvent("popularity", 2, 1, 1), ReleaseEvent("head", 4, 1, 8)], 1e-6)
    for text in (f"ε = {cost:.6g} at δ = 1e-06", "popularity", "head", "add or remove one"):
        assert text in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noise",
        "noise=",
        "noise=x",
        "noise=1;rate=1",
        "sigma=1",
        "noise=1,count=1.5",
        "noise=1,,",
        "=1",
        "noise=1,=2",
    ],
)
def test_a_release_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--release = .*: expected noise=σ,rate=q,count=T"):
        budget([text])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise=-1", r"noise_multiplier = -1\.0"),
        ("noise=nan", "noise_multiplier = nan"),
        ("noise=inf", "noise_multiplier = inf"),
        ("rate=0", r"sampling_rate = 0\.0"),
        ("rate=1.5", r"sampling_rate = 1\.5"),
        ("rate=nan", "sampling_rate = nan"),
        ("count=-1", "count = -1"),
        ("count=100000000000", "count = 100000000000"),
    ],
)
def test_a_value_outside_its_range_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"release 1.{message}: expected "):
        budget([text])


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan, math.inf])
def test_delta_lies_between_zero_and_one(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta = "):
        budget(["noise=1"], delta=delta)


@pytest.mark.parametrize("target", ["0", "-1", "nan", "inf", "much", ""])
def test_a_target_is_a_finite_number_above_zero(target: str) -> None:
    with pytest.raises(ConfigError, match="epsilon = "):
        budget(["noise=1"], epsilon=target)


def test_no_factor_helps_a_release_without_noise() -> None:
    with pytest.raises(ConfigError, match=r"--release = .noise=0."):
        budget(["noise=0"], epsilon="1")
