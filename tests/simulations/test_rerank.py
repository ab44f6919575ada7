"""Re-ranking: only the top is ordered anew, by the language model alone, for a sample that is always the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sottovoce.common.config import RerankSettings
from sottovoce.common.evaluation import HeldOut, evaluate, hold_out
from sottovoce.common.history import Histories
from sottovoce.simulations.rerank import BEFORE, LIKELY, OPENING, RAISED, FloatArray, compare

ITEMS = 150
TITLES = [f"t{item}" for item in range(ITEMS)]


def split(users: int = 40) -> tuple[HeldOut, FloatArray]:
    rng = np.random.default_rng(0)
    lists = [rng.choice(ITEMS, 6, replace=False) for _ in range(users)]
    held_out = hold_out(Histories.from_lists([str(user) for user in range(users)], lists), ITEMS)
    scores = rng.normal(size=(users, ITEMS)).astype(np.float32)
    return held_out, scores


def test_a_model_that_knows_the_answer_lifts_it_exactly_where_it_is_in_the_top() -> None:
    held_out, scores = split()
    answers = {f"{TITLES[target]}\n" for target in held_out.targets}
    read: list[str] = []

    def knows(context: str, texts: Sequence[str]) -> FloatArray:
        read.append(context)
        return np.array([float(text in answers and context != OPENING) for text in texts], dtype=np.float32)

    settings = RerankSettings(model="x", users=1000, top=20, history=2)
    found = compare(lambda rows: scores[rows], held_out, TITLES, knows, settings)

    before = evaluate(lambda rows: scores[rows], held_out, ITEMS).per_user["sampled"]
    np.testing.assert_allclose(np.sort(found[BEFORE]["mrr"]), np.sort(before["mrr"]))
    for name in (LIKELY, RAISED):
        assert found[name]["hr@10"].mean() > found[BEFORE]["hr@10"].mean()
        assert found[name]["hr@10"].mean() <= before["recall@20"].mean() + 1e-9
    told = [context.removeprefix(OPENING).splitlines() for context in read if context != OPENING]
    assert all(len(lines) == 2 and set(lines) <= set(TITLES) for lines in told)


def test_what_every_title_is_as_likely_as_counts_half() -> None:
    held_out, scores = split()
    settings = RerankSettings(model="x", users=7, top=20)

    def even(_: str, texts: Sequence[str]) -> FloatArray:
        return np.zeros(len(texts), np.float32)

    found = compare(lambda rows: scores[rows], held_out, TITLES, even, settings)
    inside = found[BEFORE]["recall@20"] > 0
    assert found[LIKELY]["mrr"][inside] == pytest.approx(1 / 10.5)
    assert found[LIKELY]["mrr"].shape == (7,)
