"""Honest references: what simpler or less private recommenders reach on the same split.

Popularity counts exactly; DP popularity spends the whole budget on one release of it; item-kNN, EASE and iALS, by
LensKit (Ekstrand 2020), and SASRec are central and not private. DP-FedSGD from zero has the budget and none of the
priors; local DP trusts nobody with more than one person's noised sum. The first four take a moment, the others minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer
from lenskit.training import TrainingOptions
from numpy.typing import NDArray

from sottovoce.common.config import Config, given
from sottovoce.common.evaluation import Evaluation, HeldOut, Scorer, evaluate
from sottovoce.common.history import Histories, IntArray
from sottovoce.common.privacy.accounting import noise_for
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.common.vectors import unit_rows
from sottovoce.server.optimiser import Optimiser
from sottovoce.simulations.in_process import InProcess
from sottovoce.simulations.reference_settings import FromZero, Ials, LocalDp, ReferenceSettings, reference_settings
from sottovoce.simulations.sasrec import sasrec

FloatArray = NDArray[np.float32]


def evaluate_references(
    held_out: HeldOut,
    items: int,
    settings: ReferenceSettings,
    dp_popularity: Callable[[Histories], FloatArray] | None = None,
) -> dict[str, Evaluation]:
    """Evaluate the quick references, by name; `dp_popularity` makes the released counts, if the run has a budget."""
    known = held_out.known
    scorers: dict[str, Scorer] = {"popularity": constant(np.bincount(known.items, minlength=items))}
    if dp_popularity is not None:
        scorers["DP popularity"] = constant(dp_popularity(known))
    scorers["item-kNN"] = item_knn(known, items, settings.neighbours)
    scorers["EASE"] = ease(known, items, settings.ease_regularization)
    return {name: evaluate(scorer, held_out, items) for name, scorer in scorers.items()}


def evaluate_slow_references(held_out: HeldOut, vectors: FloatArray, config: Config) -> dict[str, Evaluation]:
    """Evaluate the references that take minutes, by name.

    Args:
        held_out: The split.
        vectors: Item vectors, shape [I, d], for those that may use public texts.
        config: Resolved settings of the run beside which they stand: the budget is its own.
    """
    known, items, settings = held_out.known, len(vectors), reference_settings(config.preset)
    budget = config.privacy.epsilon
    scorers: dict[str, Scorer] = {
        "iALS": ials(known, items, settings.ials),
        "SASRec": sasrec(known, items, settings.sasrec),
        from_zero_name(budget): of_model(from_zero(known, items, config.plan(), settings.from_zero_at(budget)), known),
    }
    if math.isfinite(budget):
        scorers["local DP"] = of_model(local_dp(known, vectors, config, settings.local_dp_at(budget)), known)
    return {name: evaluate(scorer, held_out, items) for name, scorer in scorers.items()}


def from_zero_name(epsilon: float) -> str:
    """What a table calls the reference without priors."""
    return "FedSGD from zero" if math.isinf(epsilon) else "DP-FedSGD from zero"


def constant(scores: NDArray[np.generic]) -> Scorer:
    """The same scores for everybody."""
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores))).astype(np.float32)


def item_knn(known: Histories, items: int, neighbours: int = 50) -> Scorer:
    """Cosine similarity between items, the `neighbours` nearest of each kept (Sarwar et al. 2001)."""
    return _lenskit(ItemKNNScorer(save_nbrs=neighbours, max_nbrs=items, feedback="implicit"), known, items)


def ease(known: Histories, items: int, regularization: float = 500.0) -> Scorer:
    """Embarrassingly shallow autoencoder (Steck 2019)."""
    return _lenskit(EASEScorer(regularization=regularization), known, items)


def ials(known: Histories, items: int, settings: Ials, seed: int = 0) -> Scorer:
    """Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren, Volinsky 2008)."""
    component = ImplicitMFScorer(
        embedding_size=settings.size,
        epochs=15,
        regularization=settings.regularization,
        weight=settings.weight,
        user_embeddings="prefer",
    )
    return _lenskit(component, known, items, seed)


def from_zero(known: Histories, items: int, plan: PrivacyPlan, settings: FromZero) -> ScoringModel:
    """DP-FedSGD that knows no text and no popularity: item vectors start at random, and rounds have the whole budget.

    The model, the loss, the clipping and the noise are Sottovoce's own, so that what the priors are worth is all that
    lies between the two.

    Args:
        known: Every user's history.
        items: Catalogue size I.
        plan: Gives budget, trust, sampling and randomness.
        settings: Those of its own.
    """
    private = plan.trust is not Trust.NONE
    rate = plan.head.sampling_rate
    noise = noise_for("head", plan.target_epsilon, plan.delta, rate, settings.rounds) if private else 0.0
    head = replace(plan.head, clip_norm=settings.clip_norm, noise_multiplier=noise, count=settings.rounds)
    whole = replace(plan, popularity=replace(plan.popularity, count=0), head=head)
    start = np.random.default_rng(plan.seed).standard_normal((items, settings.size), dtype=np.float32)
    shape = HeadShape(items, settings.size, settings.size, 0, settings.weight)
    optimiser = Optimiser("sgd", settings.learning_rate)
    federation = InProcess(whole, 1, known, settings.spread * unit_rows(start), shape, optimiser, settings.window)
    return federation.train(Head.untrained(shape))


def local_dp(known: Histories, vectors: FloatArray, config: Config, settings: LocalDp) -> ScoringModel:
    """Content and popularity under `trust = node` with one user per node: everybody noises their own sum alone.

    The noise of n people adds up to √n times that of a trusted server; rounds of a head would see nothing but noise, so
    that the one release of popularity has the whole budget.

    Args:
        known: Every user's history.
        vectors: Item vectors, shape [I, d].
        config: Resolved settings of a private run: the budget is its own.
        settings: Weights of the two priors.
    """
    people = len(known)
    plan = config.plan()
    noise = noise_for("popularity", plan.target_epsilon, plan.delta)
    popularity = replace(plan.popularity, noise_multiplier=noise)
    alone = replace(plan, trust=Trust.NODE, popularity=popularity, head=replace(plan.head, count=0))
    shape = HeadShape(len(vectors), vectors.shape[1], 0, 0, settings.content_weight)
    federation = InProcess(alone, people, known, vectors, shape, Optimiser("sgd", 1.0), given(config.head.window))
    b = federation.popularity(given(config.privacy.popularity_length), settings.popularity_weight)
    return federation.train(Head.untrained(shape, b))


def of_model(model: ScoringModel, known: Histories) -> Scorer:
    """Scores with each user's state after everything that is known of them."""
    return lambda rows: model.scores(np.stack([model.state(known[user]) for user in rows]))


def _lenskit(
    component: EASEScorer | ItemKNNScorer | ImplicitMFScorer, known: Histories, items: int, seed: int = 0
) -> Scorer:
    """Train a LensKit scorer on `known`, and score the whole catalogue with it; what it cannot score comes last."""
    table = pd.DataFrame({"user_id": np.repeat(np.arange(len(known)), known.lengths), "item_id": known.items})
    component.train(from_interactions_df(table), TrainingOptions(rng=seed))
    catalogue = ItemList(item_ids=np.arange(items))

    def scorer(rows: IntArray) -> FloatArray:
        queries = [RecQuery(user_id=int(user), history_items=ItemList(item_ids=known[user])) for user in rows]
        scored = [np.asarray(component(query, catalogue).scores("numpy"), dtype=np.float32) for query in queries]
        scores = np.stack(scored)
        return np.where(np.isnan(scores), np.nanmin(scores) - 1, scores)

    return scorer
