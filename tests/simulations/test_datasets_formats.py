"""Every format that can be read gives the data set that it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset
from sottovoce.simulations.datasets.films import read_film

HERE = Path(__file__).parent / "data"


def by_user(dataset: Dataset) -> dict[str, list[str]]:
    """Each user's items by id, oldest first."""
    ids = dataset.catalogue.ids
    return {str(user): [ids[item] for item in items]
            for user, items in zip(dataset.histories.users, dataset.histories, strict=True)}  # fmt: skip


def write_pair(folder: Path, interactions: str, items: str) -> str:
    (folder / "interactions.csv").write_text(interactions, encoding="utf-8")
    (folder / "items.csv").write_text(items, encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("release", ["release-100k", "release-1m", "release-latest", "atomic"])
def test_every_release_of_the_same_films_reads_alike(release: str) -> None:
    dataset = load_dataset(str(HERE / release))

    assert dataset.name == release
    assert dataset.catalogue.ids == ("1", "2", "3", "4", "5", "6")
    assert dataset.catalogue.titles == (
        "The Lighthouse (1999)",
        "Quiet Noise (2004)",
        "L'Été (A Summer) (1987)",
        "Seven Against None (1961)",
        "Der Nachtzug (Night Train) (1975)",
        "Children of the Fog (2010)",
    )
    assert dataset.catalogue.texts[3] == "Seven Against None (1961). Action, Sci-Fi, Western"
    assert dataset.catalogue.texts[4] == "Der Nachtzug (Night Train) (1975)"
    assert dataset.catalogue.attributes["categories"][3:6] == (
        "Action | Sci-Fi | Western",
        "",
        "Children's | Film-Noir",
    )
    assert dataset.catalogue.attributes["year"] == ("1999", "2004", "1987", "1961", "1975", "2010")
    assert by_user(dataset) == {"2": ["2", "6", "1", "3"], "7": ["4", "5", "6"], "10": ["2", "3", "1"]}
    assert dataset.ordered
    name = {"release-100k": "u.data", "release-1m": "ratings.dat", "release-latest": "ratings.csv"}.get(release)
    assert dataset.notes == (
        f"{name or 'atomic.inter'}: 1 interaction left out, as a later one of the same user with the same item counts",
        f"{name or 'atomic.inter'}: 1 user left out with fewer than 3 interactions (2 interactions in all)",
    )


@pytest.mark.parametrize(
    "path",
    ["release-100k/u.data", "release-1m/ratings.dat", "release-latest/ratings.csv", "atomic/atomic.inter",
     "atomic/atomic"],
)  # fmt: skip
def test_a_file_of_a_release_stands_for_its_folder(path: str) -> None:
    assert by_user(load_dataset(str(HERE / path)))["10"] == ["2", "3", "1"]


def test_a_utf8_copy_of_u_item_reads_as_the_latin1_original(tmp_path: Path) -> None:
    for name in ("u.data", "u.item"):
        text = (HERE / "release-100k" / name).read_text(encoding="latin-1")
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert load_dataset(str(tmp_path)).catalogue == load_dataset(str(HERE / "release-100k")).catalogue


def test_a_csv_pair_is_read_with_words_and_every_text_column(tmp_path: Path) -> None:
    source = write_pair(
        tmp_path,
        "user_id,item_id,timestamp,stars,review,device\n"
        'ann,b,2,5,"so good,\n  ""really""",phone\nann,a,1,4,,phone\nann,c,3,1,meh,tv\n',
        "item_id,title,genres,description,keywords,price,image\n"
        "a,Kettle,Kitchen; Tea,Boils water.,steel,9.5,http://x/1\nb,Lamp,Light,Glows!,,8,http://x/2\nc,Rug,,Wool,soft,7,http://x/3\n",
    )

    dataset = load_dataset(source)

    assert dataset.name == tmp_path.name
    assert dataset.catalogue.titles == ("Kettle", "Lamp", "Rug")
    assert dataset.catalogue.texts == (
        "Kettle. Kitchen, Tea. Boils water. steel",
        "Lamp. Light. Glows!",
        "Rug. Wool. soft",
    )
    assert dataset.catalogue.attributes == {"categories": ("Kitchen | Tea", "Light", "")}
    assert by_user(dataset) == {"ann": ["a", "b", "c"]}
    assert dataset.histories.words_of(0) == ["", 'so good, "really"', "meh"]
    assert dataset.notes == (
        "interactions.csv: columns not read: device",
        "items.csv: columns not read: price, image",
    )


def test_columns_of_any_name_are_mapped_by_option(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text("wer\twas\twann\nu\tx\t2\nu\ty\t1\nu\tz\t3\n", encoding="utf-8")
    (tmp_path / "things.csv").write_text(
        "nr;heisst;sagt;mehr\nx;X;eins;uno\ny;Y;zwei;due\nz;Z;drei;tre\n", encoding="utf-8"
    )
    columns = {"user": "wer", "item": "was", "time": "wann", "item_id": "nr", "title": "heisst", "text": "sagt"}

    dataset = load_dataset(str(tmp_path / "log.tsv"), ReadOptions(items=tmp_path / "things.csv", columns=columns))

    assert dataset.name == "log"
    assert dataset.catalogue.texts == ("X. eins", "Y. zwei", "Z. drei")
    assert by_user(dataset) == {"u": ["y", "x", "z"]}
    assert dataset.notes == ("things.csv: columns not read: mehr",)


def test_parquet_is_read_with_its_own_types(tmp_path: Path) -> None:
    times = [datetime(2024, 5, day, tzinfo=UTC) for day in (3, 1, 2)]
    large = 123_456_789_012
    frame = pd.DataFrame({"user": [7, 7, 7], "item": [1.0, 2.0, float(large)], "time": times, "rating": [5, 4, 3]})
    frame.to_parquet(tmp_path / "interactions.parquet")
    items = pd.DataFrame({"id": [1, 2, large], "name": ["A", "B", None], "categories": [["x", "y"], [], ["z"]]})
    items.to_parquet(tmp_path / "items.parquet")

    dataset = load_dataset(str(tmp_path))

    assert by_user(dataset) == {"7": ["2", str(large), "1"]}
    assert dataset.catalogue.titles == ("A", "B", "z")
    assert dataset.catalogue.attributes["categories"] == ("x | y", "", "z")


def test_parquet_under_another_name_is_told_by_looking(tmp_path: Path) -> None:
    pd.DataFrame({"user": ["u"] * 3, "item": ["a", "b", "c"]}).to_parquet(tmp_path / "interactions.csv")
    (tmp_path / "items.csv").write_text("id,title\na,A\nb,B\nc,C\n", encoding="utf-8")

    assert sorted(by_user(load_dataset(str(tmp_path)))["u"]) == ["a", "b", "c"]


def test_atomic_files_of_other_things_and_their_sequences(tmp_path: Path) -> None:
    stem = tmp_path / "shop"
    stem.with_suffix(".inter").write_text(
        'user_id:token\titem_id:token\treview:token_seq\nu\t1\tfine "thing"\nu\t2\t\nu\t3\t\n', encoding="utf-8"
    )
    stem.with_suffix(".item").write_text(
        "item_id:token\ttitle:token_seq\tcategories:token_seq\tprice:float\n"
        "1\tBig Kettle\tKitchen Tea\t9\n2\tLamp\tHome & Light, Lamps\t8\n3\tRug\t\t7\n", encoding="utf-8"
    )  # fmt: skip

    dataset = load_dataset(str(stem))

    assert dataset.catalogue.attributes["categories"] == ("Kitchen | Tea", "Home & Light | Lamps", "")
    assert dataset.catalogue.texts[1] == "Lamp. Home & Light, Lamps"
    assert sorted(dataset.histories.words_of(0)) == ["", "", 'fine "thing"']
    assert not dataset.ordered


@pytest.mark.parametrize(
    ("title", "shown", "year"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)", "1999"),
        ("Cold, Wet Day, A (1950)", "A Cold, Wet Day (1950)", "1950"),
        ("Maybe, Maybe Not", "Maybe, Maybe Not", ""),
        ("Promise, The (Versprechen, Das) (1994)", "The Promise (Das Versprechen) (1994)", "1994"),
        ("Evening of Stars, L' (1995)", "L'Evening of Stars (1995)", "1995"),
        ("Third Part (1995) (V)", "Third Part (1995)", "1995"),
        ("Series (2001-2004) ", "Series (2001)", "2001"),
        ("2001 (1968)", "2001 (1968)", "1968"),
        ("(1999)", "(1999)", ""),
        ("unkonwn", "unknown", ""),
    ],
)
def test_a_film_reads_as_people_write_it(title: str, shown: str, year: str) -> None:
    film = read_film(title, [])

    assert (film.shown, film.year) == (shown, year)


def test_options_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.items = 'x\.csv': expected nothing, as u\.data brings its own"):
        load_dataset(str(HERE / "release-100k"), ReadOptions(items=Path("x.csv")))
    with pytest.raises(ConfigError, match=r"^data\.columns = .* the columns of ratings\.csv are known$"):
        load_dataset(str(HERE / "release-latest"), ReadOptions(columns={"user": "userId"}))
    with pytest.raises(ConfigError, match=r"^data\.min_rating = 4: expected 0, as interactions\.csv has no ratings$"):
        load_dataset(write_pair(tmp_path, "user,item\nu,a\n", "id,title\na,A\n"), ReadOptions(min_rating=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_interactions": 0}, "data.min_interactions = 0: expected a whole number from 1"),
        ({"min_rating": float("nan")}, "data.min_rating = nan: expected a finite number from 0"),
        ({"max_bad_share": 2}, "data.max_bad_share = 2: expected a share between 0 and 1"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReadOptions(**options)  # type: ignore[arg-type]

    assert str(caught.value) == message


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.columns\.person = 'p': expected one of the roles user, item, "):
        ReadOptions(columns={"person": "p"})


def test_several_atomic_data_sets_in_a_folder_have_to_be_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.inter").touch()

    with pytest.raises(DataError, match=r"several \.inter files; name one of them$"):
        load_dataset(str(tmp_path))
