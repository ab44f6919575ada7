"""An experiment's file: the product of its lists, and a line with file and key for every mistake."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.common.errors import DataError
from sottovoce.simulations.run import Runtime
from sottovoce.simulations.sweep.file import Experiment, nested, product, read_experiment

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def read(folder: Path, text: str) -> Experiment:
    file = folder / "experiment.toml"
    file.write_text(text, encoding="utf-8")
    return read_experiment(file)


SMALL_LISTS = st.dictionaries(
    st.sampled_from(["a", "b.c", "d", "e.f"]), st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)
)


@given(SMALL_LISTS)
def test_the_product_has_every_choice_once(lists: dict[str, list[int]]) -> None:
    points = list(product(lists))
    assert len(points) == math.prod(len(values) for values in lists.values())
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)
    for name, values in lists.items():
        assert {point[name] for point in points} == set(values)


@given(st.dictionaries(st.sampled_from(["seed", "head.rank", "head.mix", "train.rounds"]), st.integers(1, 9)))
def test_dotted_names_become_sections(point: dict[str, int]) -> None:
    table = nested(point)
    for name, value in point.items():
        section, _, key = name.rpartition(".")
        assert (table[section][key] if section else table[key]) == value


def test_grid_over_base_and_also(tmp_path: Path) -> None:
    experiment = read(
        tmp_path,
        """
        schema = 1
        runtime = "flower"
        [base]
        data.source = "synthetic"
        train.rounds = 5
        [grid]
        "privacy.epsilon" = [1, "inf"]
        seed = [0, 1, 2]
        [[also]]
        name = "prior"
        head.rank = 0
        seed = [7, 8]
        """,
    )
    assert (experiment.runtime, experiment.references) == (Runtime.FLOWER, "all")
    configs = [variant.config for variant in experiment.variants]
    assert [(c.privacy.epsilon, c.seed) for c in configs[:6]] == [
        (e, s) for e in (1.0, math.inf) for s in range(3)
    ]  # fmt: skip
    assert [(c.privacy.epsilon, c.seed, c.head.rank) for c in configs[6:]] == [(8.0, 7, 0), (8.0, 8, 0)]
    assert {(c.data.source, c.train.rounds) for c in configs} == {("synthetic", 5)}
    assert [variant.name for variant in experiment.variants] == ["experiment"] * 6 + ["prior"] * 2


GRID = "[grid]\nseed = [0]\n"
BAD = {
    "": "schema",
    "schema = 2\n" + GRID: "schema = 2",
    "schema = 1\nseeds = 3\n" + GRID: "seeds",
    "schema = 1\n": "grid",
    "schema = 1\n[grid]\n": "grid",
    "schema = 1\n[grid]\nseed = []\n": "grid.seed",
    "schema = 1\n[grid]\nseed = 3\n": "grid.seed",
    "schema = 1\n[grid]\nprivacy.epslon = [1]\n": "grid.privacy.epslon",
    "schema = 1\n[grid]\n'head' = [1]\n": "grid.head",
    "schema = 1\n[base]\nhead.windw = 3\n" + GRID: "base.head.windw",
    "schema = 1\nbase = 3\n" + GRID: "base",
    "schema = 1\n[[also]]\n": "also[1]",
    "schema = 1\nalso = 3\n": "also",
    "schema = 1\n[[also]]\nname = 3\nseed = 1\n": "name",
    "schema = 1\nruntime = 'ray'\n" + GRID: "runtime",
    "schema = 1\nreferences = true\n" + GRID: "references",
    "schema = 1\noptional = 'yes'\n" + GRID: "optional",
    "schema = 1\n[grid]\ntrain.clip_norm = [0.1, 0]\n": "train.clip_norm",
    "schema = 1\n[grid]\nprivacy.epsilon = [-1]\n": "privacy.epsilon",
    "schema = 1\n[base]\nprivacy.trust = 'node'\n[grid]\nprivacy.epsilon = [1, 'inf']\n": "privacy.trust",
    "schema = 1\n[grid]\nseed = [" + "1," * 400 + "]\ntrain.rounds = [" + "1," * 400 + "]\n": "160000",
    "schema = 1\n[grid\n": "not TOML",
}


@pytest.mark.parametrize("text", BAD, ids=BAD.values())
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, text)
    assert "experiment.toml: " in str(error.value)
    assert BAD[text] in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_experiment(tmp_path / "nothing.toml")


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.rglob("*.toml")), ids=lambda path: path.stem)
def test_the_experiments_of_this_project_are_sound(file: Path) -> None:
    assert read_experiment(file).variants


def test_another_place_for_the_data(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text("schema = 1\n[base]\ndata.source = 'msweb'\n[grid]\nseed = [0, 1]\n", encoding="utf-8")
    variants = read_experiment(file, "/some/where").variants
    assert {variant.config.data.source for variant in variants} == {"/some/where"}
