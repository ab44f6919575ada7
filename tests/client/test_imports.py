"""What an app wrote is read whole, or refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client.histories import OWNER, Event, Kind
from sottovoce.client.imports import MAX_LINE, read_json_lines
from sottovoce.common.errors import DataError


def test_events_are_read(tmp_path: Path) -> None:
    file = tmp_path / "app.jsonl"
    file.write_text(
        '{"item": "a", "at": 12.5}\n\n'
        '{"user": "ann", "item": "b", "at": "1970-01-01T00:01:00", "kind": "like", "rating": 4, "words": "ja"}\n'
        '{"item": "c", "at": "1970-01-01T01:00:00+01:00"}\n{"kind": "undo", "at": 3}'
    )
    assert read_json_lines(file) == (
        [
            Event(user=OWNER, item="a", at=12.5),
            Event(user="ann", item="b", at=60.0, kind=Kind.LIKE, rating=4.0, words="ja"),
            Event(item="c", at=0.0),
            Event(kind=Kind.UNDO, at=3.0),
        ],
        [],
    )


BAD = ["{", "[]", "1", '{"item": "a"}', '{"at": 1}', '{"item": 3, "at": 1}', '{"item": "a", "at": "soon"}',
       '{"item": "a", "at": NaN}', '{"item": "a", "at": 1, "kind": "love"}', '{"item": "a", "at": 1, "extra": 1}',
       '{"item": "a", "at": 1, "rating": Infinity}', '{"item": "a\\u0000", "at": 1}', '{"item": "\\ud800", "at": 1}',
       "[" * 5000, '{"item": "' + "x" * MAX_LINE + '", "at": 1}']  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "app.jsonl"
    file.write_text('{"item": "a", "at": 1}\n' + bad + '\n{"item": "b", "at": 2}\n')
    with pytest.raises(DataError) as caught:
        read_json_lines(file)
    assert f"{file}:2: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    if len(bad) < MAX_LINE:
        events, notes = read_json_lines(file, lenient=True)
        assert ([event.item for event in events], len(notes)) == (["a", "b"], 1)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda text: ('{"item": "' + text).encode())))
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    file = tmp_path_factory.mktemp("import") / "x.jsonl"
    file.write_bytes(rubbish)
    try:
        read_json_lines(file)
    except DataError as error:
        assert len(str(error).splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_json_lines(tmp_path / "none.jsonl")
