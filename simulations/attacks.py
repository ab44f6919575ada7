"""Attacks on what a federation shows: on its published model, and on what one node sends.

They prove nothing about ε: they tell what a plausible attacker finds out, which is less than what the guarantee covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from sottovoce.client.node import Node
from sottovoce.client.states import Positions, positions_of
from sottovoce.client.store import NodeData
from sottovoce.common.config import Config
from sottovoce.common.errors import BudgetSpentError, FederationError
from sottovoce.common.history import Histories, IntArray
from sottovoce.common.messages import Arrays, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import ScoringModel
from sottovoce.simulations.audit import BoolArray, FloatArray, area_under_curve
from sottovoce.simulations.canaries import without, write_histories
from sottovoce.simulations.observed import observed_federation
from sottovoce.simulations.prepare import Prepared

LOSS_WINDOW = 20
"""The statistic of a user is the mean log-likelihood of so many of their last items."""

USERS_AT_A_TIME = 64
FEWEST = 2
"""With fewer shadow models on one side, nothing is said about a user."""


# --- membership ----------------------------------------------------------------------------------------------------


def shadow_likelihoods(
    folder: Path, prepared: Prepared, config: Config, plan: PrivacyPlan, shadows: int, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """Train shadow federations, each with every user in by a fair coin, and see how each user fares under each model.

    Args:
        folder: A new folder for data and ledgers.
        prepared: The run's data.
        config: Resolved settings of the run.
        plan: The run's plan with seeded noise; every shadow has a seed of its own.
        shadows: S.
        rng: Tosses the coins.

    Returns:
        Mean log-likelihoods, shape [S, U], and whether the user was in, shape [S, U].
    """
    known = prepared.held_out.known
    member = rng.random((shadows, len(known))) < 0.5
    positions = positions_of(known, LOSS_WINDOW)
    likelihoods = np.zeros(member.shape)
    for shadow in range(shadows):
        data = write_histories(folder / "data", prepared, without(known, np.flatnonzero(~member[shadow])))
        seeded = replace(plan, seed=plan.seed + shadow + 1)
        federation = observed_federation(folder / f"shadow-{shadow}", data, config, seeded)
        try:
            state = federation.train()
        except BudgetSpentError:
            stopped = federation.store.load()
            if stopped is None:
                raise
            state = stopped
        likelihoods[shadow] = log_likelihoods(ScoringModel(prepared.space.vectors, state.published), positions)
    return likelihoods, member


def log_likelihoods(model: ScoringModel, positions: Positions) -> FloatArray:
    """Mean log-likelihood of each user's positions under softmax over the whole catalogue, shape [U]."""
    found = [
        _log_likelihoods(model, positions.select(np.arange(start, min(start + USERS_AT_A_TIME, len(positions)))))
        for start in range(0, len(positions), USERS_AT_A_TIME)
    ]
    return np.concatenate(found)


def _log_likelihoods(model: ScoringModel, positions: Positions) -> FloatArray:
    states = np.matmul(positions.mixing(), model.history_vectors[positions.history.padded()])
    scores = model.scores(states)
    top = scores.max(axis=2)
    normaliser = top + np.log(np.exp(scores - top[..., None]).sum(axis=2))
    valid = positions.targets >= 0
    chosen = np.take_along_axis(scores, np.maximum(positions.targets, 0)[..., None], axis=2)[..., 0]
    total = np.where(valid, chosen - normaliser, 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(total / np.maximum(valid.sum(axis=1), 1))


def likelihood_ratios(statistic: FloatArray, member: BoolArray) -> FloatArray:
    """LiRA (Carlini et al. 2022): each model in turn is the target, all others are its shadow models.

    Per user, the statistic is taken as Gaussian with a mean of its own for models with and without the user and, since
    shadow models are few, one variance for both.

    Args:
        statistic: Of each user under each model, shape [S, U].
        member: Whether the user was in, shape [S, U].

    Returns:
        Log-likelihood ratio of in against out, shape [S, U]; zero where shadow models are too few to say.
    """
    ratios = np.zeros(statistic.shape)
    for target in range(len(statistic)):
        others = np.arange(len(statistic)) != target
        values, inside = statistic[others], member[others]
        count_in, count_out = inside.sum(axis=0), (~inside).sum(axis=0)
        mean_in = (values * inside).sum(axis=0) / np.maximum(count_in, 1)
        mean_out = (values * ~inside).sum(axis=0) / np.maximum(count_out, 1)
        spread = np.sqrt(((values - np.where(inside, mean_in, mean_out)) ** 2).mean(axis=0) + 1e-12)
        ratio = stats.norm.logpdf(statistic[target], mean_in, spread)
        ratio -= stats.norm.logpdf(statistic[target], mean_out, spread)
        ratios[target] = np.where(np.minimum(count_in, count_out) >= FEWEST, ratio, 0.0)
    return ratios


# --- interactions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """How well the items of histories were read from what one-user nodes sent, as means over users.

    Attributes:
        auc: Chance that an item of the history ranks above another.
        precision: Share of the history's items among as many items that rank highest.
        chance: The precision of guessing.
    """

    auc: float
    precision: float
    chance: float


def read_interactions(folder: Path, data: NodeData, rows: IntArray, request: Request, trust: Trust) -> Reading:
    """Ask nodes that hold one user each for their part of a release, and rank items by what they answer.

    Args:
        folder: A new folder for the nodes' ledgers.
        data: Holds the users, in one partition.
        rows: Which users.
        request: A request that was made in a federation.
        trust: `server`: the answer is the exact clipped sum. `node`: it is noised. `none`: neither clipped nor noised.

    Raises:
        FederationError: a node refuses.
    """
    asked, (items, users) = _under(request, trust), (request.shape.items, len(data.histories))
    found = []
    for row in rows:
        ledger = Ledger(folder / f"{request.release.name}-{trust.value}-{row}.sqlite")
        node = Node(f"user-{row}", NodeData(data.folder, int(row), users), ledger, float("inf"), simulated=True)
        answer = node.answer(asked)
        if answer.refusal:
            raise FederationError(f"a node refused the auditor: {answer.refusal}")
        met = np.isin(np.arange(items), data.histories[int(row)])
        scores = item_scores(answer.sums, data.space.vectors.astype(np.float64))
        top = np.argsort(-scores, kind="stable")[: int(met.sum())]
        found.append((area_under_curve(scores[met], scores[~met]), float(met[top].mean()), float(met.mean())))
    return Reading(*(float(value) for value in np.mean(found, axis=0)))


def item_scores(sums: Arrays, vectors: FloatArray) -> FloatArray:
    """How much an answer speaks for each item, shape [I].

    A histogram says it outright. Of the correction V, the rows of items that a history holds are longest. The gradient
    of the mix W is a sum of products of a state, made of items that were met, with the item that came next: it is long
    along the items of the history, on both of its sides.
    """
    if "popularity" in sums:
        return np.asarray(sums["popularity"], np.float64)
    if "V" in sums:
        return np.asarray(np.linalg.norm(sums["V"].astype(np.float64), axis=1))
    mix, leading = sums["W"].astype(np.float64), vectors[:, : len(sums["W"])]
    return np.asarray(np.hypot(np.linalg.norm(leading @ mix, axis=1), np.linalg.norm(leading @ mix.T, axis=1)))


def _under(request: Request, trust: Trust) -> Request:
    """The same request under another trust, for a user who takes part, and about the whole catalogue."""
    plan = request.plan
    if trust is Trust.NONE:
        exact = replace(plan.popularity, noise_multiplier=0.0)
        head = replace(plan.head, noise_multiplier=0.0, sampling_rate=1.0, clip_norm=float("inf"))
        asked = replace(plan, trust=trust, target_epsilon=float("inf"), popularity=exact, head=head)
    else:
        asked = replace(plan, trust=trust, head=replace(plan.head, sampling_rate=1.0))
    return replace(request, plan=asked, objective=replace(request.objective, candidates=request.shape.items))


def users_to_read(histories: Histories, count: int, rng: np.random.Generator) -> IntArray:
    """Rows of at most `count` users, drawn from those with two interactions or more."""
    able = np.flatnonzero(histories.lengths >= 2)
    return np.sort(rng.choice(able, min(count, len(able)), replace=False))
