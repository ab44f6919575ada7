"""Ranks against a slow oracle, a split that leaks nothing, and a counter without a model that must learn nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sottovoce.common.errors import ConfigError
from sottovoce.common.evaluation import (
    HeldOut,
    Scorer,
    bootstrap,
    evaluate,
    hold_out,
    ranking_metrics,
    sample_negatives,
)
from sottovoce.common.history import Histories, IntArray

ITEMS = 30
LISTS = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=3, max_size=12, unique=True), min_size=1, max_size=6)


def build(lists: list[list[int]]) -> Histories:
    return Histories.from_lists([f"u{row}" for row in range(len(lists))], lists)


def random_histories(users: int, items: int, low: int, high: int, seed: int = 0) -> Histories:
    rng = np.random.default_rng(seed)
    return build([rng.choice(items, rng.integers(low, high + 1), replace=False).tolist() for _ in range(users)])


def table_scorer(table: NDArray[np.floating]) -> Scorer:
    return lambda rows: table[rows].astype(np.float32)


def slow_rank(scores: list[float], target: int, others: set[int]) -> float:
    rank = 0.0
    for other in others - {target}:
        if scores[other] > scores[target]:
            rank += 1
        elif scores[other] == scores[target]:
            rank += 0.5
    return rank


@given(LISTS, st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.sampled_from(["test", "validation"]))
def test_ranks_agree_with_a_slow_oracle(lists: list[list[int]], seed: int, levels: int, batch: int, which: str) -> None:
    """Few score levels, so that most ranks have ties."""
    held_out = hold_out(build(lists), ITEMS, which)
    table = np.random.default_rng(seed).integers(0, 3**levels, (len(lists), ITEMS)).astype(np.float64)
    found = evaluate(table_scorer(table), held_out, ITEMS, batch)
    for user, history in enumerate(lists):
        target, scores = int(held_out.targets[user]), table[user].tolist()
        known = set(held_out.known[user].tolist())
        for protocol, others in {
            "sampled": set(held_out.negatives[user].tolist()) - {-1},
            "full": set(range(ITEMS)) - known,
        }.items():
            rank = slow_rank(scores, target, others)
            metrics = {name: values[user] for name, values in found.per_user[protocol].items()}
            assert metrics["mrr"] == pytest.approx(1 / (rank + 1)), (protocol, history)
            assert metrics["hr@10"] == float(rank < 10)
            assert metrics["recall@20"] == float(rank < 20)
            assert metrics["ndcg@10"] == pytest.approx(1 / math.log2(rank + 2) if rank < 10 else 0.0)


def test_metrics_of_known_ranks() -> None:
    metrics = ranking_metrics(np.array([0.0, 1.0, 9.5, 10.0, 19.5, 20.0]))
    assert metrics["hr@10"].tolist() == [1, 1, 1, 0, 0, 0]
    assert metrics["recall@20"].tolist() == [1, 1, 1, 1, 1, 0]
    assert metrics["ndcg@10"][:2].tolist() == pytest.approx([1.0, 1 / math.log2(3)])
    assert metrics["mrr"].tolist() == pytest.approx([1, 1 / 2, 1 / 10.5, 1 / 11, 1 / 20.5, 1 / 21])


def test_a_scorer_that_says_nothing_is_at_chance() -> None:
    """All ties: a strict or a generous rank would give zero or one."""
    held_out = hold_out(random_histories(20, 300, 5, 9), 300)
    found = evaluate(table_scorer(np.zeros((20, 300))), held_out, 300)
    assert found.per_user["sampled"]["mrr"].tolist() == pytest.approx([1 / 50.5] * 20)


def test_a_model_that_diverged_is_not_perfect() -> None:
    """Every comparison with a NaN is false, so that nothing beats the target."""
    held_out = hold_out(random_histories(20, 300, 5, 9), 300)
    try:
        found = evaluate(table_scorer(np.full((20, 300), np.nan)), held_out, 300)
    except ValueError:
        return
    assert found.means()["sampled"]["hr@10"] < 0.5
    assert found.means()["full"]["hr@10"] < 0.5


@given(LISTS, st.sampled_from(["test", "validation"]))
def test_nothing_held_out_is_known(lists: list[list[int]], which: str) -> None:
    held_out = hold_out(build(lists), ITEMS, which)
    count = 1 if which == "test" else 2
    for user, history in enumerate(lists):
        known, negatives = held_out.known[user].tolist(), held_out.negatives[user]
        assert known == history[:-count]
        assert held_out.targets[user] == history[-count]
        assert not {*history[-count:]} & set(known)
        drawn = negatives[negatives >= 0].tolist()
        assert not set(drawn) & set(history)
        assert len(set(drawn)) == len(drawn) == ITEMS - len(history)


def test_negatives_are_the_same_whenever_they_are_drawn_and_fill_99_places() -> None:
    histories = random_histories(5, 200, 4, 9)
    first = hold_out(histories, 200)
    again = hold_out(histories, 200, "validation")
    np.testing.assert_array_equal(first.negatives, again.negatives)
    assert first.negatives.shape == (5, 99)
    assert (first.negatives >= 0).all()


def test_negatives_are_drawn_uniformly() -> None:
    """Of 50 untouched items 25 are drawn for each of 4000 users: each item's count is hypergeometric."""
    histories = build([[50, 51, 52]] * 4000)
    counts = np.bincount(sample_negatives(histories, 53, 25).ravel(), minlength=53)
    assert counts[50:].tolist() == [0, 0, 0]
    spread = math.sqrt(4000 / 4)
    assert (np.abs(counts[:50] - 2000) < 5 * spread).all()
    assert counts[:50].std() > spread / 2


@pytest.mark.parametrize(("which", "lists"), [("test", [[1]]), ("validation", [[1, 2], [1, 2, 3]]), ("test", [])])
def test_a_history_that_is_too_short_is_refused(which: str, lists: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match=r"data\.min_interactions = \d: expected more than \d per user"):
        hold_out(build(lists), ITEMS, which)


def test_there_is_no_third_split() -> None:
    with pytest.raises(ConfigError, match=r"data\.held_out = 'train'"):
        hold_out(build([[1, 2, 3]]), ITEMS, "train")


def counter(pools: list[IntArray], items: int, sign: int, seed: int = 1) -> Scorer:
    """No model: an item's score for a user counts how often training drew it as that user's negative."""
    rng = np.random.default_rng(seed)
    draws = [rng.choice(pool, 30 * len(pool)) for pool in pools]
    counts = np.stack([np.bincount(drawn, minlength=items) for drawn in draws])
    return table_scorer(sign * counts.astype(np.float64))


def test_a_counter_without_a_model_learns_nothing_from_this_protocol() -> None:
    """DESIGN §6. Training knows a user's history alone: its negatives are as likely the target as any test negative.

    The same counter is near perfect where negatives come from the items that the user never touched at all: that pool
    holds the 99 test negatives and never the test item, so that the item that was never drawn is the answer.
    """
    users, items = 1000, 300
    histories = random_histories(users, items, 5, 30)
    held_out = hold_out(histories, items)
    everything = np.arange(items)
    honest = [np.setdiff1d(everything, known) for known in held_out.known]
    leaky = [np.setdiff1d(everything, history) for history in histories]
    spread = math.sqrt(0.1 * 0.9 / users)
    for sign in (-1, 1):
        hit_rate = evaluate(counter(honest, items, sign), held_out, items).means()["sampled"]["hr@10"]
        assert hit_rate == pytest.approx(0.1, abs=4 * spread)
    assert evaluate(counter(leaky, items, -1), held_out, items).means()["sampled"]["hr@10"] >= 0.95


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        estimate = bootstrap(rng.exponential(2.0, 60), resamples=200)
        assert estimate.low <= estimate.mean <= estimate.high
        covered += estimate.low <= 2.0 <= estimate.high
    assert 0.86 <= covered / 200 <= 0.985


def test_an_interval_is_as_wide_as_the_spread_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(0, 3, 900)
    estimate = bootstrap(values)
    assert estimate == bootstrap(values)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.1, rel=0.15)
    assert bootstrap(np.ones(7)) == bootstrap(np.ones(7), seed=3)


def slow_spread(table: NDArray[np.floating], held_out: HeldOut, items: int) -> tuple[float, float]:
    """Coverage and share of the long tail, list by list."""
    counts = [int((held_out.known.items == item).sum()) for item in range(items)]
    by_popularity = sorted(range(items), key=lambda item: (-counts[item], item))
    head = set(by_popularity[: items // 5])
    shown: list[int] = []
    for user, known in enumerate(held_out.known):
        allowed = [item for item in range(items) if item not in known]
        shown += sorted(allowed, key=lambda item: -float(table[user, item]))[:10]
    return len(set(shown)) / items, sum(item not in head for item in shown) / len(shown)


@pytest.mark.parametrize(("users", "items"), [(1, 50), (40, 50), (7, 105)])
def test_coverage_and_long_tail_agree_with_a_slow_oracle(users: int, items: int) -> None:
    held_out = hold_out(random_histories(users, items, 4, 20), items)
    table = np.random.default_rng(5).permuted(np.tile(np.arange(items, dtype=np.float64), (users, 1)), axis=1)
    table[:, : items // 4] += items / 2
    found = evaluate(table_scorer(table), held_out, items)
    coverage, long_tail = slow_spread(table, held_out, items)
    assert found.coverage == pytest.approx(coverage)
    assert found.long_tail == pytest.approx(long_tail)
    assert found.means()["full"]["coverage@10"] == found.coverage
    assert found.means()["full"]["long_tail@10"] == found.long_tail


def test_a_seen_item_fills_no_place_of_a_short_list() -> None:
    """Where fewer than ten items are left to recommend, the lists are shorter."""
    held_out = hold_out(build([[0, 1, 2, 3, 4, 5, 6, 7]]), 10)
    found = evaluate(table_scorer(np.arange(10.0)[None]), held_out, 10)
    assert found.coverage == pytest.approx(3 / 10)


def test_an_estimate_is_that_of_its_metric() -> None:
    held_out = hold_out(random_histories(30, 200, 4, 9), 200)
    found = evaluate(table_scorer(np.random.default_rng(0).normal(size=(30, 200))), held_out, 200)
    for protocol in ("sampled", "full"):
        for metric in ("hr@10", "ndcg@10", "mrr", "recall@20"):
            assert found.estimate(protocol, metric).mean == pytest.approx(found.means()[protocol][metric])


def test_a_scorers_own_array_is_left_alone() -> None:
    held_out = hold_out(random_histories(3, 50, 4, 9), 50)
    table = np.random.default_rng(0).normal(size=(3, 50))
    before = table.copy()
    evaluate(lambda rows: table[rows[0] : rows[-1] + 1], held_out, 50)  # type: ignore[arg-type, return-value]
    np.testing.assert_array_equal(table, before)
