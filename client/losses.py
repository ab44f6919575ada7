"""The losses of a user's positions, as closed-form gradients with respect to the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """Which loss is minimised.

    Attributes:
        name: `softmax`: cross-entropy over the candidates. `sigmoid`: logistic loss of the target against
            `negatives` sampled candidates.
        negatives: Sampled per position, uniformly from the candidates that the user has not met.
        seed: Public; with a user's key it names that user's draws. They must not depend on who else takes part: then
            one user would move the others' gradients too, and the clip would no longer bound what one user can do.
    """

    name: str
    negatives: int
    seed: int


@dataclass(frozen=True)
class Batch:
    """Positions of U users as tensors; items are columns of the candidates.

    Attributes:
        states: Shape [U, P, d].
        targets: Column to be predicted, shape [U, P]; -1 where padded.
        weights: Share of each position in its user's mean, shape [U, P]; zero where padded.
        prior: Popularity, or minus infinity for items met before the first position, shape [U, C].
        keys: One number per user, fixed by the user's id, shape [U].
        met: What the states are made of, where they are made of items: how much each item of a history counts in each
            state, shape [U, P, N], and its column, shape [U, N], -1 for one that is not ranked.
    """

    states: Tensor
    targets: Tensor
    weights: Tensor
    prior: Tensor
    keys: NDArray[np.uint64]
    met: tuple[Tensor, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the head's layer takes."""
        return (self.states, self.prior, self.weights, *self.met)


def loss_gradient(scores: Tensor, batch: Batch, loss: Loss) -> Tensor:
    """The gradient of each position's loss with respect to its scores, shape [U, P, C]; overwrites `scores`."""
    scores[_met_within_window(batch.targets)] = -torch.inf
    targets = batch.targets.clamp(min=0).unsqueeze(2)
    if loss.name == "softmax":
        gradient = torch.softmax(scores, dim=2, out=scores)
        return gradient.scatter_add_(2, targets, gradient.new_full(targets.shape, -1.0))
    negatives, share = _draw_negatives(scores, targets, batch.keys, loss)
    gradient = torch.zeros_like(scores)
    gradient.scatter_add_(2, targets, torch.sigmoid(scores.gather(2, targets)) - 1)
    return gradient.scatter_add_(2, negatives, torch.sigmoid(scores.gather(2, negatives)) * share)


def _met_within_window(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a position would rank the target of an earlier one: indices (user, position, column)."""
    earlier, later = torch.triu_indices(targets.shape[1], targets.shape[1], offset=1, device=targets.device)
    columns = targets[:, earlier]
    users, pairs = torch.nonzero(columns >= 0, as_tuple=True)
    return users, later[pairs], columns[users, pairs]


def _draw_negatives(scores: Tensor, targets: Tensor, keys: NDArray[np.uint64], loss: Loss) -> tuple[Tensor, Tensor]:
    """Columns drawn uniformly, shape [U, P, n], and the share of each: zero for the target and for met items.

    A user's last position has the first draws: P depends on who else is in the batch, since positions are padded at the
    front, and a user's draws must not.
    """
    size = (scores.shape[1], loss.negatives)
    drawn = [np.random.default_rng([loss.seed, int(key)]).integers(0, scores.shape[2], size)[::-1] for key in keys]
    negatives = torch.from_numpy(np.stack(drawn)).to(scores.device)
    usable = (negatives != targets) & torch.isfinite(scores.gather(2, negatives))
    return negatives, usable / usable.sum(dim=2, keepdim=True).clamp(min=1)
