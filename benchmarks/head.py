"""The scoring head in the way one would write it with PyTorch: the model of both contenders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.population import Population
from benchmarks.rounds import CONTENT_WEIGHT, RANK

Batch = tuple[Tensor, ...]
"""Of some users: states without V, history and mixing (for V), targets, weights, met items."""


class Head(nn.Module):
    """s = α·x·F[i] + b[i], with F = E + V on both sides of the score, of which V is trained.

    V is an embedding of the history and a linear layer over the items that share one weight, as Opacus knows them.
    """

    def __init__(self, population: Population) -> None:
        super().__init__()
        vectors = torch.tensor(population.vectors)
        # Plain attributes, since Opacus refuses modules with buffers.
        self.content = CONTENT_WEIGHT * vectors.T
        self.popularity = torch.tensor(population.popularity)
        self.met = nn.Embedding(len(vectors), RANK)
        self.ranked = nn.Linear(RANK, len(vectors), bias=False)
        self.ranked.weight = self.met.weight
        nn.init.zeros_(self.met.weight)

    def forward(self, states: Tensor, history: Tensor, mixing: Tensor) -> Tensor:
        """Scores of all items, shape [U, P, I].

        Args:
            states: Of uncorrected items, shape [U, P, d].
            history: Items of which the states are made, shape [U, N].
            mixing: How much each counts in each state, shape [U, P, N].
        """
        corrected = states + nn.functional.pad(mixing @ self.met(history), (0, states.shape[-1] - RANK))
        prior = corrected @ self.content + self.popularity
        return prior + CONTENT_WEIGHT * self.ranked(corrected[..., :RANK])  # type: ignore[no-any-return]


class PflHead(Head):
    """The head with the two methods that pfl asks of a model."""

    def loss(self, *batch: Tensor) -> Tensor:
        """The loss of one user."""
        return user_loss(self, batch)

    def metrics(self, *batch: Tensor) -> dict[str, object]:
        """The same; pfl evaluates in the first round, which is not counted."""
        from pfl.metrics import Weighted

        return {"loss": Weighted.from_unweighted(self.loss(*batch).item())}


def user_loss(head: nn.Module, batch: Batch) -> Tensor:
    """Softmax cross-entropy without the met items, summed over positions with their weights."""
    states, history, mixing, targets, weights, met = batch
    likelihoods = head(states, history, mixing).masked_fill(met, -torch.inf).log_softmax(dim=-1)
    return -(likelihoods.gather(-1, targets.unsqueeze(-1)).squeeze(-1) * weights).sum()  # type: ignore[no-any-return]
