"""Which user of this machine is at the other end of a loopback connection.

Linux tells it in /proc/net/tcp (proc(5)), a row for each end of a connection. Elsewhere nobody tells.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from pathlib import Path

Address = tuple[str, int]
"""Host, as digits, and port."""

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7
_ESTABLISHED = "01"


def is_foreign(peer: Address, ours: Address, tables: tuple[Path, ...] = _TABLES) -> bool:
    """Whether the process at the `peer` end of a connection to `ours` belongs to another user.

    A connection that the system does not list is foreign too: who resets it after a request is nobody's process any
    more, and one address of loopback is as good as another to whoever binds the port of somebody else's connection.
    Only where there is no list at all is nobody foreign.
    """
    rows = _rows(tables)
    return rows is not None and _owners(rows, peer, ours) != [os.getuid()]


def owner_of(peer: Address, ours: Address, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """The uid at the far end of an open loopback connection; `None` where the system does not tell one."""
    owners = _owners(_rows(tables) or [], peer, ours)
    return owners[0] if len(owners) == 1 else None


def _rows(tables: tuple[Path, ...]) -> list[list[str]] | None:
    """The rows of all tables; nothing if there is none."""
    texts = []
    for table in tables:
        try:
            texts.append(table.read_text(encoding="ascii"))
        except OSError:
            continue
    return [line.split() for text in texts for line in text.splitlines()[1:]] if texts else None


def _owners(rows: list[list[str]], peer: Address, ours: Address) -> list[int]:
    """Whose the sockets are that lead from `peer` to `ours`: both ends whole, and open."""
    try:
        ends = [(_written(*peer, mapped), _written(*ours, mapped)) for mapped in (False, True)]
    except ValueError:
        return []
    return [int(row[_UID]) for row in rows if row[_STATE] == _ESTABLISHED and (row[_LOCAL], row[_REMOTE]) in ends]


def _written(host: str, port: int, mapped: bool) -> str:
    """An address as the tables write it: words of four bytes in the machine's order.

    Raises:
        ValueError: `host` is no address.
    """
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if mapped and isinstance(address, ipaddress.IPv4Address):
        address = ipaddress.IPv6Address(f"::ffff:{address}")
    words = struct.iter_unpack("=I", address.packed)
    return "".join(f"{word:08X}" for (word,) in words) + f":{port:04X}"
