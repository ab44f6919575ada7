"""A catalogue is the same on every node, or it is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError

CATALOGUE = Catalogue(
    ids=("1", "2"),
    titles=("Solaris", "Le Cercle Rouge"),
    texts=("Solaris. A planet that thinks.", "Le Cercle Rouge. Voleurs, café noir."),
    attributes={"year": ("1972", "1970"), "categories": ("drama | science fiction", "")},
)


def with_column(name: str, column: tuple[str, ...]) -> Catalogue:
    columns = {each: getattr(CATALOGUE, each) for each in ("ids", "titles", "texts")} | {name: column}
    return Catalogue(**columns, attributes=CATALOGUE.attributes)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    CATALOGUE.save(tmp_path / "catalogue.json")
    read = Catalogue.load(tmp_path / "catalogue.json")
    assert read == CATALOGUE
    assert read.sha256 == CATALOGUE.sha256
    assert len(read) == 2
    assert read.position == {"1": 0, "2": 1}


@pytest.mark.parametrize("field", ["ids", "titles", "texts"])
def test_every_word_of_it_counts_in_its_hash(field: str) -> None:
    first, second = getattr(CATALOGUE, field)
    changed = with_column(field, (first, second + "."))
    swapped = with_column(field, (second, first))
    assert len({CATALOGUE.sha256, changed.sha256, swapped.sha256}) == 3


def test_attributes_count_in_its_hash_and_their_order_does_not() -> None:
    reordered = dataclasses.replace(CATALOGUE, attributes=dict(reversed(list(CATALOGUE.attributes.items()))))
    changed = dataclasses.replace(CATALOGUE, attributes={**CATALOGUE.attributes, "year": ("1972", "1971")})
    assert reordered.sha256 == CATALOGUE.sha256
    assert changed.sha256 != CATALOGUE.sha256


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_no_two_different_pairs_of_texts_share_a_hash(first: str, second: str) -> None:
    one = Catalogue(("a", "b"), ("t", "t"), (first, second))
    joined = Catalogue(("a", "b"), ("t", "t"), (first + second, ""))
    assert (one.sha256 == joined.sha256) == (second == "")


GOOD = {"ids": ["a"], "titles": ["A"], "texts": ["a."], "attributes": {"year": ["1999"]}}


@pytest.mark.parametrize(
    "table",
    [
        [],
        "catalogue",
        None,
        {key: value for key, value in GOOD.items() if key != "texts"},
        {**GOOD, "titles": ["A", "B"]},
        {**GOOD, "attributes": {"year": []}},
        {**GOOD, "attributes": [["1999"]]},
        {**GOOD, "ids": 7},
    ],
)
def test_what_is_no_catalogue_is_refused_by_its_path(tmp_path: Path, table: object) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DataError, match=r"catalogue\.json: not a catalogue"):
        Catalogue.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalogue.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a catalogue"):
        Catalogue.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no catalogue here"):
        Catalogue.load(tmp_path / "catalogue.json")


def test_two_items_of_one_id_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    Catalogue(("a", "a"), ("A", "B"), ("a.", "b.")).save(path)
    with pytest.raises(DataError):
        Catalogue.load(path)
