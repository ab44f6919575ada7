"""Find the weight of each block of an item vector on the validation split, beside exact popularity, nothing trained.

One block after the other, by the full-ranking NDCG@10 of everybody's second last item. What is found was chosen on
histories, outside any budget: so only for public data, to be given to others as settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.states import popularity_sum
from sottovoce.common.config import Config, given
from sottovoce.common.errors import ConfigError
from sottovoce.common.evaluation import evaluate
from sottovoce.common.popularity import log_popularity
from sottovoce.common.scoring import FloatArray, Head, HeadShape, ScoringModel
from sottovoce.common.vectors import unit_rows
from sottovoce.simulations.prepare import Prepared
from sottovoce.simulations.references import of_model

GRID = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
PASSES = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Weighed:
    """Weights of blocks, and what the prior is worth with them.

    Attributes:
        weights: By block.
        ndcg: NDCG@10 over the whole catalogue, on the validation split.
        before: The same with every weight at one.
    """

    weights: Mapping[str, float]
    ndcg: float
    before: float


def choose_weights(prepared: Prepared, config: Config, say: Say = lambda _: None) -> Weighed:
    """Climb from one weight each, a block at a time; a tie keeps what there was.

    Args:
        prepared: Data with the second last interactions held out, and every block's weight at one.
        config: Resolved settings: weights of content and popularity count.
        say: Told of each block.

    Raises:
        ConfigError: the data were prepared with other weights, or with the last interactions held out.
    """
    parts = prepared.space.blocks.parts(prepared.space.vectors)
    if config.data.held_out != "validation":
        raise ConfigError("data.held_out", config.data.held_out, "`validation`: the test split is for the end")
    lacking = [name for name in parts if config.encoder.weights.get(name, 0.0 if name not in _OWN else 1.0) != 1.0]
    if lacking:
        raise ConfigError(f"encoder.weights.{lacking[0]}", config.encoder.weights.get(lacking[0]), "1 for every block")
    counts = popularity_sum(
        prepared.held_out.known,
        len(prepared.catalogue),
        given(config.privacy.popularity_length),
        np.arange(len(prepared.held_out.known)),
    )
    b = log_popularity(counts.astype(np.float32), 0.0, given(config.head.popularity_weight))
    alpha = given(config.head.content_weight)

    def ndcg(weights: Mapping[str, float]) -> float:
        model = _model(parts, weights, alpha, b)
        found = evaluate(of_model(model, prepared.held_out.known), prepared.held_out, len(prepared.catalogue))
        return found.means()["full"]["ndcg@10"]

    weights = dict.fromkeys(parts, 1.0)
    best = before = ndcg(weights)
    for _ in range(PASSES):
        settled = dict(weights)
        for name in parts:
            for weight in GRID:
                tried = {**weights, name: weight}
                if weight != weights[name] and any(tried.values()) and (worth := ndcg(tried)) > best:
                    best, weights = worth, tried
            say(f"{name}: {weights[name]:g} (NDCG@10 {best:.4f})")
        if weights == settled:
            break
    return Weighed(weights, best, before)


_OWN = ("encoder", "words")


def _model(
    parts: Mapping[str, FloatArray], weights: Mapping[str, float], alpha: float, b: NDArray[np.float32]
) -> ScoringModel:
    scaled = [np.float32(np.sqrt(weights[name])) * part for name, part in parts.items()]
    vectors = unit_rows(np.concatenate(scaled, axis=1))
    shape = HeadShape(len(vectors), vectors.shape[1], 0, 0, alpha)
    return ScoringModel(vectors, Head(shape, b, {}))
