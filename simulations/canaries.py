"""Canary users: people made up so that their presence shows, added to a real federation to find out whether it does.

A canary's history is a block of rarely met items that it shares with no other canary, or hardly: its histogram has the
largest norm that there is, and its clipped gradient is nearly orthogonal to everyone else's. Each canary is in by an
independent fair coin. One that is out stays as a person with an empty history, so that the place of nobody else depends
on the coins.

The auditor sees what the strongest observer sees whom the guarantee covers (every noised sum: the server's under
`trust = server`, each node's under `node`), and knows everything else: every history, all canaries, the model at every
round. Only the coins and the noise are hidden from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.node import Sums, drawn_users, exact_sums
from sottovoce.client.store import NodeData
from sottovoce.common.config import Config, given
from sottovoce.common.errors import BudgetSpentError, ConfigError
from sottovoce.common.history import Histories, IntArray
from sottovoce.common.messages import Arrays, Request
from sottovoce.common.privacy.ledger import SERVER
from sottovoce.common.privacy.noise import SeededRandom, add_gaussian, poisson_sample
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.simulations.audit import BoolArray, FloatArray
from sottovoce.simulations.observed import ObservedFederation, node_name, observed_federation
from sottovoce.simulations.prepare import Prepared

TRIALS_AT_A_TIME = 1000


@dataclass(frozen=True)
class View:
    """One noised sum, as the strongest observer sees it.

    Attributes:
        request: What was asked for, with the model of that moment.
        sums: The noised sum.
        maker: Who noised it: the server, or a node.
        rows: The users who may be in it, if all canaries were in.
        drawn: Those of them who were drawn to take part; the observer does not see who.
    """

    request: Request
    sums: Arrays
    maker: str
    rows: IntArray
    drawn: IntArray

    @property
    def name(self) -> str:
        """Tells it from all others."""
        release = self.request.release
        return f"{release.name} {release.round} of {self.maker}"


@dataclass(frozen=True)
class CanaryRun:
    """A federation that was run with canaries.

    Attributes:
        plan: What it was allowed to release.
        everybody: Data of all people and all canaries, as the auditor knows them.
        people: Number of people who are no canaries: the canaries have the rows after them.
        included: What the coins said, shape [m].
        views: What was seen.
    """

    plan: PrivacyPlan
    everybody: NodeData
    people: int
    included: BoolArray
    views: list[View]

    @property
    def canaries(self) -> IntArray:
        """Rows of the canaries, shape [m]."""
        return np.arange(self.people, self.people + len(self.included))


@dataclass(frozen=True)
class Residual:
    """What one release holds beside the sum of those who took part: its noise, if the claim is true.

    Attributes:
        release: The release's name.
        noise: In units of the claimed standard deviation, shape [P].
    """

    release: str
    noise: FloatArray

    @property
    def std(self) -> float:
        """Standard deviation over that which is claimed."""
        return float(np.sqrt(np.mean(self.noise**2)))


@dataclass(frozen=True)
class Evidence:
    """What the views say of the canaries, in units of the claimed noise.

    Attributes:
        match: Inner product of each canary's contributions with what was seen beyond the other people's, shape [m].
        gram: Inner products of the canaries' contributions, shape [m, m]: its diagonal holds the squared μ.
        largest_norm: Largest L2 norm of one canary's contribution to one release, in units of the clip norm.
        residuals: Of each release, kept apart: a fault of a small one would drown in the others.
    """

    match: FloatArray
    gram: FloatArray
    largest_norm: float
    residuals: tuple[Residual, ...]

    def scores(self) -> FloatArray:
        """The best linear estimate of each coin, less one half, shape [m].

        With orthogonal contributions it is the matched filter; otherwise it takes out what other canaries, whose coins
        are not known either, add to a canary's inner product.
        """
        centred = (self.match - self.gram.sum(axis=1) / 2) / 4
        return np.linalg.solve(np.eye(len(self.gram)) + self.gram / 4, centred)


def canary_histories(known: Histories, items: int, count: int, length: int, rng: np.random.Generator) -> list[IntArray]:
    """Histories of `length` distinct items: blocks of the rarest items first, of other orders once all are used.

    Raises:
        ConfigError: the catalogue is too small for canaries that differ.
    """
    if items < 4 * length:
        raise ConfigError("privacy.popularity_length", length, f"at most a quarter of the {items} items, to be audited")
    met = np.bincount(known.items, minlength=items)
    order, blocks = np.lexsort((rng.random(items), met)), list[IntArray]()
    while len(blocks) < count:
        blocks += [rng.permutation(order[start : start + length]) for start in range(0, items - length + 1, length)]
        order = rng.permutation(items)
    return blocks[:count]


def run_with_canaries(
    folder: Path, prepared: Prepared, config: Config, plan: PrivacyPlan, canaries: int, rng: np.random.Generator
) -> CanaryRun:
    """Run the federation of `config` with `canaries` more users, each in by a fair coin.

    Args:
        folder: A new folder for the data and the ledgers.
        prepared: The run's data.
        config: Resolved settings of the run.
        plan: The run's plan, with seeded noise.
        canaries: m.
        rng: Tosses the coins, and lays out the histories.
    """
    known, people = prepared.held_out.known, len(prepared.held_out.known)
    length = max(2, given(config.privacy.popularity_length))
    made_up = canary_histories(known, len(prepared.catalogue), canaries, length, rng)
    included = rng.random(canaries) < 0.5
    everybody = with_more(known, made_up)
    present = without(everybody, people + np.flatnonzero(~included))
    config = with_room(config, len(everybody))
    federation = observed_federation(
        folder / "run", write_histories(folder / "present", prepared, present), config, plan
    )
    # A spent budget stops it where it stopped the run that is audited; what was released by then is judged.
    with suppress(BudgetSpentError):
        federation.train()
    data = NodeData(write_histories(folder / "everybody", prepared, everybody), 0, 1)
    return CanaryRun(plan, data, people, included, _views(federation, len(everybody)))


def weigh(run: CanaryRun) -> Evidence:
    """Compare what was seen with what each canary would have added to it."""
    count = len(run.included)
    match, gram = np.zeros(count), np.zeros((count, count))
    largest, residuals = 0.0, list[Residual]()
    for view in run.views:
        mechanism = run.plan.mechanism(view.request.release.name)
        here = np.flatnonzero(np.isin(run.canaries, view.rows))
        own = np.stack([_contribution(run, view, run.canaries[each]) for each in here]).astype(np.float32)
        largest = max(largest, float(np.linalg.norm(own, axis=1).max()) / mechanism.clip_norm)
        own *= mechanism.sampling_rate / mechanism.noise_std
        seen = (flat(view.sums) - mechanism.sampling_rate * background(run, view)) / mechanism.noise_std
        match[here] += own @ seen.astype(np.float32)
        gram[np.ix_(here, here)] += own @ own.T
        residuals.append(Residual(view.name, (flat(view.sums) - summed(run, view)) / mechanism.noise_std))
    return Evidence(match, gram, largest, tuple(residuals))


def repeat_releases(
    run: CanaryRun, canary: int, trials: int, coordinates: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Make all releases of a run again and again, without and with one canary, at the models that the run had.

    The exact sums are constants, so that only sampling of the canary and the noise are drawn anew, by the code and the
    plan that a federation draws them with. That the models stay those of one run makes it a composition of
    releases that do not adapt, which the same accounting covers.

    Args:
        run: Gives the views.
        canary: Which one, from 0.
        trials: How often, without and with the canary each.
        coordinates: Of each release only as many are looked at, those where the canary is largest: looking at less is
            post-processing, and loses little.
        seed: Of the noise.

    Returns:
        Scores of the runs without it, and of those with it, each of shape [trials]: inner products of what was
        released beyond the other people's sum with the canary's contribution, weighted by 1 / noise variance.
    """
    out, inside = np.zeros(trials), np.zeros(trials)
    for number, view in enumerate(run.views):
        if run.canaries[canary] not in view.rows:
            continue
        name = view.request.release.name
        # One node's own noise under `node`, else that of the total.
        nodes = 1 if run.plan.trust is Trust.NODE else run.plan.minimum_nodes
        mechanism, std = run.plan.mechanism(name), run.plan.total_noise_std(name, nodes)
        own = _contribution(run, view, run.canaries[canary])
        chosen = np.argsort(np.abs(own))[-coordinates:]
        own, base = own[chosen], background(run, view)[chosen]
        source = SeededRandom(seed, f"audit/{number}/{name}")
        for scores, present in ((out, False), (inside, True)):
            for start in range(0, trials, TRIALS_AT_A_TIME):
                part = scores[start : start + TRIALS_AT_A_TIME]
                exact = np.tile(base, (len(part), 1))
                if present:
                    exact[poisson_sample(len(part), mechanism.sampling_rate, source)] += own
                part += (add_gaussian(exact, std, source) - base) @ own / mechanism.noise_std**2
    return out, inside


def background(run: CanaryRun, view: View) -> FloatArray:
    """The exact sum of the people in a view who are no canaries, flat."""
    return flat(exact_sums(run.everybody, view.request, view.rows[view.rows < run.people]))


def summed(run: CanaryRun, view: View) -> FloatArray:
    """The exact sum that a view was made of, flat: of those who were drawn, less the canaries who are out."""
    out = run.canaries[~run.included]
    return flat(exact_sums(run.everybody, view.request, np.setdiff1d(view.drawn, out)))


def flat(sums: Sums | Arrays) -> FloatArray:
    """All arrays of a release as one vector, in the order of their names."""
    return np.concatenate([np.asarray(sums[name], np.float64).ravel() for name in sorted(sums)])


def with_more(known: Histories, more: Sequence[IntArray]) -> Histories:
    """The same people, and some more after them."""
    users = [*known.users.tolist(), *(f"canary-{number}" for number in range(len(more)))]
    grown = Histories.from_lists(users, [*known, *more])
    if known.words is None:
        return grown
    silence = np.full(len(grown.items) - len(known.items), "", dtype=known.words.dtype)
    return Histories(grown.users, grown.offsets, grown.items, np.concatenate([known.words, silence]))


def without(histories: Histories, rows: NDArray[np.int64]) -> Histories:
    """The same rows, those in `rows` with an empty history: they add nothing to any sum."""
    emptied = np.isin(np.arange(len(histories)), rows)
    lengths = np.where(emptied, 0, histories.lengths)
    kept = ~np.repeat(emptied, histories.lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    words = None if histories.words is None else histories.words[kept]
    return Histories(histories.users, offsets, histories.items[kept], words)


def with_room(config: Config, users: int) -> Config:
    """The same settings, with room on the nodes for `users`: no release is scaled down for their sake."""
    capacity = max(given(config.federation.node_capacity), -(-users // config.federation.nodes))
    return config.model_copy(update={"federation": config.federation.model_copy(update={"node_capacity": capacity})})


def write_histories(folder: Path, prepared: Prepared, histories: Histories) -> Path:
    """A folder as nodes read it: the run's public data, and these histories."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("catalogue.json", "items.safetensors"):
        if not (folder / name).exists():
            (folder / name).symlink_to((prepared.folder / name).absolute())
    histories.save(folder / "histories.npz")
    return folder


def _contribution(run: CanaryRun, view: View, row: int) -> FloatArray:
    """What one user adds to the sum of a view, clipped, flat."""
    return flat(exact_sums(run.everybody, view.request, np.array([row])))


def _views(federation: ObservedFederation, users: int) -> list[View]:
    """The server's noised sums, or, where the server is not trusted, what each node sent to it."""
    nodes = federation.config.federation.nodes
    if federation.plan.trust is Trust.NODE:
        return [
            View(
                request,
                answer.sums,
                node_name(answer.partition),
                np.arange(answer.partition, users, nodes),
                _drawn(request, answer.partition, nodes, users),
            )
            for request, answer in federation.exchanges
            if not answer.refusal
        ]
    requests = {(request.release.name, request.release.round): request for request, _ in federation.exchanges}
    return [
        View(
            request := requests[name, number],
            released.sums,
            SERVER,
            np.arange(users),
            np.sort(np.concatenate([_drawn(request, place, nodes, users) for place in range(nodes)])),
        )
        for name, number, released in federation.released
    ]


def _drawn(request: Request, place: int, nodes: int, users: int) -> IntArray:
    """The users of one node who were drawn for a release: the audit's noise is seeded, so that they can be found."""
    own = np.arange(place, users, nodes)
    return own[drawn_users(request, node_name(place), len(own))]
