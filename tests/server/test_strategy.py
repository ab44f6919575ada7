"""The federation's rounds: what is asked, refused, summed, noised and charged, with faults planted in the nodes."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federation import (
    ITEMS,
    LocalGrid,
    Reply,
    altered,
    honest,
    make_config,
    make_federation,
    make_node,
    make_request,
    random_head,
    random_histories,
)
from gaussian import has_std

from sottovoce.client.node import Node
from sottovoce.common.errors import BudgetSpentError, ConfigError, FederationError, LedgerError
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Request, pack
from sottovoce.common.privacy.accounting import epsilon
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.server.strategy import Federation, Released, RoundAbandonedError

USERS = 40


def federation(folder: Path, replies: Any = None, **sections: dict[str, Any]) -> Federation:  # noqa: ANN401
    return make_federation(folder, random_histories(USERS), make_config(**sections), replies)


def no_privacy() -> dict[str, Any]:
    return {"privacy": {"epsilon": math.inf}}


def released_head(made: Federation, number: int = 1) -> np.ndarray:
    head = random_head()
    released = made.release("head", number, {"b": head.b, **head.parameters})
    return np.concatenate([released.sums[name].ravel() for name in ("V", "W")]).astype(np.float64)


def exact_head(folder: Path, made: Federation) -> np.ndarray:
    """The sum over all users in one node, without noise: what the round must be centred on."""
    whole = make_node(folder / "oracle", folder / "data")
    answer = whole.answer(make_request(made.plan, head=random_head()))
    return np.concatenate([answer.sums[name].ravel() for name in ("V", "W")]).astype(np.float64)


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_round_under_server_trust_has_exactly_the_planned_noise(tmp_path: Path, nodes: int) -> None:
    made = federation(tmp_path, federation={"nodes": nodes})
    residual = released_head(made) - exact_head(tmp_path, made)
    std = made.plan.head.noise_multiplier * made.plan.head.clip_norm
    assert has_std(residual, std)
    assert not has_std(residual, std * 2 / 3)
    assert not has_std(residual, std * 3 / 2)


def test_a_round_under_node_trust_has_the_noise_of_every_node(tmp_path: Path) -> None:
    made = federation(tmp_path, privacy={"trust": "node"}, federation={"nodes": 4})
    oracle = dataclasses.replace(made, plan=dataclasses.replace(made.plan, trust=Trust.SERVER))
    residual = released_head(made) - exact_head(tmp_path, oracle)
    std = made.plan.total_noise_std("head", 4)
    assert std == pytest.approx(2 * made.plan.head.noise_std)
    assert has_std(residual, std)
    assert not has_std(residual, std * 2 / 3)
    assert not has_std(residual, std * 3 / 2)


@pytest.mark.parametrize("minimum", [2, 4])
def test_a_round_under_aggregate_trust_has_the_accounted_noise_or_more(tmp_path: Path, minimum: int) -> None:
    nodes = {"nodes": 4, "minimum_nodes": minimum}
    made = federation(tmp_path, privacy={"trust": "aggregate"}, federation=nodes)
    oracle = dataclasses.replace(made, plan=dataclasses.replace(made.plan, trust=Trust.SERVER))
    residual = released_head(made) - exact_head(tmp_path, oracle)
    std = made.plan.head.noise_std * math.sqrt(4 / minimum)
    assert has_std(residual, std)
    assert not has_std(residual, std * 2 / 3)
    assert not has_std(residual, std * 3 / 2)
    [event] = made.ledger.worst_events(made.plan.delta)
    assert event.noise_multiplier == made.plan.head.noise_multiplier


def test_with_too_few_shares_of_the_noise_nothing_is_released(tmp_path: Path) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        return [honest(nodes[0]), honest(nodes[1]), lambda request, _: None]

    nodes = {"nodes": 3, "deadline_s": 0.3}
    made = federation(tmp_path, replies, privacy={"trust": "aggregate"}, federation=nodes)
    with pytest.raises(RoundAbandonedError, match="2 of 3 nodes gave a valid answer, 3 are needed"):
        released_head(made)
    assert made.ledger.count("run", "head") == 1
    for payload in payloads(made):
        assert payload is None


def payloads(made: Federation) -> list[bytes | None]:
    with sqlite3.connect(made.ledger.path) as connection:
        return [payload for (payload,) in connection.execute("SELECT payload FROM release")]


@pytest.mark.parametrize("privacy", [{"trust": "aggregate"}, {"noise": "seeded"}])
def test_a_deployed_server_refuses_what_is_for_simulations(tmp_path: Path, privacy: dict[str, Any]) -> None:
    made = federation(tmp_path, privacy=privacy)
    with pytest.raises(ConfigError, match="what a deployment may follow"):
        dataclasses.replace(made, simulated=False)


def test_what_the_ledger_charges_is_the_noise_that_was_measured(tmp_path: Path) -> None:
    """Record and replay: the event in the ledger, from the values that were released."""
    made = federation(tmp_path)
    residual = released_head(made) - exact_head(tmp_path, made)
    [event] = made.ledger.worst_events(made.plan.delta)
    assert event.count == 1
    assert np.std(residual) / made.plan.head.clip_norm == pytest.approx(event.noise_multiplier, rel=0.25)
    assert has_std(residual / made.plan.head.clip_norm, event.noise_multiplier)


def test_without_privacy_a_round_is_exact_however_many_nodes(tmp_path: Path) -> None:
    sums = []
    for nodes in (1, 2, 5):
        made = federation(tmp_path / str(nodes), **no_privacy(), federation={"nodes": nodes})
        sums.append(released_head(made))
    assert np.allclose(sums[0], sums[1], atol=1e-6)
    assert np.allclose(sums[0], sums[2], atol=1e-6)


def test_training_makes_the_planned_releases_and_no_other(tmp_path: Path) -> None:
    made = federation(tmp_path)
    state = made.train()
    assert state.round == 3
    events = made.ledger.worst_events(made.plan.delta)
    assert [(event.name, event.count) for event in events] == [("popularity", 1), ("head", 3)]
    assert epsilon(events, made.plan.delta) == pytest.approx(made.plan.epsilon)
    assert [(each.name, each.round) for each in made.store.records()] == [
        ("popularity", 0),
        ("head", 1),
        ("head", 2),
        ("head", 3),
    ]


def test_training_learns_what_the_data_holds(tmp_path: Path) -> None:
    """With next items that follow a rule, rounds raise the score of what the rule says: items come in pairs."""
    from sottovoce.common.scoring import ScoringModel

    rng = np.random.default_rng(0)
    chosen = [rng.permutation(ITEMS // 2)[:8] for _ in range(USERS)]
    pairs = [np.stack([2 * first, 2 * first + 1], axis=1).ravel() for first in chosen]
    histories = Histories.from_lists([f"u{user}" for user in range(USERS)], pairs)
    train = {"rounds": 30, "optimiser": "adam", "learning_rate": 0.05}
    made = make_federation(tmp_path, histories, make_config(**no_privacy(), train=train))
    state = made.train()

    def target_score(head: Any) -> float:  # noqa: ANN401
        model = ScoringModel(made.space.vectors, head)
        scores = np.stack([model.scores(model.state(history[:-1])) for history in histories])
        chosen = scores[np.arange(USERS), [history[-1] for history in histories]]
        return float((chosen - np.log(np.exp(scores).sum(axis=1))).mean())

    untrained = dataclasses.replace(state.head, parameters={k: 0 * v for k, v in state.head.parameters.items()})
    assert target_score(state.head) > target_score(untrained) + 0.3


def test_a_resumed_run_costs_nothing_more_and_ends_the_same(tmp_path: Path) -> None:
    whole = federation(tmp_path / "whole", **no_privacy()).train()
    part = federation(tmp_path / "part", **no_privacy())
    short = dataclasses.replace(
        part, plan=dataclasses.replace(part.plan, head=dataclasses.replace(part.plan.head, count=1))
    )
    short.train()
    resumed = federation(tmp_path / "part", **no_privacy())
    state = resumed.train()
    assert state.round == 3
    assert resumed.ledger.count("run", "head") == 3
    for name in whole.head.parameters:
        assert np.allclose(whole.head.parameters[name], state.head.parameters[name], atol=1e-6)


def test_killed_after_the_release_and_before_the_step_the_same_bytes_are_used(tmp_path: Path) -> None:
    made = federation(tmp_path)
    first = released_head(made)
    again = released_head(federation(tmp_path))
    assert np.array_equal(first, again)
    assert made.ledger.count("run", "head") == 1


def test_what_a_round_cost_in_bytes_outlives_a_kill_after_its_release(tmp_path: Path) -> None:
    whole = federation(tmp_path / "whole")
    whole.train()
    killed = federation(tmp_path / "part")
    killed._popularity()
    killed.store.folder.checkpoint.unlink()
    killed.store.folder.rounds.unlink()
    resumed = federation(tmp_path / "part")
    resumed.train()
    bytes_of = [
        [(each.upload_bytes, each.download_bytes) for each in made.store.records()] for made in (whole, resumed)
    ]
    assert bytes_of[0] == bytes_of[1]
    assert all(sent > 0 and asked > 0 for sent, asked in bytes_of[0])


def test_what_another_version_kept_of_a_release_is_refused_by_name() -> None:
    with pytest.raises(LedgerError, match="another version of this program"):
        Released.unpack(pack({"V": np.ones((3, 2), np.float32), "nodes": np.ones(1, np.float32)}))


def test_the_same_release_with_another_model_is_refused(tmp_path: Path) -> None:
    made = federation(tmp_path)
    released_head(made)
    other = random_head(seed=7)
    with pytest.raises(LedgerError, match="another plan or model"):
        made.release("head", 1, {"b": other.b, **other.parameters})


def test_a_run_stops_before_the_release_that_would_pass_the_budget(tmp_path: Path) -> None:
    made = federation(tmp_path, privacy={"noise_multiplier": 0.8, "epsilon": 4.0}, train={"rounds": 50})
    with pytest.raises(BudgetSpentError, match="not made"):
        made.train()
    assert 0 < made.ledger.epsilon(made.plan.delta) <= 4.0
    last = made.store.load()
    assert last is not None
    assert last.round == made.ledger.count("run", "head")


def nan(answer: Answer) -> Answer:
    broken = {name: part.copy() for name, part in answer.sums.items()}
    next(iter(broken.values())).flat[0] = np.nan
    return dataclasses.replace(answer, sums=broken)


def infinite(answer: Answer) -> Answer:
    return dataclasses.replace(answer, sums={name: np.full_like(part, np.inf) for name, part in answer.sums.items()})


FAULTS = {
    "NaN": nan,
    "infinite": infinite,
    "shape": lambda answer: dataclasses.replace(answer, sums={k: v[:1] for k, v in answer.sums.items()}),
    "part missing": lambda answer: dataclasses.replace(answer, sums=dict(list(answer.sums.items())[1:])),
    "catalogue": lambda answer: dataclasses.replace(answer, catalogue_sha256="other"),
    "encoder": lambda answer: dataclasses.replace(answer, space_sha256="other"),
    "request": lambda answer: dataclasses.replace(answer, request_sha256="other"),
    "refusal": lambda answer: dataclasses.replace(answer, refusal="no", sums={}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_answer_is_refused_by_name_and_the_round_goes_on(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        return [honest(nodes[0]), altered(nodes[1], FAULTS[fault])]

    made = federation(tmp_path, replies, **no_privacy())
    total = released_head(made)
    expected = exact_of_first_node(tmp_path, made)
    assert np.allclose(total, expected, atol=1e-6)
    assert "node 2 refused" in caplog.text


def exact_of_first_node(folder: Path, made: Federation) -> np.ndarray:
    node = make_node(folder / "first", folder / "data", 0, 2)
    answer = node.answer(make_request(made.plan, head=random_head()))
    return np.concatenate([answer.sums[name].ravel() for name in ("V", "W")])


def test_a_silent_node_ends_the_round_at_the_deadline_with_noise_and_divisor_as_planned(tmp_path: Path) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        return [honest(nodes[0]), lambda request, _: None]

    made = federation(tmp_path, replies, federation={"deadline_s": 0.3})
    residual = released_head(made) - exact_of_first_node(tmp_path, made)
    assert has_std(residual, made.plan.head.noise_std)
    assert made.plan.expected_cohort("head") == USERS


def test_below_the_minimum_a_round_is_abandoned_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        def second_round_fails(request: Request, _: int) -> Any:  # noqa: ANN401
            answer = nodes[1].answer(request)
            return (nan(answer) if request.release.round == 2 else answer).to_record()

        return [honest(nodes[0]), second_round_fails]

    made = federation(tmp_path, replies, federation={"minimum_nodes": 2})
    state = made.train()
    assert state.round == 3
    assert "round 2 abandoned" in caplog.text
    assert [each.round for each in made.store.records()] == [0, 1, 3]
    # It was charged, since the ledger may only ever show too much.
    assert made.ledger.count("run", "head") == 3


def test_without_any_popularity_there_is_no_model(tmp_path: Path) -> None:
    made = federation(tmp_path, lambda nodes: [lambda request, _: None] * 2, federation={"deadline_s": 0.1})
    with pytest.raises(FederationError, match="0 of 2 nodes"):
        made.train()


def huge(answer: Answer) -> Answer:
    return dataclasses.replace(answer, sums={name: 1e6 * (part + 1) for name, part in answer.sums.items()})


def test_an_exact_part_is_clipped_to_the_capacity_of_its_node(tmp_path: Path) -> None:
    made = federation(tmp_path, lambda nodes: [altered(node, huge) for node in nodes])
    limit = made.plan.head.clip_norm * USERS
    assert np.linalg.norm(released_head(made)) < limit + 6 * made.plan.head.noise_std * math.sqrt(ITEMS * 4 + 36)


def test_each_node_has_the_capacity_that_the_server_knows_it_by(tmp_path: Path) -> None:
    """A node's own word plays no part, in either kind of release."""
    made = federation(tmp_path, lambda nodes: [altered(nodes[0], huge), altered(nodes[1], huge)])
    made = dataclasses.replace(made, capacity_of=lambda node: {1: 500, 2: 0}[node], plan=nearly_exact(made.plan))
    assert np.linalg.norm(released_head(made)) == pytest.approx(500 * made.plan.head.clip_norm, rel=0.01)
    counts = made.release("popularity", 0, {}).sums["popularity"]
    assert np.linalg.norm(counts) == pytest.approx(500, rel=0.01)
    assert counts.max() < 500 / math.sqrt(made.objective.popularity_length) + 0.1


def nearly_exact(plan: PrivacyPlan) -> PrivacyPlan:
    """Noise that hides nothing, so that a release shows what was summed."""
    head, popularity = (dataclasses.replace(kind, noise_multiplier=1e-2) for kind in (plan.head, plan.popularity))
    return dataclasses.replace(plan, target_epsilon=1e9, head=head, popularity=popularity)


def test_a_noised_part_is_not_clipped(tmp_path: Path) -> None:
    made = federation(tmp_path, privacy={"trust": "node", "epsilon": 0.1}, federation={"nodes": 20})
    total = released_head(made)
    assert has_std(total, made.plan.total_noise_std("head", 20))


@pytest.mark.parametrize("rule", ["trimmed_mean", "krum", "multi_krum"])
def test_lying_nodes_do_not_move_a_robust_round_under_node_trust(tmp_path: Path, rule: str) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        return [altered(nodes[0], huge), *map(honest, nodes[1:])]

    robust = {"nodes": 8, "aggregation": rule, "malicious_nodes": 1}
    made = federation(tmp_path / "robust", replies, privacy={"trust": "node"}, federation=robust)
    noise = made.aggregation.noise_std(made.plan.node_noise_std("head"), 8)
    assert np.abs(released_head(made)).max() < 8 * noise
    plain = federation(tmp_path / "sum", replies, privacy={"trust": "node"}, federation={"nodes": 8})
    assert np.abs(released_head(plain)).max() > 1e5
    assert (made.ledger.epsilon(made.plan.delta)) == plain.ledger.epsilon(plain.plan.delta)


def test_a_large_catalogue_is_trained_block_by_block(tmp_path: Path) -> None:
    made = federation(tmp_path, **no_privacy(), head={"candidates": 15, "rank": 4, "mix": 0})
    state = made.train()
    grid = made.grid
    assert isinstance(grid, LocalGrid)
    shapes = {
        Answer.from_record(record).sums["V"].shape
        for record in grid.received
        if len(record.array_records["arrays"]) and "V" in record.array_records["arrays"]
    }
    assert shapes == {(15, 4)}
    touched = np.flatnonzero(np.abs(state.head.parameters["V"]).sum(axis=1))
    assert 15 < len(touched) <= 45


def test_nothing_leaves_a_node_but_answers_and_nothing_reaches_it_but_public_numbers(tmp_path: Path) -> None:
    """Every message of a whole run is recorded; none holds a user id or a single history."""
    made = federation(tmp_path, privacy={"trust": "node"})
    made.train()
    grid = made.grid
    assert isinstance(grid, LocalGrid)
    assert len(grid.received) == 2 * 4
    for record in grid.received:
        answer = Answer.from_record(record)
        text = str(record.config_records["json"]["json"])
        assert not any(f'"u{user}"' in text for user in range(USERS))
        assert set(answer.sums) in ({"popularity"}, {"V", "W"})
    for record in grid.sent:
        assert set(Request.from_record(record).arrays) in (set(), {"b", "V", "W"})


def test_a_node_that_fails_is_named_and_the_round_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Flower reports a node whose app raised by an error instead of a content."""
    made = federation(tmp_path, **no_privacy())
    grid = made.grid
    assert isinstance(grid, LocalGrid)
    grid.replies[1] = lambda request, _: (_ for _ in ()).throw(RuntimeError("a fault"))
    total = released_head(made)
    assert np.allclose(total, exact_of_first_node(tmp_path, made), atol=1e-6)
    assert "node 2 refused: failed" in caplog.text
