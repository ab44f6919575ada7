"""The service as a process: light, private, and gone when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from foreign import as_nobody, needs_root
from served import Service, make_bundle, service

from sottovoce.client.home import Home

_IMPORTS = """
import json, sys
from pathlib import Path
from served import access, make_device
from sottovoce.client.service import serve
from sottovoce.client.service.lists import Wanted

device = make_device(Path(sys.argv[1]), Path(sys.argv[2]))
device.log.feedback("like", "i1")
assert device.lists.recommend(Wanted()).cards
device.lists.ask("space", 0.5, Wanted())
device.profile(), device.account.privacy(), device.lists.explain("i2")
device.close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
TRAINS = {"torch", "transformers", "sentence_transformers", "opacus", "flwr", "ray", "pandas", "sklearn"}
COUNTS = {"dp_accounting", "scipy"}
"""What only a device that released something needs."""


def test_nothing_heavy_in_the_process(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, str(tmp_path), str(bundle)],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (TRAINS | COUNTS) & set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@needs_root
def test_another_user_is_turned_away_whatever_it_says_of_itself(tmp_path: Path) -> None:
    with service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as running:
        host, port = running.origin.removeprefix("http://").split(":")

        def told(headers: str) -> bytes:
            with socket.create_connection((host, int(port))) as wire:
                head = f"GET /api/list HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {running.token}\r\n"
                wire.sendall(f"{head}{headers}\r\n".encode())
                return wire.recv(64)

        assert not told("").startswith(b"HTTP/1.1 403")
        for headers in ("", "X-Forwarded-For: 127.0.0.2\r\n"):
            assert as_nobody(lambda said=headers: told(said)).startswith(b"HTTP/1.1 403")  # type: ignore[misc]


@pytest.mark.slow
def test_a_served_home_is_private_and_left_clean(tmp_path: Path) -> None:
    with service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as running:
        address = running.home / "service.json"
        assert address.stat().st_mode & 0o077 == 0
        assert running.home.stat().st_mode & 0o077 == 0
        if Path("/proc").is_dir():
            maps = Path(f"/proc/{running.process.pid}/maps").read_text()
            assert "libtorch" not in maps
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(running.origin + "/api/list")
        request = urllib.request.Request(
            running.origin + "/api/feedback", json.dumps({"kind": "like", "subject": "i3"}).encode(),
            {"authorization": f"Bearer {running.token}", "content-type": "application/json"},
        )  # fmt: skip
        assert urllib.request.urlopen(request).status == 200
        host, port = running.origin.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        with pytest.raises(OSError), socket.create_connection((_outer_address(), int(port)), timeout=1):
            pass
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(timeout=20)
        assert not address.exists()
        said = running.process.stdout.read() if running.process.stdout else ""
        assert said.count(running.token) == 1
        assert "i3" not in said.replace(running.token, "")
    assert Home(tmp_path / "home").histories.taste().history == ("i3",)


def _outer_address() -> str:
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has loopback only")
        return str(probe.getsockname()[0])


@pytest.mark.slow
def test_a_second_service_that_cannot_start_leaves_the_first_one_s_address(tmp_path: Path) -> None:
    with service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as running:
        address = running.home / "service.json"
        before = address.read_bytes()
        port = running.origin.rpartition(":")[2]
        command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", "client", "serve"]
        second = [*command, "--home", str(running.home), "--port", port]
        assert subprocess.run(second, capture_output=True, timeout=60, check=False).returncode == 2
        assert address.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": "0", "--grpc-port": "0", option: str(taken.getsockname()[1])}
        given = [part for pair in ports.items() for part in pair]
        command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", "client", "serve"]
        done = subprocess.run(
            [*command, "--home", str(tmp_path / "home"), *given],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert option in done.stderr and "free" in done.stderr
    assert not (tmp_path / "home" / "service.json").exists()


def asked(running: Service) -> int:
    request = urllib.request.Request(running.origin + "/api/list", headers={"authorization": f"Bearer {running.token}"})
    status: int = urllib.request.urlopen(request).status
    return status


@pytest.mark.slow
def test_two_people_of_one_home_are_served_side_by_side(tmp_path: Path) -> None:
    home, bundle = tmp_path / "home", make_bundle(tmp_path / "bundle")
    for user in ("ann", "bob"):
        Home(home).histories.record(user, "i1")
    with service(home, bundle, "--user", "ann", user="ann") as ann:
        with service(home, bundle, "--user", "bob", user="bob") as bob:
            assert ann.page != bob.page and asked(ann) == asked(bob) == 200
            files = [path.read_text(encoding="utf-8") for path in home.glob("service*.json")]
            assert sorted(json.loads(text)["user"] for text in files) == ["ann", "bob"]
            command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", "client", "serve"]
            again = [*command, "--home", str(home), "--user", "ann", "--port", "0", "--grpc-port", "0"]
            done = subprocess.run(again, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
            assert ann.origin.removeprefix("http://") in done.stderr
        assert [json.loads(path.read_text())["user"] for path in home.glob("service*.json")] == ["ann"]
        assert asked(ann) == 200


@pytest.mark.slow
def test_what_a_killed_service_left_keeps_nobody_out(tmp_path: Path) -> None:
    home, bundle = tmp_path / "home", make_bundle(tmp_path / "bundle")
    with service(home, bundle) as killed:
        killed.process.kill()
        killed.process.wait()
    assert (home / "service.json").exists()
    with service(home, bundle) as running:
        assert running.token != killed.token and asked(running) == 200
