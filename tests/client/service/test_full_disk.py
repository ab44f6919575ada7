"""A disk that is really full: what is there can be read, nothing is lost, and every refusal says why."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import fill_up, small_disk
from served import USER, Service, access, make_bundle, make_device, service
from starlette.testclient import TestClient

from sottovoce.client.database import Database, is_full
from sottovoce.client.home import Home, NotForgottenError
from sottovoce.client.service.access import CSRF_HEADER
from sottovoce.client.service.device import Device
from sottovoce.client.service.page import make_page
from sottovoce.common.errors import DataError

TABLE = ("CREATE TABLE note (words TEXT NOT NULL) STRICT",)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def browser(device: Device) -> TestClient:
    entrance = access()
    client = TestClient(make_page(device, entrance), base_url="http://127.0.0.1:8765", raise_server_exceptions=False)
    assert client.get(f"/?token={entrance.token}").status_code == 200
    client.headers.update({CSRF_HEADER: entrance.page_secret})
    return client


def test_a_file_is_read_and_keeps_what_it_has(disk: Path) -> None:
    database = Database(disk / "notes.sqlite", TABLE)
    with database.transaction() as connection:
        connection.executemany("INSERT INTO note VALUES (?)", [("x" * 100,)] * 100)
    ballast = fill_up(disk)

    def count() -> int:
        with database.transaction(write=False) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM note").fetchone()[0])

    assert count() == 100
    for statement in ("INSERT INTO note VALUES ('y')", "DELETE FROM note"):
        refused = pytest.raises(DataError, match="the disk is full; nothing was changed")
        with refused as raised, database.transaction() as connection:
            connection.execute(statement)
        assert is_full(raised.value)
    assert count() == 100
    ballast.unlink()
    with database.transaction() as connection:
        connection.execute("DELETE FROM note")
    assert count() == 0


def test_what_is_not_there_yet_is_empty_and_takes_no_room(disk: Path) -> None:
    fill_up(disk)
    database = Database(disk / "notes.sqlite", TABLE)
    with database.transaction(write=False) as connection:
        assert connection.execute("SELECT COUNT(*) FROM note").fetchone() == (0,)
    assert not database.path.exists()


@pytest.mark.parametrize("talked", [False, True])
def test_the_page_stays_up_and_refuses_in_one_way(tmp_path: Path, disk: Path, talked: bool) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    before = make_device(disk, bundle)
    page = browser(before)
    assert page.post("/api/feedback", json={"kind": "like", "subject": "i1"}).status_code == 200
    if talked:
        assert page.post("/api/say", json={"sentence": "no Horror"}).status_code == 200
    before.close()
    ballast = fill_up(disk)
    device = make_device(disk, bundle)  # a restart
    page = browser(device)
    for path in ("", "api/list", "api/history", "api/privacy", "api/profile", "api/export", "api/status"):
        assert page.get(f"/{path}").status_code == 200, path
    assert page.get("/api/history").json()["total"] == 1
    assert len(page.post("/api/unsay", json={}).json()["chips"]) == talked  # Talk opens
    refusals: list[tuple[str, dict[str, Any]]] = [
        ("feedback", {"kind": "like", "subject": "i2"}), ("undo", {}), ("say", {"sentence": "a comedy"}),
        ("say", {"like": "i3"}), ("unsay", {"place": 0}),
    ]  # fmt: skip
    for path, body in refusals:
        answer = page.post(f"/api/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full"), path
    for forgotten in ({"subject": "i1"}, {"everything": True}):
        answer = page.post("/api/forget", json=forgotten)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_forgotten")
        assert "histories.sqlite: the disk is full; nothing was changed" in answer.json()["message"]
    assert page.get("/api/history").json()["total"] == 1
    ballast.unlink()
    assert page.post("/api/forget", json={"everything": True}).json() == {"forgotten": 1}
    assert page.post("/api/unsay", json={}).json()["chips"] == []
    device.close()


def test_forgetting_says_of_every_part_that_is_left(disk: Path) -> None:
    home = Home(disk / "home")
    home.histories.record(USER, "i1")
    ballast = fill_up(disk)
    with pytest.raises(NotForgottenError, match=r"histories\.sqlite: the disk is full") as refused:
        home.forget(None)
    assert is_full(refused.value) and len(str(refused.value).splitlines()) == 1
    ballast.unlink()
    assert home.forget(None) == 1


def answer_of(running: Service, path: str, body: dict[str, Any] | None = None) -> int:
    headers = {"authorization": f"Bearer {running.token}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        status: int = urllib.request.urlopen(
            urllib.request.Request(f"{running.origin}/api/{path}", data, headers)
        ).status
    except urllib.error.HTTPError as error:
        return error.code
    return status


@pytest.mark.slow
def test_a_service_goes_on_and_a_command_says_why_in_one_line(tmp_path: Path, disk: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with service(disk / "home", bundle) as running:
        assert answer_of(running, "feedback", {"kind": "like", "subject": "i1"}) == 200
        fill_up(disk)
        assert answer_of(running, "list") == answer_of(running, "history") == 200
        like = {"kind": "like", "subject": "i2"}
        assert {answer_of(running, "feedback", like) for _ in range(20)} <= {
            200,
            507,
        }  # SQLite may have room of its own
        assert answer_of(running, "list") == 200
    command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", "client"]
    done = subprocess.run(
        [*command, "forget", "all", "--home", str(disk / "home")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "the disk is full" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_service_starts_on_a_full_disk(tmp_path: Path, disk: Path) -> None:
    home = Home(disk / "home")
    home.histories.record(USER, "i1")
    fill_up(disk)
    command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", "client", "serve", "--home"]
    given = [str(home.folder), "--bundle", str(make_bundle(tmp_path / "bundle")), "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen([*command, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "token=" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        origin, _, token = said.split()[-1].partition("/?token=")
        running = Service(origin + "/?", "", token, USER, home.folder, process)
        assert answer_of(running, "list") == answer_of(running, "history") == answer_of(running, "privacy") == 200
        assert answer_of(running, "feedback", {"kind": "like", "subject": "i2"}) == 507
        assert "apps will not find this service" in said
        process.terminate()
