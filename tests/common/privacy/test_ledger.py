"""The ledger shows at least what was released, whatever happens."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from disks import fill_up, small_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.common.errors import BudgetSpentError, LedgerError, SottovoceError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.ledger import SERVER, Ledger, Release

DELTA = 1e-5
EVENT = ReleaseEvent("head", 2.0, 1.0, 1)


def release(number: int = 0, maker: str = SERVER, run: str = "run") -> Release:
    return Release("people", run, number, "head", maker)


def open_release(ledger: Ledger, which: Release, event: ReleaseEvent = EVENT, cap: float = 100.0) -> bytes | None:
    return ledger.open(which, event, "request", "os", cap, DELTA)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_a_release_is_charged_before_it_is_made(ledger: Ledger) -> None:
    assert open_release(ledger, release()) is None
    assert Ledger(ledger.path).epsilon(DELTA) == epsilon([EVENT], DELTA)


def test_asked_again_the_same_bytes_come_back_and_nothing_more_is_charged(ledger: Ledger) -> None:
    open_release(ledger, release())
    assert open_release(ledger, release()) is None
    ledger.persist(release(), b"noised")
    assert open_release(Ledger(ledger.path), release()) == b"noised"
    assert ledger.epsilon(DELTA) == epsilon([EVENT], DELTA)


def test_asked_again_with_another_plan_or_model_it_is_refused(ledger: Ledger) -> None:
    open_release(ledger, release())
    with pytest.raises(LedgerError, match="another plan or model"):
        ledger.open(release(), EVENT, "other request", "os", 100.0, DELTA)


def test_a_release_is_never_made_twice_with_other_bytes(ledger: Ledger) -> None:
    open_release(ledger, release())
    ledger.persist(release(), b"noised")
    ledger.persist(release(), b"noised")
    with pytest.raises(LedgerError, match="other bytes"):
        ledger.persist(release(), b"noised anew")
    assert open_release(ledger, release()) == b"noised"


def test_what_was_never_opened_cannot_be_kept(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="not opened"):
        ledger.persist(release(), b"noised")


def test_the_cap_is_never_passed_and_a_refused_release_leaves_no_trace(ledger: Ledger) -> None:
    cap = epsilon([ReleaseEvent("head", 2.0, 1.0, 3)], DELTA)
    for number in range(3):
        open_release(ledger, release(number), cap=cap)
    with pytest.raises(BudgetSpentError, match="not made"):
        open_release(ledger, release(3), cap=cap)
    assert ledger.epsilon(DELTA) == cap
    assert open_release(ledger, release(2), cap=cap) is None


def test_releases_of_all_runs_on_a_population_add_up(ledger: Ledger) -> None:
    open_release(ledger, release(run="a"))
    open_release(ledger, release(run="b"))
    assert ledger.epsilon(DELTA) == epsilon([ReleaseEvent("head", 2.0, 1.0, 2)], DELTA)


def test_nodes_compose_in_parallel_and_the_server_with_each(ledger: Ledger) -> None:
    open_release(ledger, release(0, SERVER))
    for number in range(3):
        open_release(ledger, release(number, "node-1"))
    open_release(ledger, release(0, "node-2"))
    assert ledger.epsilon(DELTA) == epsilon([ReleaseEvent("head", 2.0, 1.0, 4)], DELTA)
    assert epsilon(ledger.worst_events(DELTA), DELTA) == ledger.epsilon(DELTA)


def test_an_exact_sum_is_never_written(ledger: Ledger) -> None:
    open_release(ledger, release())
    ledger.record_sent(release(), b"an exact sum")
    assert open_release(ledger, release()) is None
    assert b"an exact sum" not in ledger.path.read_bytes()
    with sqlite3.connect(ledger.path) as connection:
        size, kept = connection.execute("SELECT payload_bytes, payload FROM release").fetchone()
    assert (size, kept) == (len(b"an exact sum"), None)


def test_an_exact_sum_that_was_forgotten_is_not_made_again_and_stays_paid(ledger: Ledger) -> None:
    open_release(ledger, release(0))
    ledger.record_sent(release(0), b"an exact sum")
    open_release(ledger, release(1))
    spent = ledger.epsilon(DELTA)
    ledger.forget_sums()
    for number in range(2):
        with pytest.raises(LedgerError, match="forgotten"):
            open_release(ledger, release(number))
        with pytest.raises(LedgerError, match="forgotten"):
            ledger.record_sent(release(number), b"another exact sum")
    assert ledger.epsilon(DELTA) == spent
    open_release(ledger, release(2))
    ledger.record_sent(release(2), b"a sum of what is left")
    assert [bool(sent.sha256) for sent in ledger.sent()] == [False, True]


def test_only_its_owner_reads_a_ledger(ledger: Ledger) -> None:
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_an_empty_ledger_shows_nothing_spent(ledger: Ledger) -> None:
    assert ledger.epsilon(DELTA) == 0.0
    assert ledger.worst_events(DELTA) == []


@pytest.mark.parametrize("content", [b"not a database at all" * 50, b"SQLite format 3\0" + b"x" * 500, b"SQLite"])
def test_what_is_no_ledger_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_ledger_of_another_version_is_refused(ledger: Ledger) -> None:
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(ledger.path)


_RELEASE_FOREVER = """
import sys
from pathlib import Path
from sottovoce.common.privacy.accounting import ReleaseEvent
from sottovoce.common.privacy.ledger import Ledger, Release
ledger = Ledger(Path(sys.argv[1]))
for number in range(100000):
    release = Release("people", "run", number, "head", "server")
    ledger.open(release, ReleaseEvent("head", 1000.0, 1.0, 1), "request", "os", 100.0, 1e-5)
    print(number, flush=True)
    ledger.persist(release, b"x" * 50_000)
"""


@pytest.mark.parametrize("after_s", [0.15, 0.4, 0.7])
def test_after_a_kill_the_ledger_shows_all_that_was_announced(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "ledger.sqlite"
    process = subprocess.Popen([sys.executable, "-c", _RELEASE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    announced = [int(line) for line in (first + process.stdout.read()).split("\n") if line.strip()]
    process.wait()
    [event] = Ledger(path).events()[SERVER]
    assert event.count >= len(announced) > 0


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_ledger_is_read_or_refused_and_never_a_fresh_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "ledger.sqlite"
    ledger = Ledger(path)
    for number in range(3):
        ledger.open(release(number), EVENT, "request", "os", 100.0, DELTA)
        ledger.record_sent(release(number), b"sums")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    for action in (lambda: Ledger(path).epsilon(DELTA), lambda: Ledger(path).sent(), lambda: Ledger(path).events()):
        try:
            action()
        except SottovoceError as error:
            assert len(str(error).splitlines()) == 1


def test_on_a_full_disk_a_ledger_can_still_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        ledger = Ledger(disk / "ledger.sqlite")
        open_release(ledger, release())
        fill_up(disk)
        assert Ledger(ledger.path).epsilon(DELTA) == epsilon([EVENT], DELTA)
