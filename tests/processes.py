"""A federation of real processes on loopback: one server, some devices, and what may befall them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import servers
from federation import random_histories

from sottovoce.client.histories import Event, Kind
from sottovoce.client.home import Home
from sottovoce.common.errors import DataError
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.publications import Publications
from sottovoce.server.deployment.runs import request_run, state_of
from sottovoce.server.deployment.settings import ServerSettings
from sottovoce.server.deployment.setup import invite

USERS = 10
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}


@dataclass
class Deployment:
    """Processes of one federation.

    Attributes:
        folder: Where everything lies.
        server: The server's folder.
        homes: The devices, by name.
    """

    folder: Path
    server: ServerFolder
    homes: dict[str, Home]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, nodes: int = 2, settings: ServerSettings | None = None) -> Deployment:
        server = servers.make(folder / "server", settings)
        homes = {}
        for number in range(nodes):
            name = f"node-{number}"
            homes[name] = Home(folder / name).join(invite(server, name, USERS, None))
            fill(homes[name], number)
        return cls(folder, server, homes)

    def start_server(self) -> None:
        self._start("server", ["server", "up", str(self.server.path)])

    def start_node(self, name: str, **environment: str) -> None:
        self._start(name, ["client", "run", "--home", str(self.homes[name].folder)], **environment)

    def start(self) -> None:
        self.start_server()
        for name in self.homes:
            self.start_node(name)

    def kill(self, name: str) -> None:
        """As when the power goes: all processes of it at once, without a word."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_flowers(self, program: str) -> None:
        """Kill one of the processes that Flower's SuperLink runs by, once it is there."""
        wait_until(f"{program} is there", lambda: bool(processes_with(program, str(self.server.path))))
        for pid in processes_with(program, str(self.server.path)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End all, politely at first."""
        for process in self._running.values():
            process.terminate()
        for name, process in list(self._running.items()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            self.kill(name)

    def train(self) -> Path:
        """Lay out a run, which the server will find."""
        return request_run(self.server, self.server.settings.training)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def everybody_has(self, version: int) -> bool:
        return all(home.bundles.version >= version for home in self.homes.values())

    def _start(self, name: str, arguments: list[str], **environment: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "sottovoce.cli.main", *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | QUIET | environment,
                start_new_session=True,
            )


class App(threading.Thread):
    """Records what somebody does, a few times a second, as the page does; knows what it was told is kept."""

    def __init__(self, home: Home) -> None:
        super().__init__(name=f"app at {home.folder.name}")
        self._folder = home.folder
        self._before = list(home.histories.export())
        self._ended = threading.Event()
        self.kept: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        for number in itertools.count():
            event = Event(user="user 0", item=f"item {number % 60}", at=1e9 + number, kind=Kind.LIKE)
            try:
                Home(self._folder).histories.record(event.user, event.item, event.at, event.kind)
                self.kept.append(event.item + f" at {event.at}")
            except DataError:
                self.refused.append(event.item + f" at {event.at}")
            if self._ended.wait(0.3):
                break

    def end(self) -> None:
        """Everything that was kept is there, in its order, nothing that was refused is, and nothing else went."""
        self._ended.set()
        self.join()
        lines = list(Home(self._folder).histories.export())
        assert lines[: len(self._before)] == self._before, "a history was lost"
        events = [Event.model_validate_json(line) for line in lines[len(self._before) :]]
        found = [f"{event.item} at {event.at}" for event in events if 1e9 <= event.at < 1.1e9]
        assert found == self.kept, set(self.kept) ^ set(found)


def fill(home: Home, seed: int) -> None:
    """Ten users with histories."""
    histories = random_histories(USERS, seed=seed)
    home.histories.add(
        Event(user=f"user {row}", item=f"item {item}", at=float(place))
        for row in range(USERS)
        for place, item in enumerate(histories[row].tolist())
    )


def processes_with(*words: str) -> list[int]:
    """Processes that run and have all of `words` on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(word in line for word in words) and int(place.name) != os.getpid():
            found.append(int(place.name))
    return found


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.2)


def published(run: Path) -> bool:
    return state_of(run).outcome == "published"


def check_ledgers(deployment: Deployment, run: Path) -> None:
    """What was released is in the ledgers: the server's, and those of the nodes whose sums it holds."""
    records = Store(RunFolder(run)).records()
    assert records, "no round was recorded"
    charged = {sent.release for sent in deployment.server.ledger.sent()}
    rows = [{sent.release for sent in home.sent()} for home in deployment.homes.values()]
    for record in records:
        [release] = [each for each in charged if f"/{record.round}/{record.name}/" in each]
        assert sum(release in sent for sent in rows) >= record.nodes, (release, record)
    plan = deployment.server.settings.training.plan()
    spent = deployment.server.ledger.epsilon(plan.delta)
    assert 0 < spent <= plan.target_epsilon
    assert Publications(deployment.server).version >= 2
