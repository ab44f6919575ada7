"""Where the person stands is read anew after every write, by whatever process, and only then."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from served import USER, make_bundle

from sottovoce.client.histories import Fold, HistoryStore
from sottovoce.client.recommender import Recommender
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.people import NOT_NOW_DAYS, People, person_of
from sottovoce.common.errors import DataError


def test_a_log_is_read_only_after_a_write_and_what_is_new_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = HistoryStore(tmp_path / "h.sqlite"), HistoryStore(tmp_path / "h.sqlite")
    recommender = Recommender.load(make_bundle(tmp_path / "bundle"))
    people, read = People(store, USER), list[bool]()
    whole = HistoryStore.read

    def counted(self: HistoryStore, user: str, known: Fold | None = None) -> Fold:
        found = whole(self, user, known)
        read.append(found is not known)
        return found

    def met() -> list[int]:
        history: list[int] = people.person(recommender).history.tolist()
        return history

    monkeypatch.setattr(HistoryStore, "read", counted)
    assert met() == [] == met()
    other.record(USER, "i1")
    assert met() == [1]
    read.clear()
    other.record(USER, "i2", kind="like")
    assert met() == [1, 2] == met()
    other.undo(USER)
    assert met() == [1] and read == [False, False]  # carried on from what was known, once for each write
    other.forget(USER)
    assert met() == [] and read[2:] == [True]
    (tmp_path / "h.sqlite").rename(tmp_path / "old.sqlite")
    other.record(USER, "i3")
    assert met() == [3] and read[3:] == [True]
    people.close()


def test_a_log_that_was_put_back_from_a_copy_is_read_anew(tmp_path: Path) -> None:
    store, recommender = HistoryStore(tmp_path / "h.sqlite"), Recommender.load(make_bundle(tmp_path / "bundle"))
    people = People(store, USER)
    store.record(USER, "i1")
    shutil.copy(store.path, tmp_path / "copy.sqlite")
    store.record(USER, "i2")
    assert people.person(recommender).history.tolist() == [1, 2]
    for ending in ("-wal", "-shm"):
        store.path.with_name(store.path.name + ending).unlink(missing_ok=True)
    (tmp_path / "copy.sqlite").rename(store.path)
    store.record(USER, "i3")  # under the id that the other one had
    store.record(USER, "i4")
    assert people.person(recommender).history.tolist() == [1, 3, 4]
    people.close()


def test_another_model_sees_the_same_person(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "h.sqlite")
    small, large = (Recommender.load(make_bundle(tmp_path / str(items), items)) for items in (10, 60))
    people = People(store, USER)
    for item in ("i50", "i5"):
        store.record(USER, item)
    found = [people.person(recommender) for recommender in (small, large, small)]
    assert [each.history.tolist() for each in found] == [[5], [50, 5], [5]]
    assert [each.met for each in found] == [2, 2, 2]
    people.close()


def test_not_now_lapses_though_nobody_writes(tmp_path: Path) -> None:
    store, recommender = HistoryStore(tmp_path / "h.sqlite"), Recommender.load(make_bundle(tmp_path / "bundle"))
    day = 86_400.0
    store.record(USER, "i3", kind="not_now", at=0.0)
    store.record(USER, "i6", kind="not_now", at=2 * day)
    now = [day]
    people = People(store, USER, clock=lambda: now[0])
    put_off = {}
    for days in (1, NOT_NOW_DAYS - 1, NOT_NOW_DAYS, NOT_NOW_DAYS + 2):
        now[0] = days * day
        put_off[days] = people.person(recommender).feedback.not_now
    assert put_off == {1: (3, 6), NOT_NOW_DAYS - 1: (3, 6), NOT_NOW_DAYS: (6,), NOT_NOW_DAYS + 2: ()}
    people.close()


def test_a_person_in_terms_of_a_catalogue(tmp_path: Path) -> None:
    store, recommender = HistoryStore(tmp_path / "h.sqlite"), Recommender.load(make_bundle(tmp_path / "bundle"))
    assert person_of(store.taste(USER), recommender, time.time()).unknown
    for item, kind in (
        ("i3", "interaction"),
        ("gone", "interaction"),
        ("i2", "like"),
        ("i5", "dislike"),
        ("i6", "not_now"),
    ):
        store.record(USER, item, kind=kind)
    store.record(USER, "Horror", kind="hide_category")
    person = person_of(store.taste(USER), recommender, time.time())
    assert person.history.tolist() == [3, 2] and not person.unknown
    said = person.feedback
    assert (said.liked, said.disliked, said.not_now, set(said.hidden)) == ((2,), (5,), (6,), {"Horror"})


def test_what_was_shown_is_noted_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "impressions.sqlite"
    impressions = Impressions(path)
    impressions.shown(USER, ["secret-4711", "i2"], "history")
    impressions.shown("ann", ["secret-4711"], "history")
    assert (impressions.count(USER), impressions.count("ann")) == (2, 1)
    impressions.flush()
    assert path.stat().st_mode & 0o077 == 0
    impressions.shown(USER, ["secret-4711"], "history")  # not yet written
    impressions.forget(USER, "secret-4711")
    assert (impressions.count(USER), impressions.count("ann")) == (1, 1)
    impressions.forget("ann")
    impressions.close()
    files = [each.read_bytes() for each in tmp_path.iterdir()]
    assert not any(b"secret-4711" in content for content in files)


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    impressions = Impressions(tmp_path / "impressions.sqlite")
    impressions.shown(USER, ["i1", "i2"], "popularity")
    impressions.close()
    again = Impressions(tmp_path / "impressions.sqlite")
    assert again.count(USER) == 2
    again.close()


def test_lists_go_on_while_somebody_else_writes(tmp_path: Path) -> None:
    """SQLite lets a writer wait for another one; nobody else may wait with it."""
    path = tmp_path / "impressions.sqlite"
    impressions = Impressions(path)
    impressions.shown(USER, ["i1"], "history")
    impressions.flush()
    impressions.shown(USER, ["i2"], "history")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = Thread(target=impressions.flush)
        writing.start()
        while not impressions._writing.locked():
            pass
        noting = Thread(target=impressions.shown, args=(USER, ["i3"], "history"))
        noting.start()
        noting.join(timeout=10)
        assert not noting.is_alive() and writing.is_alive()
        other.execute("ROLLBACK")
    writing.join()
    assert impressions.count(USER) == 3
    impressions.close()


def test_what_could_not_be_written_waits_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sottovoce.client.service.impressions.KEPT", 3)
    (tmp_path / "impressions.sqlite").mkdir()
    impressions = Impressions(tmp_path / "impressions.sqlite")
    for item in ("i1", "i2", "i3", "i4"):
        impressions.shown(USER, [item], "history")
        with pytest.raises(DataError):
            impressions.flush()
    (tmp_path / "impressions.sqlite").rmdir()
    impressions.flush()
    assert impressions.count(USER) == 3
    impressions.close()
