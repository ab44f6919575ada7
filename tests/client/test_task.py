"""Nothing of what a server sends as an app is ever run: it may name the installed package, and no more."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import tomli_w
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.cli.build import build_fab_from_files
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.runtime import run_clientapp
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client.task import COMPONENT, InstalledOnly, check_app
from sottovoce.common.errors import RequestRefusedError
from sottovoce.server.deployment.app_bundle import app_bundle


def fab(
    component: str = COMPONENT, dependencies: tuple[str, ...] = (), files: Mapping[str, bytes] = MappingProxyType({})
) -> bytes:
    """A Flower app as `flwr build` packs it."""
    components = {"serverapp": "sottovoce.server.app:app", "clientapp": component}
    table: dict[str, Any] = {
        "project": {"name": "sottovoce", "version": "0.1.0", "dependencies": list(dependencies)},
        "tool": {"flwr": {"app": {"publisher": "sottovoce", "components": components}}},
    }
    return build_fab_from_files({"pyproject.toml": tomli_w.dumps(table).encode(), **files})[0]


def with_file(content: bytes, name: str, data: bytes) -> bytes:
    """The same archive with one more file, as a hostile server would pack it."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def test_the_servers_own_app_is_accepted() -> None:
    check_app(app_bundle())
    check_app(fab())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (fab("evil.app:app"), "names other code"),
        (fab("sottovoce.client.task:app"), "names other code"),
        (fab(dependencies=("evil",)), "dependencies"),
        (fab(files={"sottovoce/client/app.py": b"import os"}), "something else than configuration"),
        (with_file(fab(), "sitecustomize.py", b"import os"), "something else"),
        (with_file(fab(), "evil.so", b"\x7fELF"), "something else"),
        (with_file(fab(), "evil.PY", b"import os"), "something else"),
        (with_file(fab(), "pyproject.toml", b"x = 1"), "twice"),
        (b"", "not a Flower app"),
        (b"PK\x05\x06" + bytes(18), "not a Flower app"),
    ],
)
def test_every_other_app_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(RequestRefusedError, match=reason):
        check_app(content)


def test_a_huge_configuration_is_refused_unread() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pyproject.toml", b"#" * 50_000_000)
    with pytest.raises(RequestRefusedError, match="too large"):
        check_app(buffer.getvalue())


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_app_is_refused_in_one_line(data: st.DataObject) -> None:
    content = bytearray(fab())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        check_app(bytes(content))
    except RequestRefusedError as error:
        assert "\n" not in str(error)


def test_a_refused_app_is_answered_by_an_error_and_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flwr"))
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    message = Message(RecordDict({"json": ConfigRecord({"json": "x"})}), dst_node_id=1, message_type="train")
    context = Context(1, 1, {}, RecordDict(), {})
    for content in (fab("evil.app:app"), b"rubbish", None):
        installed = InstalledOnly()
        if content is not None:
            installed.install(content, skip_prompt=True)
        reply = installed.loader(default_app_ref="", app_path=None, multi_app=True)("id", "1", "hash")(message, context)
        assert reply.has_error()
    assert not (tmp_path / "flwr").exists()


def test_flower_still_loads_apps_by_the_names_that_are_replaced() -> None:
    """Were they gone, `answer` would refuse to work; this says so before a release does."""
    assert {"install_from_fab", "get_load_client_app_fn", "run_clientapp"} <= vars(run_clientapp).keys()
