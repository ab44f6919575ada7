"""A server that sends code of its own to be run: Flower runs it, a node of ours does not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
import tomli_w
from flwr.cli.build import build_fab_from_files
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.fab_pb2 import Fab
from processes import QUIET, Deployment, wait_until

from sottovoce.server.deployment.control import Control

pytestmark = pytest.mark.slow

SERVER_SIDE = """
import time
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp
app = ServerApp()
@app.main()
def main(grid, context):
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.2)
    message = Message(RecordDict(), dst_node_id=nodes[0], message_type="train")
    [reply] = grid.send_and_receive([message], timeout=120)
    Path({reply!r}).write_text(f"error {{reply.error.reason}}" if reply.has_error() else "content")
"""
CLIENT_SIDE = """
from pathlib import Path
from flwr.clientapp import ClientApp
Path({marker!r}).write_text("a stranger's code ran here")
app = ClientApp()
@app.train()
def train(message, context):
    return message
"""


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flwr"))
    monkeypatch.setenv("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION", "1")
    made = Deployment.make(tmp_path, 1, servers.settings(privacy={"delta": 1e-5}))
    yield made
    made.stop()


def foreign_app(folder: Path) -> bytes:
    components = {"serverapp": "evil.server:app", "clientapp": "evil.client:app"}
    project = {
        "project": {"name": "evil", "version": "1.0.0", "dependencies": []},
        "tool": {"flwr": {"app": {"publisher": "evil", "components": components}}},
    }
    files = {
        "pyproject.toml": tomli_w.dumps(project),
        "evil/__init__.py": "",
        "evil/server.py": SERVER_SIDE.format(reply=str(folder / "reply")),
        "evil/client.py": CLIENT_SIDE.format(marker=str(folder / "marker")),
    }
    return build_fab_from_files({name: text.encode() for name, text in files.items()})[0]


def start(deployment: Deployment, content: bytes) -> None:
    """What an operator with a Flower client of their own could do."""
    control = Control(deployment.server)
    wait_until("the SuperLink answers", control.ready)
    fab = Fab(hash_str=hashlib.sha256(content).hexdigest(), content=content)
    with control._client() as client:
        assert client.StartRun(StartRunRequest(fab=fab, override_config=user_config_to_proto({}))).run_id


@pytest.mark.parametrize("node", ["ours", "flower's own"])
def test_an_app_that_names_other_code_is_refused(deployment: Deployment, tmp_path: Path, node: str) -> None:
    """Flower's own SuperNode is the control: it shows that the attack is one."""
    deployment.start_server()
    start(deployment, foreign_app(tmp_path))
    process = None
    if node == "ours":
        deployment.start_node("node-0")
    else:
        process = flowers_own(deployment, tmp_path)
    try:
        wait_until("the node replied, or the code ran", (tmp_path / ("marker" if process else "reply")).exists)
    finally:
        if process is not None:
            process.terminate()
            process.wait(20)
    if node == "ours":
        reply = (tmp_path / "reply").read_text()
        assert not (tmp_path / "marker").exists()
        assert reply.startswith("error") and "something else than configuration" in reply
        assert "Traceback" not in deployment.log("node-0")


def flowers_own(deployment: Deployment, folder: Path) -> subprocess.Popen[bytes]:
    joined = deployment.homes["node-0"].joined
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(joined.private_key)
    (folder / "ca.pem").write_text(joined.certificate_authority)
    command = [
        *(sys.executable, "-m", "sottovoce.client.supernode", "--superlink", joined.addresses[0]),
        *("--root-certificates", str(folder / "ca.pem"), "--auth-supernode-private-key", str(folder / "key")),
        *("--host", "127.0.0.1", "--port", str(servers.free_ports(1)[0])),
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / "flower.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | QUIET | {"PATH": path})
