"""Keep out of most lists what few can be shown to have met: a last step before a model is published.

Hostile nodes within their capacity can look like so many people who met one item, and can then turn every part of the
model towards it, too finely to be told from noise. What they cannot do is make it an item that many have met. So a
model is tried on imagined people, drawn from public numbers alone, and an item whose released count might all be made
by hostile nodes has its popularity prior lowered until it stands in next to none of their lists, with a margin for how
real people differ from imagined ones. That is post-processing of what was released, and costs no privacy.

It is a rule of thumb and no proof: `docs/hostile-nodes.md` has what it withstands, and what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.config import Config, given
from sottovoce.common.popularity import counts_of
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import FloatArray, Head, IntArray, ScoringModel

TOP = 5
"""An item is exposed to a person if it stands among so many."""

SHARE = 0.002
"""Share of the imagined people to whom an item without support may be exposed."""

PEOPLE = 500
SEEDS = 5
"""A taste is made of so many items, popular ones more often; what a person has met is drawn by it."""

STRETCHES = (1.0, 1.5)
"""Every imagined state is tried at these lengths: one interaction of a real person resembles the next more."""

MARGIN = 1.5
"""How far below an imagined person's list an item without support must stay."""

DOUBT = 2.5
"""Standard deviations of the noise by which a count may be too high."""


def bounded(head: Head, vectors: FloatArray, config: Config, plan: PrivacyPlan) -> Head:
    """`head` with the popularity prior of items without support lowered, where the configuration asks for it.

    Only under `trust = server`: nowhere else is what a node contributes bounded at all.

    Args:
        head: What was trained.
        vectors: Item vectors, shape [I, d].
        config: Resolved settings.
        plan: The privacy plan, which says how much noise is in a count.
    """
    share = given(config.federation.hostile_share)
    if plan.trust is not Trust.SERVER or not share:
        return head
    std, length = plan.popularity.noise_std, given(config.privacy.popularity_length)
    counts = counts_of(head.b, std, given(config.head.popularity_weight))
    people = imagined_people(vectors, counts, head.shape.content_weight, length, np.random.default_rng(0))
    return lower(head, vectors, people, np.flatnonzero(counts < support(share * plan.population, length, std)))


def support(hostile_users: float, typical_length: int, noise_std: float) -> float:
    """The released count from which an item is not the work of so many hostile users."""
    return hostile_users / math.sqrt(typical_length) + DOUBT * noise_std


def imagined_people(
    vectors: FloatArray,
    counts: NDArray[np.float64],
    content_weight: float,
    typical_length: int,
    rng: np.random.Generator,
    number: int = PEOPLE,
) -> list[IntArray]:
    """Histories of people who do not exist: a taste each, and items drawn by taste and popularity without repetition.

    Args:
        vectors: Item vectors, shape [I, d].
        counts: Released counts, shape [I].
        content_weight: α.
        typical_length: Median length of a history; lengths are log-normal.
        rng: Draws them.
        number: How many people.
    """
    items = len(vectors)
    weights = np.maximum(counts, 0) + 0.5
    log_chance = np.log(weights / weights.sum())
    people = []
    for _ in range(number):
        # Gumbel's trick (Yellott 1977): the largest of log-weights plus Gumbel noise are a draw without repetition.
        seeds = np.argsort(-(log_chance + rng.gumbel(size=items)))[:SEEDS]
        taste = vectors[seeds].sum(axis=0) / math.sqrt(len(seeds))
        ranked = np.argsort(-(content_weight * (vectors @ taste) + log_chance + rng.gumbel(size=items)))
        length = int(np.clip(typical_length * math.exp(rng.normal()), 1, max(1, items // 3)))
        people.append(rng.permutation(ranked[:length]))
    return people


def lower(head: Head, vectors: FloatArray, people: Sequence[IntArray], items: IntArray, margin: float = MARGIN) -> Head:
    """Lower the prior of each of `items` until it is `margin` below the first lists of all but `SHARE` of `people`.

    What is that far below already stays as it is, and so does everything else.
    """
    model = ScoringModel(vectors, head)
    states = np.stack([model.state(history) for history in people])
    scores = np.stack([model.scores(np.float32(stretch) * states) for stretch in STRETCHES]).astype(np.float64)
    for person, history in enumerate(people):
        scores[:, person, history] = -np.inf
    scores = scores.reshape(-1, scores.shape[-1])
    top = min(TOP, scores.shape[1])
    last = -np.partition(-scores, top - 1, axis=1)[:, top - 1]
    above = np.quantile(scores[:, items] - last[:, None], 1 - SHARE, axis=0, method="higher")
    prior = head.b.copy()
    prior[items] -= np.maximum(above + margin, 0).astype(np.float32)
    return replace(head, b=prior)
