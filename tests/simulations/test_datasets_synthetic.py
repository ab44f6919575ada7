"""The made-up data is a function of its name, has the shape it is asked for, and can be learned from."""

from __future__ import annotations

import numpy as np
import pytest

from sottovoce.common.errors import ConfigError
from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset
from sottovoce.simulations.datasets.synthetic import THEMES


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("synthetic:users=2000,items=400,seed=3")


def test_it_has_the_shape_asked_for(dataset: Dataset) -> None:
    assert dataset.name == "synthetic" and dataset.ordered and dataset.notes == ()
    assert len(dataset.histories) == 2000 and len(dataset.catalogue) == 400
    assert len(set(dataset.catalogue.texts)) == 400
    assert dataset.histories.lengths.min() >= 3 and np.quantile(dataset.histories.lengths, 0.01) >= 5
    assert 20 < dataset.histories.lengths.mean() < 40
    assert all(len(set(history)) == len(history) for history in dataset.histories)


def test_it_is_a_function_of_its_name(dataset: Dataset) -> None:
    same, other = (load_dataset(f"synthetic:users=2000,items=400,seed={seed}") for seed in (3, 4))

    assert same.catalogue == dataset.catalogue and np.array_equal(same.histories.items, dataset.histories.items)
    assert other.catalogue != dataset.catalogue
    assert len(load_dataset("synthetic").histories) == 1000


def test_texts_are_made_of_the_words_of_their_themes(dataset: Dataset) -> None:
    for text, categories in zip(dataset.catalogue.texts, dataset.catalogue.attributes["categories"], strict=True):
        allowed = {word for theme in categories.split(" | ") for word in THEMES[theme].split()}
        words = {word.strip(",.").lower() for word in text.split()} - {"and"}
        assert {word for word in words if not word.isdigit()} <= allowed


def test_popularity_has_a_long_tail(dataset: Dataset) -> None:
    counts = np.sort(np.bincount(dataset.histories.items, minlength=400))[::-1]

    assert counts[:40].sum() > 0.25 * counts.sum()
    assert counts.min() > 0


def test_what_is_liked_together_beats_what_is_popular(dataset: Dataset) -> None:
    fitted = dataset.histories.without_last(1)
    targets = np.array([history[-1] for history in dataset.histories])
    liked = np.zeros((len(fitted), len(dataset.catalogue)))
    liked[np.repeat(np.arange(len(fitted)), fitted.lengths), fitted.items] = 1
    popularity = liked.sum(axis=0)
    together = liked.T @ liked
    np.fill_diagonal(together, 0)

    def hit_rate(scores: np.ndarray) -> float:
        scores = np.where(liked > 0, -np.inf, scores)
        own = scores[np.arange(len(targets)), targets]
        return float(np.mean((scores > own[:, None]).sum(axis=1) < 10))

    by_popularity = hit_rate(np.broadcast_to(popularity, liked.shape))
    by_neighbours = hit_rate(liked @ (together / np.sqrt(popularity)))
    assert by_neighbours > 1.5 * by_popularity > 0.05


def test_recent_interactions_say_more_than_old_ones(dataset: Dataset) -> None:
    first = [categories.split(" | ")[0] for categories in dataset.catalogue.attributes["categories"]]
    theme = np.array([list(THEMES).index(name) for name in first])
    long = [theme[history] for history in dataset.histories if len(history) >= 20]

    recent = np.mean([np.mean(history[-6:-1] == history[-1]) for history in long])
    old = np.mean([np.mean(history[:5] == history[-1]) for history in long])
    assert recent > 1.5 * old


def test_a_hundred_thousand_users_are_made() -> None:
    assert len(load_dataset("synthetic:users=100000,items=2000").histories) == 100_000


def test_reading_options_hold_here_too() -> None:
    assert load_dataset("synthetic", ReadOptions(min_interactions=20)).histories.lengths.min() >= 20
    with pytest.raises(ConfigError, match=r"^data\.min_rating = 3: expected 0, as synthetic has no ratings$"):
        load_dataset("synthetic", ReadOptions(min_rating=3))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("synthetic:people=3", "synthetic.people = '3': expected one of the settings users, items, seed"),
        ("synthetic:users", "synthetic.users = '': expected a whole number from 1 to 10000000"),
        ("synthetic:users=0", "synthetic.users = '0': expected a whole number from 1 to 10000000"),
        ("synthetic:users=1e3", "synthetic.users = '1e3': expected a whole number from 1 to 10000000"),
        ("synthetic:users=-1", "synthetic.users = '-1': expected a whole number from 1 to 10000000"),
        ("synthetic:items=31", "synthetic.items = '31': expected a whole number from 32 to 1000000"),
        ("synthetic:items=2000000", "synthetic.items = '2000000': expected a whole number from 32 to 1000000"),
        ("synthetic:seed=x", "synthetic.seed = 'x': expected a whole number from 0 to 9223372036854775807"),
    ],
)
def test_a_recipe_outside_its_ranges_is_refused(source: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_dataset(source)

    assert str(caught.value) == message


@pytest.mark.parametrize("source", ["synthetic:users=1,items=32", "synthetic:users=50,items=32,seed=9"])
def test_the_smallest_recipes_work(source: str) -> None:
    assert load_dataset(source).histories.lengths.min() >= 3
