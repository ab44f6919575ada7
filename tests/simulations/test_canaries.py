"""The audit through the real federated path: true of an honest federation, and alarmed by each way to be none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audited import ITEMS, LENGTH, USERS, Small, audit_of, small
from federation import random_histories

from sottovoce.client import clipping
from sottovoce.common.errors import ConfigError
from sottovoce.common.history import Histories
from sottovoce.common.messages import Arrays
from sottovoce.common.privacy import noise
from sottovoce.common.privacy.accounting import epsilon
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.server import strategy
from sottovoce.server.strategy import Federation, Released
from sottovoce.simulations import canaries
from sottovoce.simulations.audit_run import refuted

Patch = pytest.MonkeyPatch


def bounds(found: dict[str, Any]) -> dict[str, float]:
    return {name: attack["epsilon_lower_bound"] for name, attack in found["attacks"].items()}


def alarms(found: dict[str, Any]) -> set[str]:
    return {name for name, check in found["checks"].items() if check["alarm"]}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"privacy": {"epsilon": 8.0}},
        {"privacy": {"trust": "node"}},
        {"privacy": {"trust": "aggregate"}, "federation": {"nodes": 4}},
        {"train": {"sampling_rate": 0.5, "rounds": 2}},
        {"privacy": {"trust": "node"}, "train": {"sampling_rate": 0.5, "rounds": 2}},
        {"head": {"mix": 4, "rank": 0}},
        {"head": {"mix": 0, "rank": 0}},
        {"head": {"candidates": 100}, "train": {"rounds": 1}},
    ],
    ids=str,
)
def test_an_honest_federation_is_not_refuted(tmp_path: Path, sections: dict[str, Any]) -> None:
    run = small(tmp_path / "data", **sections)
    found = audit_of(tmp_path, run)
    assert refuted(run.claim["epsilon"], found) == []
    noise_check = found["checks"]["noise"]
    # Of an honest federation what is left is noise of the claimed size, whoever was drawn.
    assert noise_check["p_value"] > 1e-3
    nodes = run.config.federation.nodes if run.plan.trust is Trust.NODE else 1
    assert noise_check["releases"] == nodes * (1 + run.plan.head.count)
    assert ("repeated_gaussian" in found["attacks"]) is (run.plan.head.sampling_rate == 1)
    if run.plan.head.sampling_rate == 1:
        assert bounds(found)["repeated_gaussian"] > 0.2 * run.claim["epsilon"]


def test_the_floor_at_epsilon_8(tmp_path: Path) -> None:
    """An audit that sees nothing proves nothing."""
    run = small(tmp_path / "data", items=800, privacy={"epsilon": 8.0}, train={"rounds": 2})
    found = bounds(audit_of(tmp_path, run, canaries=400, guess_share=0.3))
    for name, bound in found.items():
        assert 1 < bound <= 8, name


def test_an_audit_can_be_repeated(tmp_path: Path) -> None:
    run = small(tmp_path / "data", train={"rounds": 1})
    first, again, other = (
        audit_of(tmp_path / name, run, seed=seed, trials=200) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again != other


def test_it_catches_noise_that_is_switched_off(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(noise, "standard_normal", lambda count, _: np.zeros(count))
    found = audit_of(tmp_path, run := small(tmp_path / "data"))
    assert min(bounds(found).values()) > run.claim["epsilon"]
    assert alarms(found) == {"noise"}


def test_it_catches_a_server_that_forgets_the_noise(tmp_path: Path, monkeypatch: Patch) -> None:
    """The fault lies in the server's path alone: what was seen there tells."""
    monkeypatch.setattr(strategy, "add_gaussian", lambda exact, std, source: exact)
    found = audit_of(tmp_path, run := small(tmp_path / "data"))
    assert bounds(found)["one_run"] > run.claim["epsilon"]
    assert alarms(found) == {"noise"}


def test_more_noise_than_claimed_is_a_remark(tmp_path: Path) -> None:
    """Under `aggregate` four shares where two are enough make √2 of the noise that is claimed."""
    run = small(tmp_path / "data", privacy={"trust": "aggregate"}, federation={"nodes": 4, "minimum_nodes": 2})
    found = audit_of(tmp_path, run, trials=200)
    assert found["checks"]["noise"]["std_over_claimed"] == pytest.approx(2**0.5, rel=0.05)
    assert "no privacy" in found["checks"]["noise"]["remark"]
    assert alarms(found) == set()


@pytest.mark.parametrize("release", [("popularity", 0), ("head", 5)])
def test_it_catches_one_release_without_noise_among_many(
    tmp_path: Path, monkeypatch: Patch, release: tuple[str, int]
) -> None:
    """Popularity is one coordinate in a hundred of what is released, a round one in nine."""
    run = small(tmp_path / "data", items=800, privacy={"epsilon": 8.0}, train={"rounds": 9}, head={"rank": 16})
    honest = Federation.release

    def faulty(federation: Federation, name: str, number: int, arrays: Arrays) -> Released:
        with monkeypatch.context() as patch:
            if (name, number) == release:
                patch.setattr(strategy, "add_gaussian", lambda exact, std, source: exact)
            return honest(federation, name, number, arrays)

    monkeypatch.setattr(Federation, "release", faulty)
    found = audit_of(tmp_path, run, trials=200)
    assert refuted(run.claim["epsilon"], found) == ["noise"]
    assert found["checks"]["noise"]["least_likely"] == f"{release[0]} {release[1]} of server"


@pytest.mark.parametrize("divisor", [1.5, 2, 3])
@pytest.mark.parametrize("trust", ["server", "node"])
def test_it_catches_too_little_noise_where_users_are_sampled(
    tmp_path: Path, monkeypatch: Patch, trust: str, divisor: float
) -> None:
    run = small(tmp_path / "data", privacy={"trust": trust}, train={"sampling_rate": 0.5, "rounds": 2})
    for name in ("server_noise_std", "node_noise_std"):
        honest = getattr(PrivacyPlan, name)
        monkeypatch.setattr(PrivacyPlan, name, lambda plan, kind, honest=honest: honest(plan, kind) / divisor)
    noise_check = audit_of(tmp_path, run, trials=200)["checks"]["noise"]
    assert noise_check["alarm"]
    assert noise_check["std_over_claimed"] == pytest.approx(1 / divisor, rel=0.15)


@pytest.mark.parametrize("target", [1.0, 8.0])
def test_it_catches_half_the_noise(tmp_path: Path, monkeypatch: Patch, target: float) -> None:
    run, honest = small(tmp_path / "data", privacy={"epsilon": target}), PrivacyPlan.server_noise_std
    monkeypatch.setattr(PrivacyPlan, "server_noise_std", lambda plan, name: honest(plan, name) / 2)
    found = audit_of(tmp_path, run)
    assert bounds(found)["repeated_gaussian"] > run.claim["epsilon"]
    assert alarms(found) == {"noise"}


def test_it_catches_clipping_that_is_switched_off(tmp_path: Path, monkeypatch: Patch) -> None:
    run = small(tmp_path / "data", privacy={"epsilon": 8.0})
    monkeypatch.setattr(clipping, "_with_reserve", lambda _: clipping._NO_CLIP)
    found = audit_of(tmp_path, run)
    assert bounds(found)["repeated_gaussian"] > run.claim["epsilon"]
    assert "sensitivity" in alarms(found)


def test_it_catches_an_accountant_that_forgets_rounds(tmp_path: Path) -> None:
    run = small(tmp_path / "data", privacy={"epsilon": 8.0}, train={"rounds": 6})
    cheap = epsilon([run.plan.popularity.event(), run.plan.head.event(1)], run.plan.delta)
    assert cheap < 8 / 1.5
    forgetful = {"epsilon": cheap, "releases": {"popularity": 1, "head": 1}}
    found = audit_of(tmp_path, run, forgetful)
    assert bounds(found)["repeated_gaussian"] > cheap
    assert alarms(found) == {"releases"}


def test_canaries_are_made_of_the_rarest_items_first() -> None:
    known = random_histories(30, 100)
    made = canaries.canary_histories(known, 100, 50, LENGTH, np.random.default_rng(0))
    met = np.bincount(known.items, minlength=100)
    assert len(made) == 50
    assert all(len(set(history.tolist())) == LENGTH for history in made)
    assert sorted(np.concatenate(made[:20]).tolist()) == list(range(100))
    assert met[made[0]].max() <= met[np.concatenate(made[1:20])].min()


def test_canaries_that_cannot_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match="to be audited"):
        canaries.canary_histories(random_histories(5, 60), 60, 10, 20, np.random.default_rng(0))


def test_a_canary_that_is_out_keeps_its_place_and_adds_nothing() -> None:
    words = np.array(["a", "b", "c", "d", "e", "f"])
    histories = replace(Histories.from_lists(["u", "v", "w"], [[1, 2], [3, 4, 5], [0]]), words=words)
    left = canaries.without(histories, np.array([1]))
    assert left.users.tolist() == ["u", "v", "w"]
    assert [history.tolist() for history in left] == [[1, 2], [], [0]]
    assert [list(left.words_of(user)) for user in range(3)] == [["a", "b"], [], ["f"]]
    grown = canaries.with_more(histories, [np.array([7, 8])])
    assert grown[3].tolist() == [7, 8]
    assert list(grown.words_of(3)) == ["", ""]


def test_scores_take_out_what_other_canaries_add() -> None:
    """Of contributions that are far from orthogonal, the matched filter finds less than the linear estimate."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(40, 60)) + 1
    coins = rng.random(40) < 0.5
    seen = coins @ own
    evidence = canaries.Evidence(own @ seen, own @ own.T, 1.0, ())
    assert ((evidence.scores() > 0) == coins).all()
    assert ((evidence.match > np.median(evidence.match)) == coins).mean() < 0.95


def test_with_orthogonal_canaries_the_score_is_the_matched_filter() -> None:
    evidence = canaries.Evidence(np.array([0.1, 3.0, 1.5]), 2.0 * np.eye(3), 1.0, ())
    assert np.argsort(evidence.scores()).tolist() == [0, 2, 1]
    assert evidence.scores() == pytest.approx((evidence.match - 1) / 4 / 1.5)


def test_every_release_is_seen_once_by_its_strongest_observer(tmp_path: Path) -> None:
    for trust, expected in (("server", 1 + 3), ("node", 2 * (1 + 3))):
        run = small(tmp_path / trust / "data", privacy={"trust": trust})
        made = canaries.run_with_canaries(
            tmp_path / trust, run.prepared, run.config, run.plan, 20, np.random.default_rng(0)
        )
        assert len(made.views) == expected
        rows = np.concatenate([view.rows for view in made.views if view.request.release.name == "popularity"])
        assert sorted(rows.tolist()) == list(range(USERS + 20))
        assert math.prod(made.views[0].sums["popularity"].shape) == ITEMS


@pytest.mark.slow
@pytest.mark.data
def test_the_floor_on_movielens(tmp_path: Path) -> None:
    from sottovoce.common.config import parse
    from sottovoce.simulations.prepare import prepare, read_data

    config = parse({"privacy": {"epsilon": 8.0, "noise": "seeded"}})
    dataset = read_data(config)
    config = config.resolve(len(dataset.histories))
    run = Small(prepare(dataset, config), config, config.plan())
    found = bounds(audit_of(tmp_path, run, canaries=400, guess_share=0.3, trials=10_000))
    for name, bound in found.items():
        assert 1 < bound <= 8, name
