"""The Flower app of a deployment: it names components of the installed package, and carries no code.

A server sends it with each run. A node looks into it and runs what is installed on the node, so that nothing that a
server sends is ever executed.
"""

from __future__ import annotations

import importlib.metadata
import io
import tomllib
import zipfile

import tomli_w

from sottovoce.common.errors import RequestRefusedError

SERVER_COMPONENT, CLIENT_COMPONENT = "sottovoce.server.app:app", "sottovoce.client.app:app"
FILES = frozenset({"pyproject.toml", ".info/CONTENT"})
MAX_BYTES = 16_384


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


def check_app_bundle(content: bytes) -> None:
    """Refuse a bundle that brings code, or that names other code than the installed package's.

    Raises:
        RequestRefusedError: says which.
    """
    if len(content) > MAX_BYTES:
        raise RequestRefusedError("the app brings more than names of components")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = archive.infolist()
            if {file.filename for file in files} != FILES or sum(file.file_size for file in files) > MAX_BYTES:
                raise RequestRefusedError("the app brings files of its own")
            table = tomllib.loads(archive.read("pyproject.toml").decode())
        components = dict(table["tool"]["flwr"]["app"]["components"])
        dependencies = list(table["project"].get("dependencies", []))
    except RequestRefusedError:
        raise
    except Exception as error:  # on hostile bytes zipfile and zlib raise a dozen kinds
        raise RequestRefusedError(f"not a Flower app ({type(error).__name__})") from error
    if components != {"serverapp": SERVER_COMPONENT, "clientapp": CLIENT_COMPONENT} or dependencies:
        raise RequestRefusedError("the app names other code than the installed package")
