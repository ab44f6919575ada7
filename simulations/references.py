"""Honest references: what simpler or less private recommenders reach on the same split.

Popularity counts exactly; DP popularity spends the whole budget on one release of it; item-kNN and EASE, by LensKit
(Ekstrand 2020), are central and not private.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer
from numpy.typing import NDArray

from sottovoce.common.evaluation import Evaluation, HeldOut, Scorer, evaluate
from sottovoce.common.history import Histories, IntArray

FloatArray = NDArray[np.float32]


def evaluate_references(
    held_out: HeldOut, items: int, dp_popularity: Callable[[Histories], FloatArray] | None = None
) -> dict[str, Evaluation]:
    """Evaluate every reference, by name; `dp_popularity` makes the released counts, if the run has a budget."""
    known = held_out.known
    scorers: dict[str, Scorer] = {"popularity": constant(np.bincount(known.items, minlength=items))}
    if dp_popularity is not None:
        scorers["DP popularity"] = constant(dp_popularity(known))
    scorers["item-kNN"] = item_knn(known, items)
    scorers["EASE"] = ease(known, items)
    return {name: evaluate(scorer, held_out, items) for name, scorer in scorers.items()}


def constant(scores: NDArray[np.generic]) -> Scorer:
    """The same scores for everybody."""
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores))).astype(np.float32)


def item_knn(known: Histories, items: int, neighbours: int = 50) -> Scorer:
    """Cosine similarity between items, the `neighbours` nearest of each kept (Sarwar et al. 2001)."""
    return _lenskit(ItemKNNScorer(save_nbrs=neighbours, max_nbrs=items, feedback="implicit"), known, items)


def ease(known: Histories, items: int, regularization: float = 500.0) -> Scorer:
    """Embarrassingly shallow autoencoder (Steck 2019)."""
    return _lenskit(EASEScorer(regularization=regularization), known, items)


def _lenskit(component: EASEScorer | ItemKNNScorer, known: Histories, items: int) -> Scorer:
    """Train a LensKit scorer on `known`, and score the whole catalogue with it; what it cannot score comes last."""
    table = pd.DataFrame({"user_id": np.repeat(np.arange(len(known)), known.lengths), "item_id": known.items})
    component.train(from_interactions_df(table))
    catalogue = ItemList(item_ids=np.arange(items))

    def scorer(rows: IntArray) -> FloatArray:
        queries = [RecQuery(user_id=int(user), history_items=ItemList(item_ids=known[user])) for user in rows]
        scored = [np.asarray(component(query, catalogue).scores("numpy"), dtype=np.float32) for query in queries]
        scores = np.stack(scored)
        return np.where(np.isnan(scores), np.nanmin(scores) - 1, scores)

    return scorer
