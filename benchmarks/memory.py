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
        with subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said) as process:
            peak = _Peak(process.pid)
            peak.start()
            status = process.wait()
            peak.ended.set()
            peak.join()
        if status:
            said.seek(0)
            raise CommandFailedError(f"{' '.join(command)} ended with {status}:\n{said.read()[-2000:]}")
    return peak.mib


class _Peak(Thread):
    """Samples a process tree until `ended` is set."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.ended = Event()
        self.mib = 0.0
        self._root = root

    def run(self) -> None:
        while not self.ended.wait(INTERVAL_S):
            self.mib = max(self.mib, _tree_pss(self._root) / 2**20)


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
