"""What lies in deploy/ fits this program: units that systemd takes, commands and options that the command line has."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from sottovoce.cli.main import app
from sottovoce.server.deployment.settings import ServerSettings, split

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def exec_start(unit: Path) -> list[str]:
    [line] = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def parse(arguments: list[str]) -> None:
    """As the command line reads it, without doing it; an unknown verb or option is an error."""
    command: Any = typer.main.get_command(app)
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    assert not getattr(command, "commands", None), f"{arguments} names no verb"
    command.make_context(command.name, list(arguments))


def compose() -> dict[str, Any]:
    yaml: Any = pytest.importorskip("yaml")
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return read


def default_port(name: str) -> int:
    return split(str(ServerSettings.model_fields[name].default))[1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("needs systemd-analyze")
    program = exec_start(unit)[0]
    there = tmp_path / unit.name
    there.write_text(unit.read_text().replace(program, "/bin/true"))  # the real one is not installed here
    done = subprocess.run([verify, "verify", str(there)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_command_line_has(unit: Path) -> None:
    program, *arguments = exec_start(unit)
    assert Path(program).name == "sottovoce"
    parse(arguments)


def test_the_servers_unit_keeps_everything_where_it_may_write() -> None:
    text = (DEPLOY / "sottovoce-server.service").read_text()
    [state] = re.findall(r"^StateDirectory=(\S+)$", text, re.MULTILINE)
    assert exec_start(DEPLOY / "sottovoce-server.service")[-1].startswith(f"/var/lib/{state}/")


def test_the_containers_start_what_the_command_line_has() -> None:
    for service in compose()["services"].values():
        parse(service["command"])
        assert any(word.startswith("/data/") for word in service["command"]), "on the volume, which outlives it"
        assert service["volumes"][0].endswith(":/data")


def test_the_servers_container_opens_and_asks_the_ports_that_the_server_has() -> None:
    server = compose()["services"]["server"]
    assert server["ports"] == [f"{default_port('listen')}:{default_port('listen')}"]
    assert f":{default_port('status')}/healthz" in server["healthcheck"]["test"][-1]


def test_what_an_image_is_made_of_is_the_code_alone() -> None:
    """A clone may hold histories and keys under `runs`; the rest that is let in is what the installation reads."""
    everything, *let_in = (ROOT / ".dockerignore").read_text().splitlines()[1:]
    assert everything == "*"
    named = {line.removeprefix("!") for line in let_in if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert packages
    assert named == packages | {"LICENSE", "README.md", "constraints.txt", "pyproject.toml"}


def test_the_image_is_made_of_what_is_there() -> None:
    build = compose()["services"]["node"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    file = ROOT / build["dockerfile"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.findall(r"--constraint /src/(\S+)", file.read_text()) == ["constraints.txt"]
    assert (ROOT / "constraints.txt").exists()
    [extra] = re.findall(r"/src\[(\w+)\]", file.read_text())
    assert extra in project["optional-dependencies"]
    assert 'ENTRYPOINT ["sottovoce"]' in file.read_text()
    assert "sottovoce" in project["scripts"]
