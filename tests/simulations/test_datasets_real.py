"""The two real data sets that the project is measured on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset
from sottovoce.simulations.datasets.download import cached
from sottovoce.simulations.datasets.movielens import GENRES

SHARED = Path(os.environ.get("SOTTOVOCE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
MSWEB = SHARED / "msweb"


def sha256(dataset: Dataset) -> str:
    """Of who did what in which order."""
    ids = np.array(dataset.catalogue.ids)[dataset.histories.items]
    rows = zip(np.repeat(dataset.histories.users, dataset.histories.lengths), ids, strict=True)
    return hashlib.sha256("\n".join(f"{user} {item}" for user, item in rows).encode()).hexdigest()


@pytest.fixture(scope="module")
def ml_100k() -> Dataset:
    return load_dataset("ml-100k")


@pytest.mark.data
def test_ml_100k_is_whole_and_always_the_same(ml_100k: Dataset) -> None:
    assert (len(ml_100k.catalogue), len(ml_100k.histories), len(ml_100k.histories.items)) == (1682, 943, 100_000)
    assert ml_100k.name == "ml-100k" and ml_100k.ordered and ml_100k.notes == ()
    assert ml_100k.histories.users.tolist() == [str(user) for user in range(1, 944)]
    assert ml_100k.catalogue.ids == tuple(str(item) for item in range(1, 1683))
    assert ml_100k.catalogue.sha256 == "254de6acc8f47af8be09048087181b2887ee57a34f59661ff462546dc03a5aac"
    assert sha256(ml_100k) == "980cb67a4a81c5d39d0929b9d555a4f7324e850fb7c8f137aa6ced24f2e7ab21"


@pytest.mark.data
def test_ml_100k_reads_as_people_write_films(ml_100k: Dataset) -> None:
    catalogue = ml_100k.catalogue
    row = catalogue.position
    assert catalogue.texts[row["1"]] == "Toy Story (1995). Animation, Children's, Comedy"
    assert catalogue.titles[row["1068"]] == "The Star Maker (L'Uomo delle stelle) (1995)"
    assert catalogue.titles[row["543"]] == "Les Misérables (1995)"
    assert catalogue.texts[row["267"]] == "unknown"
    assert all(catalogue.attributes["year"][row[item]].isdigit() for item in row if item != "267")


@pytest.mark.data
def test_ml_100k_is_the_same_from_either_place(ml_100k: Dataset, tmp_path: Path) -> None:
    """GroupLens' `u.data` has the rows of RecBole's `.inter` in the same order (their sums say so), so ties agree."""
    folder = cached("ml-100k")
    if folder is None or not (folder / "ml-100k.inter").exists():
        pytest.skip("the cache holds GroupLens' own files")
    ratings = (folder / "ml-100k.inter").read_bytes().split(b"\n", 1)[1]
    assert hashlib.sha256(ratings).hexdigest() == "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
    (tmp_path / "u.data").write_bytes(ratings)
    films = []
    for line in (folder / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]:
        item, title, year, genres = line.split("\t")
        if title == "unkonwn":  # as GroupLens has it
            title, year = "unknown", ""
        shown = f"{title} ({year})" if year else title
        films.append("|".join([item, shown, "", "", "", *(str(int(genre in genres.split())) for genre in GENRES)]))
    (tmp_path / "u.item").write_text("\n".join(films), encoding="latin-1")

    dataset = load_dataset(str(tmp_path))

    assert dataset.catalogue == ml_100k.catalogue
    assert sha256(dataset) == sha256(ml_100k)


@pytest.mark.data
def test_ml_100k_can_be_cut_to_what_was_liked(ml_100k: Dataset) -> None:
    liked = load_dataset("ml-100k", ReadOptions(min_rating=4))

    assert len(liked.histories.items) + 44_625 == 100_000 - int(liked.notes[-1].split("(")[1].split()[0])
    assert liked.notes[0] == "ml-100k.inter: 44625 interactions left out, rated below 4"


@pytest.mark.skipif(not MSWEB.is_dir(), reason="shared/data/msweb is not beside this checkout")
def test_msweb_has_the_people_it_is_said_to_have() -> None:
    dataset = load_dataset(str(MSWEB))

    assert (dataset.name, len(dataset.catalogue), len(dataset.histories)) == ("msweb", 285, 14_283)
    assert not dataset.ordered
    assert dataset.notes == (
        "interactions.csv: 18427 users left out with fewer than 3 interactions (26860 interactions in all)",
    )
    everyone = load_dataset(str(MSWEB), ReadOptions(min_interactions=1))
    assert (len(everyone.histories), len(everyone.histories.items)) == (32_710, 98_653)
