from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import servers
from foreign import NOBODY, needs_root
from typer.testing import CliRunner

from sottovoce.cli.main import app
from sottovoce.common.errors import ConfigError, DataError, SottovoceError
from sottovoce.common.invitation import Invitation
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.settings import ServerSettings


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    return servers.make(tmp_path / "server")


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["server", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_node_is_invited_shown_and_revoked(server: ServerFolder, tmp_path: Path) -> None:
    file = tmp_path / "hub.json"
    assert "up to 3 users" in run("invite", server.path, "hub", "--out", file, "--capacity", "3")
    assert Invitation.load(file).node == "hub"
    assert "invited" in run("status", server.path)
    run("revoke", server.path, "hub")
    assert json.loads(run("status", server.path, "--json"))["nodes"][0]["standing"] == "revoked"


def test_an_invitation_is_never_overwritten_and_then_nobody_is_invited(server: ServerFolder, tmp_path: Path) -> None:
    (tmp_path / "hub.json").write_text("mine")
    with pytest.raises(ConfigError, match="not there yet"):
        run("invite", server.path, "hub", "--out", tmp_path / "hub.json")
    assert server.registry.members() == []


def test_where_an_invitation_cannot_be_written_nobody_is_invited(server: ServerFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        run("invite", server.path, "hub", "--out", tmp_path / "nowhere" / "hub.json")
    assert server.registry.members() == []
    run("invite", server.path, "hub", "--out", tmp_path / "hub.json")  # the name is not used up
    with pytest.raises(ConfigError, match="no node of this federation has or had"):
        run("invite", server.path, "hub", "--out", tmp_path / "again.json")
    assert not (tmp_path / "again.json").exists()


def test_a_run_is_laid_out_with_the_settings_that_were_given(server: ServerFolder) -> None:
    assert "000001" in run("start-run", server.path, "--set", "train.rounds=2")
    assert "rounds = 2" in (server.path / "runs" / "000001" / "config.toml").read_text()
    assert "unfinished" in run("status", server.path)


def test_a_schedule_is_made_and_ended(server: ServerFolder) -> None:
    run("start-run", server.path, "--every", "24")
    assert server.schedule.exists()
    assert len(server.numbered("runs")) == 1
    assert "no run begins by itself" in run("start-run", server.path, "--every", "0")
    assert not server.schedule.exists()
    assert len(server.numbered("runs")) == 1


@pytest.mark.parametrize("every", ["nan", "inf", "-5"])
def test_a_schedule_that_is_none_begins_no_run_either(server: ServerFolder, every: str) -> None:
    with pytest.raises(ConfigError, match="--every"):
        run("start-run", server.path, "--every", every)
    assert (server.schedule.exists(), server.numbered("runs")) == (False, [])


def test_a_run_that_is_refused_leaves_the_schedule_as_it_was(server: ServerFolder) -> None:
    run("start-run", server.path, "--every", "24")
    before = server.schedule.read_text()
    with pytest.raises(ConfigError, match="to be unfinished"):
        run("start-run", server.path, "--every", "1")
    assert server.schedule.read_text() == before


def test_an_unfinished_run_is_cancelled(server: ServerFolder) -> None:
    run("start-run", server.path)
    assert "000001 is cancelled; what it has spent of the budget stays spent" in run("cancel-run", server.path)
    assert "cancelled" in run("status", server.path)
    run("start-run", server.path)


@needs_root
@pytest.mark.parametrize("verb", ["up", "status", "start-run", "certificate"])
def test_root_is_sent_to_the_user_whose_the_server_is(server: ServerFolder, verb: str) -> None:
    """What root makes there, the server could not write to."""
    for path in (server.path, *server.path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=f"sudo -u '#{NOBODY}' sottovoce server"):
        run(verb, server.path)
    assert {path.stat().st_uid for path in server.path.rglob("*")} == {NOBODY}


def test_the_certificate_is_renewed(server: ServerFolder) -> None:
    before = (server.tls / "server.pem").read_bytes()
    assert "restart" in run("certificate", server.path)
    assert (server.tls / "server.pem").read_bytes() != before


@pytest.mark.parametrize("verb", ["up", "status", "start-run", "certificate"])
def test_a_folder_that_is_no_server_is_refused(tmp_path: Path, verb: str) -> None:
    with pytest.raises(DataError, match="no server here"):
        run(verb, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        ("--population", "0"),
        ("--epsilon", "9", "--total-epsilon", "8"),
        ("--federation", "Films!"),
        ("--address", "https://here"),
        ("--control", "0.0.0.0:9093"),
        ("--trust", "aggregate"),
        ("--set", "privacy.noise=seeded"),
        ("--delta", "1"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path: Path, change: tuple[str, ...]) -> None:
    table = {"--population": "40", "--address": "127.0.0.1:9092", "--nodes": "2", "--delta": "1e-4"}
    table |= dict(zip(change[::2], change[1::2], strict=True))
    items = tmp_path / "items.csv"
    items.write_text("id,title\n" + "".join(f"{n},a film of number {n} and {n % 7}\n" for n in range(30)))
    with pytest.raises(SottovoceError):
        run("init", tmp_path / "server", "--items", items, *[word for pair in table.items() for word in pair])
    assert not (tmp_path / "server").exists()


def test_a_server_is_made_from_a_file_of_items(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("id,title\n" + "".join(f"{n},a film of number {n} and {n % 7}\n" for n in range(30)))
    said = run(
        "init", tmp_path / "server", "--items", items, "--population", "40", "--nodes", "2", "--delta", "1e-4",
        "--address", "recommender.example:9092", "--epsilon", "2", "--total-epsilon", "8", "--minimum-nodes", "2",
    )  # fmt: skip
    assert "30 items" in said
    settings = ServerSettings.load(tmp_path / "server" / "server.toml")
    assert (settings.total_epsilon, settings.training.privacy.epsilon, settings.capacity) == (8, 2, 20)
    assert settings.training.federation.minimum_nodes == 2
    assert "recommender.example" in settings.hosts
