"""A decoder language model as re-ranker: the top of a list, ordered anew by how likely the model finds each title.

It reads the latest titles of a history, and says how likely each candidate's title is to come next. Two readings: the
likelihood itself, which also prefers titles that are short or common in what the model was trained on, and how much the
history raises it, which does not. It is slow, so that a sample of users is measured, before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.bundle import Bundle
from sottovoce.common.config import RerankSettings
from sottovoce.common.decoder import load, log_likelihoods
from sottovoce.common.encoder import model_folder
from sottovoce.common.evaluation import NEGATIVES_SEED, HeldOut, Scorer, ranking_metrics
from sottovoce.common.history import IntArray
from sottovoce.simulations.evaluate import model_scorer
from sottovoce.simulations.prepare import Prepared

FloatArray = NDArray[np.float32]
Likelihoods = Callable[[str, Sequence[str]], FloatArray]
"""(what was read, texts) → logarithms of the probability of each text behind it."""

BEFORE, LIKELY, RAISED = "before re-ranking", "re-ranked by likelihood", "re-ranked by what the history adds"
OPENING = "One person chose these, one after the other:\n"


def evaluate_reranked(
    bundle: Bundle, prepared: Prepared, settings: RerankSettings
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Metrics against 99 negatives for a sample of users, before and after: by reading, by metric, shape [users].

    Raises:
        EncoderError: the language model cannot be had, or is none.
    """
    model, tokenizer = load(str(model_folder(settings.model or "")))
    titles, held_out = prepared.catalogue.titles, prepared.held_out
    return compare(
        model_scorer(bundle, prepared),
        held_out,
        titles,
        lambda context, texts: log_likelihoods(model, tokenizer, context, texts),
        settings,
    )


def compare(
    scorer: Scorer, held_out: HeldOut, titles: Sequence[str], likelihoods: Likelihoods, settings: RerankSettings
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The same for any scorer and any language model; the sample is drawn by a fixed seed."""
    count = len(held_out.targets)
    rng = np.random.default_rng(NEGATIVES_SEED)
    users = np.sort(rng.choice(count, min(settings.users, count), replace=False))
    ranks: dict[str, list[float]] = {BEFORE: [], LIKELY: [], RAISED: []}
    for user, scores in zip(users, scorer(users), strict=True):
        shown = np.concatenate([held_out.targets[user : user + 1], held_out.negatives[user]])
        shown = shown[shown >= 0]
        before = _rank(scores[shown])
        ranks[BEFORE].append(before)
        top = np.argsort(-scores[shown], kind="stable")[: settings.top]
        if 0 not in top:
            ranks[LIKELY].append(before)
            ranks[RAISED].append(before)
            continue
        place = int(np.flatnonzero(top == 0)[0])
        told = [f"{titles[shown[each]]}\n" for each in top]
        likely = likelihoods(_read(held_out.known[user][-settings.history :], titles), told)
        ranks[LIKELY].append(_rank(np.roll(likely, -place)))
        ranks[RAISED].append(_rank(np.roll(likely - likelihoods(OPENING, told), -place)))
    return {name: ranking_metrics(np.array(found)) for name, found in ranks.items()}


def _read(history: IntArray, titles: Sequence[str]) -> str:
    return OPENING + "".join(f"{titles[item]}\n" for item in history)


def _rank(scores: FloatArray) -> float:
    """How many beat the first of `scores`, ties counting half."""
    others = scores[1:]
    return float((others > scores[0]).sum() + 0.5 * (others == scores[0]).sum())
