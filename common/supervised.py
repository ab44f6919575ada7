"""Who started a process of ours: told when it is started, since one that dies at once is nobody's parent any more."""

from __future__ import annotations

import os
import threading
import time

_VARIABLE = "SOTTOVOCE_SUPERVISOR"


def supervised() -> dict[str, str]:
    """What the environment of a process that this one starts has to say, so that it can end with this one."""
    return {_VARIABLE: str(os.getpid())}


def supervisor() -> int:
    """The process that started this one, whether or not it is still there."""
    return int(os.environ.get(_VARIABLE) or os.getppid())


def end_without_parent(grace_s: float = 10.0) -> None:
    """End this process once the one that started it is gone, some seconds later at the most, whatever it waits for."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
