"""Small servers for tests: a folder with a catalogue of sixty items, on free ports of loopback."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import federation

from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.settings import ServerSettings, check
from sottovoce.server.deployment.setup import make_server

USERS = 40


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def settings(total_epsilon: float = 8.0, **sections: dict[str, Any]) -> ServerSettings:
    listen, control, status = free_ports(3)
    return check(
        {
            "federation": "people",
            "addresses": [f"127.0.0.1:{listen}"],
            "listen": f"127.0.0.1:{listen}",
            "control": f"127.0.0.1:{control}",
            "status": f"127.0.0.1:{status}",
            "total_epsilon": total_epsilon,
            "capacity": USERS,
            "training": federation.make_config(**sections).resolve(USERS).model_dump(),
        }
    )


def make(folder: Path, given: ServerSettings | None = None) -> ServerFolder:
    return make_server(folder, given or settings(), federation.catalogue(), federation.space())
