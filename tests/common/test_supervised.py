"""A process that nobody waits for any more ends, whatever it waits for itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import os, signal, sys, time
from sottovoce.common.supervised import end_without_parent
signal.signal(signal.SIGINT, signal.SIG_IGN)
end_without_parent(grace_s=0.0)
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(600)"


def test_a_child_ends_when_its_parent_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1.0)
    assert _lives(child)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    until = time.monotonic() + 30
    while _lives(child):
        assert time.monotonic() < until
        time.sleep(0.1)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
