"""Record all that a run releases, replay it, and hold the accounting event to what was done.

An event says four things: how far one user can move a release (the unit in which noise is counted), how much noise is
in it, with which probability a user takes part, and how many releases there are. Each is measured here on what left,
for each `trust`: what a node sent under `node`, and what the server made of all answers otherwise.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federation import LocalGrid, make_config, make_federation, make_node, random_histories
from gaussian import P_VALUE, has_std
from scipy import stats

from sottovoce.client import node as node_module
from sottovoce.client import trainer
from sottovoce.client.states import Positions, positions_of
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Arrays, Request, unpack
from sottovoce.common.privacy import accounting
from sottovoce.common.privacy.accounting import epsilon
from sottovoce.common.privacy.ledger import SERVER, Ledger
from sottovoce.common.privacy.noise import GRID_STEPS, poisson_sample, random_source
from sottovoce.common.privacy.plan import Trust
from sottovoce.server.strategy import Federation

NODES, USERS = 3, 30
PRIVATE = [Trust.SERVER, Trust.NODE, Trust.AGGREGATE]

Name = tuple[str, int, str]
"""Which release: its kind, its round, its maker."""


@dataclass(frozen=True)
class Record:
    """A run, and every value that it released to whom its guarantee is against."""

    federation: Federation
    requests: list[Request]
    releases: dict[Name, Arrays]

    def noise_std(self, name: Name) -> float:
        """As the ledger's event says it: σ × sensitivity."""
        sigma = noise_multipliers(ledger_of(self.federation, name[2]))[name]
        return sigma * self.federation.plan.mechanism(name[0]).clip_norm if sigma else 0.0


def ledger_of(made: Federation, maker: str) -> Path:
    """The ledger in which a release's row must stand: its maker's own."""
    return made.ledger.path if maker == SERVER else node_ledger(made, maker)


def node_ledger(made: Federation, node: str) -> Path:
    return made.store.folder.path.parent / "nodes" / f"{node}.sqlite"


def noise_multipliers(ledger: Path) -> dict[Name, float]:
    """Of every row."""
    with sqlite3.connect(ledger) as connection:
        rows = connection.execute("SELECT name, round, maker, noise_multiplier FROM release").fetchall()
    assert len({row[:3] for row in rows}) == len(rows)
    return {(name, number, maker): sigma for name, number, maker, sigma in rows}


def run(folder: Path, histories: Histories, trust: Trust, **sections: dict[str, Any]) -> Federation:
    budget = math.inf if trust is Trust.NONE else 8.0
    privacy = {"epsilon": budget, "trust": trust.value, "noise": "seeded", "delta": 1e-3, "population": USERS}
    federation = {"nodes": NODES, "node_capacity": USERS}
    sections = {"federation": federation, **sections, "privacy": {**privacy, **sections.get("privacy", {})}}
    return make_federation(folder, histories, make_config(**sections))


def grid_of(made: Federation) -> LocalGrid:
    assert isinstance(made.grid, LocalGrid)
    return made.grid


def record(made: Federation) -> Record:
    """Train, and keep what was released: the nodes' answers where nodes add all noise, else the server's totals."""
    made.train()
    grid = grid_of(made)
    requests = list({request.sha256: request for request in map(Request.from_record, grid.sent)}.values())
    return Record(made, requests, dict(released(made)))


def released(made: Federation) -> Iterator[tuple[Name, Arrays]]:
    if made.plan.trust is Trust.NODE:
        named = {request.sha256: request.release for request in map(Request.from_record, grid_of(made).sent)}
        for answer in map(Answer.from_record, grid_of(made).received):
            release = named[answer.request_sha256]
            yield (release.name, release.round, f"node-{answer.partition}"), answer.sums
        return
    with sqlite3.connect(made.ledger.path) as connection:
        for name, number, maker, payload in connection.execute("SELECT name, round, maker, payload FROM release"):
            sums = unpack(payload)
            del sums["counts"]
            yield (name, number, maker), sums


def replay(requests: list[Request], made: Federation) -> dict[Name, Arrays]:
    """Make the recorded releases again, of other histories but with the same models, draws and noise."""
    for request in requests:
        made.release(request.release.name, request.release.round, request.arrays)
    return dict(released(made))


def flat(sums: Arrays) -> np.ndarray:
    return np.concatenate([sums[part].astype(np.float64).ravel() for part in sorted(sums)])


def neighbours(users: int = USERS, seed: int = 0) -> tuple[Histories, Histories]:
    """The last user is the one who is added: every draw of the others stays theirs."""
    whole = random_histories(users + 1, seed=seed)
    return whole.select(np.arange(users)), whole


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("trust", list(Trust))
def test_one_user_moves_no_release_by_more_than_its_sensitivity(tmp_path: Path, trust: Trust, seed: int) -> None:
    without, with_one = neighbours(seed=seed)
    first = record(run(tmp_path / "without", without, trust))
    second = replay(first.requests, run(tmp_path / "with", with_one, trust))
    assert first.releases.keys() == second.keys()
    touched = {}
    for name, sums in first.releases.items():
        moved = float(np.linalg.norm(flat(second[name]) - flat(sums)))
        # Both lie on the grid of the noise, which moves each coordinate by up to one step more.
        steps = math.sqrt(NODES * flat(sums).size) * first.noise_std(name) / GRID_STEPS
        clip = first.federation.plan.mechanism(name[0]).clip_norm
        assert moved <= clip + steps
        touched[name] = moved > clip / 2
    if trust is Trust.NODE:
        # Disjoint users: what another node released is the same to the bit.
        others = [name for name in touched if name[2] != f"node-{USERS % NODES}"]
        assert len(others) == len(touched) * (NODES - 1) / NODES
        assert all(np.array_equal(flat(first.releases[name]), flat(second[name])) for name in others)
        touched = {name: hit for name, hit in touched.items() if name not in others}
    # A bound that nobody comes near would prove nothing.
    assert trust is Trust.NONE or all(touched.values())


@pytest.mark.parametrize("trust", PRIVATE)
def test_the_noise_in_what_was_released_is_what_the_ledger_charged_for(tmp_path: Path, trust: Trust) -> None:
    made = record(run(tmp_path, random_histories(USERS), trust, privacy={"noise": "os"}))
    residuals = []
    for name, sums in made.releases.items():
        exact = sum(exact_sum(made, name, place, tmp_path) for place in shares(name))
        residuals.append((flat(sums) - exact) / made.noise_std(name))
    normal = np.concatenate(residuals)
    assert has_std(normal, 1.0)
    assert not has_std(normal, 2 / 3)
    assert not has_std(normal, 3 / 2)


def test_without_privacy_nothing_is_added_and_the_ledger_says_so(tmp_path: Path) -> None:
    made = record(run(tmp_path, random_histories(USERS), Trust.NONE))
    for name, sums in made.releases.items():
        exact = sum(exact_sum(made, name, place, tmp_path) for place in shares(name))
        assert np.allclose(flat(sums), exact, atol=1e-4)
    assert set(noise_multipliers(made.federation.ledger.path).values()) == {0.0}
    assert made.federation.ledger.epsilon(1e-3) == math.inf


def shares(name: Name) -> range:
    """The nodes whose users are in a release."""
    return range(NODES) if name[2] == SERVER else range(int(name[2][5:]), int(name[2][5:]) + 1)


def exact_sum(made: Record, name: Name, place: int, folder: Path) -> np.ndarray:
    """A node's sum for a recorded request, asked as a server would ask that adds the noise."""
    [request] = [each for each in made.requests if (each.release.name, each.release.round) == name[:2]]
    trust = Trust.NONE if request.plan.trust is Trust.NONE else Trust.SERVER
    oracle = make_node(folder / "oracle", folder / "data", place, NODES)
    return flat(oracle.answer(replace(request, plan=replace(request.plan, trust=trust))).sums)


@pytest.mark.parametrize("trust", list(Trust))
def test_ledgers_hold_each_release_that_was_sent_once_and_cost_what_the_plan_says(tmp_path: Path, trust: Trust) -> None:
    made = record(run(tmp_path, random_histories(USERS), trust))
    plan = made.federation.plan
    planned = [(kind.name, number) for kind in plan.mechanisms for number in rounds_of(kind.name, kind.count)]
    assert list(noise_multipliers(made.federation.ledger.path)) == [(*each, SERVER) for each in planned]
    answers = [Answer.from_record(each) for each in grid_of(made.federation).received]
    for place in range(NODES):
        sent = [answer for answer in answers if answer.partition == place]
        ledger = node_ledger(made.federation, f"node-{place}")
        maker = f"node-{place}" if plan.noised_on_nodes else SERVER
        assert list(noise_multipliers(ledger)) == [(*each, maker) for each in planned]
        assert len(sent) == len(planned)
        assert Ledger(ledger).epsilon(plan.delta) == made.federation.ledger.epsilon(plan.delta)
    events = made.federation.ledger.worst_events(plan.delta)
    assert events == [kind.event() for kind in plan.mechanisms]
    assert epsilon(events, plan.delta) == plan.epsilon


def rounds_of(name: str, count: int) -> range:
    return range(1) if name == "popularity" else range(1, count + 1)


@pytest.fixture
def took_part(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The keys of the users of whom each gradient sum was made, as they reach the trainer."""
    # What sampled releases cost is tested elsewhere: here a coarse grid, which errs upwards, will do.
    monkeypatch.setattr(accounting, "PLD_INTERVAL", 0.05)
    seen: list[set[int]] = []
    original = trainer.clipped_gradient_sum

    def spied(head: Any, vectors: Any, positions: Positions, *others: Any) -> Any:  # noqa: ANN401
        seen.append(set(positions.keys.tolist()))
        return original(head, vectors, positions, *others)

    monkeypatch.setattr(node_module, "clipped_gradient_sum", spied)
    return seen


@pytest.mark.parametrize("trust", list(Trust))
def test_who_takes_part_is_a_poisson_draw_at_the_charged_rate(
    tmp_path: Path, trust: Trust, took_part: list[set[int]]
) -> None:
    rounds, rate, users = (30, 0.3, 100) if trust is Trust.NONE else (4, 0.3, 600)
    train = {"sampling_rate": rate, "rounds": rounds}
    privacy = {"population": users, "noise": "os"}
    federation = {"nodes": 1, "node_capacity": users}
    histories = random_histories(users, longest=5)
    made = run(tmp_path, histories, trust, train=train, privacy=privacy, federation=federation)
    made.train()
    assert len(took_part) == rounds
    [charged] = {event.sampling_rate for event in made.ledger.worst_events(1e-3) if event.name == "head"}
    drawn = sum(map(len, took_part))
    assert stats.binomtest(drawn, users * rounds, charged).pvalue > P_VALUE
    assert stats.binomtest(drawn, users * rounds, charged * 0.75).pvalue < P_VALUE
    assert stats.binomtest(drawn, users * rounds, charged * 1.25).pvalue < P_VALUE
    # Poisson, not a fixed size: the sizes of the draws vary as a binomial's do.
    sizes = np.array([len(each) for each in took_part])
    spread = float(np.sum((sizes - users * rate) ** 2)) / (users * rate * (1 - rate))
    assert P_VALUE < stats.chi2.cdf(spread, len(sizes)) < 1 - P_VALUE


@pytest.mark.parametrize("trust", [Trust.SERVER, Trust.NODE])
def test_who_was_drawn_is_who_contributed(tmp_path: Path, trust: Trust, took_part: list[set[int]]) -> None:
    """Seeded draws can be made again: the users in the gradient sum are those of the draw, and no others."""
    made = run(tmp_path, random_histories(USERS), trust, train={"sampling_rate": 0.5, "rounds": 2})
    made.train()
    keys = positions_of(random_histories(USERS), 1).keys
    expected = []
    for number in (1, 2):
        for place in range(NODES):
            maker = f"node-{place}" if trust is Trust.NODE else SERVER
            source = random_source("seeded", made.plan.seed, f"{number}/head/{maker}/node-{place}/sample")
            own = keys[place::NODES]
            expected.append(set(own[poisson_sample(len(own), 0.5, source)].tolist()))
    assert took_part == expected
