"""Where the person stands is read anew after every write, by whatever process, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest
from served import USER, make_bundle

from sottovoce.client.histories import HistoryStore
from sottovoce.client.recommender import Recommender
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.people import People, person_of


def test_a_log_is_read_again_only_after_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = HistoryStore(tmp_path / "h.sqlite"), HistoryStore(tmp_path / "h.sqlite")
    people, read = People(store, USER), []
    taste = HistoryStore.taste

    def counted(self: HistoryStore, user: str) -> object:
        read.append(user)
        return taste(self, user)

    monkeypatch.setattr(HistoryStore, "taste", counted)
    assert people.taste().history == () == people.taste().history
    other.record(USER, "i1")
    assert people.taste().history == ("i1",)
    other.forget(USER)
    assert people.taste().history == ()
    before = len(read)
    people.taste()
    assert len(read) == before
    (tmp_path / "h.sqlite").rename(tmp_path / "old.sqlite")
    other.record(USER, "i2")
    assert people.taste().history == ("i2",)
    people.close()


def test_a_person_in_terms_of_a_catalogue(tmp_path: Path) -> None:
    store, recommender = HistoryStore(tmp_path / "h.sqlite"), Recommender.load(make_bundle(tmp_path / "bundle"))
    assert person_of(store.taste(USER), recommender).unknown
    for item, kind in (
        ("i3", "interaction"),
        ("gone", "interaction"),
        ("i2", "like"),
        ("i5", "dislike"),
        ("i6", "not_now"),
    ):
        store.record(USER, item, kind=kind)
    store.record(USER, "Horror", kind="hide_category")
    person = person_of(store.taste(USER), recommender)
    assert person.history.tolist() == [3, 2] and not person.unknown
    said = person.feedback
    assert (said.liked, said.disliked, said.not_now, set(said.hidden)) == ((2,), (5,), (6,), {"Horror"})


def test_what_was_shown_is_noted_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "impressions.sqlite"
    impressions = Impressions(path)
    impressions.shown(USER, ["secret-4711", "i2"], "history")
    impressions.shown("ann", ["secret-4711"], "history")
    assert (impressions.count(USER), impressions.count("ann")) == (2, 1)
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
