"""Order, repetitions and filters: what `assemble` promises, held against a slow and plain reading of the same table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset
from sottovoce.simulations.datasets.assemble import order_by_user_and_time

Row = tuple[str, str, int, int]  # user, item, time, rating

CATALOGUE = ("a", "b", "c", "d", "e", "f,g", 'h"i', "ü")
WITHOUT_QUOTES = st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters='"')
ROWS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(["1", "2", "10", "u"]), st.text(WITHOUT_QUOTES, min_size=1, max_size=5)),
        st.sampled_from(CATALOGUE),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=60,
)


def by_user(dataset: Dataset) -> dict[str, list[str]]:
    ids = dataset.catalogue.ids
    return {str(user): [ids[item] for item in items]
            for user, items in zip(dataset.histories.users, dataset.histories, strict=True)}  # fmt: skip


def quoted(value: object) -> str:
    return '"' + str(value).replace('"', '""') + '"' if any(mark in str(value) for mark in '",') else str(value)


def write_csv(folder: Path, rows: list[Row], columns: int = 4) -> str:
    header = ("user_id", "item_id", "timestamp", "rating")[:columns]
    lines = [",".join(map(quoted, row[:columns])) for row in (header, *rows)]
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = [f"{quoted(item)},{quoted(f'Thing {item}')}" for item in CATALOGUE]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]), encoding="utf-8")
    return str(folder)


def write_atomic(folder: Path, rows: list[Row]) -> str:
    header = "user_id:token\titem_id:token\ttimestamp:float\trating:float"
    (folder / "x.inter").write_text("\n".join([header, *("\t".join(map(str, row)) for row in rows)]), encoding="utf-8")
    items = "\n".join(["item_id:token\ttitle:token_seq", *(f"{item}\tThing {item}" for item in CATALOGUE)])
    (folder / "x.item").write_text(items, encoding="utf-8")
    return str(folder / "x")


def plainly(rows: list[Row], min_interactions: int, min_rating: int) -> dict[str, list[str]]:
    """The contract, one row at a time."""
    latest: dict[str, dict[str, int]] = {}
    for user, item, _, rating in sorted(rows, key=lambda row: row[2]):
        history = latest.setdefault(user, {})
        history.pop(item, None)
        history[item] = rating
    kept = {
        user: [item for item, rating in history.items() if rating >= min_rating] for user, history in latest.items()
    }
    return {user: items for user, items in kept.items() if len(items) >= min_interactions}


@given(ROWS, st.integers(1, 3), st.integers(0, 4))
def test_csv_and_atomic_files_read_as_the_plain_reading(
    rows: list[Row], min_interactions: int, min_rating: int
) -> None:
    expected = plainly(rows, min_interactions, min_rating)
    if not expected:
        return
    options = ReadOptions(min_interactions=min_interactions, min_rating=min_rating)
    with tempfile.TemporaryDirectory() as csv_folder, tempfile.TemporaryDirectory() as atomic_folder:
        one = load_dataset(write_csv(Path(csv_folder), rows), options)
        other = load_dataset(write_atomic(Path(atomic_folder), rows), options)

    assert by_user(one) == by_user(other) == expected
    assert one.catalogue == other.catalogue
    assert one.catalogue.texts == tuple(f"Thing {item}" for item in CATALOGUE)
    assert one.ordered and other.ordered
    users = one.histories.users.tolist()
    numeric = all(user.isascii() and user.isdigit() for user in users)
    assert users == sorted(users) or numeric


@given(ROWS)
def test_without_times_the_order_is_a_fixed_shuffle_of_ids_alone(rows: list[Row]) -> None:
    distinct = list({(user, item): (user, item, time, rating) for user, item, time, rating in rows}.values())
    others = [("another one", "a", 0, 0), *sorted(distinct, key=lambda row: row[::-1])]
    options = ReadOptions(min_interactions=1)
    with tempfile.TemporaryDirectory() as folder:
        one = load_dataset(write_csv(Path(folder), distinct, columns=2), options)
        other = by_user(load_dataset(write_csv(Path(folder), others, columns=2), options))

    del other["another one"]
    assert by_user(one) == other
    assert not one.ordered


def test_the_fixed_shuffle_shuffles(tmp_path: Path) -> None:
    rows = [(str(user), item, 0, 0) for user in range(2000) for item in "abcd"]

    histories = load_dataset(write_csv(tmp_path, rows, columns=2)).histories

    last = np.bincount([history[-1] for history in histories], minlength=4)
    assert last.sum() == 2000
    assert np.all(np.abs(last - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75)), "each item is last equally often"
    orders = {tuple(history) for history in histories}
    assert len(orders) == 24


def test_the_fixed_shuffle_is_the_same_on_every_machine(tmp_path: Path) -> None:
    rows = [(user, item, 0, 0) for user in ("1", "2") for item in "abcdef"[:5]]

    assert by_user(load_dataset(write_csv(tmp_path, rows, columns=2))) == {"1": list("acdeb"), "2": list("beacd")}


def test_at_one_time_the_order_of_the_file_holds(tmp_path: Path) -> None:
    rows = [("u", item, 7, 0) for item in "dbac"]

    assert by_user(load_dataset(write_csv(tmp_path, rows)))["u"] == list("dbac")


def test_a_late_bad_rating_outweighs_an_early_good_one(tmp_path: Path) -> None:
    rows = [("u", "a", 1, 5), ("u", "a", 2, 1), ("u", "b", 3, 5), ("u", "c", 4, 5), ("u", "d", 5, 4)]

    dataset = load_dataset(write_csv(tmp_path, rows), ReadOptions(min_rating=4))

    assert by_user(dataset) == {"u": ["b", "c", "d"]}
    assert dataset.notes == (
        "interactions.csv: 1 interaction left out, as a later one of the same user with the same item counts",
        "interactions.csv: 1 interaction left out, rated below 4",
    )


def test_users_are_ordered_as_numbers_where_all_are_numbers(tmp_path: Path) -> None:
    rows = [(user, item, 0, 0) for user in ("10", "9", "2") for item in "abc"]
    assert load_dataset(write_csv(tmp_path, rows)).histories.users.tolist() == ["2", "9", "10"]

    rows += [("x", item, 0, 0) for item in "abc"]
    assert load_dataset(write_csv(tmp_path, rows)).histories.users.tolist() == ["10", "2", "9", "x"]


def test_words_stay_with_their_interaction(tmp_path: Path) -> None:
    write_csv(tmp_path, [])
    text = "user,item,time,words\nv,a,3,va\nu,b,2,ub\nu,a,1,ua\nu,c,9,uc\nv,b,1,vb\nv,c,2,vc\nu,a,5,ua2\n"
    (tmp_path / "interactions.csv").write_text(text, encoding="utf-8")

    histories = load_dataset(str(tmp_path)).histories

    assert [histories.words_of(user) for user in (0, 1)] == [["ub", "ua2", "uc"], ["vb", "vc", "va"]]


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0**40])
def test_both_ways_to_order_agree(scale: float) -> None:
    rng = np.random.default_rng(0)
    user, time = rng.integers(0, 50, 5000), np.asarray(rng.integers(0, 99, 5000) * scale, dtype=np.float64)

    assert np.array_equal(order_by_user_and_time(user, time), np.lexsort((time, user)))
