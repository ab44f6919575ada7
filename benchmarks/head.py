"""The scoring head in the way one would write it with PyTorch: the model of both contenders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.population import Population
from benchmarks.rounds import CONTENT_WEIGHT, MIX, RANK


class Head(nn.Module):
    """s = α·x·E[i] + b[i] + φ(x)·V[i] + (x' W)·z[i], of which V and W are trained."""

    def __init__(self, population: Population) -> None:
        super().__init__()
        vectors = torch.tensor(population.vectors)
        # Plain attributes, since Opacus refuses modules with buffers.
        self.content = CONTENT_WEIGHT * vectors.T
        self.popularity = torch.tensor(population.popularity)
        self.leading = vectors[:, :MIX].T.contiguous()
        self.V = nn.Linear(RANK, len(vectors), bias=False)
        self.W = nn.Linear(MIX, MIX, bias=False)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, states: Tensor) -> Tensor:
        """Scores of all items, shape [..., I], for states of shape [..., d]."""
        prior = states @ self.content + self.popularity
        return prior + self.V(states[..., :RANK]) + self.W(states[..., :MIX]) @ self.leading  # type: ignore[no-any-return]


class PflHead(Head):
    """The head with the two methods that pfl asks of a model."""

    def loss(self, states: Tensor, targets: Tensor, weights: Tensor, met: Tensor) -> Tensor:
        """The user's loss."""
        return cross_entropy(self(states), targets, weights, met)

    def metrics(self, states: Tensor, targets: Tensor, weights: Tensor, met: Tensor) -> dict[str, object]:
        """The same; pfl evaluates in the first round, which is not counted."""
        from pfl.metrics import Weighted

        return {"loss": Weighted.from_unweighted(self.loss(states, targets, weights, met).item())}


def cross_entropy(scores: Tensor, targets: Tensor, weights: Tensor, met: Tensor) -> Tensor:
    """Softmax cross-entropy without the met items, summed over positions with their weights."""
    likelihoods = scores.masked_fill(met, -torch.inf).log_softmax(dim=-1)
    return -(likelihoods.gather(-1, targets.unsqueeze(-1)).squeeze(-1) * weights).sum()
