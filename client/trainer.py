"""One user, one sample: the clipped sum of per-user gradients that a node contributes to a round."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding

from sottovoce.client.clipping import ClippedSum, GhostClipping, PerUserClipping
from sottovoce.client.head_layer import HeadLayer
from sottovoce.client.losses import Batch, Loss
from sottovoce.client.states import Positions
from sottovoce.common.scoring import FloatArray, Head, IntArray

BATCH_SCORES = 1_500_000
"""Scores that are computed at a time: few enough for a processor's cache, enough to outweigh a batch's fixed cost."""

PER_USER_LIMIT = 2**21
"""With more floats than this in one user's gradient, clipping goes without forming it."""


def clipped_gradient_sum(
    head: Head,
    vectors: FloatArray,
    positions: Positions,
    clip_norm: float,
    loss: Loss,
    candidates: IntArray | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Sum over users of the gradient of the user's loss with respect to the trained parts, clipped per user.

    A user's loss is the mean over the user's positions; items that the user has met are not ranked. Adding or removing
    one user moves the result by at most `clip_norm` in L2.

    Args:
        head: The model, on the full catalogue.
        vectors: Item vectors, shape [I, d].
        positions: Of the users that take part.
        clip_norm: C; infinite for a run without privacy.
        loss: Which loss.
        candidates: Sorted rows of the items that are ranked; all by default. `V` of the result has these rows.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer = HeadLayer(head, vectors, candidates, device)
    floats = sum(parameter.numel() for parameter in layer.parameters())
    clipping: type[PerUserClipping | GhostClipping] = PerUserClipping if floats <= PER_USER_LIMIT else GhostClipping
    total: ClippedSum = clipping(layer, clip_norm, loss)
    column = _columns(len(vectors), candidates)
    for batch in _batches(positions, layer, column):
        total.add(batch)
    return {name: part.cpu().numpy() for name, part in total.sums.items()}


def _columns(items: int, candidates: IntArray | None) -> IntArray:
    """The column of each catalogue row, shape [I + 1]: -1 for a row that is not ranked, and for row -1 (padding)."""
    column = np.full(items + 1, -1, np.int64)
    rows = np.arange(items) if candidates is None else candidates
    column[rows] = np.arange(len(rows))
    return column


def _batches(positions: Positions, layer: HeadLayer, column: IntArray) -> Iterator[Batch]:
    device = layer.popularity.device
    for part in positions.batches(max(1, BATCH_SCORES // len(layer.popularity))):
        targets = torch.from_numpy(column[part.targets]).to(device)
        earlier = torch.from_numpy(column[part.earlier.padded()]).to(device)
        prior = layer.popularity.repeat(len(part), 1)
        users, places = torch.nonzero(earlier >= 0, as_tuple=True)
        prior[users, earlier[users, places]] = -torch.inf
        valid = targets >= 0
        weights = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
        if part.states is not None:
            yield Batch(torch.from_numpy(part.states).to(device), targets, weights, prior, part.keys)
            continue
        rows = part.history.padded()
        history = torch.from_numpy(rows).to(device)
        mixing = torch.from_numpy(part.mixing()).to(device)
        states = torch.bmm(mixing, embedding(history.clamp(min=0), layer.history_vectors))
        met = (mixing, torch.from_numpy(column[rows]).to(device))
        yield Batch(states, targets, weights, prior, part.keys, met)
