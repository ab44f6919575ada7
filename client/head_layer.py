"""The scoring head as one Opacus layer: all of its parts in one matrix product, with per-user gradients of its own.

Item vectors stand on both sides of a score, so that V has two gradients: as what is ranked, and as what a state is made
of. Registering them with Opacus keeps Opacus' hooks, clipping and checks; a slow oracle in the tests, with plain
autograd, holds them to the formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from opacus.grad_sample import register_grad_sampler
from torch import Tensor, nn

from sottovoce.common.scoring import FloatArray, Head

ROUNDING = 2.0**-18
"""How far a squared norm may be wrong, relative to what it would be if no two terms cancelled: some roundings."""


class HeadLayer(nn.Module):
    """Scores of the candidate items: `states · Kᵀ + prior`, with K of `Head.item_directions`.

    Args:
        head: The model, on the full catalogue.
        vectors: Item vectors, shape [I, d].
        candidates: Rows of the C items to rank; all by default.
        device: Where to compute.
    """

    def __init__(
        self, head: Head, vectors: FloatArray, candidates: NDArray[Any] | None = None, device: str = "cpu"
    ) -> None:
        super().__init__()
        rows = slice(None) if candidates is None else candidates
        for name, part in head.parameters.items():
            self.register_parameter(
                name, nn.Parameter(torch.tensor(part[rows] if name == "V" else part, device=device))
            )
        # Plain attributes, since Opacus refuses trainable layers with buffers.
        self.content_weight = head.shape.content_weight
        self.vectors = torch.tensor(vectors[rows], device=device)
        self.popularity = torch.tensor(head.b[rows], device=device)
        self.directions = torch.tensor(head.item_directions(vectors)[rows], device=device).T.contiguous()
        self.history_vectors = torch.tensor(head.history_vectors(vectors), device=device)

    def forward(self, states: Tensor, prior: Tensor, weights: Tensor, *met: Tensor) -> Tensor:
        """Scores, shape [U, P, C].

        Args:
            states: Shape [U, P, d].
            prior: What is added at every position of a user, shape [U, C]: popularity, or minus infinity for an item
                that may not be ranked.
            weights: Share of each position in its user's loss, shape [U, P]. Like `met` it plays no part in a score:
                both stand here because Opacus hands a layer's inputs to its gradient.
            met: Where states are made of corrected items: `Batch.mixing` [U, P, N] and `Batch.columns` [U, N].
        """
        return _Scores.apply(states, prior, self.directions, *self.parameters())  # type: ignore[no-any-return,no-untyped-call]

    def gradients(self, activations: list[Tensor], signal: Tensor) -> dict[str, UserGradients]:
        """Per-user gradients by parameter, not yet formed.

        Args:
            activations: The layer's inputs, as `forward` takes them.
            signal: Gradient of each position's own loss with respect to its scores, shape [U, P, C].
        """
        states, _, weights, *met = activations
        # Multiplying the few features of a position is cheaper than multiplying the signal of every item.
        weights = weights.unsqueeze(2)
        features = states * weights
        found = {}
        for name, parameter in self.named_parameters():
            size = parameter.shape[1]
            if name == "W":
                found[name] = UserGradients(features[..., :size], torch.matmul(signal, self.vectors[:, :size]))
                continue
            found[name] = UserGradients(signal, self.content_weight * features[..., :size])
            if met:
                mixing, columns = met
                through_states = torch.matmul(signal, self.directions.T[:, :size]) * weights
                rows = torch.bmm(mixing.transpose(1, 2), through_states) * (columns >= 0).unsqueeze(2)
                found[name] = UserGradients(found[name].left, found[name].right, rows, columns.clamp(min=0))
        return found


@dataclass(frozen=True)
class UserGradients:
    """Gradients of one parameter, shape [U, a, b], in factors: `leftᵀ · right`, plus `rows` added at `columns`.

    Attributes:
        left: Shape [U, P, a].
        right: Shape [U, P, b].
        rows: What is added, shape [U, N, b]; nothing by default.
        columns: Where it is added, from 0 to a - 1 and perhaps repeatedly, shape [U, N].
    """

    left: Tensor
    right: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None

    def formed(self) -> Tensor:
        """The gradients themselves."""
        whole = torch.bmm(self.left.transpose(1, 2), self.right)
        if self.rows is not None and self.columns is not None:
            users, height, width = whole.shape
            places = self.columns + height * torch.arange(users, device=whole.device).unsqueeze(1)
            whole.view(users * height, width).index_add_(0, places.flatten(), self.rows.flatten(0, 1))
        return whole

    def squared_norms(self) -> Tensor:
        """Their squared norms, shape [U], without forming them (Goodfellow 2015; Li et al. 2022).

        Never too small, so that they may be clipped by: where terms cancel, float32 may find less than there is, and
        what it can be wrong by is added.
        """
        total = _inner(_gram(self.left), _gram(self.right))
        if self.rows is not None and self.columns is not None:
            same = self.columns.unsqueeze(2) == self.columns.unsqueeze(1)
            total = total + _inner(_gram(self.rows), same)
            chosen = self.left.gather(2, self.columns.unsqueeze(1).expand(-1, self.left.shape[1], -1))
            total = total + 2 * _inner(chosen, torch.bmm(self.right, self.rows.transpose(1, 2)))
        return total.clamp(min=0) + ROUNDING * self._largest_norms().square()

    def _largest_norms(self) -> Tensor:
        """What the norms would be if no two terms cancelled, shape [U]."""
        total: Tensor = (self.left.norm(dim=2) * self.right.norm(dim=2)).sum(dim=1)
        if self.rows is not None:
            total += self.rows.norm(dim=2).sum(dim=1)
        return total

    def weighted_sum(self, scale: Tensor) -> Tensor:
        """Sum over users of `scale` × gradient, shape [a, b], in one product."""
        scale = scale[:, None, None]
        total = self.left.flatten(0, 1).T @ (self.right * scale).flatten(0, 1)
        if self.rows is not None and self.columns is not None:
            total.index_add_(0, self.columns.flatten(), (self.rows * scale).flatten(0, 1))
        return total

    def only(self, users: Tensor) -> UserGradients:
        """The same with nothing but zeros for all but `users`, a mask of shape [U]."""
        kept = users[:, None, None]
        rows = None if self.rows is None else self.rows.where(kept, 0.0)
        return UserGradients(self.left.where(kept, 0.0), self.right.where(kept, 0.0), rows, self.columns)


def _gram(factor: Tensor) -> Tensor:
    return torch.bmm(factor, factor.transpose(1, 2))


def _inner(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=(1, 2))


class _Scores(torch.autograd.Function):
    """The product, with a backward pass that stops: Opacus' hook takes per-user gradients from the same signal, and
    the summed gradient that autograd would form is never used.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, prior: Tensor, directions: Tensor, *parameters: Tensor) -> Tensor:  # noqa: ANN401
        return torch.matmul(states, directions).add_(prior.unsqueeze(1))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # noqa: ANN401
        return (None,) * len(ctx.needs_input_grad)


@register_grad_sampler(HeadLayer)  # type: ignore[untyped-decorator]
def head_grad_sample(layer: HeadLayer, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
    """Per-user gradients, one more dimension than each parameter; called by Opacus.

    They are handed over where Opacus would keep them: what is returned it would copy into zeros of its own, which costs
    as much as forming them.
    """
    for name, gradient in layer.gradients(activations, backprops).items():
        parameter: Any = layer.get_parameter(name)
        parameter._current_grad_sample = gradient.formed()
    return {}
