"""A catalogue in short form is the same catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.common.item_table import ItemTable

CATALOGUE = Catalogue(
    ("1", "2", "3"),
    ("Solaris", "Le Cercle Rouge", "Пикник"),
    ("Solaris. drama, science fiction", "Le Cercle Rouge. Voleurs, café noir. 🎬", "Пикник"),
    {"year": ("1972", "1970", ""), "categories": ("drama | science fiction", "drama", "")},
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def read(table: ItemTable, folder: Path) -> ItemTable:
    table.save(folder / "catalogue.json")
    return ItemTable.read((folder / "catalogue.json").read_bytes(), folder / "catalogue.json")


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    table = read(ItemTable.of(CATALOGUE), tmp_path)
    assert table.catalogue() == CATALOGUE
    assert dict(table.other_texts) == {1: CATALOGUE.texts[1]}
    assert table.position == CATALOGUE.position
    assert [table.text(row) for row in range(3)] == list(CATALOGUE.texts)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=6))
def test_any_catalogue_survives(rows: list[tuple[str, str, str]]) -> None:
    ids = tuple(map(str, range(len(rows))))
    titles, texts, values = (tuple(row[place] for row in rows) for place in range(3))
    catalogue = Catalogue(ids, titles, texts, {"categories": values})
    assert ItemTable.of(catalogue).catalogue() == catalogue


def test_an_attribute_is_a_sequence_and_can_be_asked_for_its_parts() -> None:
    column = ItemTable.of(CATALOGUE).attributes["categories"]
    assert list(column) == list(CATALOGUE.attributes["categories"])
    assert column[:2] == CATALOGUE.attributes["categories"][:2]
    assert column.where(lambda parts: "drama" in parts).tolist() == [True, True, False]


GOOD = {"ids": ["a"], "titles": ["A"], "other_texts": {}, "columns": {"year": {"values": ["1"], "rows": [0]}}}


@pytest.mark.parametrize(
    "table",
    [
        [],
        None,
        "table",
        {**GOOD, "ids": "a"},
        {**GOOD, "ids": [1]},
        {**GOOD, "titles": []},
        {**GOOD, "columns": {"year": {"values": ["1"], "rows": [1]}}},
        {**GOOD, "columns": {"year": {"values": ["1"], "rows": [-1]}}},
        {**GOOD, "columns": {"year": {"values": ["1"], "rows": [0, 0]}}},
        {**GOOD, "columns": {"year": {"values": ["1"], "rows": [10**30]}}},
        {**GOOD, "other_texts": {"x": "y"}},
        {**GOOD, "ids": ["a", "a"], "titles": ["A", "B"], "columns": {}},
        {key: value for key, value in GOOD.items() if key != "other_texts"},
    ],
    ids=str,
)
def test_what_is_no_table_is_refused_by_its_path(table: object) -> None:
    with pytest.raises(DataError, match=r"catalogue\.json: not a table of items"):
        ItemTable.read(json.dumps(table).encode(), Path("catalogue.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_damaged_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        ItemTable.read(content, Path("catalogue.json"))
