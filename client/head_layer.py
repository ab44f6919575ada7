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

    def forward(self, states: Tensor, prior: Tensor, weights: Tensor) -> Tensor:
        """Scores, shape [U, P, C].

        Args:
            states: Shape [U, P, d].
            prior: What is added at every position of a user, shape [U, C]: popularity, or minus infinity for an item
                that may not be ranked.
            weights: Share of each position in its user's loss, shape [U, P]. It plays no part in a score: it stands
                here because Opacus hands a layer's inputs to its gradient, where multiplying the few features is
                cheaper than multiplying the signal of every item.
        """
        return _Scores.apply(states, prior, self.directions, *self.parameters())  # type: ignore[no-any-return,no-untyped-call]


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
    """Per-user gradients, shapes [U, C, r] for `V` and [U, k, k] for `W`; called by Opacus.

    Args:
        layer: The layer.
        activations: Its inputs: states [U, P, d], prior, and the weights of the positions [U, P].
        backprops: Gradient of each position's own loss with respect to its scores, shape [U, P, C].
    """
    states = activations[0] * activations[2].unsqueeze(2)
    gradients: dict[nn.Parameter, Tensor] = {}
    for name, parameter in layer.named_parameters():
        features = states[..., : parameter.shape[1]]
        if name == "V":
            gradients[parameter] = torch.bmm(backprops.transpose(1, 2), features)
        else:
            gradients[parameter] = torch.bmm(features.transpose(1, 2), _mixed(layer, parameter, backprops))
    return gradients


def ghost_norms(layer: HeadLayer, states: Tensor, backprops: Tensor) -> Tensor:
    """Per-user norms of the same gradients, shape [U], without forming them (Goodfellow 2015; Li et al. 2022).

    Args:
        layer: The layer.
        states: Weighted by position, shape [U, P, d].
        backprops: As in `head_grad_sample`.
    """
    squares = torch.zeros(len(states), device=states.device)
    for name, parameter in layer.named_parameters():
        features = states[..., : parameter.shape[1]]
        other = backprops if name == "V" else _mixed(layer, parameter, backprops)
        gram = torch.bmm(features, features.transpose(1, 2)) * torch.bmm(other, other.transpose(1, 2))
        squares += gram.sum(dim=(1, 2))
    return squares.clamp(min=0).sqrt()


def weighted_sums(layer: HeadLayer, states: Tensor, backprops: Tensor, factors: Tensor) -> dict[str, Tensor]:
    """Sums over users of `factors` × gradient, by parameter, in one product each."""
    scaled = (backprops * factors[:, None, None]).flatten(0, 1)
    sums = {}
    for name, parameter in layer.named_parameters():
        features = states[..., : parameter.shape[1]].flatten(0, 1)
        sums[name] = scaled.T @ features if name == "V" else features.T @ _mixed(layer, parameter, scaled)
    return sums


def _mixed(layer: HeadLayer, parameter: nn.Parameter, backprops: Tensor) -> Tensor:
    """The signal carried back through z: shape [..., k]."""
    return torch.matmul(backprops, layer.vectors[:, : parameter.shape[1]])
