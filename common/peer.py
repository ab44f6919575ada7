"""Which user of this machine is at the other end of a loopback connection.

Linux tells it in /proc/net/tcp (proc(5)). Elsewhere, and across a network namespace, nobody tells.
"""

from __future__ import annotations

import os
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_UID, _LOCAL, _REMOTE = 7, 1, 2


def is_foreign(peer_port: int, our_port: int, tables: tuple[Path, ...] = _TABLES) -> bool:
    """Whether the process that holds `peer_port` of a connection to `our_port` belongs to another user."""
    owner = owner_of(peer_port, our_port, tables)
    return owner is not None and owner != os.getuid()


def owner_of(peer_port: int, our_port: int, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """The uid at the far end of a loopback connection; `None` where the system does not tell."""
    ends = f":{peer_port:04X}", f":{our_port:04X}"
    for table in tables:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            if columns[_LOCAL].endswith(ends[0]) and columns[_REMOTE].endswith(ends[1]):
                return int(columns[_UID])
    return None
