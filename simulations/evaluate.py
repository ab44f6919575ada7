"""What a finished run is worth: evaluation as an oracle that sees every history, which only a simulation can be.

The figures are not released to anybody by a federation and are not in its budget.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.client.states import render_history
from sottovoce.common.bundle import Bundle
from sottovoce.common.config import Config
from sottovoce.common.encoder import find_encoder
from sottovoce.common.errors import ConfigError
from sottovoce.common.evaluation import Evaluation, FloatArray, Scorer, evaluate
from sottovoce.common.history import IntArray
from sottovoce.common.impressions import Score, evaluate_impressions
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import RoundRecord, Store
from sottovoce.server.publish import privacy_facts
from sottovoce.simulations.prepare import Prepared

SCHEMA = 1
CARD_METRICS = ("hr@10", "ndcg@10")


@dataclass(frozen=True)
class Timing:
    """Seconds that a simulation took, start-up and evaluation included in `total_s` alone."""

    encode_s: float
    train_s: float
    total_s: float


def evaluate_bundle(bundle: Bundle, prepared: Prepared) -> Evaluation:
    """Rank every user's held-out item with a published model, and what was shown in every impression kept for that."""
    evaluation = evaluate(model_scorer(bundle, prepared), prepared.held_out, len(prepared.catalogue))
    if prepared.impressions is None:
        return evaluation
    measured = evaluate_impressions(impression_score(bundle, prepared), prepared.impressions)
    return replace(evaluation, per_user=evaluation.per_user | {"impressions": measured})


def impression_score(bundle: Bundle, prepared: Prepared) -> Score:
    """Scores of what was shown, with the state after what each impression's reader had clicked before."""
    model, impressions = bundle.model, prepared.impressions
    if impressions is None:
        raise ConfigError("data", prepared.facts["name"], "a data set with impressions")
    histories = [impressions.history(row) for row in range(len(impressions))]
    if bundle.manifest["state"] == "items":
        states: Sequence[FloatArray] | FloatArray = [model.state(history) for history in histories]
    else:
        texts = [render_history(history, [""] * len(history), prepared.catalogue.titles) for history in histories]
        states = _text_states(texts, prepared)

    def score(row: int, candidates: IntArray) -> FloatArray:
        return np.asarray(model.directions[candidates] @ states[row] + model.head.b[candidates], dtype=np.float32)

    return score


def popularity_on_impressions(prepared: Prepared) -> dict[str, NDArray[np.float64]]:
    """What counting the known clicks is worth on the impressions; nothing where there are none."""
    if prepared.impressions is None:
        return {}
    counts = np.bincount(prepared.held_out.known.items, minlength=len(prepared.catalogue)).astype(np.float32)
    return evaluate_impressions(lambda _, candidates: counts[candidates], prepared.impressions)


def model_scorer(bundle: Bundle, prepared: Prepared) -> Scorer:
    """Scores with each user's state after everything that is known of them."""
    known, model = prepared.held_out.known, bundle.model
    if bundle.manifest["state"] == "items":
        return lambda rows: model.scores(np.stack([model.state(known[user]) for user in rows]))
    titles = prepared.catalogue.titles
    texts = [render_history(known[user], known.words_of(user), titles) for user in range(len(known))]
    states = _text_states(texts, prepared)
    return lambda rows: model.scores(states[rows])


def _text_states(texts: Sequence[str], prepared: Prepared) -> FloatArray:
    encoder = find_encoder(prepared.space.encoder, prepared.space.revision)
    return prepared.space.project(texts, encoder.encode_cached(texts))


def write_result(folder: RunFolder, prepared: Prepared, evaluation: Evaluation, timing: Timing) -> dict[str, Any]:
    """Write `result.json`, and return what it holds."""
    plan, records = folder.config.plan(), Store(folder).records()
    facts = prepared.facts
    result = {
        "schema": SCHEMA,
        "dataset": {key: facts[key] for key in ("name", "users", "items", "interactions")},
        "privacy": privacy_facts(plan, Ledger(folder.ledger)),
        "metrics": evaluation.means(),
        "communication": {
            "upload_bytes_per_node": sum(record.upload_bytes for record in records),
            "download_bytes_per_node": sum(record.download_bytes for record in records),
        },
        "timing": {
            "encode_s": timing.encode_s,
            "train_s": timing.train_s,
            "total_s": timing.total_s,
            "user_updates_per_s": user_updates_per_s(records, plan.expected_cohort("head")),
        },
        "seed": folder.config.seed,
    }
    folder.result.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def oracle_metrics(evaluation: Evaluation, config: Config) -> str:
    """What a model is worth, as its card says it, and how that came to be known."""
    told = ", ".join(
        f"{protocol} {name.upper()} {means[name]:.3f}"
        for protocol, means in evaluation.means().items()
        for name in CARD_METRICS
        if name in means
    )
    return f"{told} on the {config.data.held_out} split, by an oracle that reads every history: in no budget"


def user_updates_per_s(records: list[RoundRecord], cohort: float) -> float:
    """Users per second in the median round of the head, as the server sees it; zero if no round was made.

    The first round is left out where there are others: in it the nodes read their data.
    """
    seconds = [record.seconds for record in records if record.name == "head"]
    steady = seconds[1:] or seconds
    return cohort / statistics.median(steady) if steady else 0.0
