"""Membership and interaction inference: they find what is there to be found, and nothing where there is nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audited import small
from scipy import stats

from sottovoce.client.states import positions_of
from sottovoce.common.privacy.plan import Trust
from sottovoce.common.scoring import ScoringModel
from sottovoce.simulations import attacks, audit
from sottovoce.simulations.audit_run import Effort, interactions, membership


def slow_ratio(statistic: np.ndarray, member: np.ndarray, target: int, user: int) -> float:
    inside = [statistic[s, user] for s in range(len(statistic)) if s != target and member[s, user]]
    out = [statistic[s, user] for s in range(len(statistic)) if s != target and not member[s, user]]
    if min(len(inside), len(out)) < attacks.FEWEST:
        return 0.0
    squares = [(x - np.mean(inside)) ** 2 for x in inside] + [(x - np.mean(out)) ** 2 for x in out]
    spread = math.sqrt(np.mean(squares) + 1e-12)
    value = statistic[target, user]
    return float(stats.norm(np.mean(inside), spread).logpdf(value) - stats.norm(np.mean(out), spread).logpdf(value))


def test_likelihood_ratios_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    member, statistic = rng.random((7, 5)) < 0.5, rng.normal(size=(7, 5))
    found = attacks.likelihood_ratios(statistic, member)
    expected = [[slow_ratio(statistic, member, target, user) for user in range(5)] for target in range(7)]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


def test_membership_is_found_where_it_shows_and_only_there() -> None:
    rng = np.random.default_rng(0)
    member = rng.random((20, 400)) < 0.5
    noise, level = rng.normal(size=member.shape), 10 * rng.normal(size=400)
    for shift, low, high in ((2.0, 0.8, 1.0), (0.0, 0.45, 0.55)):
        ratios = attacks.likelihood_ratios(level + noise + shift * member, member)
        assert low < audit.area_under_curve(ratios[member], ratios[~member]) < high


def test_log_likelihoods_are_those_of_one_user_at_a_time(tmp_path: Path) -> None:
    from federation import ITEMS, random_head, random_histories, space

    model, histories = ScoringModel(space().vectors, random_head()), random_histories(70)
    found = attacks.log_likelihoods(model, positions_of(histories, attacks.LOSS_WINDOW))
    for user in (0, 1, 69):
        history, values = histories[user], []
        for place in range(max(1, len(history) - attacks.LOSS_WINDOW), len(history)):
            scores = model.scores(model.state(history[:place])).astype(np.float64)
            assert len(scores) == ITEMS
            values.append(scores[history[place]] - np.log(np.exp(scores).sum()))
        assert found[user] == pytest.approx(np.mean(values), abs=1e-4)


@pytest.mark.parametrize("head", [{"rank": 4, "mix": 0}, {"rank": 0, "mix": 12}], ids=str)
def test_a_history_is_read_from_an_exact_update_and_not_from_a_noised_one(tmp_path: Path, head: dict[str, int]) -> None:
    run = small(tmp_path / "data", head=head)
    found = interactions(tmp_path, run.prepared, run.config, run.plan, Effort(readers=20))["seen_by"]
    for exact in ("without_dp", "server"):
        assert found[exact]["popularity"]["precision"] == 1
        assert found[exact]["head"]["auc"] > 0.6
        assert found[exact]["head"]["precision"] > 1.5 * found[exact]["head"]["chance"]
    for reading in found["node"].values():
        assert 0.42 < reading["auc"] < 0.58


def test_without_a_head_only_popularity_is_read(tmp_path: Path) -> None:
    run = small(tmp_path / "data", head={"rank": 0, "mix": 0})
    found = interactions(tmp_path, run.prepared, run.config, run.plan, Effort(readers=5))
    assert {name for seen in found["seen_by"].values() for name in seen} == {"popularity"}


def test_without_privacy_members_are_told_and_with_it_hardly(tmp_path: Path) -> None:
    effort = Effort(shadows=12)
    free = {"epsilon": math.inf, "trust": "none"}
    train = {"rounds": 8, "learning_rate": 5.0}
    for name, privacy in (("open", free), ("private", {"epsilon": 0.5})):
        run = small(tmp_path / name / "data", privacy=privacy, train=train)
        found = membership(tmp_path / name, run.prepared, run.config, run.plan, effort)
        if name == "open":
            assert found["auc"] > 0.75
        else:
            assert 0.4 < found["auc"] < 0.62
        for share in found["true_positive_rate"].values():
            assert share["low"] <= share["value"] <= share["high"]


def test_a_reading_under_none_is_neither_clipped_nor_noised(tmp_path: Path) -> None:
    run = small(tmp_path / "data")
    assert run.plan.trust is Trust.SERVER
    users = attacks.users_to_read(run.prepared.held_out.known, 10_000, np.random.default_rng(0))
    assert users.tolist() == list(range(40))
    few = replace(Effort(), readers=3)
    assert interactions(tmp_path, run.prepared, run.config, run.plan, few)["users"] == 3
