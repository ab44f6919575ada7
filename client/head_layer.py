"""The scoring head as one Opacus layer: all of its parts in one matrix product, with per-user gradients of its own.

Three `nn.Linear` layers would do the same; one layer spares two products over the whole catalogue, and registering its
gradient with Opacus keeps Opacus' hooks, clipping and checks. A slow oracle in the tests holds the two together.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from opacus.grad_sample import register_grad_sampler
from torch import Tensor, nn

from sottovoce.common.scoring import FloatArray, Head


class HeadLayer(nn.Module):
    """Scores of the candidate items: `states · K(V, W)ᵀ + prior`.

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
        parts = {name: part[rows] if name == "V" else part for name, part in head.parameters.items()}
        for name, part in parts.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(part, device=device)))
        # Plain attributes, since Opacus refuses trainable layers with buffers.
        self.vectors = torch.tensor(vectors[rows], device=device)
        self.popularity = torch.tensor(head.b[rows], device=device)
        self.directions = torch.tensor(head.item_directions(vectors)[rows], device=device).T.contiguous()

    def forward(self, states: Tensor, prior: Tensor, weights: Tensor, *mixing: Tensor) -> Tensor:
        """Scores, shape [U, P, C].

        Args:
            states: Without the correction H, shape [U, P, d].
            prior: What is added at every position of a user, shape [U, C]: popularity, or minus infinity for an item
                that may not be ranked.
            weights: Share of each position in its user's loss, shape [U, P]. It plays no part in a score: it stands
                here because Opacus hands a layer's inputs to its gradient, where multiplying the few features is
                cheaper than multiplying the signal of every item.
            mixing: Only with H: how much each item counts in each state, shape [U, P, I].
        """
        return _Scores.apply(self.corrected(states, *mixing), prior, self.directions, *self.parameters())  # type: ignore[no-any-return,no-untyped-call]

    def corrected(self, states: Tensor, *mixing: Tensor) -> Tensor:
        """States with the correction H of the items they are made of."""
        return states + torch.matmul(mixing[0], self.get_parameter("H")) if mixing else states

    def factors(self, activations: list[Tensor], backprops: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Two factors per parameter, shapes [U, P, a] and [U, P, b]: a user's gradient is leftᵀ · right.

        Args:
            activations: The layer's inputs, as `forward` takes them.
            backprops: Gradient of each position's own loss with respect to its scores, shape [U, P, C].
        """
        states, _, weights, *mixing = activations
        weights = weights.unsqueeze(2)
        features = self.corrected(states, *mixing) * weights
        found = {}
        for name, parameter in self.named_parameters():
            size = parameter.shape[1]
            if name == "V":
                found[name] = backprops, features[..., :size]
            elif name == "W":
                found[name] = features[..., :size], torch.matmul(backprops, self.vectors[:, :size])
            else:
                found[name] = mixing[0], torch.matmul(backprops, self.directions.T) * weights
        return found


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
    """Per-user gradients, one more dimension than each parameter; called by Opacus."""
    factors = layer.factors(activations, backprops)
    return {
        layer.get_parameter(name): torch.bmm(left.transpose(1, 2), right) for name, (left, right) in factors.items()
    }


def ghost_norms(factors: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """Per-user norms of the same gradients, shape [U], without forming them (Goodfellow 2015; Li et al. 2022)."""
    grams = [
        (torch.bmm(left, left.transpose(1, 2)) * torch.bmm(right, right.transpose(1, 2))).sum(dim=(1, 2))
        for left, right in factors.values()
    ]
    return torch.stack(grams).sum(dim=0).clamp(min=0).sqrt()


def weighted_sums(factors: dict[str, tuple[Tensor, Tensor]], scale: Tensor) -> dict[str, Tensor]:
    """Sums over users of `scale` × gradient, by parameter, in one product each."""
    scale = scale[:, None, None]
    return {name: left.flatten(0, 1).T @ (right * scale).flatten(0, 1) for name, (left, right) in factors.items()}
