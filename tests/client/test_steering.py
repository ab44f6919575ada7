"""What a person says changes the next list as it should, and each score is told whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from bundles import DIMENSION, ITEMS, write_published
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client import model
from sottovoce.client.recommender import Recommender
from sottovoce.client.taste import REMEMBERED, Feedback, Wish
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.scoring import IntArray

POSITIONS = st.lists(st.integers(0, ITEMS - 1), max_size=8)
HISTORY = np.array([3, 17, 8])
NOTHING = np.zeros(0, np.int64)


@pytest.fixture(scope="module", params=["whole", "two looks", "with a mix", "not tied"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    mix, tied = 3 * (request.param == "with a mix"), request.param != "not tied"
    recommender = Recommender.load(write_published(folder, mix=mix, tied=tied))
    if request.param == "two looks":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "WHOLE", 0)
            assert type(recommender.model.index).__name__ == "TwoStageIndex"
    return recommender


def wish(seed: int, weight: float) -> Wish:
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return Wish(vector / np.linalg.norm(vector), weight)


@settings(max_examples=40)
@given(POSITIONS, POSITIONS, POSITIONS, st.none() | st.floats(0, 1), st.integers(0, 99))
def test_the_terms_sum_to_the_score(
    shown: Recommender, met: list[int], liked: list[int], disliked: list[int], weight: float | None, seed: int
) -> None:
    history, said = np.array(met, dtype=np.int64), Feedback(tuple(liked), tuple(disliked))
    asked = None if weight is None else wish(seed, weight)
    for each in shown.recommend(history, 5, feedback=said, wish=asked):
        told = shown.explain(history, each.item, feedback=said, wish=asked)
        total = told.popularity + told.wish + float(told.content.sum() + told.correction.sum())
        assert total == pytest.approx(each.score, abs=1e-4)
        assert told.score == pytest.approx(each.score, abs=1e-4)
        parts = told.history.sum() + told.liked.sum() + told.disliked.sum()
        assert told.popularity + told.wish + float(parts) == pytest.approx(each.score, abs=1e-4)
        assert (len(told.history), len(told.liked), len(told.disliked)) == (len(met), len(liked), len(disliked))


def test_without_a_correction_everything_is_content(tmp_path: Path) -> None:
    plain = Recommender.load(write_published(tmp_path / "bundle", rank=0))
    np.testing.assert_allclose(plain.explain(HISTORY, 5).correction, 0, atol=1e-5)


def test_what_is_disliked_hidden_or_put_off_is_not_listed(shown: Recommender) -> None:
    said = Feedback(disliked=(5,), not_now=(6,), hidden=frozenset(["horror"]))
    listed = [each.item for each in shown.recommend(HISTORY, ITEMS, [7], feedback=said)]
    column = shown.bundle.catalogue.attributes["categories"]
    expected = {row for row in range(ITEMS) if "horror" not in column[row]} - {5, 6, 7, *HISTORY.tolist()}
    assert set(listed) == expected


def test_filters_keep_what_has_one_of_the_values_in_each_attribute(shown: Recommender) -> None:
    filters = {"year": ["1991", "1992"], "categories": ["space"]}
    listed = {each.item for each in shown.recommend(NOTHING, ITEMS, filters=filters)}
    columns = shown.bundle.catalogue.attributes
    expected = {
        row for row in range(ITEMS) if columns["year"][row] in filters["year"] and "space" in columns["categories"][row]
    }
    assert listed == expected
    with pytest.raises(ConfigError, match="one of year, categories"):
        shown.recommend(NOTHING, 3, filters={"director": ["x"]})


def test_liking_draws_the_like_up_and_disliking_pushes_it_down(shown: Recommender) -> None:
    item = 20

    def score(said: Feedback, of: int) -> float:
        return shown.explain(HISTORY, of, feedback=said).score

    rows = shown.model.content_rows(np.arange(ITEMS))
    alike = int(np.argsort(-(rows @ rows[item]))[1])
    assert score(Feedback(liked=(item,)), alike) > score(Feedback(), alike) > score(Feedback(disliked=(item,)), alike)


def test_a_wish_is_a_slider_between_history_and_words(shown: Recommender) -> None:
    asked = wish(5, 0.0)
    assert [each.item for each in shown.recommend(HISTORY, wish=asked)] == [
        each.item for each in shown.recommend(HISTORY)
    ]
    whole = dataclasses.replace(asked, weight=1.0)
    other = np.array([40, 41])
    excluded = [*HISTORY.tolist(), *other.tolist()]
    assert [each.item for each in shown.recommend(HISTORY, 9, excluded, wish=whole)] == [
        each.item for each in shown.recommend(other, 9, excluded, wish=whole)
    ]
    with pytest.raises(ValueError, match="from 0 to 1"):
        wish(1, 1.5)
    with pytest.raises(ConfigError, match="a vector of length"):
        shown.recommend(HISTORY, wish=Wish(np.ones(3, np.float32)))


def test_more_like_one_item_lists_its_like(shown: Recommender) -> None:
    rows = shown.model.content_rows(np.arange(ITEMS))
    listed = [each.item for each in shown.recommend(NOTHING, 10, wish=shown.wish_like(20, 1.0))]
    likeness = rows @ rows[20]
    assert likeness[listed].mean() > np.sort(likeness)[ITEMS // 2]


def test_diversity_makes_a_list_less_alike(shown: Recommender) -> None:
    def alike(diversity: float) -> float:
        listed = [each.item for each in shown.recommend(HISTORY, 8, diversity=diversity)]
        rows = shown.model.content_rows(np.array(listed))
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return float((rows @ rows.T)[np.triu_indices(len(listed), 1)].max())

    assert alike(1.0) < alike(0.0)
    assert [e.item for e in shown.recommend(HISTORY, 8, diversity=0.0)] == [e.item for e in shown.recommend(HISTORY, 8)]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("diversity", [0.0, 0.4])
def test_the_long_tail_has_its_places(shown: Recommender, share: float, diversity: float) -> None:
    popular = set(np.argsort(-shown.model.index.b, kind="stable")[: ITEMS // 5].tolist())
    listed = [each.item for each in shown.recommend(HISTORY, 8, long_tail=share, diversity=diversity)]
    assert len(listed) == len(set(listed)) == 8
    assert sum(item not in popular for item in listed) >= share * 8


@pytest.mark.parametrize("name", ["diversity", "long_tail"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(shown: Recommender, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        shown.recommend(HISTORY, 5, **{name: value})  # type: ignore[arg-type]


def test_a_counterfactual_is_the_rank_in_the_list_without(shown: Recommender) -> None:
    for each in shown.recommend(HISTORY, 5):
        found = shown.counterfactual(HISTORY, each.item, 17)
        without: IntArray = HISTORY[HISTORY != 17]
        listed = [other.item for other in shown.recommend(without, ITEMS, [17])]
        assert found.rank_without == listed.index(each.item) + 1
        assert found.rank == [other.item for other in shown.recommend(HISTORY, ITEMS)].index(each.item) + 1


def test_without_an_item_its_like_counts_no_more(shown: Recommender) -> None:
    said = Feedback(liked=(17, 23), disliked=(2,))
    differs = False
    for each in shown.recommend(HISTORY, 20, feedback=said):
        found = shown.counterfactual(HISTORY, each.item, 17, feedback=said)
        unsaid = Feedback(liked=(23,), disliked=(2,))
        listed = [other.item for other in shown.recommend(HISTORY[HISTORY != 17], ITEMS, [17], feedback=unsaid)]
        assert found.rank_without == listed.index(each.item) + 1
        differs |= found.rank != found.rank_without
    assert differs


def test_a_standing_is_the_rank_among_what_may_be_listed(shown: Recommender) -> None:
    said = Feedback(disliked=(2,), not_now=(5,))
    listed = [each.item for each in shown.recommend(HISTORY, ITEMS, [9], feedback=said)]
    for item in range(ITEMS):
        rank, count = shown.standing(HISTORY, item, [9], feedback=said)
        assert count == len(listed)
        assert rank == (listed.index(item) + 1 if item in listed else 0)


def test_a_profile_shares_the_probability_of_every_item(shown: Recommender) -> None:
    profile = shown.profile(HISTORY)
    assert sum(profile.values()) == pytest.approx(1)
    assert list(profile.values()) == sorted(profile.values(), reverse=True)
    scores = shown.model.index.scores(shown._state(shown._summands(HISTORY, Feedback(), None)), 1.0)
    shares = np.exp(scores) / np.exp(scores).sum()
    column = shown.bundle.catalogue.attributes["categories"]
    horror = sum(shares[row] / len(column[row].split(" | ")) for row in range(ITEMS) if "horror" in column[row])
    assert profile["horror"] == pytest.approx(horror, rel=1e-4)


def test_keywords_come_from_the_history(shown: Recommender) -> None:
    horror = np.array([row for row in range(ITEMS) if shown.bundle.catalogue.attributes["categories"][row] == "horror"])
    assert shown.keywords(horror, 3)[0] == "horror"
    assert shown.keywords(NOTHING) == []


def test_a_search_finds_the_rarest_words_first(shown: Recommender) -> None:
    found = shown.search("I would like some horror in space", 60)
    column = shown.bundle.catalogue.attributes["categories"]
    assert {"horror | space", "horror", "space"} >= {column[row] for row in found[:5]} >= {"horror | space"}
    assert shown.search("the of and") == shown.search("") == shown.search("🎬 فيلم") == []


@pytest.mark.parametrize("item", [-1, ITEMS, 10**12])
def test_a_position_outside_the_catalogue_is_refused(shown: Recommender, item: int) -> None:
    for call in (
        lambda: shown.recommend(np.array([item])),
        lambda: shown.recommend(HISTORY, exclude=[item]),
        lambda: shown.recommend(HISTORY, feedback=Feedback(liked=(item,))),
        lambda: shown.recommend(HISTORY, feedback=Feedback(not_now=(item,))),
        lambda: shown.explain(HISTORY, item),
        lambda: shown.counterfactual(HISTORY, 1, item),
        lambda: shown.wish_like(item),
    ):
        with pytest.raises(ConfigError, match=f"item = {item}"):
            call()


def test_unknown_ids_are_left_out(shown: Recommender) -> None:
    assert shown.positions(["i3", "gone", "i0"]).tolist() == [3, 0]


def test_a_hundred_thousand_interactions_are_one_history(shown: Recommender) -> None:
    """What lies far back weighs nothing, but is not listed."""
    long = np.random.default_rng(0).integers(0, ITEMS - 10, 100_000)
    listed = shown.recommend(long, 20)
    assert {each.item for each in listed} <= set(range(ITEMS - 10, ITEMS)) | set(range(ITEMS)) - set(long.tolist())
    short = shown.recommend(long[-1999:], 20, exclude=range(ITEMS - 10))
    assert [each.item for each in listed] == [each.item for each in short]
    told = shown.explain(long, listed[0].item)
    assert len(told.history) == REMEMBERED
    assert told.score == pytest.approx(listed[0].score, abs=1e-4)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bundle here"):
        Recommender.load(tmp_path)
    folder = write_published(tmp_path / "bundle")
    (folder / "items.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="not the file that the manifest names"):
        Recommender.load(folder)
    with pytest.raises(DataError, match="not a safetensors file"):
        Recommender.load(folder, check=False)
