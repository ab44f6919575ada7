"""One plan: what is done and what is accounted follow from the same numbers."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sottovoce.common.errors import ConfigError
from sottovoce.common.privacy.accounting import epsilon
from sottovoce.common.privacy.plan import PrivacyPlan, Trust, check_plan, make_plan

PLAN: dict[str, Any] = {
    "trust": Trust.SERVER,
    "target_epsilon": 8.0,
    "delta": 1e-5,
    "population": 943,
    "clip_norm": 0.1,
    "rounds": 8,
    "popularity_share": 0.3,
}


def plan(**changes: Any) -> PrivacyPlan:  # noqa: ANN401
    return make_plan(**{**PLAN, **changes})


@settings(max_examples=40)
@given(
    target=st.floats(0.1, 20),
    rounds=st.integers(0, 50),
    share=st.floats(0.05, 0.95),
    trust=st.sampled_from(list(Trust)),
)
def test_a_plan_costs_at_most_its_target(target: float, rounds: int, share: float, trust: Trust) -> None:
    budget = math.inf if trust is Trust.NONE else target
    made = plan(trust=trust, target_epsilon=budget, rounds=rounds, popularity_share=share)
    assert made.epsilon <= budget
    if trust is not Trust.NONE:
        assert made.epsilon > 0.999 * target


def test_the_share_is_of_squared_mu() -> None:
    made = plan()
    popularity = 1 / made.popularity.noise_multiplier**2
    head = made.head.count / made.head.noise_multiplier**2
    assert popularity / (popularity + head) == pytest.approx(0.3)


def test_the_event_is_of_what_is_added_to_the_sum() -> None:
    made = plan()
    for kind in made.mechanisms:
        assert kind.event().noise_multiplier == made.server_noise_std(kind.name) / kind.clip_norm
        assert made.node_noise_std(kind.name) == 0.0
    by_node = plan(trust=Trust.NODE)
    for kind in by_node.mechanisms:
        assert kind.event().noise_multiplier == by_node.node_noise_std(kind.name) / kind.clip_norm
        assert by_node.server_noise_std(kind.name) == 0.0
        assert by_node.total_noise_std(kind.name, 9) == pytest.approx(3 * by_node.node_noise_std(kind.name))


@pytest.mark.parametrize("minimum", [1, 4, 100])
def test_shares_of_the_noise_add_up_to_what_is_accounted_and_more_answers_add_more(minimum: int) -> None:
    made = plan(trust=Trust.AGGREGATE, minimum_nodes=minimum)
    assert made.mechanisms == plan(trust=Trust.SERVER).mechanisms
    for kind in made.mechanisms:
        accounted = kind.event().noise_multiplier * kind.clip_norm
        assert made.server_noise_std(kind.name) == 0.0
        assert made.node_noise_std(kind.name) == pytest.approx(accounted / math.sqrt(minimum))
        assert made.total_noise_std(kind.name, minimum) == pytest.approx(accounted)
        assert made.total_noise_std(kind.name, minimum + 1) > accounted


def test_what_only_a_simulation_may_follow_is_named() -> None:
    assert plan().simulated_only == plan(trust=Trust.NODE).simulated_only == ""
    assert "seeded" in plan(noise="seeded").simulated_only
    assert "secure aggregation" in plan(trust=Trust.AGGREGATE).simulated_only


def test_epsilon_follows_from_the_events_alone() -> None:
    made = plan(sampling_rate=0.4, rounds=3)
    assert epsilon([kind.event() for kind in made.mechanisms], made.delta) == made.epsilon


def test_without_privacy_there_is_no_noise_and_no_guarantee() -> None:
    made = plan(trust=Trust.NONE, target_epsilon=math.inf, clip_norm=math.inf)
    assert made.epsilon == math.inf
    assert made.server_noise_std("head") == made.node_noise_std("head") == 0.0


def test_the_divisor_is_public() -> None:
    assert plan(sampling_rate=0.25, rounds=2).expected_cohort("head") == 943 / 4
    assert plan().expected_cohort("popularity") == 943


def test_without_rounds_popularity_takes_the_whole_budget() -> None:
    made = plan(rounds=0)
    assert [kind.name for kind in made.mechanisms] == ["popularity"]
    assert 7.99 < made.epsilon <= 8.0


def test_a_given_noise_may_pass_the_budget_which_the_run_then_stops_at() -> None:
    made = plan(noise_multiplier=0.5)
    assert made.head.noise_multiplier == 0.5
    assert made.epsilon > made.target_epsilon


def test_a_plan_crosses_the_wire_whole() -> None:
    for made in (plan(), plan(trust=Trust.NONE, target_epsilon=math.inf, clip_norm=math.inf)):
        again = TypeAdapter(PrivacyPlan).validate_json(json.dumps(made.public()))
        assert again == made
        assert again.sha256 == made.sha256


def test_every_number_of_a_plan_is_bound_by_its_hash() -> None:
    made = plan()
    changes: list[dict[str, Any]] = [{"delta": 2e-5}, {"population": 944}, {"noise": "seeded"}, {"seed": 1}]
    changes += [{"trust": Trust.NODE}, {"minimum_nodes": 2}, {"head": dataclasses.replace(made.head, clip_norm=0.2)}]
    others = [dataclasses.replace(made, **change) for change in changes]
    assert len({each.sha256 for each in (made, *others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"target_epsilon": 0.0}, "privacy.epsilon"),
        ({"target_epsilon": -1.0}, "privacy.epsilon"),
        ({"target_epsilon": math.nan}, "privacy.epsilon"),
        ({"target_epsilon": math.inf}, "privacy.trust"),
        ({"trust": Trust.NONE}, "privacy.trust"),
        ({"delta": 0.0}, "privacy.delta"),
        ({"delta": 1 / 943}, "privacy.delta"),
        ({"delta": math.nan}, "privacy.delta"),
        ({"population": 0}, "privacy.population"),
        ({"clip_norm": 0.0}, "head.clip_norm"),
        ({"clip_norm": math.inf}, "head.clip_norm"),
        ({"clip_norm": math.nan}, "head.clip_norm"),
        ({"clip_norm": 1e-40}, "head.clip_norm"),
        ({"clip_norm": 1e30}, "head.clip_norm"),
        ({"trust": Trust.AGGREGATE, "minimum_nodes": 0}, "federation.minimum_nodes"),
        ({"rounds": -1}, "train.rounds"),
        ({"sampling_rate": 0.0}, "head.sampling_rate"),
        ({"sampling_rate": 1.5}, "head.sampling_rate"),
        ({"popularity_share": 1.0}, "privacy.popularity_share"),
        ({"noise_multiplier": 0.0}, "head.noise_multiplier"),
        ({"noise": "dice"}, "privacy.noise"),
    ],
)
def test_a_plan_that_could_not_carry_its_guarantee_is_refused(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        plan(**changes)


def test_a_plan_made_elsewhere_is_checked_again() -> None:
    made = plan()
    weak = dataclasses.replace(made, head=dataclasses.replace(made.head, noise_multiplier=0.0))
    with pytest.raises(ConfigError, match="noise_multiplier"):
        check_plan(weak)
