"""How a node answers a request for its part of a release.

The guarantee: nothing leaves a node but an `Answer`, and every sum in one was written into the node's own ledger,
within its owner's cap, before a history was looked at. Under `trust = node` and `aggregate` the sum is noised here and
kept, so that a retry gets the same bytes. A fault while histories are read is answered like an empty node: by noise
alone, or by a zero sum, so that not even a failure tells of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.losses import Loss
from sottovoce.client.states import popularity_sum
from sottovoce.client.store import Holdings
from sottovoce.client.trainer import clipped_gradient_sum
from sottovoce.common.errors import BudgetSpentError, LedgerError, RequestRefusedError
from sottovoce.common.messages import Answer, Arrays, Request, pack, round_candidates, sum_shapes, unpack
from sottovoce.common.privacy.ledger import SERVER, Ledger, Release
from sottovoce.common.privacy.noise import add_gaussian, poisson_sample, random_source
from sottovoce.common.scoring import Head

log = logging.getLogger(__name__)

Sums = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Node:
    """One node of a federation.

    Attributes:
        name: Its public name, unique in its population.
        data: What it holds.
        ledger: Every release that its users took part in.
        max_epsilon: Its owner's cap over all releases; infinite allows runs without privacy.
        max_delta: The largest δ at which the cap is computed, whatever δ a server names.
        simulated: Whether this is a simulation, where noise may be repeatable and secure aggregation is pretended.
        allow: Raises RequestRefusedError for what its owner does not allow beyond that, from public input alone.
    """

    name: str
    data: Holdings
    ledger: Ledger
    max_epsilon: float
    max_delta: float = 1e-5
    simulated: bool = False
    allow: Callable[[Request], None] = lambda _: None

    def answer(self, request: Request) -> Answer:
        """This node's part of the release that `request` names, or a refusal that tells nothing about a history."""
        own = Answer(
            partition=self.data.partition,
            request_sha256=request.sha256,
            catalogue_sha256=self.data.catalogue.sha256,
            space_sha256=self.data.space.sha256,
        )
        try:
            self._check(request)
            return replace(own, sums=self._released(request))
        except BudgetSpentError:
            return replace(own, refusal="the owner's budget does not allow this release")
        except LedgerError:
            return replace(own, refusal="this release was asked for before, and is not made again")
        except RequestRefusedError as error:
            return replace(own, refusal=str(error))

    def _check(self, request: Request) -> None:
        """Decline what this node cannot or may not take part in, from public input alone."""
        if request.catalogue_sha256 != self.data.catalogue.sha256:
            raise RequestRefusedError("the request is for another catalogue")
        if request.space_sha256 != self.data.space.sha256:
            raise RequestRefusedError("the request is for another encoder or projection")
        if (request.shape.items, request.shape.dimension) != self.data.space.vectors.shape:
            raise RequestRefusedError("the head does not fit the item vectors")
        if request.plan.simulated_only and not self.simulated:
            raise RequestRefusedError(request.plan.simulated_only)
        self.allow(request)
        if request.objective.state == "text" and not self.data.space.maps:
            raise RequestRefusedError("this node has no map for texts into the item space")
        if request.release.name not in ("popularity", "head"):
            raise RequestRefusedError("no such release")
        expected = {"b": (request.shape.items,), **request.shape.trained} if request.release.name == "head" else {}
        if {name: array.shape for name, array in request.arrays.items()} != expected:
            raise RequestRefusedError("the head's arrays have other shapes than it says")

    def _released(self, request: Request) -> Arrays:
        """Charge for the release, compute it, noise it if this node is the one to do so, and keep what must be kept."""
        plan, noised_here = request.plan, request.plan.noised_on_nodes
        mechanism = plan.mechanism(request.release.name)
        release = made_release(request, self.name)
        delta = min(plan.delta, self.max_delta)
        made = self.ledger.open(release, mechanism.event(), request.sha256, plan.noise, self.max_epsilon, delta)
        if made is not None:
            return unpack(made)
        std = plan.node_noise_std(mechanism.name)
        sums = {
            name: add_gaussian(exact, std, random_source(plan.noise, plan.seed, f"{release.stream}/noise/{name}"))
            for name, exact in self._sums_or_zero(request, release).items()
        }
        arrays = {name: part.astype(np.float32) for name, part in sums.items()}
        if noised_here:
            self.ledger.persist(release, pack(arrays))
        else:
            self.ledger.record_sent(release, pack(arrays))
        return arrays

    def _sums_or_zero(self, request: Request, release: Release) -> Sums:
        try:
            return self._sums(request)
        except Exception as error:
            # Whatever it was, neither its text nor its absence may leave; the owner finds its kind in the local log.
            log.error(
                "release %s: %s while histories were read; an empty sum is used", release.id, type(error).__name__
            )
            shapes = sum_shapes(request.shape, request.objective, request.release.name)
            return {name: np.zeros(shape) for name, shape in shapes.items()}

    def _sums(self, request: Request) -> Sums:
        """Sample this node's users, and sum their clipped contributions."""
        return exact_sums(self.data, request, drawn_users(request, self.name, len(self.data.histories)))


def made_release(request: Request, node: str) -> Release:
    """What `request` asks for, under its maker's name: the node's where nodes add noise, else the server's."""
    return replace(request.release, maker=node if request.plan.noised_on_nodes else SERVER)


def drawn_users(request: Request, node: str, users: int) -> NDArray[np.int64]:
    """Places of those out of a node's `users` that take part in the release that `request` asks for.

    A Poisson draw, which with seeded noise is the same whenever it is made.
    """
    plan, release = request.plan, made_release(request, node)
    source = random_source(plan.noise, plan.seed, f"{release.stream}/{node}/sample")
    return poisson_sample(users, plan.mechanism(release.name).sampling_rate, source)


def exact_sums(data: Holdings, request: Request, rows: NDArray[np.int64]) -> Sums:
    """The clipped sums over the users in `rows` that `request` asks for, without noise: never to be sent as they are.

    Args:
        data: Holds the users.
        request: Names the release and the model.
        rows: Places of users in `data.histories`.
    """
    objective = request.objective
    if request.release.name == "popularity":
        return {"popularity": popularity_sum(data.histories, request.shape.items, objective.popularity_length, rows)}
    clip_norm = request.plan.mechanism(request.release.name).clip_norm
    candidates = round_candidates(request.release, request.shape.items, objective.candidates)
    block = None if len(candidates) == request.shape.items else candidates
    head = Head(request.shape, request.arrays["b"], {part: request.arrays[part] for part in request.shape.trained})
    positions = data.positions(objective, block).select(rows)
    loss = Loss(objective.loss, objective.negatives, seed=request.plan.seed + request.release.round)
    return clipped_gradient_sum(head, data.space.vectors, positions, clip_norm, loss, block)
