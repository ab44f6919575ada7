"""Every setting is checked, named with its value and range when it is refused, and comes back from TOML as it was."""

from __future__ import annotations

import itertools
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sottovoce.common.config import Config, load_config, override, parse
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.presets import ML_100K, MSWEB, PRESETS, Preset, preset_for
from sottovoce.common.privacy.plan import Trust

NAN, INF = math.nan, math.inf


def config(**sections: Any) -> Config:  # noqa: ANN401 - tables of settings
    return parse(sections)


BAD: list[tuple[str, object, str]] = [
    ("seed", -1, "a number in [0, "),
    ("seed", 1.5, "integer"),
    ("data.min_interactions", 0, "a number in [1, "),
    ("data.min_rating", NAN, "a number in "),
    ("data.min_rating", INF, "a number in "),
    ("data.held_out", "train", "'test' or 'validation'"),
    ("encoder.dimensions", -1, "a number in [0, "),
    ("encoder.whitening", 1.5, "[0, 1]"),
    ("encoder.word_dimensions", -1, "a number in [0, "),
    ("privacy.epsilon", NAN, ""),
    ("privacy.epsilon", 0, "a number above zero, or inf"),
    ("privacy.epsilon", -INF, "a number above zero, or inf"),
    ("privacy.epsilon", "much", "number"),
    ("privacy.delta", NAN, "a number in (0, 1/population)"),
    ("privacy.delta", INF, "a number in (0, 1/population)"),
    ("privacy.delta", 0, "a number in (0, 1/population)"),
    ("privacy.delta", -1e-5, "a number in (0, 1/population)"),
    ("privacy.trust", "everybody", "'none', 'server', 'node' or 'aggregate'"),
    ("privacy.population", 0, "a number in [1, "),
    ("privacy.popularity_share", 0, "a number in (0, "),
    ("privacy.popularity_share", 1, "(0, 1)"),
    ("privacy.popularity_share", NAN, ""),
    ("privacy.popularity_length", 0, "a number in [1, "),
    ("privacy.noise", "none", "'os' or 'seeded'"),
    ("privacy.noise_multiplier", 0, "a number in (0, "),
    ("privacy.noise_multiplier", INF, "a number in "),
    ("head.loss", "hinge", "'softmax' or 'sigmoid'"),
    ("head.state", "words", "'items' or 'text'"),
    ("head.content_weight", NAN, "a number in "),
    ("head.content_weight", INF, "a number in "),
    ("head.rank", -1, "a number in [0, "),
    ("head.window", 0, "a number in [1, "),
    ("head.candidates", 0, "a number in [1, "),
    ("train.rounds", 0, "a number in [1, "),
    ("train.clip_norm", NAN, ""),
    ("train.clip_norm", INF, "a number in "),
    ("train.clip_norm", 0, "a number in (0, "),
    ("train.learning_rate", -1, "a number in (0, "),
    ("train.optimiser", "lbfgs", "'sgd' or 'adam'"),
    ("train.sampling_rate", 0, "a number in (0, "),
    ("train.sampling_rate", 1.01, "(0, 1]"),
    ("train.sampling_rate", NAN, ""),
    ("federation.nodes", 0, "a number in [1, "),
    ("federation.deadline_s", INF, "a number in "),
    ("federation.deadline_s", 0, "a number in (0, inf)"),
    ("nonsense", 1, "a setting that there is: "),
    ("privacy.epsilom", 1, "a setting that there is: "),
    ("train", 3, "dictionary"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD, ids=[f"{name}={value}" for name, value, _ in BAD])
def test_a_bad_value_is_named_with_its_range(name: str, value: object, expected: str) -> None:
    *sections, key = name.split(".")
    table: dict[str, Any] = {key: value}
    for section in reversed(sections):
        table = {section: table}
    with pytest.raises(ConfigError) as caught:
        parse(table)
    assert caught.value.name == name
    assert str(caught.value).startswith(f"{name} = {value!r}: expected ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("epsilon", "trust", "fits"),
    [
        (8.0, "server", True),
        (8.0, "node", True),
        (8.0, "none", False),
        (INF, "none", True),
        (INF, "server", False),
        (INF, "node", False),
        (INF, None, True),
        (1.0, None, True),
    ],
)
def test_trust_is_none_exactly_without_privacy(epsilon: float, trust: str | None, fits: bool) -> None:
    table = {"privacy": {"epsilon": epsilon, "trust": trust}}
    if fits:
        resolved = parse(table).resolve(100)
        assert resolved.privacy.trust == (trust or ("none" if epsilon == INF else "server"))
        return
    with pytest.raises(ConfigError, match=r"privacy\.trust must be `none` exactly when privacy\.epsilon is inf"):
        parse(table)


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().privacy.epsilon = 1.0


@pytest.mark.parametrize("epsilon", [1e-3, 1.0, 4.0, 7.9, 8.0, 100.0, INF])
def test_a_preset_fills_in_what_is_not_given(epsilon: float) -> None:
    resolved = config(privacy={"epsilon": epsilon}).resolve(943)
    dump = resolved.model_dump()
    for section, defaults in preset_for(epsilon).items():
        for key, value in defaults.items():
            assert dump[section][key] == value
    assert resolved.privacy.population == 943
    assert resolved.federation.node_capacity == math.ceil(943 / 4)
    assert resolved.resolve(943) == resolved


@pytest.mark.parametrize(("name", "presets"), PRESETS.items())
def test_the_preset_is_that_of_the_largest_budget_below(name: str, presets: dict[float, Preset]) -> None:
    budgets = sorted(presets)
    assert budgets[0] == 0.0
    assert budgets[-1] == INF
    for budget, next_budget in itertools.pairwise(budgets):
        assert preset_for(max(budget, 1e-9), name) is presets[budget]
        assert preset_for(math.nextafter(next_budget, 0), name) is presets[budget]
    assert preset_for(INF, name) is presets[INF]


@pytest.mark.parametrize(
    ("given_name", "dataset", "chosen", "length"),
    [
        (None, "msweb", "msweb", 3),
        (None, "my-shop", "ml-100k", 20),
        (None, "", "ml-100k", 20),
        ("msweb", "my-shop", "msweb", 3),
        ("ml-100k", "msweb", "ml-100k", 20),
    ],
)
def test_presets_are_those_of_the_data_set_unless_others_are_named(
    given_name: str | None, dataset: str, chosen: str, length: int
) -> None:
    resolved = config(preset=given_name, privacy={"epsilon": 1.0}).resolve(20_000, dataset)
    assert (resolved.preset, resolved.privacy.popularity_length) == (chosen, length)
    presets = {"ml-100k": ML_100K, "msweb": MSWEB}[chosen]
    assert resolved.train.rounds == presets[max(each for each in presets if each <= 1)]["train"]["rounds"]
    assert resolved.resolve(20_000) == resolved


def test_presets_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="preset = 'ml-1m': expected one of ml-100k, msweb"):
        config(preset="ml-1m")


def test_what_is_given_stands_against_the_preset() -> None:
    given_settings = config(
        privacy={"epsilon": 8.0, "popularity_share": 0.9, "population": 5000},
        head={"rank": 0, "mix": 4, "content_weight": 0.0},
        train={"rounds": 2, "clip_norm": 0.5},
        federation={"node_capacity": 7},
    )
    resolved = given_settings.resolve(943)
    assert (resolved.head.rank, resolved.head.mix, resolved.head.content_weight) == (0, 4, 0.0)
    assert (resolved.train.rounds, resolved.train.clip_norm) == (2, 0.5)
    assert resolved.train.learning_rate == preset_for(8.0)["train"]["learning_rate"]
    assert (resolved.privacy.popularity_share, resolved.privacy.population) == (0.9, 5000)
    assert resolved.federation.node_capacity == 7


@pytest.mark.parametrize(
    ("federation", "message"),
    [
        ({"nodes": 11}, r"federation\.nodes = 11: expected at most one node per user, of whom there are 10"),
        ({"nodes": 3, "minimum_nodes": 4}, r"federation\.minimum_nodes = 4: expected at most federation\.nodes = 3"),
    ],
)
def test_nodes_fit_the_population(federation: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(federation=federation).resolve(10)
    assert config(federation={"nodes": 10, "minimum_nodes": 10}).resolve(10).federation.node_capacity == 1


def test_all_nodes_must_answer_where_each_adds_a_share_of_the_noise() -> None:
    shared = config(privacy={"trust": "aggregate"}, federation={"nodes": 5})
    assert shared.resolve(10).federation.minimum_nodes == shared.resolve(10).plan().minimum_nodes == 5
    fewer = config(privacy={"trust": "aggregate"}, federation={"nodes": 5, "minimum_nodes": 3})
    assert fewer.resolve(10).plan().minimum_nodes == 3
    assert config(federation={"nodes": 5}).resolve(10).plan().minimum_nodes == 1


@pytest.mark.parametrize(("delta", "population", "fits"), [(0.0099, 100, True), (0.01, 100, False), (0.5, 100, False)])
def test_delta_lies_below_one_over_the_population(delta: float, population: int, fits: bool) -> None:
    resolved = config(privacy={"delta": delta}).resolve(population)
    if fits:
        assert resolved.plan().delta == delta
        return
    with pytest.raises(ConfigError, match=r"privacy\.delta = 0\.\d+: expected a number in \(0, 1/population\)"):
        resolved.plan()


def test_the_plan_is_that_of_the_settings() -> None:
    table: dict[str, Any] = {
        "seed": 3,
        "privacy": {"epsilon": 4.0, "trust": "node", "popularity_share": 0.4},
        "head": {"rank": 8},
        "train": {"sampling_rate": 0.5, "rounds": 4, "clip_norm": 0.1},
    }
    plan = parse(table).resolve(943).plan()
    assert (plan.trust, plan.target_epsilon, plan.population, plan.seed) == (Trust.NODE, 4.0, 943, 3)
    assert (plan.head.clip_norm, plan.head.count, plan.head.sampling_rate) == (0.1, 4, 0.5)
    assert 3.99 < plan.epsilon <= 4.0


def test_a_head_without_trained_parts_releases_popularity_alone() -> None:
    plan = config(privacy={"epsilon": 1.0}, head={"rank": 0, "mix": 0}).resolve(943).plan()
    assert [kind.name for kind in plan.mechanisms] == ["popularity"]
    assert 0.999 < plan.epsilon <= 1.0


def test_without_privacy_nothing_is_clipped() -> None:
    plan = config(privacy={"epsilon": INF}).resolve(943).plan()
    assert plan.head.clip_norm == INF
    assert plan.epsilon == INF


def test_an_unresolved_configuration_has_no_plan() -> None:
    with pytest.raises(ConfigError, match="expected a resolved configuration"):
        Config().plan()


@pytest.mark.parametrize("epsilon", [0.1, 8.0, INF])
def test_toml_gives_back_the_same_settings(tmp_path: Path, epsilon: float) -> None:
    resolved = config(
        seed=7,
        data={"source": 'quotes " and \\ backslashes', "columns": {"user": "wer", "item": "Was?"}, "min_rating": 3.5},
        privacy={"epsilon": epsilon, "delta": 1.25e-7},
    ).resolve(50)
    resolved.save(tmp_path / "config.toml")
    assert load_config(tmp_path / "config.toml") == resolved
    Config().save(tmp_path / "default.toml")
    assert load_config(tmp_path / "default.toml") == Config()


def test_the_file_of_a_run_names_every_setting(tmp_path: Path) -> None:
    """So that a run means the same to a later version with other defaults."""
    resolved = Config().resolve(50)
    resolved.save(tmp_path / "config.toml")
    written = tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8"))
    for section, table in resolved.model_dump(mode="json").items():
        chosen = {key for key, value in table.items() if value is not None} if isinstance(table, dict) else set()
        assert set(written[section] if isinstance(table, dict) else ()) == chosen, section


@pytest.mark.parametrize("content", [b"seed = ", b"seed", b"[privacy\n", b"\xff", b"seed = 1\nseed = 2"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"config\.toml: not TOML"):
        load_config(path)


def test_a_missing_file_and_a_bad_setting_in_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no configuration here"):
        load_config(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text("[privacy]\nepsilon = nan\n")
    with pytest.raises(ConfigError, match=r"privacy\.epsilon = nan"):
        load_config(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("seed=3", {"seed": 3}),
        ("privacy.epsilon=inf", {"privacy": {"epsilon": INF, "delta": 1e-6}}),
        ("privacy.epsilon = 2.5", {"privacy": {"epsilon": 2.5, "delta": 1e-6}}),
        ("privacy.trust=node", {"privacy": {"trust": "node", "delta": 1e-6}}),
        ('encoder.name="my model"', {"encoder": {"name": "my model"}}),
        ("encoder.name=a=b", {"encoder": {"name": "a=b"}}),
        ("data.lenient=true", {"data": {"lenient": True}}),
        ("data.columns.user=who", {"data": {"columns": {"user": "who"}}}),
        ("encoder.name=", {"encoder": {"name": ""}}),
        ("encoder.name=BAAI/bge-small", {"encoder": {"name": "BAAI/bge-small"}}),
    ],
)
def test_an_assignment_sets_one_value(assignment: str, expected: dict[str, Any]) -> None:
    start: dict[str, Any] = {"seed": 0, "privacy": {"delta": 1e-6}}
    assert override(start, [assignment]) == {"seed": 0, "privacy": {"delta": 1e-6}, **expected}


def test_the_last_assignment_wins() -> None:
    assert override({}, ["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize("assignment", ["seed", "", "=1", "privacy.=1", "seed.x=1"])
def test_another_form_of_assignment_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set = "):
        override({"seed": 0}, [assignment])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({name for name, _, _ in BAD} | {"privacy", "data.columns", "data.source", "encoder.name"})


@given(st.sampled_from(NAMES), VALUES)
def test_any_value_is_taken_or_refused_in_one_line(name: str, value: object) -> None:
    *sections, key = name.split(".")
    table: dict[str, Any] = {key: value}
    for section in reversed(sections):
        table = {section: table}
    try:
        parse(table)
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("rule", ["trimmed_mean", "krum", "multi_krum"])
@pytest.mark.parametrize("privacy", [{}, {"trust": "server"}, {"trust": "aggregate"}, {"epsilon": math.inf}])
def test_robust_aggregation_is_refused_where_noise_covers_a_sum(rule: str, privacy: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="aggregation must be `sum` unless"):
        parse({"privacy": privacy, "federation": {"aggregation": rule}})


@pytest.mark.parametrize(("rule", "fewest"), [("sum", 1), ("trimmed_mean", 5), ("krum", 7), ("multi_krum", 7)])
def test_robust_aggregation_needs_more_answers_than_liars(rule: str, fewest: int) -> None:
    federation = {"aggregation": rule, "malicious_nodes": 2, "nodes": 9}
    made = parse({"privacy": {"trust": "node"}, "federation": federation}).resolve(100)
    assert made.federation.minimum_nodes == fewest
    if fewest > 1:
        with pytest.raises(ConfigError, match=f"needs minimum_nodes of {fewest}"):
            parse({"privacy": {"trust": "node"}, "federation": {**federation, "minimum_nodes": fewest - 1}})
        with pytest.raises(ConfigError, match="minimum_nodes"):
            parse({"privacy": {"trust": "node"}, "federation": {**federation, "nodes": fewest - 1}}).resolve(100)
