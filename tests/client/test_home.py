"""A device's home: private, joined by invitation, with a ledger that nothing forgets."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from devices import FEDERATION, invitation, joined_home, signed_bundle

from sottovoce.client.home import Home, find_home
from sottovoce.client.language.conversation import Conversations
from sottovoce.client.language.request import Request
from sottovoce.client.service.impressions import Impressions
from sottovoce.common.errors import BudgetSpentError, ConfigError, DataError, LedgerError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.ledger import Release
from sottovoce.common.signature import SigningKey

KEY = SigningKey.generate()
RELEASE = Release("people", "run", 1, "head", "server")


def release(home: Home) -> None:
    """One release of 4 bytes that was made and sent."""
    home.ledger.open(RELEASE, ReleaseEvent("head", 1.0, 1.0, 1), "sha", "os", 8.0, 1e-5)
    home.ledger.record_sent(RELEASE, b"sums")


def test_everything_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.histories.record("owner", "item 1")
    release(home)
    home.owner.save(home.owner_file)
    home.bundles.install(signed_bundle(tmp_path / "bundle", KEY, 1))
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    for name in ("histories.sqlite", "ledger.sqlite", "owner.toml", "invitation.json"):
        assert stat.S_IMODE((home.folder / name).stat().st_mode) == 0o600, name


def test_a_home_that_joined_nothing_still_keeps_histories(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.histories.record("owner", "item 1")
    assert home.invitation is None
    with pytest.raises(DataError, match="client join"):
        _ = home.bundles


def test_what_left_the_device_is_told_with_time_size_and_hash(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.sent() == []
    release(home)
    [sent] = home.sent()
    assert (sent.release, sent.bytes, len(sent.sha256)) == ("people/run/1/head/server", 4, 64)
    assert abs(datetime.fromisoformat(sent.at + "+00:00") - datetime.now(UTC)) < timedelta(minutes=1)


def test_neither_forgetting_nor_joining_again_touches_the_ledger(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.histories.record("owner", "item 1")
    release(home)
    before = home.ledger.epsilon(1e-5)
    home.forget(None)
    again = home.join(invitation(SigningKey.generate(), federation="chess-club"))
    assert again.joined.federation == "chess-club"
    assert again.ledger.epsilon(1e-5) == before > 0
    assert again.sent() == home.sent()


def test_after_forgetting_no_hash_confirms_a_guess(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.histories.record("owner", "item 1")
    release(home)
    [before] = home.sent()
    noised = Release("people", "run", 2, "head", "node")
    home.ledger.open(noised, ReleaseEvent("head", 1.0, 1.0, 1), "sha", "os", 8.0, 1e-5)
    home.ledger.persist(noised, b"noised sums")
    assert home.forget(None) == 1
    exact, private = home.sent()
    assert (exact.at, exact.release, exact.bytes, exact.sha256) == (before.at, before.release, 4, "")
    assert private.sha256, "a noised sum tells no more than its release did"
    kept = b"".join(path.read_bytes() for path in home.folder.iterdir() if path.is_file())
    assert before.sha256.encode() not in kept


def test_what_was_said_to_the_page_and_shown_is_forgotten_too(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.histories.record("owner", "item 1")
    said = Conversations(home.conversations_file)
    said.keep("owner", "something about my divorce", Request(), ["item 1"])
    said.keep("owner", "a comedy", Request(), ["item 2"])
    impressions = Impressions(home.impressions_file)
    impressions.shown("owner", ["item 1", "item 2"], "history")
    impressions.close()
    home.forget(None, "item 1")
    assert [turn.said for turn in said.turns("owner")] == ["a comedy"]
    home.forget(None)
    assert said.turns("owner") == []
    kept = b"".join(path.read_bytes() for path in home.folder.iterdir() if path.is_file())
    assert b"divorce" not in kept
    assert b"item 1" not in kept and b"item 2" not in kept


def test_what_cannot_be_forgotten_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = joined_home(tmp_path / "home", KEY)
    said = Conversations(home.conversations_file)
    said.keep("owner", "a comedy", Request(), ["item 1"])
    release(home)

    def full(*_: object) -> int:
        raise DataError(home.folder, "no room")

    monkeypatch.setattr(type(home.histories), "forget", full)
    with pytest.raises(DataError, match="no room"):
        home.forget(None)
    assert said.turns("owner") == []
    assert [each.sha256 for each in home.sent()] == [""]


def test_a_ledger_that_somebody_holds_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = joined_home(tmp_path / "home", KEY)
    said = Conversations(home.conversations_file)
    said.keep("owner", "a comedy", Request(), ["item 1"])
    release(home)

    def busy(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(type(home.ledger), "forget_sums", busy)
    with pytest.raises(DataError, match=r"not all is forgotten yet, so forget again: .*database is locked"):
        home.forget(None)
    assert said.turns("owner") == []


def test_forgetting_needs_no_ledger(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.histories.record("owner", "item 1")
    (home.folder / "ledger.sqlite").unlink()
    assert Home(home.folder).forget("owner", "item 1") == 1


def test_under_a_new_name_a_device_has_no_new_budget(tmp_path: Path) -> None:
    # The releases of nodes compose in parallel for people who are on one of them: a device's people are on each.
    home = joined_home(tmp_path / "home", KEY)
    event = ReleaseEvent("head", 1.0, 1.0, 1)
    home.ledger.open(Release("people", "run", 1, "head", "first-name"), event, "x", "os", 8.0, 1e-5)
    spent = home.ledger.epsilon(1e-5)
    again = home.join(invitation(SigningKey.generate(), federation="chess-club"))
    with pytest.raises(BudgetSpentError):
        again.ledger.open(Release("club", "run", 1, "head", "second-name"), event, "x", "os", spent, 1e-5)
    again.ledger.open(Release("club", "run", 1, "head", "second-name"), event, "x", "os", 2 * spent, 1e-5)
    assert again.ledger.epsilon(1e-5) == epsilon([ReleaseEvent("head", 1.0, 1.0, 2)], 1e-5) > spent
    assert len(again.ledger.worst_events(1e-5)) == 2


@pytest.mark.parametrize("left", [None, b""])
def test_a_ledger_that_was_lost_is_not_begun_anew(tmp_path: Path, left: bytes | None) -> None:
    home = joined_home(tmp_path / "home", KEY)
    release(home)
    (home.folder / "ledger.sqlite").unlink()
    if left is not None:
        (home.folder / "ledger.sqlite").write_bytes(left)
    with pytest.raises(LedgerError, match="restore it from a backup"):
        _ = Home(home.folder).ledger


def test_an_expired_invitation_is_refused(tmp_path: Path) -> None:
    late = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(DataError, match="expired"):
        joined_home(tmp_path / "home", KEY, expires=late)
    assert Home(tmp_path / "home").invitation is None


def test_an_invitation_for_fewer_users_than_there_are_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for user in ("ann", "bob"):
        home.histories.record(user, "item 1")
    with pytest.raises(DataError, match="holds 2 users"):
        home.join(invitation(KEY, capacity=1))
    joined = home.join(invitation(KEY, capacity=2))
    with pytest.raises(ConfigError, match="at most 2"):
        joined.histories.record("cyd", "item 1")


def test_a_new_federation_under_an_old_name_begins_anew(tmp_path: Path) -> None:
    """Its operator's key was stolen: what was signed with the old one is neither used nor in the new one's way."""
    home = joined_home(tmp_path / "home", KEY)
    home.bundles.install(signed_bundle(tmp_path / "1", KEY, 9))
    new_key = SigningKey.generate()
    home = home.join(invitation(new_key))
    assert (home.bundles.version, home.bundles.current()) == (0, None)
    assert home.bundles.install(signed_bundle(tmp_path / "2", new_key, 1)).version == 1


def test_models_of_two_federations_are_kept_apart(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.bundles.install(signed_bundle(tmp_path / "1", KEY, 7))
    other = home.join(invitation(KEY, federation="chess-club"))
    other.bundles.install(signed_bundle(tmp_path / "2", KEY, 1, federation="chess-club"))
    assert (other.bundles.version, home.join(invitation(KEY)).bundles.version) == (1, 7)
    assert home.joined.federation == FEDERATION


def test_a_longer_catalogue_keeps_the_histories_valid(tmp_path: Path) -> None:
    """Histories hold ids: item 70 was met on this device before the server's catalogue knew it."""
    from sottovoce.common.bundle import load_bundle

    home = joined_home(tmp_path / "home", KEY)
    for at, item in enumerate(("item 3", "item 70", "item 5")):
        home.histories.record("owner", item, float(at))
    read = {}
    for version, items in ((1, 60), (2, 80)):
        home.bundles.install(signed_bundle(tmp_path / str(version), KEY, version, items=items))
        current = home.bundles.current()
        assert current is not None
        read[items] = list(home.histories.histories(load_bundle(current).catalogue)[0])
    assert read == {60: [3, 5], 80: [3, 70, 5]}


def test_a_home_is_found_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTOVOCE_HOME", str(tmp_path / "there"))
    assert find_home().folder == tmp_path / "there"
    assert find_home(tmp_path / "named").folder == tmp_path / "named"


def test_a_place_where_no_home_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="no home can be made"):
        Home(tmp_path / "file" / "home")


def test_a_broken_invitation_is_refused_in_one_line(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    home.invitation_file.write_bytes(home.invitation_file.read_bytes()[:-40])
    with pytest.raises(DataError, match="not an invitation"):
        _ = Home(home.folder).joined
