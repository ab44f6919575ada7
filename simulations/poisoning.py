"""Nodes that lie: they answer like any other, and send what serves their own purpose.

A hostile node is asked what every node is asked, and its lie goes through the same server code. It knows more than a
real one would: the model and the plan (which it is sent), the histories of all honest people, what the server accepts
from it, and what the other hostile nodes do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.node import Node
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Arrays, Request
from sottovoce.common.scoring import FloatArray, Head, recency_weights

BoolArray = NDArray[np.bool_]
Lie = Callable[[Request, Arrays], Arrays]
"""What is sent instead of an honest sum: (request, honest sum) → sum."""

TOP = 5
"""An item is exposed to a user if it stands in a list of so many."""


@dataclass(frozen=True)
class HostileNode:
    """A node that computes its honest part and sends something else.

    Attributes:
        node: What it would be if it were honest.
        lie: What it makes of its part.
    """

    node: Node
    lie: Lie

    def answer(self, request: Request) -> Answer:
        """The lie in the place of the honest sum."""
        honest = self.node.answer(request)
        return replace(honest, sums=self.lie(request, honest.sums)) if honest.sums else honest


def sign_flip(factor: float) -> Lie:
    """Push the model away from what this node's own people like, `factor` times as hard."""
    return scaling(-factor)


def scaling(factor: float) -> Lie:
    """Weigh `factor` times as much as others."""
    return lambda _, honest: {name: (factor * part).astype(np.float32) for name, part in honest.items()}


def random_noise(norm: float, rng: np.random.Generator) -> Lie:
    """Gaussian values of an L2 norm of `norm`."""

    def lie(_: Request, honest: Arrays) -> Arrays:
        drawn = {name: rng.normal(size=part.shape) for name, part in honest.items()}
        return _of_norm(drawn, norm)

    return lie


@dataclass(frozen=True)
class Population:
    """The honest people, as an attacker who knows them all sees them.

    Attributes:
        mixing: How much each item counts in each person's state, shape [U, I].
        met: Which items each person knows, shape [U, I].
    """

    mixing: FloatArray
    met: BoolArray

    @classmethod
    def of(cls, histories: Histories, items: int) -> Population:
        """Of people whose histories are known; dense, so for small catalogues."""
        mixing, met = np.zeros((len(histories), items), np.float32), np.zeros((len(histories), items), np.bool_)
        for user, history in enumerate(histories):
            if len(history):
                np.add.at(mixing[user], history, recency_weights(len(history), 1)[0])
                met[user, history] = True
        return cls(mixing, met)

    def scores(self, head: Head, vectors: FloatArray) -> FloatArray:
        """Of every item for every person, shape [U, I]; minus infinity for what they have met."""
        states = self.mixing @ head.history_vectors(vectors)
        return np.where(self.met, -np.inf, states @ head.item_directions(vectors).T + head.b).astype(np.float32)

    def exposure(self, scores: FloatArray, target: int, top: int = TOP) -> float:
        """ER@`top`: the share of those who have not met `target` in whose first `top` items it stands."""
        others = scores[~self.met[:, target]]
        return float(((others > others[:, [target]]).sum(axis=1) < top).mean())


@dataclass(frozen=True)
class Promotion:
    """Lift one item into as many lists as possible, after FedRecAttack (Rong et al. 2022).

    At the popularity release all weight goes to the target. At a round of the head it descends the gradient of how far
    the target is below the lists of those who do not have it, weighing most those whom the last push will win, with
    respect to the corrections of *all* items: of the target, of its rivals, and of what people's states are made of.

    Attributes:
        target: Catalogue position of the item.
        vectors: Item vectors, shape [I, d].
        population: The honest people.
        norm: L2 norm of what it sends: what the server accepts.
        entry: What it sends as the target's count.
        row_limit: The longest correction that the server keeps, which the attacker reckons with.
        row_norm: It spreads a gradient so that no item's row is longer.
        focus: It works on this share of the people alone, those nearest to being won, and pushes the others' margins
            back a little, so that imagined people do not notice.
    """

    target: int
    vectors: FloatArray
    population: Population
    norm: float
    entry: float
    row_limit: float = np.inf
    row_norm: float = np.inf
    focus: float = 1.0

    def __call__(self, request: Request, honest: Arrays) -> Arrays:
        """The lie."""
        if "popularity" in honest:
            counts = np.zeros_like(honest["popularity"])
            counts[self.target] = self.entry
            return {"popularity": counts}
        head = Head(request.shape, request.arrays["b"], {name: request.arrays[name] for name in request.shape.trained})
        gradient = _without_growth(self.gradient(head), head.parameters["V"], self.row_limit)
        return {"V": spread(gradient, self.norm, self.row_norm)}

    def gradient(self, head: Head) -> NDArray[np.float64]:
        """Of the weighted shortfall of the target with respect to V, shape [I, r]."""
        states = self.population.mixing @ head.history_vectors(self.vectors)
        directions = head.item_directions(self.vectors)
        scores = self.population.scores(head, self.vectors)
        signal = _signal(scores, self.target, self.population.met[:, self.target], self.focus)
        weight, rank = head.shape.content_weight, head.shape.rank
        as_ranked = weight * (signal.T @ states[:, :rank])
        in_states = self.population.mixing.T @ (signal @ directions[:, :rank])
        return np.asarray(as_ranked + in_states, np.float64)


def _signal(scores: FloatArray, target: int, met: BoolArray, focus: float) -> FloatArray:
    """How the shortfall changes with every score, shape [U, I]: up with the rivals in a list, down with the target."""
    others = scores.copy()
    others[:, target] = -np.inf
    rivals = np.argpartition(-others, TOP - 1, axis=1)[:, :TOP]
    values = np.take_along_axis(others, rivals, axis=1)
    missing = np.where(met, np.inf, values.min(axis=1) - scores[:, target])
    urgency = np.where(missing > 0, np.exp(-np.maximum(missing, 0)), 0.2)
    if focus < 1:
        near = missing <= np.quantile(missing[~met], focus)
        urgency = np.where(near, 1.0, -0.05)
    urgency = np.where(met, 0.0, urgency)
    share = np.exp(values - values.max(axis=1, keepdims=True))
    signal = np.zeros_like(scores)
    np.put_along_axis(signal, rivals, share / share.sum(axis=1, keepdims=True) * urgency[:, None], axis=1)
    signal[:, target] -= urgency
    return signal


def _without_growth(gradient: NDArray[np.float64], current: FloatArray, limit: float) -> NDArray[np.float64]:
    """Leave out what the server would cut off: a step that lengthens a row that is as long as it may be."""
    lengths = np.linalg.norm(current, axis=1)
    full = lengths > 0.98 * limit
    outward = -(gradient * current).sum(axis=1)
    cut = np.where(full & (outward > 0), outward / np.maximum(lengths, 1e-12) ** 2, 0.0)
    return gradient + cut[:, None] * current


def spread(gradient: NDArray[np.float64], norm: float, row_norm: float) -> NDArray[np.float32]:
    """`gradient` scaled to an L2 norm of `norm`, with what rows have beyond `row_norm` given to the others."""
    lengths = np.linalg.norm(gradient, axis=1)
    scale = norm / max(float(np.linalg.norm(lengths)), 1e-12)
    for _ in range(50):
        reached = np.minimum(scale * lengths, row_norm)
        total = float(np.linalg.norm(reached))
        if total > 0.99 * norm or not (scale * lengths < row_norm).any():
            break
        scale *= min(norm / max(total, 1e-12), 2.0)
    return np.asarray(gradient * (reached / np.maximum(lengths, 1e-12))[:, None], np.float32)


def _of_norm(arrays: dict[str, NDArray[np.float64]], norm: float) -> Arrays:
    total = float(np.sqrt(sum(np.sum(part**2) for part in arrays.values())))
    return {name: (part * (norm / max(total, 1e-12))).astype(np.float32) for name, part in arrays.items()}
