"""Whose a loopback connection is, as Linux tells it."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from foreign import NOBODY, as_nobody, needs_root

from sottovoce.common.peer import Address, is_foreign, owner_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
OURS, ANOTHER = os.getuid(), os.getuid() + 1


@contextmanager
def connection(family: socket.AddressFamily, host: str, to: str) -> Iterator[tuple[socket.socket, Address, Address]]:
    """A connection from this process to itself: its far end, and both ends as a server is told them."""
    listening = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
    with listening as server, socket.create_connection((to, server.getsockname()[1])) as client:
        accepted, peer = server.accept()
        with accepted:
            yield client, peer[:2], accepted.getsockname()[:2]


@linux
@pytest.mark.parametrize(
    ("family", "host", "to"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.7"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_the_system_tells_whose_a_connection_is(family: socket.AddressFamily, host: str, to: str) -> None:
    try:
        with connection(family, host, to) as (_, peer, ours):
            assert owner_of(peer, ours) == OURS
            assert not is_foreign(peer, ours)
    except OSError:
        pytest.skip("this machine has no IPv6")


@linux
def test_who_hangs_up_after_speaking_is_foreign() -> None:
    with connection(socket.AF_INET, "127.0.0.1", "127.0.0.1") as (client, peer, ours):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert is_foreign(peer, ours)


@linux
@needs_root
def test_the_port_of_somebody_elses_connection_is_of_no_use_at_another_address() -> None:
    """All of 127.0.0.0/8 is loopback, and a port is free at each address of it on its own."""
    loopback = connection(socket.AF_INET, "127.0.0.1", "127.0.0.1")
    with loopback as (_, ours, server), socket.create_server(("127.0.0.1", 0)) as door:

        def from_the_same_port() -> bytes:
            with socket.create_connection(door.getsockname(), source_address=("127.0.0.9", ours[1])) as thief:
                return thief.recv(1)

        with ThreadPoolExecutor(1) as beside:
            told = beside.submit(whose, door)
            assert as_nobody(from_the_same_port) == b"x"
        assert told.result() == (True, NOBODY)
        assert owner_of(ours, server) == OURS, "and who had it first is who it was"


def whose(door: socket.socket) -> tuple[bool, int | None]:
    """What is known of the next one who comes, who is then sent away."""
    accepted, peer = door.accept()
    with accepted:
        ends = peer[:2], accepted.getsockname()[:2]
        known = is_foreign(*ends), owner_of(*ends)
        accepted.sendall(b"x")
        return known


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
PEER, SERVER = ("127.0.0.1", 40000), ("127.0.0.1", 8765)


def row(peer: str = "0100007F:9C40", server: str = "0100007F:223D", state: str = "01", uid: int = OURS) -> str:
    return f"   0: {peer} {server} {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 1 1 0\n"


MAPPED = "0000000000000000FFFF0000"


@pytest.mark.parametrize(
    ("rows", "foreign"),
    [
        ([row()], False),
        ([row(f"{MAPPED}0100007F:9C40", f"{MAPPED}0100007F:223D")], False),
        ([row(uid=ANOTHER)], True),
        ([], True),
        ([row(peer="0200007F:9C40")], True),
        ([row(server="0200007F:223D")], True),
        ([row(peer="0200007F:9C40"), row(uid=ANOTHER)], True),
        ([row(state="06")], True),
        ([row(state="08")], True),
        ([row(), row(uid=ANOTHER)], True),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the rows are a little-endian machine's")
def test_only_the_one_open_connection_between_both_ends_counts(tmp_path: Path, rows: list[str], foreign: bool) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + "".join(rows))
    assert is_foreign(PEER, SERVER, (table, tmp_path / "missing")) is foreign


def test_where_the_system_has_no_list_nobody_is_foreign(tmp_path: Path) -> None:
    assert not is_foreign(PEER, SERVER, (tmp_path / "missing",))


def test_what_is_no_address_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEAD + row())
    assert is_foreign(("testclient", 40000), SERVER, (tmp_path / "tcp",))
