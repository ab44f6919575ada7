"""Each bad input ends in one line with file, line and reason; a lenient reading goes on and counts."""

from __future__ import annotations

import contextlib
import gzip
import re
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets import ReadOptions, load_dataset
from sottovoce.simulations.datasets.delimited import Layout, _read_rows, _read_whole

ITEMS = b"item_id,title\na,A\nb,B\nc,C\nd,D\n"
HEAD = b"user,item,time,rating\n"
GOOD = b"u,a,1,5\nu,b,2,5\nu,c,3,5\n"
LENIENT = ReadOptions(lenient=True)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder of interactions and items; tests overwrite what is to be bad."""
    (tmp_path / "interactions.csv").write_bytes(HEAD + GOOD)
    (tmp_path / "items.csv").write_bytes(ITEMS)
    return tmp_path


def refusal(source: Path, options: ReadOptions = ReadOptions()) -> str:  # noqa: B008 (frozen)
    """The message of the error, without the folder."""
    with pytest.raises(DataError) as caught:
        load_dataset(str(source), options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{source if source.is_dir() else source.parent}/", "")


BROKEN_ROWS = {
    b"u,d,4\n": "3 fields separated by ',', where 4 are expected",
    b"u,d,4,5,6\n": "5 fields separated by ',', where 4 are expected",
    b"   \n": "1 field separated by ',', where 4 are expected",
    b",d,4,5\n": "user is empty",
    b"u, ,4,5\n": "item is empty",
    b"u,d\te,4,5\n": "item 'd\\te' holds a control character",
    b"u" * 201 + b",d,4,5\n": "user is 201 characters long; at most 200 are read",
    b"u,d,,5\n": "time '' is not a finite number",
    b"u,d,nan,5\n": "time 'nan' is not a finite number",
    b"u,d,4,inf\n": "rating 'inf' is not a finite number",
    b"u,d,1e999,5\n": "time '1e999' is not a finite number",
    b"u,d,yesterday,5\n": "time 'yesterday' is not a finite number",
    b"u,d,1_0,5\n": "time '1_0' is not a finite number",
    b"u,d,4,-1\n": "rating '-1' is below 0",
    b"u,d,-4,5\n": "time '-4' is below 0",
    b"u,d,4,1e7\n": "rating '1e7' is above 1e+06",
    b"u,d,1e30,5\n": "time '1e30' is above 9.22e+18",
    b"u,d," + b"9" * 400 + b",5\n": "time '" + "9" * 40 + "…' is not a finite number",
    b"u,d\xe9,4,5\n": "byte 0xe9 is not UTF-8; convert the file",
    b"u,d\0,4,5\n": "a NUL byte: not a text file, or not UTF-8",
    b'u,"d,4,5\n': "a quote is opened and never closed",
    b'""u,d,4,5\n': "',' expected after '\"'",
    b'u,"d"e,4,5\n': "',' expected after '\"'",
    b'u,"' + b"d" * 140_000 + b'"x,4,5\n': "field larger than field limit (131072)",
}


@pytest.mark.parametrize(("row", "reason"), BROKEN_ROWS.items(), ids=list(BROKEN_ROWS.values()))
def test_a_broken_row_is_refused_by_line_and_skipped_by_a_lenient_reading(pair: Path, row: bytes, reason: str) -> None:
    (pair / "interactions.csv").write_bytes(HEAD + b"u,a,1,5\n\nu,b,2,5\n" + row + b"u,c,3,5\n")

    assert refusal(pair) == f"interactions.csv:5: {reason}"
    dataset = load_dataset(str(pair), LENIENT)
    assert dataset.notes == (f"interactions.csv: 1 broken row skipped (the first, line 5: {reason})",)
    assert dataset.histories.items.tolist() == [0, 1, 2]


def test_the_first_broken_line_is_named_whatever_its_column(pair: Path) -> None:
    (pair / "interactions.csv").write_bytes(HEAD + GOOD + b"u,d,4,x\n,d,5,5\nu,d,y,5\n")

    assert refusal(pair) == "interactions.csv:5: rating 'x' is not a finite number"
    assert load_dataset(str(pair), LENIENT).notes == (
        "interactions.csv: 3 broken rows skipped (the first, line 5: rating 'x' is not a finite number)",
    )


def test_rows_broken_in_form_and_in_value_are_counted_together(pair: Path) -> None:
    (pair / "interactions.csv").write_bytes(HEAD + b"u,d,x,5\n" + GOOD + b"u,d\n")

    assert load_dataset(str(pair), LENIENT).notes == (
        "interactions.csv: 2 broken rows skipped (the first, line 2: time 'x' is not a finite number)",
    )


def test_lines_count_in_the_file_even_behind_a_text_of_several_lines(pair: Path) -> None:
    (pair / "interactions.csv").write_bytes(b'user,item,review\nu,a,"one\ntwo\r\nthree"\nu,b,fine\n,c,bad\n')

    assert refusal(pair) == "interactions.csv:6: user is empty"


def test_a_swallowing_quote_costs_a_lenient_reading_one_line_only(pair: Path) -> None:
    for last in (b'u,"d",4,5\n', b'x",d,4,5\nu,d,4,5\n'):
        (pair / "interactions.csv").write_bytes(HEAD + b'u,"a,1,5\n' + GOOD + last)

        assert refusal(pair).startswith("interactions.csv:2: ")
        assert load_dataset(str(pair), LENIENT).histories.items.tolist() == [0, 1, 2, 3]


def test_a_quote_left_open_at_the_very_end_is_seen(pair: Path) -> None:
    (pair / "interactions.csv").write_bytes(HEAD + GOOD + b'u,d,4,"5')

    assert refusal(pair) == "interactions.csv:5: a quote is opened and never closed"


def test_a_sound_file_with_line_ends_of_any_kind_reads_alike(pair: Path) -> None:
    expected = load_dataset(str(pair)).histories.items.tolist()
    for end in (b"\r\n", b"\r"):
        (pair / "interactions.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + GOOD).replace(b"\n", end))
        assert load_dataset(str(pair), ReadOptions(columns={"user": "user"})).histories.items.tolist() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (HEAD, "no interaction in this file"),
        ("user,item\nu,a\n".encode("utf-16"), "UTF-16, not text in UTF-8; convert or unpack it first"),
        (gzip.compress(HEAD + GOOD, mtime=0), "gzip, not text in UTF-8; convert or unpack it first"),
        (b"PK\x03\x04 and so on", "zip, not text in UTF-8; convert or unpack it first"),
        (b"PAR1 and no more", "not a Parquet file that can be read: "),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_leniently_or_not(pair: Path, content: bytes, message: str) -> None:
    (pair / "interactions.csv").write_bytes(content)

    for options in (ReadOptions(), LENIENT):
        assert refusal(pair, options).startswith(f"interactions.csv: {message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\nuser,item\nu,a\n", "the first line is empty; it has to name the columns"),
        (b"user,user\nu,a\n", "two columns are named 'user'"),
        (b"us\xe9r,item\nu,a\n", "byte 0xe9 is not UTF-8; convert the file"),
        (b'"user,item\nu,a\n', "a quote is opened and never closed"),
        (b"who,item\nu,a\n", "no column is known to be the user; say which (user=COLUMN) of: who, item"),
        (b"user\nu\n", "no column is known to be the item; say which (item=COLUMN) of: user"),
    ],
)  # fmt: skip
def test_a_header_that_does_not_name_the_columns_is_refused(pair: Path, content: bytes, message: str) -> None:
    (pair / "interactions.csv").write_bytes(content)

    assert refusal(pair) == f"interactions.csv:1: {message}"


def test_a_column_that_is_not_there_is_named_with_those_that_are(pair: Path) -> None:
    assert (
        refusal(pair, ReadOptions(columns={"rating": "stars"}))
        == "interactions.csv:1: no column 'stars' for the rating; there are: user, item, time, rating"
    )


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path, pair: Path) -> None:
    unknown = (
        "no such file or folder, and no data set's name (ml-100k, msweb, ml-1m, mind-small, goodbooks-10k, synthetic)"
    )
    assert refusal(tmp_path / "nowhere") == f"nowhere: {unknown}"
    assert refusal(pair, ReadOptions(items=pair / "gone.csv")) == "gone.csv: no such file"
    (pair / "sub").mkdir()
    assert refusal(pair, ReadOptions(items=pair / "sub")) == "sub: a folder, where a file is expected"
    assert "no data set in this folder; looked for u.data, ratings.dat, " in refusal(pair / "sub")
    with pytest.raises(DataError, match="File name too long"):
        load_dataset("x" * 5000)


def test_a_pipe_or_a_device_is_not_read() -> None:
    with pytest.raises(DataError, match=re.escape("/dev/zero: not a file (a pipe or a device)")):
        load_dataset("/dev/zero", ReadOptions(items=Path("/dev/zero")))


@pytest.mark.parametrize("missing", ["u.item", "movies.dat", "movies.csv", "x.item", "items.csv"])
def test_half_a_data_set_is_refused_by_the_name_of_the_other_half(tmp_path: Path, missing: str) -> None:
    there = {
        "u.item": ("u.data", b"1\t1\t5\t1\n"),
        "movies.dat": ("ratings.dat", b"1::1::5::1\n"),
        "movies.csv": ("ratings.csv", b"userId,movieId,rating,timestamp\n1,1,5,1\n"),
        "x.item": ("x.inter", b"user_id:token\titem_id:token\n1\t1\n"),
        "items.csv": ("interactions.csv", b"user,item\n1,1\n"),
    }
    name, content = there[missing]
    (tmp_path / name).write_bytes(content)

    assert refusal(tmp_path) == f"{missing}: no such file"


def test_interactions_without_items_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(HEAD + GOOD)

    assert refusal(tmp_path / "log.csv") == "log.csv: no items to these interactions; name their file (--items FILE)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("u.data", b"1,1,5,1\n", "u.data:1: 1 field separated by '\\t', where 4 are expected"),
        ("u.item", b"1|A (1999)\n", "u.item:1: 2 fields separated by '|', where 24 are expected"),
        ("u.item", b"1|A (1999)|||" + b"|0" * 18 + b"|2\n",
         "u.item:1: the flag of genre 'Western' is '2', neither 0 nor 1"),
        ("ratings.dat", b"1::1::5\n", "ratings.dat:1: 3 fields separated by '::', where 4 are expected"),
        ("movies.dat", b"1::A (1999)::Drama\n::B::\n", "movies.dat:2: movieId is empty"),
        ("ratings.csv", b"user,movieId,rating,timestamp\n1,1,5,1\n",
         "ratings.csv:1: no column 'userId'; MovieLens has userId,movieId,rating,timestamp"),
        ("movies.csv", b"movieId,title,genres\n1,\"A\n", "movies.csv:2: a quote is opened and never closed"),
        ("x.inter", b"user_id\titem_id:token\n",
         "x.inter:1: column 'user_id' is not NAME:TYPE with a type of token, token_seq, float, float_seq"),
        ("x.item", b"item_id:token\tname:text\n",
         "x.item:1: column 'name:text' is not NAME:TYPE with a type of token, token_seq, float, float_seq"),
    ],
)  # fmt: skip
def test_each_format_refuses_what_is_not_it(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    ratings, films = b"userId,movieId,rating,timestamp\n1,1,5,1\n", b"movieId,title,genres\n1,A,B\n"
    inter, item = b"user_id:token\titem_id:token\n1\t1\n", b"item_id:token\tname:token_seq\n1\tA\n"
    sound = {
        "u.data": {"u.data": b"1\t1\t5\t1\n", "u.item": b"1|A (1999)|||" + b"|0" * 19 + b"\n"},
        "ratings.dat": {"ratings.dat": b"1::1::5::1\n", "movies.dat": b"1::A (1999)::Drama\n"},
        "ratings.csv": {"ratings.csv": ratings, "movies.csv": films},
        "x.inter": {"x.inter": inter, "x.item": item},
    }  # fmt: skip
    files = next(files for files in sound.values() if name in files)
    for other, good in files.items():
        (tmp_path / other).write_bytes(good)
    assert len(load_dataset(str(tmp_path), ReadOptions(min_interactions=1)).histories) == 1
    (tmp_path / name).write_bytes(content)

    assert refusal(tmp_path) == message


def test_parquet_with_bad_values_names_the_row(pair: Path) -> None:
    (pair / "interactions.csv").unlink()
    path = pair / "interactions.parquet"
    pd.DataFrame({"user": ["u", None], "item": ["a", "b"], "time": [1.0, 2.0]}).to_parquet(path)
    assert refusal(pair) == "interactions.parquet:2: user is empty"
    pd.DataFrame({"user": ["u", "u"], "item": ["a", "b"], "time": [1.0, float("nan")]}).to_parquet(path)
    assert refusal(pair) == "interactions.parquet:2: time '' is not a finite number"
    pd.DataFrame({"user": ["u"], "item": [{"a": 1}]}).to_parquet(path)
    assert refusal(pair) == "interactions.parquet: column 'item' of type struct<a: int64> cannot be read as text"
    parquet.write_table(pa.table([["u"], ["v"], ["a"]], names=["user", "user", "item"]), path)
    assert refusal(pair) == "interactions.parquet:1: two columns are named 'user'"
    path.write_bytes(b"user,item\nu,a\n")
    assert refusal(pair).startswith("interactions.parquet: not a Parquet file that can be read: ")


def test_unknown_items_are_counted_and_named_and_refused_above_a_share(pair: Path) -> None:
    (pair / "interactions.csv").write_bytes(HEAD + GOOD + b"u,z,4,5\nu,y,5,5\nv,z,6,5\nu,x,6,5\nu,w,6,5\n")
    told = "5 of 8 interactions left out, with 4 items that the catalogue lacks (first: z, y, x, …)"

    assert refusal(pair) == f"interactions.csv: {told}: more than 0.01 of all; a lenient reading goes on"
    for options in (LENIENT, ReadOptions(max_bad_share=5 / 8)):
        dataset = load_dataset(str(pair), options)
        assert dataset.notes[0] == f"interactions.csv: {told}"
        assert dataset.histories.items.tolist() == [0, 1, 2]


def test_repeated_item_ids_keep_the_first(pair: Path) -> None:
    (pair / "items.csv").write_bytes(ITEMS + b"b,Other\na,Another\n")
    told = "items.csv: 2 of 6 items left out, as an earlier one has the same id (first: b, a)"

    assert refusal(pair) == f"{told}: more than 0.01 of all; a lenient reading goes on"
    dataset = load_dataset(str(pair), LENIENT)
    assert dataset.notes == (told,)
    assert dataset.catalogue.titles == ("A", "B", "C", "D")


def test_an_item_without_text_is_called_by_its_id(pair: Path) -> None:
    (pair / "items.csv").write_bytes(b"item_id,title\na,A\nb,\nc,C\n")
    told = "items.csv: 1 of 3 items without text, called by their id (first: b)"

    assert refusal(pair) == f"{told}: more than 0.01 of all; a lenient reading goes on"
    dataset = load_dataset(str(pair), LENIENT)
    assert dataset.notes == (told,)
    assert dataset.catalogue.texts == dataset.catalogue.titles == ("A", "b", "C")


def test_broken_items_are_skipped_by_a_lenient_reading(pair: Path) -> None:
    (pair / "items.csv").write_bytes(ITEMS + b"e\n,F\n")

    assert refusal(pair) == "items.csv:6: 1 field separated by ',', where 2 are expected"
    dataset = load_dataset(str(pair), LENIENT)
    assert dataset.catalogue.ids == ("a", "b", "c", "d")
    assert dataset.notes == (
        "items.csv: 2 broken rows skipped (the first, line 6: 1 field separated by ',', where 2 are expected)",
    )


def test_a_catalogue_without_items_is_refused(pair: Path) -> None:
    (pair / "items.csv").write_bytes(b"item_id,title\n")

    assert refusal(pair) == "items.csv: no item in this file"


def test_a_data_set_without_a_user_left_is_refused(pair: Path) -> None:
    assert refusal(pair, ReadOptions(min_interactions=4)) == "interactions.csv: no user has 4 interactions or more"


def test_overlong_words_are_cut_and_counted(pair: Path) -> None:
    rows = b"".join(b"u,%c,%b\n" % (item, b"x " * 600) for item in b"abc")
    (pair / "interactions.csv").write_bytes(b"user,item,words\n" + rows)

    dataset = load_dataset(str(pair))
    assert dataset.notes == ("interactions.csv: 3 texts cut to 1000 characters",)
    assert {len(words) for words in dataset.histories.words_of(0)} == {1000}


SCRAPS = st.lists(
    st.sampled_from([b"u", b"a,", b",", b'"', b"\n", b"\r\n", b"\r", b"\xe9", b"\0", b"1", b" ", b"u,a,1\n"])
)


@given(SCRAPS)
def test_no_bytes_end_in_any_other_error(scraps: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "items.csv").write_bytes(ITEMS)
        (Path(folder) / "interactions.csv").write_bytes(b"user,item,words\n" + b"".join(scraps))
        for lenient in (False, True):
            with contextlib.suppress(DataError):
                load_dataset(folder, ReadOptions(min_interactions=1, lenient=lenient))


@given(SCRAPS, st.booleans())
def test_the_fast_way_and_the_careful_way_read_the_same(scraps: list[bytes], quoted: bool) -> None:
    """Wherever the fast way vouches for a file, the careful one finds no fault and the same fields."""
    data, layout = b"".join(scraps), Layout(",", ("one", "two", "three"), quoted)
    fast = _read_whole(data, ("one", "two", "three"), layout)
    if fast is None:
        return
    careful = _read_rows(Path("x"), data, ("one", "two", "three"), layout, lenient=False)
    assert {name: column.to_pylist() for name, column in fast.items()} == {
        name: column.to_pylist() for name, column in careful.columns.items()
    }
