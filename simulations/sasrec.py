"""SASRec, a self-attentive sequential recommender (Kang & McAuley 2018), as a central reference without privacy.

It learns from ids and order alone. The loss is cross-entropy over the whole catalogue instead of one sampled negative,
which makes a stronger reference of the same model (Klenitskiy & Vasilev 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.common.evaluation import FloatArray, Scorer
from sottovoce.common.history import Histories, IntArray


@dataclass(frozen=True)
class SasRecSettings:
    """Sizes and training.

    Attributes:
        size: Length of an item's embedding.
        layers: Blocks of attention and feed-forward network.
        heads: Of each attention.
        dropout: Share of what is dropped while training.
        length: How many of the latest items the model sees.
        epochs: Passes over every history.
        batch: Sequences per step.
        learning_rate: Adam's.
        seed: Fixes initial values, order and dropout.
    """

    size: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.4
    length: int = 100
    epochs: int = 20
    batch: int = 48
    learning_rate: float = 2e-3
    seed: int = 0


class SasRec(nn.Module):
    """Items and their places in, the state after each of them out.

    Args:
        items: Catalogue size I; row I stands for padding.
        settings: Sizes.
    """

    def __init__(self, items: int, settings: SasRecSettings) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, settings.size, padding_idx=items)
        self.places = nn.Embedding(settings.length, settings.size)
        block = nn.TransformerEncoderLayer(
            settings.size, settings.heads, settings.size, settings.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, settings.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(settings.size)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.normal_(self.items.weight, std=settings.size**-0.5)
        nn.init.normal_(self.places.weight, std=settings.size**-0.5)

    def forward(self, sequences: Tensor) -> Tensor:
        """States, shape [B, L, size], of sequences padded at the end, shape [B, L]: none sees what comes after it."""
        length = sequences.shape[1]
        later = nn.Transformer.generate_square_subsequent_mask(length)
        inputs = self.dropout(self.items(sequences) + self.places.weight[:length])
        return self.norm(self.blocks(inputs, mask=later, is_causal=True))  # type: ignore[no-any-return]

    def scores(self, states: Tensor) -> Tensor:
        """Scores of every item, shape [..., I]."""
        return states @ self.items.weight[:-1].T


def sasrec(known: Histories, items: int, settings: SasRecSettings) -> Scorer:
    """Train on every history, and score with each user's latest items."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = _train(SasRec(items, settings), _pieces(known, settings.length), items, settings)
    ends = [history[-settings.length :] for history in known]

    @torch.no_grad()
    def scorer(rows: IntArray) -> FloatArray:
        latest = [ends[row] for row in rows]
        states = model(torch.from_numpy(_padded(latest, max(map(len, latest)), items)))
        last = torch.tensor([len(each) - 1 for each in latest])
        return np.asarray(model.scores(states[torch.arange(len(rows)), last]).numpy(), dtype=np.float32)

    return scorer


def _train(model: SasRec, pieces: list[IntArray], items: int, settings: SasRecSettings) -> SasRec:
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, betas=(0.9, 0.98))
    rng = np.random.default_rng(settings.seed)
    model.train()
    for _ in range(settings.epochs):
        order = rng.permutation(len(pieces))
        for rows in np.array_split(order, max(1, len(order) // settings.batch)):
            batch = [pieces[row] for row in rows]
            table = torch.from_numpy(_padded(batch, max(map(len, batch)), items))
            targets = table[:, 1:]
            there = targets < items
            scores = model.scores(model(table[:, :-1])[there])
            optimiser.zero_grad()
            nn.functional.cross_entropy(scores, targets[there]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return model.eval()


def _pieces(known: Histories, length: int) -> list[IntArray]:
    """Every history in pieces of at most `length` + 1 items, from its end, so that each item is a target once."""
    pieces = []
    for history in known:
        for end in range(len(history), 1, -length):
            pieces.append(history[max(0, end - length - 1) : end])
    return pieces


def _padded(rows: list[IntArray], width: int, filler: int) -> NDArray[np.int64]:
    table = np.full((len(rows), width), filler, np.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table
