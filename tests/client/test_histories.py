"""A device's log: private, durable, forgettable, and the same however often it is read in."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from federation import catalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.client.database import Database
from sottovoce.client.histories import _MIGRATIONS, OWNER, Event, HistoryStore, Kind, Taste
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError, DataError


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    return HistoryStore(tmp_path / "histories.sqlite")


def bytes_of(store: HistoryStore) -> bytes:
    """Everything that lies on the disk for a store."""
    return b"".join(path.read_bytes() for path in store.path.parent.glob(store.path.name + "*"))


ITEMS = st.sampled_from(["a", "b", "Horror"])
MOMENTS = st.integers(0, 5).map(float)
ACTS = st.one_of(
    st.tuples(
        st.just("record"), st.sampled_from([OWNER, OWNER, "ann"]), ITEMS, MOMENTS,
        st.sampled_from([kind for kind in Kind if kind is not Kind.UNDO]), st.sampled_from(["", "", "said", "more"]),
    ),
    st.tuples(st.just("undo"), st.sampled_from([OWNER, OWNER, "ann"])),
    st.tuples(st.just("forget"), st.sampled_from([OWNER, "ann", None]), st.one_of(st.none(), ITEMS)),
    st.tuples(st.just("import"), st.lists(st.tuples(ITEMS, MOMENTS), max_size=4)),
)  # fmt: skip
"""What may happen to a log, in whatever order: clocks go back, names of items and categories are alike."""


def act(store: HistoryStore, what: tuple[Any, ...]) -> None:
    match what:
        case "record", user, item, at, kind, words:
            store.add([Event(user=user, item=item, at=at, kind=kind, words=words)])
        case "undo", user:
            store.undo(user)
        case "forget", user, item:
            store.forget(user, item)
        case "import", rows:
            store.add(Event(item=item, at=at) for item, at in rows)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), ACTS), max_size=25), st.sampled_from([1, 1_000]))
def test_a_reading_that_is_carried_on_is_that_of_the_whole_log(
    tmp_path: Path, acts: list[tuple[bool, tuple[Any, ...]]], most: int
) -> None:
    """Also where a log is read after some of the acts only: the others happen elsewhere meanwhile."""
    for path in tmp_path.glob("folded.sqlite*"):
        path.unlink()
    store = HistoryStore(tmp_path / "folded.sqlite")
    with mock.patch("sottovoce.client.histories.MOST_NEW", most):
        fold = store.read()
        for looked_at, what in acts:
            act(store, what)
            if looked_at:
                fold = store.read(OWNER, fold)
                assert fold.taste() == store.read().taste() == oracle(store)
        assert store.read(OWNER, fold).taste() == oracle(store)


def oracle(store: HistoryStore) -> Taste:
    """Where the owner stands, from a copy of the log, in the plainest way."""
    if not store.path.exists():
        return Taste()
    with closing(sqlite3.connect(store.path)) as connection:
        rows = connection.execute("SELECT id, kind, item, at, words, undoes FROM event WHERE user = 'owner'").fetchall()
    undone = {row[5] for row in rows}
    standing = sorted((row for row in rows if row[1] != "undo" and row[0] not in undone), key=lambda r: (r[3], r[0]))
    last: dict[str, str] = {}
    history: list[str] = []
    words: dict[str, str] = {}
    not_now: dict[str, float] = {}
    for _, kind, item, at, said, _ in standing:
        if kind == "not_now":
            not_now[item] = at
        elif kind != "hide_category":
            not_now.pop(item, None)
            last[item] = kind
            history = [each for each in history if each != item]
            words[item] = "" if kind == "dislike" else said or words.get(item, "")
            if kind != "dislike":
                history.append(item)
    return Taste(
        tuple(history), tuple(words[item] for item in history),
        frozenset(item for item, kind in last.items() if kind == "like"),
        frozenset(item for item, kind in last.items() if kind == "dislike"), not_now,
        frozenset(row[2] for row in standing if row[1] == "hide_category"),
    )  # fmt: skip


def test_a_few_new_rows_are_folded_in_without_reading_the_rest(store: HistoryStore) -> None:
    store.add(Event(item=f"item {number}", at=float(number)) for number in range(50))
    fold = store.read()
    store.record(OWNER, "new")
    store.undo()
    store.record(OWNER, "item 3", kind="like")
    assert store.read(OWNER, fold) is fold
    assert fold.taste().history[-2:] == ("item 49", "item 3")
    store.forget("nobody")
    assert store.read(OWNER, fold) is not fold  # rows may be gone, and their ids given again


def test_words_that_are_taken_back_are_gone_from_a_reading_that_is_carried_on(store: HistoryStore) -> None:
    store.record(OWNER, "a", 5.0)
    store.record(OWNER, "a", 1.0, words="said")
    fold = store.read()
    assert fold.taste().words == ("said",)
    store.undo()
    assert store.read(OWNER, fold).taste().words == ("",)


def test_a_log_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    first = Database(tmp_path / "h.sqlite", _MIGRATIONS[:1])
    with first.transaction() as connection:
        connection.execute("INSERT INTO event (user, kind, item, at, words) VALUES ('owner', 'like', 'a', 1.0, '')")
    assert HistoryStore(first.path).taste().liked == {"a"}


@pytest.mark.parametrize("name", ["new", "first version"])
def test_many_who_open_it_first_do_not_hinder_each_other(tmp_path: Path, name: str) -> None:
    for place in range(10):
        path = tmp_path / f"{name} {place}.sqlite"
        if name == "first version":
            with Database(path, _MIGRATIONS[:1]).transaction():
                pass
        everybody = threading.Barrier(8)

        def visit(number: int, path: Path = path, everybody: threading.Barrier = everybody) -> None:
            everybody.wait()
            store = HistoryStore(path)
            store.taste() if number % 2 else store.record(OWNER, f"item {number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(visit, range(8)))
        assert len(HistoryStore(path).taste().history) == 4


def test_only_the_owner_can_read_it(store: HistoryStore) -> None:
    before = os.umask(0)
    try:
        store.record(OWNER, "a")
        with sqlite3.connect(store.path) as reader:  # keeps the write-ahead log in place
            reader.execute("SELECT * FROM event").fetchall()
            store.record(OWNER, "b")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_it_is_in_wal_mode_with_a_version(store: HistoryStore) -> None:
    store.record(OWNER, "a")
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_history_is_in_the_order_of_time_each_item_once(store: HistoryStore) -> None:
    for at, item in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (9.0, "a")):
        store.record(OWNER, item, at)
    assert store.taste().history == ("b", "c", "a")


def test_what_was_said_last_of_an_item_counts(store: HistoryStore) -> None:
    store.record(OWNER, "a", 1.0)
    store.record(OWNER, "a", 2.0, Kind.DISLIKE)
    store.record(OWNER, "b", 3.0, Kind.DISLIKE)
    store.record(OWNER, "b", 4.0, "like")
    store.record(OWNER, "c", 5.0, "not_now")
    store.record(OWNER, "Horror", 6.0, "hide_category")
    assert store.taste() == Taste(
        history=("b",), words=("",), liked=frozenset("b"), disliked=frozenset("a"), not_now={"c": 5.0},
        hidden_categories=frozenset(["Horror"]),
    )  # fmt: skip


def test_undo_takes_back_one_event_after_the_other_whatever_the_clock_says(store: HistoryStore) -> None:
    store.record(OWNER, "a", 100.0)
    store.record(OWNER, "b", 50.0, "dislike")  # the clock was set back
    assert [(event.item if event else None) for event in (store.undo(), store.undo(), store.undo())] == ["b", "a", None]
    assert store.taste() == Taste()
    store.record(OWNER, "c", 1.0)
    undone = store.undo()
    assert undone is not None and undone.item == "c"


def test_users_are_kept_apart(store: HistoryStore) -> None:
    store.record("ann", "a", 1.0)
    store.record("bob", "b", 1.0)
    assert store.undo("bob") is not None
    assert store.users() == ["ann", "bob"]
    assert (store.taste("ann").history, store.taste("bob").history) == (("a",), ())
    assert store.forget("bob") == 2
    assert store.users() == ["ann"]


def test_reading_the_same_in_again_adds_nothing(store: HistoryStore) -> None:
    events = [Event(item=item, at=1.0) for item in "abc"]
    assert (store.add(events), store.add(events)) == (3, 0)


def test_what_is_forgotten_is_on_the_disk_no_more(store: HistoryStore) -> None:
    secret, other = "secret-item-4711", "other-item-0815"
    for number in range(200):
        store.record(OWNER, secret, float(number), words="said of it: confidential-words")
        store.record(OWNER, other, float(number))
    store.undo()
    assert secret.encode() in bytes_of(store)
    store.forget(OWNER, secret)
    assert secret.encode() not in bytes_of(store)
    assert b"confidential-words" not in bytes_of(store)
    assert store.taste().history == (other,)
    store.forget(None)
    assert other.encode() not in bytes_of(store)
    assert store.users() == []


def test_forgetting_says_so_if_another_process_holds_the_log_open(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sottovoce.client.database.WAIT_S", 0.1)
    store.record(OWNER, "a")
    with sqlite3.connect(store.path, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM event").fetchall()
        with pytest.raises(DataError, match="another process"):
            store.forget(OWNER)
        reader.execute("COMMIT")
    assert store.taste() == Taste()


def test_a_node_holds_no_more_users_than_its_invitation_says(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "histories.sqlite", capacity=1)
    store.record("ann", "a")
    store.record("ann", "b")
    with pytest.raises(ConfigError, match="at most 1"):
        store.record("bob", "a")
    assert store.users() == ["ann"]


def test_training_sees_positions_in_whatever_catalogue_is_there(store: HistoryStore) -> None:
    store.record("ann", "item 5", 1.0, words="loved it")
    store.record("ann", "unknown", 2.0)
    store.record("bob", "item 2", 1.0)
    store.record("bob", "item 9", 3.0, "dislike")
    read = store.histories(catalogue())
    assert [list(read[row]) for row in range(2)] == [[5], [2]]
    assert read.words is not None and list(read.words) == ["loved it", ""]
    ids = ("new", *catalogue().ids)
    again = store.histories(Catalogue(ids, ids, ids))
    assert [list(again[row]) for row in range(2)] == [[6], [3]]


def test_an_export_is_read_in_again_as_it_was(store: HistoryStore, tmp_path: Path) -> None:
    store.record("ann", "a", 1.0, rating=4.5, words="ja")
    store.record("ann", "b", 2.0, "like")
    store.undo("ann")
    events = [Event.model_validate(json.loads(line)) for line in store.export()]
    other = HistoryStore(tmp_path / "other.sqlite")
    other.add(events)
    assert other.taste("ann") == store.taste("ann")
    assert list(other.export()) == list(store.export())
    assert store.add(events) == 0
    assert list(store.export("nobody")) == []


def test_an_event_is_taken_back_by_its_number_whatever_came_since(store: HistoryStore, tmp_path: Path) -> None:
    liked = store.record(OWNER, "a", kind="like")
    told = store.record(OWNER, "b")
    assert store.undo("ann", liked) is None, "somebody else's"
    undone = store.undo(OWNER, liked)
    assert undone is not None and (undone.item, undone.kind) == ("a", "like")
    assert store.undo(OWNER, liked) is None and store.undo(interactions=False) is None
    assert store.taste().history == ("b",)
    other = HistoryStore(tmp_path / "other.sqlite")
    other.add(Event.model_validate(json.loads(line)) for line in store.export())
    assert other.taste() == store.taste() and list(other.export()) == list(store.export())
    assert store.undo(OWNER, told) is not None


@pytest.mark.parametrize(
    "told", [{"kind": "like"}, {"kind": "like", "item": "a", "undoes": 1}, {"kind": "undo", "undoes": 1}]
)
def test_what_takes_back_nothing_that_is_named_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        Event.model_validate({"at": 1.0, **told})


BAD = [{"item": ""}, {"item": "x" * 1001}, {"item": "a\0b"}, {"at": math.nan}, {"at": 1e300}, {"rating": math.inf},
       {"kind": "love"}, {"user": ""}, {"item": "\ud800"}]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_event_is_refused_in_one_line(store: HistoryStore, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        store.record(**{"user": OWNER, "item": "a", "at": 1.0, **bad})
    assert "\n" not in str(caught.value)


def test_a_later_version_is_left_alone(store: HistoryStore) -> None:
    store.record(OWNER, "a")
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="upgrade"):
        store.record(OWNER, "b")


def test_an_earlier_version_is_brought_up_with_what_it_holds(tmp_path: Path) -> None:
    first = Database(tmp_path / "x.sqlite", ["CREATE TABLE t (a TEXT) STRICT"])
    with first.transaction() as connection:
        connection.execute("INSERT INTO t VALUES ('kept')")
    second = Database(first.path, [*first.migrations, "ALTER TABLE t ADD COLUMN b TEXT;\nUPDATE t SET b = a"])
    with second.transaction(write=False) as connection:
        assert connection.execute("SELECT a, b FROM t").fetchall() == [("kept", "kept")]


def test_a_failed_transaction_leaves_no_trace(store: HistoryStore) -> None:
    def events() -> Any:  # noqa: ANN401
        yield Event(item="a", at=1.0)
        raise RuntimeError("the app died")

    with pytest.raises(RuntimeError):
        store.add(events())
    assert store.users() == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=4096), st.booleans())
def test_rubbish_is_refused_in_one_line_and_left_as_it_is(tmp_path: Path, rubbish: bytes, head: bool) -> None:
    content = (b"SQLite format 3\0" if head else b"") + rubbish
    store = HistoryStore(tmp_path / "rubbish.sqlite")
    store.path.write_bytes(content)
    for path in tmp_path.glob("rubbish.sqlite-*"):
        path.unlink()
    try:
        store.record(OWNER, "a")
    except DataError as error:
        assert "\n" not in str(error)
        assert store.path.read_bytes() == content
    else:
        assert not rubbish


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_database_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    store = HistoryStore(tmp_path / "damaged.sqlite")
    for path in tmp_path.glob("damaged.sqlite*"):
        path.unlink()
    store.add([Event(item=f"item {number}", at=float(number)) for number in range(50)])
    content = bytearray(store.path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=30)):
        content[place] ^= data.draw(st.integers(1, 255))
    store.path.write_bytes(bytes(content))
    for action in (store.users, store.taste, lambda: store.histories(catalogue()), lambda: list(store.export())):
        try:
            action()
        except DataError as error:
            assert "\n" not in str(error)


def test_what_somebody_wrote_is_kept_masked(store: HistoryStore) -> None:
    store.add([Event(item="a", at=1.0, words="write to ann@example.org or 555 123 4567, says Maria Schmidt")])
    assert store.taste().words == ("write to [mail] or [phone], says [name]",)
    assert b"ann@example" not in bytes_of(store)
