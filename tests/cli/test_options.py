"""What is typed becomes settings, checked; `--set` has the last word."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest

from sottovoce.cli.options import number, settings
from sottovoce.cli.prepare import prepare
from sottovoce.cli.simulate import simulate
from sottovoce.common.config import Config
from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy.plan import Trust

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(prepare).parameters.items()}


def typed(**given: Any) -> Config:  # noqa: ANN401 - options of a verb
    assert not given.keys() - DEFAULTS.keys()
    return settings({**DEFAULTS, **given})


def test_nothing_typed_is_nothing_changed() -> None:
    assert typed() == Config()


def test_both_verbs_have_the_same_options() -> None:
    simulated = {name: each.default for name, each in inspect.signature(simulate).parameters.items()}
    assert set(DEFAULTS) == set(simulated) - {"resume", "as_json", "user", "references"}
    assert {name: simulated[name] for name in DEFAULTS if name != "out"} == {
        name: default for name, default in DEFAULTS.items() if name != "out"
    }


OPTIONS: list[tuple[str, object, str, object]] = [
    ("data", "synthetic:users=50", "data.source", "synthetic:users=50"),
    ("items", Path("u.item"), "data.items", "u.item"),
    ("column", ["user=who", "item=what=that"], "data.columns", {"user": "who", "item": "what=that"}),
    ("min_interactions", 5, "data.min_interactions", 5),
    ("min_rating", 3.5, "data.min_rating", 3.5),
    ("lenient", True, "data.lenient", True),
    ("epsilon", "2.5", "privacy.epsilon", 2.5),
    ("epsilon", "inf", "privacy.epsilon", math.inf),
    ("delta", 1e-6, "privacy.delta", 1e-6),
    ("trust", "node", "privacy.trust", Trust.NODE),
    ("nodes", 7, "federation.nodes", 7),
    ("rounds", 3, "train.rounds", 3),
    ("encoder", "some/folder", "encoder.name", "some/folder"),
    ("encoder_revision", "v2", "encoder.revision", "v2"),
    ("state", "text", "head.state", "text"),
    ("loss", "sigmoid", "head.loss", "sigmoid"),
    ("seed", 5, "seed", 5),
    ("seeded_noise", True, "privacy.noise", "seeded"),
    ("settings", ["privacy.popularity_share=0.25"], "privacy.popularity_share", 0.25),
]


@pytest.mark.parametrize(("option", "value", "setting", "expected"), OPTIONS)
def test_an_option_sets_its_setting_and_no_other(option: str, value: object, setting: str, expected: object) -> None:
    changed, unchanged = typed(**{option: value}).model_dump(), Config().model_dump()
    for name in setting.split(".")[:-1]:
        changed_branch, branch = changed[name], unchanged[name]
        assert changed_branch.pop(setting.split(".")[-1]) == expected
        branch.pop(setting.split(".")[-1])
    if "." not in setting:
        assert changed.pop(setting) == expected
        unchanged.pop(setting)
    assert changed == unchanged


def test_every_option_of_a_run_is_tried_above() -> None:
    assert {option for option, *_ in OPTIONS} == set(DEFAULTS) - {"head", "out", "force"}


@pytest.mark.parametrize(
    ("head", "rank", "mix"), [("none", False, False), ("V", True, False), ("W", False, True), ("VW", True, True)]
)
def test_the_trained_parts_are_those_that_are_named(head: str, rank: bool, mix: bool) -> None:
    chosen = typed(head=head).resolve(943).head
    assert (bool(chosen.rank), bool(chosen.mix)) == (rank, mix)


def test_set_has_the_last_word() -> None:
    chosen = typed(seed=1, epsilon="4", head="V", settings=["seed=2", "privacy.epsilon=1.0", "head.rank=3"])
    assert (chosen.seed, chosen.privacy.epsilon, chosen.head.rank) == (2, 1.0, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epsilon": "0"}, "--epsilon = '0': expected a number above zero, or inf"),
        ({"epsilon": "-3"}, "--epsilon = '-3'"),
        ({"epsilon": "nan"}, "--epsilon = 'nan'"),
        ({"epsilon": "8,0"}, "--epsilon = '8,0'"),
        ({"delta": math.nan}, r"privacy.delta = nan: expected a number in \(0, 1/population\)"),
        ({"delta": 0.0}, r"privacy.delta = 0\.0: expected a number in \(0, 1/population\)"),
        ({"delta": 1.0}, r"privacy.delta = 1\.0: expected a number in \(0, 1/population\)"),
        ({"trust": "me"}, "privacy.trust = 'me': expected 'none', 'server', 'node' or 'aggregate'"),
        ({"trust": "none"}, "privacy.trust must be `none` exactly when privacy.epsilon is inf"),
        ({"trust": "server", "epsilon": "inf"}, "privacy.trust must be `none` exactly when"),
        ({"nodes": 0}, r"federation.nodes = 0: expected a number in \[1, 9007199254740992\]"),
        ({"rounds": 0}, r"train.rounds = 0: expected a number in \[1, 1000000\]"),
        ({"head": "X"}, "--head = 'X': expected none, V, W or VW"),
        ({"column": ["user"]}, "--column = 'user': expected role=column"),
        ({"loss": "hinge"}, "head.loss = 'hinge': expected 'softmax' or 'sigmoid'"),
        ({"settings": ["nonsense"]}, "--set = 'nonsense': expected section.key=value"),
        (
            {"settings": ["train.nonsense=1"]},
            "train.nonsense = 1: expected a setting that there is: rounds, clip_norm, ",
        ),
        ({"settings": ["nonsense=1"]}, "nonsense = 1: expected a setting that there is: seed, preset, data, "),
        ({"settings": ["train.sampling_rate=1.1"]}, r"train.sampling_rate = 1.1: expected a number in \(0, 1\]"),
        ({"settings": ["train.clip_norm=inf"]}, r"train.clip_norm = inf: expected a number in \(0, inf\)"),
        ({"settings": ["encoder.weights.price=-1"]}, r"encoder.weights.price = -1: expected a number in \[0, inf\)"),
    ],
)
def test_what_cannot_be_is_named_with_its_value(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        typed(**given)


@pytest.mark.parametrize(("text", "value"), [("8", 8.0), (" 1e-3 ", 1e-3), ("inf", math.inf), ("Infinity", math.inf)])
def test_a_number_may_be_infinite(text: str, value: float) -> None:
    assert number("--epsilon", text) == value
