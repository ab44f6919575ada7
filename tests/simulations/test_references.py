"""References that learn: better than chance where something can be learned, within the budget where there is one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from federation import make_config, space

from sottovoce.common.evaluation import HeldOut, Scorer, evaluate, hold_out
from sottovoce.common.history import Histories
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.server.optimiser import Optimiser
from sottovoce.simulations.in_process import InProcess
from sottovoce.simulations.reference_settings import FromZero, Ials, LocalDp, ReferenceSettings, reference_settings
from sottovoce.simulations.references import (
    constant,
    evaluate_slow_references,
    from_zero,
    ials,
    local_dp,
    of_model,
)
from sottovoce.simulations.sasrec import SasRecSettings, sasrec

ITEMS = 60
SMALL = SasRecSettings(size=16, layers=1, heads=1, dropout=0.1, length=12, epochs=12, batch=16, learning_rate=5e-3)


def walks(users: int, seed: int = 0) -> Histories:
    """People who go round a circle of items, one or two steps at a time: what comes next is in the order alone."""
    rng = np.random.default_rng(seed)
    lists = [(rng.integers(ITEMS) + np.cumsum(rng.integers(1, 3, 15))) % ITEMS for _ in range(users)]
    return Histories.from_lists([f"u{user}" for user in range(users)], lists)


def clusters(users: int, seed: int = 0) -> Histories:
    """People who each like one sixth of the items."""
    rng = np.random.default_rng(seed)
    lists = [rng.choice(10, 8, replace=False) + 10 * rng.integers(6) for _ in range(users)]
    return Histories.from_lists([f"u{user}" for user in range(users)], lists)


def full_hr(scorer: Scorer, held_out: HeldOut) -> float:
    return evaluate(scorer, held_out, ITEMS).means()["full"]["hr@10"]


def test_sasrec_learns_order_and_repeats() -> None:
    held_out = hold_out(walks(150), ITEMS)
    scorer = sasrec(held_out.known, ITEMS, SMALL)
    assert full_hr(scorer, held_out) > 0.8
    again = sasrec(held_out.known, ITEMS, SMALL)
    rows = np.arange(5)
    np.testing.assert_allclose(scorer(rows), again(rows), atol=1e-4)


def test_sasrec_sees_nothing_of_the_future() -> None:
    """The state after a prefix is the same whatever follows it."""
    import torch

    from sottovoce.simulations.sasrec import SasRec

    model = SasRec(ITEMS, SMALL).eval()
    one, other = torch.arange(10)[None], torch.arange(10)[None].clone()
    other[0, 6:] = 40
    with torch.no_grad():
        first, second = model(one), model(other)
    torch.testing.assert_close(first[:, :6], second[:, :6])
    assert not torch.allclose(first[:, 6:], second[:, 6:])


def test_ials_learns_what_belongs_together() -> None:
    held_out = hold_out(clusters(150), ITEMS)
    assert full_hr(ials(held_out.known, ITEMS, Ials(size=8)), held_out) > 0.9


def plan_of(budget: float, users: int) -> PrivacyPlan:
    config = make_config(privacy={"epsilon": budget, "noise": "seeded"}, train={"rounds": 3}, federation={"nodes": 1})
    return config.resolve(users).plan()


def test_from_zero_learns_without_text_and_popularity() -> None:
    held_out = hold_out(clusters(300), ITEMS)
    plan = plan_of(math.inf, 300)
    untrained = from_zero(held_out.known, ITEMS, plan, FromZero(rounds=1, learning_rate=1e-9))
    trained = from_zero(held_out.known, ITEMS, plan, FromZero(rounds=20, learning_rate=20.0))
    assert not trained.head.b.any()
    assert full_hr(of_model(trained, held_out.known), held_out) > 0.8
    assert full_hr(of_model(trained, held_out.known), held_out) > full_hr(of_model(untrained, held_out.known), held_out)


def test_from_zero_spends_the_budget_on_its_rounds_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[InProcess] = []
    train = InProcess.train

    def spy(self: InProcess, head: Head) -> ScoringModel:
        seen.append(self)
        return train(self, head)

    monkeypatch.setattr(InProcess, "train", spy)
    from_zero(clusters(30), ITEMS, plan_of(4.0, 30), FromZero(rounds=5))
    plan = seen[0].plan
    assert [(kind.name, kind.count) for kind in plan.mechanisms] == [("head", 5)]
    spent = epsilon([ReleaseEvent("head", plan.head.noise_multiplier, 1.0, 5)], plan.delta)
    assert spent == plan.epsilon and 3.99 < spent <= 4.0
    assert seen[0].plan.head.clip_norm == FromZero().clip_norm


def test_local_dp_is_noisier_than_a_trusted_server() -> None:
    """With the same budget, one user per node leaves of popularity little more than chance."""
    known = Histories.from_lists([f"u{user}" for user in range(400)], [[0, 1, 2, 3 + user % 50] for user in range(400)])
    config = make_config(privacy={"epsilon": 1.0, "delta": 1e-4}, head={"rank": 0, "mix": 0}, federation={"nodes": 1})
    resolved = config.resolve(400)
    local = [local_dp(known, space().vectors, resolved, LocalDp(3.0, 1.0)).head.b for _ in range(5)]
    trusting = resolved.plan()
    shape = HeadShape(ITEMS, space().vectors.shape[1], 0, 0, 3.0)
    central = InProcess(trusting, 1, known, space().vectors, shape, Optimiser("sgd", 1.0), 20)
    counted = [central.popularity(20, 1.0) for _ in range(5)]
    found = [set(np.argsort(-b)[:3].tolist()) == {0, 1, 2} for b in counted]
    assert all(found)
    assert not all(set(np.argsort(-b)[:3].tolist()) == {0, 1, 2} for b in local)


def test_the_slow_references_stand_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from sottovoce.simulations import references as module

    monkeypatch.setattr(module, "sasrec", lambda known, items, settings: constant(np.zeros(items)))
    held_out = hold_out(clusters(30), ITEMS)
    privacy: dict[str, Any] = {"epsilon": 4.0, "delta": 1e-3}
    table = {"privacy": privacy, "train": {"rounds": 2}, "federation": {"nodes": 1}}
    names = evaluate_slow_references(held_out, space().vectors, make_config(**table).resolve(30))
    assert list(names) == ["iALS", "SASRec", "DP-FedSGD from zero", "local DP"]
    privacy["epsilon"] = math.inf
    names = evaluate_slow_references(held_out, space().vectors, make_config(**table).resolve(30))
    assert list(names) == ["iALS", "SASRec", "FedSGD from zero"]


def test_settings_of_a_reference_are_those_of_the_largest_budget_below() -> None:
    settings = ReferenceSettings(from_zero={0.0: FromZero(rounds=1), 4.0: FromZero(rounds=4)})
    assert [settings.from_zero_at(budget).rounds for budget in (0.5, 3.9, 4.0, math.inf)] == [1, 1, 4, 4]
    assert reference_settings(None) == reference_settings("ml-100k")


def test_local_dp_has_the_whole_budget_in_one_release_of_each_person(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[InProcess] = []
    popularity = InProcess.popularity

    def spy(self: InProcess, typical_length: int, weight: float) -> Any:  # noqa: ANN401
        seen.append(self)
        return popularity(self, typical_length, weight)

    monkeypatch.setattr(InProcess, "popularity", spy)
    config = make_config(privacy={"epsilon": 4.0, "delta": 1e-3}, federation={"nodes": 1}).resolve(30)
    local_dp(clusters(30), space().vectors, config, LocalDp())
    [federation] = seen
    assert (federation.nodes, federation.plan.trust, federation.plan.head.count) == (30, Trust.NODE, 0)
    assert 3.99 < federation.plan.epsilon <= 4.0
