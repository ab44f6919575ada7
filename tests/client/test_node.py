"""What leaves a node: only what was charged for, never more than one user's share, and nothing about a fault."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federation import ITEMS, make_node, make_request, random_head, random_histories, write_data
from gaussian import has_std
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.client.node import Node
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Request, sum_shapes
from sottovoce.common.privacy.plan import PrivacyPlan, Trust, make_plan

Plan = dict[str, Any]


def plan(trust: Trust = Trust.SERVER, **changes: Any) -> PrivacyPlan:  # noqa: ANN401
    budget = math.inf if trust is Trust.NONE else 8.0
    settings: Plan = {"target_epsilon": budget, "delta": 1e-4, "population": 50, "clip_norm": 0.1, "rounds": 3}
    return make_plan(trust=trust, **{**settings, **changes})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return make_node(tmp_path / "node", write_data(tmp_path / "data", random_histories(25)))


def exact_sums(histories: Histories, request: Request, folder: Path) -> dict[str, np.ndarray]:
    answer = make_node(folder / "node", write_data(folder / "data", histories)).answer(request)
    assert not answer.refusal
    return {name: part.astype(np.float64) for name, part in answer.sums.items()}


HISTORY = st.lists(st.integers(0, ITEMS - 1), min_size=0, max_size=40)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    others=st.lists(HISTORY, max_size=20),
    one=HISTORY,
    place=st.integers(0, 20),
    name=st.sampled_from(["popularity", "head"]),
    loss=st.sampled_from(["softmax", "sigmoid"]),
    scale=st.sampled_from([0.0, 0.3, 30.0]),
    tied=st.booleans(),
)
def test_one_user_moves_what_leaves_by_at_most_the_sensitivity(
    tmp_path_factory: pytest.TempPathFactory,
    others: list[list[int]], one: list[int], place: int, name: str, loss: str, scale: float, tied: bool,
) -> None:  # fmt: skip
    """Neighbouring data sets with arbitrary histories, through the whole client: file, states, Opacus, float32."""
    head = random_head(tied=tied)
    head = dataclasses.replace(head, parameters={part: scale * value for part, value in head.parameters.items()})
    made = plan()
    request = make_request(made, name, head=head, loss=loss)
    users = [f"u{number}" for number in range(len(others))]
    place = min(place, len(others))
    without = Histories.from_lists(users, others)
    with_one = Histories.from_lists([*users[:place], "one", *users[place:]], [*others[:place], one, *others[place:]])
    folder = tmp_path_factory.mktemp("neighbours")
    first, second = (exact_sums(each, request, folder / str(i)) for i, each in enumerate((without, with_one)))
    moved = math.sqrt(sum(float(np.sum((first[part] - second[part]) ** 2)) for part in first))
    assert moved <= made.mechanism(name).clip_norm


def test_the_bound_is_reached(tmp_path: Path) -> None:
    """A clip that is far too tight would pass the test above."""
    made = plan()
    for name in ("popularity", "head"):
        request = make_request(made, name, head=random_head())
        history = np.random.default_rng(0).permutation(ITEMS)[:30]
        sums = exact_sums(Histories.from_lists(["one"], [history]), request, tmp_path / name)
        moved = math.sqrt(sum(float(np.sum(part**2)) for part in sums.values()))
        assert moved > 0.9 * made.mechanism(name).clip_norm


@pytest.mark.parametrize("name", ["popularity", "head"])
def test_under_server_trust_a_sum_is_exact_and_kept_nowhere(node: Node, name: str) -> None:
    request = make_request(plan(), name, head=random_head())
    answer = node.answer(request)
    assert {part: array.shape for part, array in answer.sums.items()} == sum_shapes(
        request.shape, request.objective, name
    )
    assert np.array_equal(node.answer(request).sums[next(iter(answer.sums))], next(iter(answer.sums.values())))
    database = node.ledger.path.read_bytes()
    assert all(array.tobytes() not in database for array in answer.sums.values())
    assert node.ledger.epsilon(1e-4) > 0


@pytest.mark.parametrize("name", ["popularity", "head"])
def test_under_node_trust_a_node_adds_the_planned_noise_itself(node: Node, tmp_path: Path, name: str) -> None:
    made = plan(Trust.NODE)
    request = make_request(made, name, head=random_head())
    noised = node.answer(request).sums
    exact = exact_sums(random_histories(25), make_request(plan(), name, head=random_head()), tmp_path)
    residual = np.concatenate([(noised[part] - exact[part]).ravel() for part in exact])
    std = made.mechanism(name).noise_std
    assert has_std(residual, std)
    if name == "head":
        assert not has_std(residual, std / 2)
        assert not has_std(residual, std * 2)


def test_under_node_trust_a_retry_gets_the_same_bytes(node: Node) -> None:
    request = make_request(plan(Trust.NODE), head=random_head())
    first, second = node.answer(request), node.answer(request)
    assert all(np.array_equal(first.sums[part], second.sums[part]) for part in first.sums)
    other = make_request(plan(Trust.NODE), head=random_head(seed=9))
    assert node.answer(other).refusal == "this release was asked for before, and is not made again"


def test_a_node_stops_at_its_owners_cap_whatever_a_server_asks(node: Node) -> None:
    made = plan(rounds=3)
    capped = dataclasses.replace(node, max_epsilon=made.epsilon / 2)
    answers = [capped.answer(make_request(made, number=number, head=random_head())) for number in range(1, 4)]
    assert not answers[0].refusal
    assert answers[2].refusal == "the owner's budget does not allow this release"
    assert not answers[2].sums
    assert node.ledger.epsilon(made.delta) <= made.epsilon / 2


def test_a_server_cannot_stretch_an_owners_cap_with_a_delta_of_its_own(node: Node) -> None:
    """At δ = 0.9 nearly everything costs nothing."""
    made = plan(Trust.NODE, population=1, delta=0.9, rounds=50)
    capped = dataclasses.replace(node, max_epsilon=2.0, max_delta=1e-5)
    answers = [capped.answer(make_request(made, number=number, head=random_head())) for number in range(1, 4)]
    assert [bool(answer.sums) for answer in answers] == [False] * 3
    assert node.ledger.epsilon(1e-5) <= 2.0


def test_without_privacy_only_an_owner_without_a_cap_takes_part(node: Node) -> None:
    request = make_request(plan(Trust.NONE, clip_norm=math.inf), head=random_head())
    assert dataclasses.replace(node, max_epsilon=1000.0).answer(request).refusal
    assert not node.answer(request).refusal


def test_a_deployed_node_takes_no_seeded_noise(node: Node) -> None:
    request = make_request(plan(noise="seeded"), head=random_head())
    assert "seeded" in dataclasses.replace(node, simulated=False).answer(request).refusal


def test_a_deployed_node_does_not_pretend_to_aggregate_securely(node: Node) -> None:
    request = make_request(plan(Trust.AGGREGATE, minimum_nodes=4), head=random_head())
    refused = dataclasses.replace(node, simulated=False).answer(request)
    assert "secure aggregation" in refused.refusal
    assert not refused.sums
    assert node.ledger.events() == {}
    assert not node.answer(request).refusal


@pytest.mark.parametrize("name", ["popularity", "head"])
def test_under_aggregate_trust_a_node_adds_its_share_and_gives_it_again(node: Node, tmp_path: Path, name: str) -> None:
    made = plan(Trust.AGGREGATE, minimum_nodes=4)
    request = make_request(made, name, head=random_head())
    noised, again = node.answer(request).sums, node.answer(request).sums
    assert all(np.array_equal(noised[part], again[part]) for part in noised)
    exact = exact_sums(random_histories(25), make_request(plan(), name, head=random_head()), tmp_path / "oracle")
    residual = np.concatenate([(noised[part] - exact[part]).ravel() for part in exact])
    assert has_std(residual, made.mechanism(name).noise_std / 2)
    if name == "head":
        assert not has_std(residual, made.mechanism(name).noise_std / 3)
        assert not has_std(residual, made.mechanism(name).noise_std)
    assert node.ledger.worst_events(made.delta) == [made.mechanism(name).event(1)]


def test_one_users_broken_history_costs_nobody_elses_part(tmp_path: Path) -> None:
    """Else that user would move the sum by everybody's parts, and the sensitivity would not hold."""
    histories = random_histories(25)
    lists = [*histories, [3, ITEMS + 5, 7]]
    broken = Histories.from_lists([*histories.users, "broken"], lists)
    whole = Histories.from_lists([*histories.users, "broken"], [*histories, [3, 7]])
    for name in ("popularity", "head"):
        request = make_request(plan(), name, head=random_head())
        first, second = (exact_sums(each, request, tmp_path / f"{name}{i}") for i, each in enumerate((broken, whole)))
        assert all(first[part].any() and np.allclose(first[part], second[part]) for part in first)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"catalogue_sha256": "x"}, "another catalogue"),
        ({"space_sha256": "x"}, "another encoder"),
        ({"arrays": {}}, "other shapes"),
        ({"shape": dataclasses.replace(random_head().shape, dimension=13)}, "does not fit"),
    ],
)
def test_a_request_for_another_model_is_declined_unseen(node: Node, change: Plan, reason: str) -> None:
    answer = node.answer(dataclasses.replace(make_request(plan(), head=random_head()), **change))
    assert reason in answer.refusal
    assert not answer.sums
    assert node.ledger.events() == {}


@pytest.mark.parametrize("trust", [Trust.SERVER, Trust.NODE])
@pytest.mark.parametrize("name", ["popularity", "head"])
def test_a_fault_in_the_histories_looks_like_an_empty_node(tmp_path: Path, trust: Trust, name: str) -> None:
    data = write_data(tmp_path / "data", random_histories(25))
    (data / "histories.npz").write_bytes(b"secret broken history")
    made = plan(trust)
    answer = make_node(tmp_path / "node", data).answer(make_request(made, name, head=random_head()))
    assert not answer.refusal
    values = np.concatenate([part.ravel() for part in answer.sums.values()])
    if trust is Trust.SERVER:
        assert not values.any()
    else:
        assert has_std(values, made.mechanism(name).noise_std)


def test_an_empty_draw_still_releases_noise(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", Histories.from_lists([], []))
    made = plan(Trust.NODE)
    answer = make_node(tmp_path / "node", data).answer(make_request(made, head=random_head()))
    assert has_std(np.concatenate([part.ravel() for part in answer.sums.values()]), made.head.noise_std)


def test_sampling_takes_about_the_planned_share_of_users(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", Histories.from_lists([f"u{i}" for i in range(400)], [[1, 2, 3]] * 400))
    made = plan(sampling_rate=0.25, rounds=1, population=500)
    node = make_node(tmp_path / "node", data)
    whole = node.answer(make_request(plan(rounds=1, population=500), head=random_head())).sums["W"]
    part = node.answer(make_request(made, number=2, head=random_head())).sums["W"]
    share = float(np.vdot(part, whole) / np.vdot(whole, whole))
    assert abs(share - 0.25) < 6 * math.sqrt(0.25 * 0.75 / 400)


def test_an_answer_says_nothing_but_what_is_listed(node: Node) -> None:
    """SECURITY.md lists what leaves a node: this holds the code to the list."""
    answer = node.answer(make_request(plan(), head=random_head()))
    listed = {"partition", "request_sha256", "catalogue_sha256", "space_sha256", "sums", "refusal"}
    assert {field.name for field in dataclasses.fields(Answer)} == listed
    record = answer.to_record()
    assert set(record) == {"json", "arrays"}
    assert set(record.array_records["arrays"]) == {"V", "W"}
    assert not record.metric_records
