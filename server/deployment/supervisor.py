"""Keeps a server up: SuperLink and runs are started, watched, and started again, with back-off.

What there is to do always follows from the folder (an unfinished run, a node with an old bundle, a schedule), so that a
supervisor that starts after a crash does what the one before it would have done.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from sottovoce.common.errors import FederationError, SottovoceError
from sottovoce.common.supervised import supervised
from sottovoce.server.deployment.control import Control
from sottovoce.server.deployment.folder import SERVER_VARIABLE, ServerFolder, locked
from sottovoce.server.deployment.monitoring import Monitor, serve_status
from sottovoce.server.deployment.publications import Publications
from sottovoce.server.deployment.runs import CANCELLED, state_of, unfinished
from sottovoce.server.deployment.schedule import begin_if_due

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
LONGEST_DELAY_S = 300.0
STEADY_S = 60.0
"""A SuperLink that ran for that long was well: its next end is met without delay."""
PATIENCE_S = 120.0
"""A SuperLink that is silent for that long hangs."""
PENDING_S = 120.0
"""A SuperExec that lets a run wait for that long hangs."""
TROUBLE_S = 5.0


@dataclass
class BackOff:
    """Waits that double with each failure in a row, up to five minutes."""

    failures: int = 0
    not_before: float = 0.0

    def fail(self) -> None:
        """Wait longer than last time."""
        self.failures += 1
        self.not_before = time.monotonic() + min(2.0 ** (self.failures - 1), LONGEST_DELAY_S)

    def succeed(self) -> None:
        """Wait no more."""
        self.failures, self.not_before = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self.not_before


@dataclass
class Supervisor:
    """What runs of a server, and what is to be done next.

    Attributes:
        folder: The server.
    """

    folder: ServerFolder
    monitor: Monitor = field(init=False)
    _control: Control = field(init=False)
    _superlink: subprocess.Popen[bytes] | None = None
    _lock: int = -1
    _started: float = 0.0
    _silent_since: float = 0.0
    _ready: bool = False
    _flower_run: int | None = None
    _begun: float = 0.0
    _task: tuple[str, str] = ("", "")
    _links: BackOff = field(default_factory=BackOff)
    _runs: BackOff = field(default_factory=BackOff)
    _deliveries: BackOff = field(default_factory=BackOff)

    def __post_init__(self) -> None:
        self.monitor = Monitor(self.folder)
        self._control = Control(self.folder)

    def run(self, stop: threading.Event) -> None:
        """Keep the server up until `stop` is set; then end everything that was started.

        Raises:
            ConfigError: another supervisor is at work in this folder.
        """
        with locked(self.folder.path / "lock") as self._lock, serve_status(self.monitor):
            _ = self.folder.control_key  # there before any process needs it
            log.info("federation %s is up at %s", self.folder.settings.federation, self.folder.settings.listen)
            try:
                while not stop.wait(LOOK_EVERY_S):
                    try:
                        self.step()
                    except (OSError, sqlite3.Error, SottovoceError) as error:
                        # A full disk, or a folder that somebody else writes to: looked at again, not died of.
                        log.error("%s", error)
                        stop.wait(TROUBLE_S)
            finally:
                self._end()

    def step(self) -> None:
        """Look once: a SuperLink that ended is started, a run that ended is taken note of, the next one begins."""
        if not self._keep_superlink():
            return
        try:
            if self._flower_run is not None:
                self._look_after(self._flower_run)
                return
            self._begin()  # first, so that a schedule that is no good stops nothing
            begin_if_due(self.folder)
        except FederationError as error:
            log.warning("%s", error)
            self._ready, self._silent_since = False, time.monotonic()

    def _keep_superlink(self) -> bool:
        """Start the SuperLink if there is none; whether it answers."""
        if self._superlink is not None and self._superlink.poll() is not None:
            status, told = self._superlink.returncode, self.folder.log / "superlink.jsonl"
            log.warning("the SuperLink ended with status %d; %s may say why", status, told)
            if time.monotonic() - self._started > STEADY_S:
                self._links.succeed()
            self._links.fail()
            # A run without its SuperLink is over; its folder says that it is unfinished.
            self._superlink, self._ready, self._flower_run = None, False, None
        if self._superlink is None and self._links.over:
            self.monitor.superlink_starts += 1
            self._superlink, self._started = self._start_superlink(), time.monotonic()
            self._silent_since = self._started
        if self._superlink is not None and not self._ready:
            self._ready = self._control.ready()
            if self._ready:
                log.info("the SuperLink answers after %.1f s", time.monotonic() - self._silent_since)
            elif time.monotonic() - self._silent_since > PATIENCE_S:
                self._kill_superlink("it does not answer")
        self.monitor.ready = self._ready
        return self._ready

    def _look_after(self, flower_run: int) -> None:
        """Take note of a Flower run's end, or bring it about; where nobody takes it up, Flower is started anew."""
        task, run = self._task
        if self._control.finished(flower_run):
            self._note_end()
        elif task == "train" and state_of(self.folder.path / "runs" / run).outcome == CANCELLED:
            self._control.stop(flower_run)
        elif time.monotonic() - self._begun > PENDING_S and self._control.waits(flower_run):
            self._kill_superlink("SuperExec does not take the run up")

    def _kill_superlink(self, why: str) -> None:
        log.error("%s: the SuperLink is killed", why)
        if self._superlink is not None:
            self._superlink.kill()
            self._superlink.wait()
        self._ready = self.monitor.ready = False

    def _begin(self) -> None:
        """Start the next Flower run, if there is something to do."""
        run = unfinished(self.folder)
        if run is not None and self._runs.over:
            self._start("train", run.name)
        elif self._deliveries.over and self._somebody_lacks():
            self._start("deliver", "")

    def _start(self, task: str, run: str) -> None:
        log.info("begin to %s %s", task, run, extra={"task": task, "run": run})
        self._task, self._flower_run = (task, run), self._control.start(task, run)
        self._begun = time.monotonic()

    def _note_end(self) -> None:
        """Take note of how a Flower run ended: by what is in the folder, since its process may have been killed."""
        task, run = self._task
        self._flower_run = None
        if task == "train":
            state = state_of(self.folder.path / "runs" / run)
            if state.attempts == 1:
                self._runs.succeed()  # it came further than the attempt before
            self._runs.succeed() if state.outcome else self._runs.fail()
        else:
            self._deliveries.fail() if self._somebody_lacks() else self._deliveries.succeed()

    def _somebody_lacks(self) -> bool:
        """Whether a node that is there holds an older bundle than the newest."""
        newest = Publications(self.folder).version
        return any(member.online and member.bundle < newest for member in self.folder.registry.admitted())

    def _start_superlink(self) -> subprocess.Popen[bytes]:
        module = "sottovoce.server.deployment.superlink"
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", module, str(self.folder.path)], env=environment(self.folder), pass_fds=(self._lock,)
        )

    def _end(self) -> None:
        if self._superlink is None:
            return
        self._superlink.terminate()
        try:
            self._superlink.wait(10)
        except subprocess.TimeoutExpired:
            self._superlink.kill()
            self._superlink.wait()


def environment(folder: ServerFolder) -> dict[str, str]:
    """The environment of a server's processes: Flower tells nobody, installs nothing, and looks for work often."""
    own = supervised() | {
        SERVER_VARIABLE: str(folder.path),
        "FLWR_HOME": str(folder.path / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
        "OMP_NUM_THREADS": "1",
        # Flower starts its processes by name.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
    }
    return {**os.environ, **own}


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
