from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from disks import fill_up, small_disk

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.server.deployment.registry import Member, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "nodes.sqlite")


def names(registry: Registry) -> list[str]:
    return [member.name for member in registry.admitted()]


def only(registry: Registry) -> Member:
    (member,) = registry.members()
    return member


def test_an_invited_node_is_admitted_until_its_invitation_expires(registry: Registry) -> None:
    registry.invite("early", "key 1", 4, time.time() + 60)
    registry.invite("late", "key 2", 4, time.time() - 1)
    assert names(registry) == ["early"]
    assert [member.standing(time.time()) for member in registry.members()] == ["invited", "expired"]


def test_a_node_that_joined_in_time_stays_admitted(registry: Registry) -> None:
    registry.invite("hub", "key", 4, time.time() + 60)
    registry.seen({"hub"})
    assert only(registry).admitted(time.time() + 3600)
    assert only(registry).standing(time.time()) == "online"
    registry.seen(set())
    assert only(registry).standing(time.time()) == "away"


def test_who_never_came_in_time_is_not_admitted_later(registry: Registry) -> None:
    registry.invite("hub", "key", 4, time.time() + 60)
    assert not only(registry).admitted(time.time() + 61)


def test_a_revoked_node_is_out_for_good(registry: Registry) -> None:
    registry.invite("hub", "key", 4, time.time() + 60)
    registry.seen({"hub"})
    registry.revoke("hub")
    registry.seen({"hub"})
    assert names(registry) == []
    assert only(registry).standing(time.time()) == "revoked"


def test_a_name_or_a_key_is_never_used_twice(registry: Registry) -> None:
    registry.invite("hub", "key", 4, time.time() + 60)
    registry.revoke("hub")
    for name, key in (("hub", "other"), ("other", "key")):
        with pytest.raises(ConfigError):
            registry.invite(name, key, 4, time.time() + 60)


def test_nobody_is_revoked_who_was_not_invited(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="invited node"):
        registry.revoke("stranger")


def test_it_outlives_the_process_and_is_its_owners_alone(registry: Registry) -> None:
    registry.invite("hub", "key", 4, time.time() + 60)
    registry.holds("hub", 3)
    again = Registry(registry.path)
    assert only(again).bundle == 3
    assert registry.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"rubbish that is no database at all, and longer than a header of one is" * 9])
def test_a_file_that_is_no_registry_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "nodes.sqlite").write_bytes(content)
    with pytest.raises(DataError, match="nothing was changed"):
        Registry(tmp_path / "nodes.sqlite")
    assert (tmp_path / "nodes.sqlite").read_bytes() == content


def test_a_registry_of_another_version_is_refused(registry: Registry) -> None:
    with sqlite3.connect(registry.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(DataError, match="version 9"):
        Registry(registry.path)


def test_a_full_disk_is_named_and_leaves_what_is_there_readable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        Registry(disk / "nodes.sqlite").invite("hub", "key", 4, time.time() + 60)
        fill_up(disk)
        registry = Registry(disk / "nodes.sqlite")
        with pytest.raises(DataError, match="the disk is full; nothing was changed"):
            for number in range(100):
                registry.invite(f"hub-{number}", "x" * 1000 + str(number), 4, time.time() + 60)
        assert "hub" in names(registry)
