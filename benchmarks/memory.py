"""Peak memory of a command and all its descendants, as proportional set size (PSS).

PSS shares each page among the processes that map it, so that the sum over a tree counts no page twice. Ray's own
daemons are descendants too, and count.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

import psutil

INTERVAL_S = 1.0
"""Reading the PSS of a process walks its page tables; more often would slow down what is being timed."""


class CommandFailedError(RuntimeError):
    """A contender ended with an error; the message is the end of what it said."""


def run_measured(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Run a command to its end in `folder`; the peak PSS of its process tree in MiB.

    Raises:
        CommandFailedError: it ended with an error.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said)
        with process, Peak(process.pid) as peak:
            status = process.wait()
        if status:
            said.seek(0)
            raise CommandFailedError(f"{' '.join(command)} ended with {status}:\n{said.read()[-2000:]}")
    return peak.mib


class Peak(Thread):
    """The peak PSS of a process tree while the block runs, in MiB."""

    def __init__(self, root: int, interval_s: float = INTERVAL_S) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self._ended = Event()
        self._root, self._interval_s = root, interval_s

    def run(self) -> None:
        """Sample until the block ends."""
        while not self._ended.wait(self._interval_s):
            self.mib = max(self.mib, _tree_pss(self._root) / 2**20)

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def _tree_pss(root: int) -> int:
    try:
        top = psutil.Process(root)
        tree = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_pss(process) for process in tree)


def _pss(process: psutil.Process) -> int:
    """Bytes; zero for a process that has just ended."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
