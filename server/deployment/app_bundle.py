"""The Flower app of a deployment: it names components of the installed package, and carries no code.

A server sends it with each run. A node looks into it and runs what is installed on the node (`client.task`), so that
nothing that a server sends is ever executed.
"""

from __future__ import annotations

import importlib.metadata

import tomli_w

SERVER_COMPONENT, CLIENT_COMPONENT = "sottovoce.server.app:app", "sottovoce.client.app:app"


def app_bundle() -> bytes:
    """The bundle that a server sends: no code, no dependency."""
    from flwr.cli.build import build_fab_from_files

    app = {
        "publisher": "sottovoce",
        "components": {"serverapp": SERVER_COMPONENT, "clientapp": CLIENT_COMPONENT},
        "config": {"task": "deliver", "run": ""},
    }
    version = importlib.metadata.version("sottovoce")
    table = {"project": {"name": "sottovoce", "version": version, "dependencies": []}, "tool": {"flwr": {"app": app}}}
    return build_fab_from_files({"pyproject.toml": tomli_w.dumps(table).encode()})[0]
