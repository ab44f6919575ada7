"""Whose a loopback connection is, as Linux tells it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sottovoce.common.peer import is_foreign, owner_of


def test_the_system_tells_whose_a_connection_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            peer = client.getsockname()[1]
            if owner_of(peer, port) is None:
                pytest.skip("this system does not tell")
            assert owner_of(peer, port) == os.getuid()
            assert not is_foreign(peer, port)


_ROW = "   0: 0100007F:{peer:04X} 0100007F:{port:04X} 01 00000000:00000000 00:00000000 00000000 {uid:5} 0 1 1 0\n"


@pytest.mark.parametrize(("uid", "foreign"), [(os.getuid(), False), (os.getuid() + 1, True)])
def test_another_user_is_foreign(tmp_path: Path, uid: int, foreign: bool) -> None:
    table = tmp_path / "tcp"
    table.write_text("header\n" + _ROW.format(peer=40000, port=8765, uid=uid))
    assert is_foreign(40000, 8765, (table,)) is foreign
    assert not is_foreign(40001, 8765, (table, tmp_path / "missing"))
