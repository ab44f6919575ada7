"""Histories keep their order, come apart without loss, and are never unpickled."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.common.errors import DataError
from sottovoce.common.history import Histories

Lists = list[list[int]]
LISTS = st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=7)


def build(lists: Lists, with_words: bool = False) -> Histories:
    histories = Histories.from_lists([f"u{row}" for row in range(len(lists))], lists)
    if not with_words:
        return histories
    words = np.array([f"w{row}.{place}" for row, each in enumerate(lists) for place in range(len(each))], dtype=np.str_)
    return Histories(histories.users, histories.offsets, histories.items, words)


def listed(histories: Histories) -> Lists:
    return [history.tolist() for history in histories]


@given(LISTS)
def test_histories_are_the_lists_they_were_built_from(lists: Lists) -> None:
    histories = build(lists)
    assert listed(histories) == lists
    assert histories.lengths.tolist() == [len(each) for each in lists]
    assert len(histories) == len(lists)


@given(LISTS, st.data())
def test_a_selection_takes_users_items_and_words_together(lists: Lists, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    chosen = build(lists, with_words=True).select(np.array(rows, dtype=np.int64))
    assert listed(chosen) == [lists[row] for row in rows]
    assert chosen.users.tolist() == [f"u{row}" for row in rows]
    for place, row in enumerate(rows):
        assert chosen.words_of(place) == [f"w{row}.{each}" for each in range(len(lists[row]))]


@given(LISTS, st.integers(1, 5))
def test_shards_are_a_partition_of_almost_equal_parts(lists: Lists, count: int) -> None:
    shards = [build(lists).shard(index, count) for index in range(count)]
    users = [str(user) for shard in shards for user in shard.users]
    assert sorted(users) == sorted(f"u{row}" for row in range(len(lists)))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    for shard in shards:
        assert listed(shard) == [lists[int(user[1:])] for user in shard.users]


@given(LISTS, st.integers(0, 4))
def test_without_last_cuts_the_end_of_every_history(lists: Lists, count: int) -> None:
    cut = build(lists, with_words=True).without_last(count)
    assert listed(cut) == [each[: max(len(each) - count, 0)] for each in lists]
    for row, each in enumerate(lists):
        assert cut.words_of(row) == [f"w{row}.{place}" for place in range(max(len(each) - count, 0))]


def test_without_words_everybody_said_nothing() -> None:
    assert build([[1, 2], []]).words_of(0) == ["", ""]
    assert build([[1, 2], []]).words_of(1) == []


@pytest.mark.parametrize("with_words", [False, True])
def test_what_is_saved_is_read_again_by_its_owner_only(tmp_path: Path, with_words: bool) -> None:
    histories = build([[3, 1, 2], [], [5]], with_words)
    histories.save(tmp_path / "histories.npz")
    read = Histories.load(tmp_path / "histories.npz")
    assert listed(read) == listed(histories)
    assert read.users.tolist() == histories.users.tolist()
    assert [read.words_of(row) for row in range(3)] == [histories.words_of(row) for row in range(3)]
    assert (read.words is None) == (not with_words)
    assert stat.S_IMODE((tmp_path / "histories.npz").stat().st_mode) == 0o600


def _saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(array))
    return file.getvalue()


def _zipped(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04 and no more", id="no zip"),
        pytest.param(b"user,item\n1,2\n", id="text"),
        pytest.param(_saved([1, 2]), id="one array"),
        pytest.param(_zipped(users=["u"], items=[1]), id="without offsets"),
        pytest.param(_zipped(users=np.array([{}], dtype=object), offsets=[0, 1], items=[1], words=[]), id="pickled"),
    ],
)
def test_what_holds_no_histories_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "histories.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"histories\.npz: "):
        Histories.load(path)


def test_a_damaged_file_is_refused_or_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "histories.npz"
    histories = build([[3, 1, 2], [5]])
    histories.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            read = Histories.load(path)
        except DataError:
            continue
        assert listed(read) == listed(histories), place


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no histories here"):
        Histories.load(tmp_path / "histories.npz")


def test_histories_survive_a_save_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "histories.npz"
    build([[3, 1, 2]]).save(path)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        build([[9]]).save(path)
    assert listed(Histories.load(path)) == [[3, 1, 2]]
