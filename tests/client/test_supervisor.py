"""A device's SuperNode is started again, and nothing is left behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from devices import joined_home
from processes import processes_with

from sottovoce.client import supervisor as module
from sottovoce.client.home import Home
from sottovoce.client.supervisor import NodeSupervisor, keep_up
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.signature import SigningKey

KEY = SigningKey.generate()


def test_a_device_that_joined_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="client join"):
        keep_up([NodeSupervisor(Home(tmp_path / "home"))], threading.Event())


def test_two_supervisors_of_one_device_are_one_too_many(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    stop = threading.Event()
    stop.set()
    with NodeSupervisor(home).alone(), pytest.raises(ConfigError, match="kept up by another process"):
        keep_up([NodeSupervisor(home)], stop)
    keep_up([NodeSupervisor(home)], stop)


def test_each_failure_in_a_row_doubles_the_pause(tmp_path: Path) -> None:
    supervisor = NodeSupervisor(joined_home(tmp_path / "home", KEY))
    pauses = []
    for _ in range(9):
        supervisor._started = time.monotonic()
        supervisor._note_end(1)
        pauses.append(supervisor._not_before - time.monotonic())
    for number, pause in enumerate(pauses, start=1):
        expected = min(2.0**number, module.LONGEST_DELAY_S)
        assert 0.7 * expected < pause < 1.3 * expected
    supervisor._started = time.monotonic() - 2 * module.STEADY_S
    supervisor._note_end(1)
    assert supervisor._not_before - time.monotonic() < 2


def test_a_full_disk_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    supervisor = NodeSupervisor(joined_home(tmp_path / "home", KEY))
    monkeypatch.setattr(module, "_write_private", full)
    supervisor.step()
    assert supervisor.starts == 0
    assert supervisor._not_before > time.monotonic()


def test_a_worker_that_cannot_be_started_does_not_end_it(tmp_path: Path) -> None:
    class Full:
        def step(self) -> None:
            raise OSError(12, "Cannot allocate memory")

    supervisor = NodeSupervisor(joined_home(tmp_path / "home", KEY))
    supervisor._not_before = math.inf
    supervisor._executor = Full()  # type: ignore[assignment]
    supervisor.step()


@pytest.mark.slow
def test_a_server_that_is_away_is_tried_at_each_address_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_S", 1.0)
    monkeypatch.setattr(module, "LONGEST_DELAY_S", 0.2)
    home = joined_home(tmp_path / "home", KEY, addresses=("127.0.0.1:9", "127.0.0.1:10"))
    supervisor, stop = NodeSupervisor(home), threading.Event()
    thread = threading.Thread(target=keep_up, args=([supervisor], stop))
    thread.start()
    end = time.monotonic() + 90
    while supervisor.starts < 3 and time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    thread.join(30)
    assert supervisor.starts >= 3
    assert processes_with(str(home.folder)) == []
    assert not (home.folder / "supernode").exists()


@pytest.mark.slow
def test_a_supernode_whose_supervisor_died_before_it_was_up_ends(tmp_path: Path) -> None:
    """It then belongs to init, as far as the system tells."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    home = joined_home(tmp_path / "home", KEY)
    supervisor = NodeSupervisor(home)
    supervisor._start()
    assert supervisor._node is not None
    command = list(map(str, supervisor._node.args))  # type: ignore[arg-type]
    orphan = subprocess.Popen(command, env=os.environ | {"SOTTOVOCE_SUPERVISOR": str(gone.pid)})
    try:
        orphan.wait(60)
    finally:
        orphan.kill()
        supervisor.end()


@pytest.mark.slow
def test_a_supervisor_that_is_killed_takes_its_supernode_along(tmp_path: Path) -> None:
    home = joined_home(tmp_path / "home", KEY)
    command = [sys.executable, "-m", "sottovoce.cli.main", "client", "run", "--home", str(home.folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(processes_with(str(home.folder))) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while processes_with(str(home.folder)) and time.monotonic() < end + 30:
        time.sleep(0.1)
    assert processes_with(str(home.folder)) == []
