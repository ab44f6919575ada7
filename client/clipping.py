"""Clip one user's gradient, sum over users, and say how far one user can move the sum.

The guarantee: adding or removing one user moves `sums` by at most `clip_norm` in L2, and a user whose gradient is not
finite contributes nothing. The clip keeps a reserve of 2^-10 for the rounding of float32; sums over batches are in
float64.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Protocol

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor

from sottovoce.client.head_layer import HeadLayer
from sottovoce.client.losses import Batch, Loss, loss_gradient

CLIP_RESERVE = 2.0**-10
"""Relative part of the clip norm that is kept for rounding."""

_NO_CLIP = 1e30
"""Stands for an infinite clip norm, where float32 would turn infinity × 0 into NaN."""


class ClippedSum(Protocol):
    """Adds up clipped gradients, batch by batch."""

    sums: dict[str, Tensor]

    def add(self, batch: Batch) -> None:
        """Add the clipped gradients of a batch of users."""


class PerUserClipping:
    """Forms every user's gradient with Opacus and clips it with Opacus' optimiser: the default.

    Args:
        layer: The head.
        clip_norm: C.
        loss: The loss.
    """

    def __init__(self, layer: HeadLayer, clip_norm: float, loss: Loss) -> None:
        self.sums = _zeros(layer)
        self._layer = layer
        self._loss = loss
        self._module = GradSampleModule(layer, loss_reduction="sum")
        self._optimiser = DPOptimizer(
            torch.optim.SGD(layer.parameters(), lr=1.0),
            noise_multiplier=0.0,
            max_grad_norm=_with_reserve(clip_norm),
            expected_batch_size=None,
            loss_reduction="sum",
        )

    def add(self, batch: Batch) -> None:
        """Add the clipped gradients of a batch of users."""
        scores = self._module(*batch.inputs)
        # `.data`, since the scores are overwritten in place, which is safe: no backward pass reads them.
        gradient = loss_gradient(scores.data, batch, self._loss)
        with warnings.catch_warnings():
            # PyTorch remarks that the hook fires although no input needs a gradient: here that is the purpose.
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            scores.backward(gradient)
        for name, part in self._clipped().items():
            self.sums[name] += part
        self._optimiser.zero_grad()

    def _clipped(self) -> dict[str, Tensor]:
        """The batch's clipped sum; made again without the users whose gradient is not finite, if there are any."""
        self._optimiser.clip_and_accumulate()
        # Opacus keeps per-user gradients and their clipped sum as attributes of a parameter.
        parts: dict[str, Any] = dict(self._layer.named_parameters())
        if not all(math.isfinite(part.summed_grad.sum()) for part in parts.values()):
            squares = sum(part.grad_sample.flatten(1).square().sum(dim=1) for part in parts.values())
            finite = torch.isfinite(torch.as_tensor(squares))[:, None, None]
            for part in parts.values():
                part.grad_sample, part.summed_grad = torch.where(finite, part.grad_sample, 0.0), None
            self._optimiser.clip_and_accumulate()
        return {name: part.summed_grad for name, part in parts.items()}


class GhostClipping:
    """Takes the norms without forming the gradients: for catalogues where they would fill the memory."""

    def __init__(self, layer: HeadLayer, clip_norm: float, loss: Loss) -> None:
        self.sums = _zeros(layer)
        self._layer = layer
        self._loss = loss
        self._clip_norm = _with_reserve(clip_norm)

    @torch.no_grad()
    def add(self, batch: Batch) -> None:
        """Add the clipped gradients of a batch of users."""
        signal = loss_gradient(self._layer(*batch.inputs), batch, self._loss)
        gradients = self._layer.gradients(list(batch.inputs), signal)
        squares = torch.stack([gradient.squared_norms() for gradient in gradients.values()]).sum(dim=0)
        finite = torch.isfinite(squares)
        scale = torch.where(finite, (self._clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0), 0.0)
        for name, gradient in gradients.items():
            self.sums[name] += (gradient if finite.all() else gradient.only(finite)).weighted_sum(scale)


def _with_reserve(clip_norm: float) -> float:
    return clip_norm * (1 - CLIP_RESERVE) if math.isfinite(clip_norm) else _NO_CLIP


def _zeros(layer: HeadLayer) -> dict[str, Tensor]:
    return {name: torch.zeros_like(part, dtype=torch.float64) for name, part in layer.named_parameters()}
