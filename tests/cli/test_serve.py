"""Whose page is served: nobody is made up beside those whom the device knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce.cli.main import app
from sottovoce.client.home import Home
from sottovoce.client.service.serve import Addresses
from sottovoce.common.errors import ConfigError

ADDRESSES = Addresses("http://127.0.0.1:1/?token=t", "127.0.0.1:2", "t")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users whose pages were opened."""
    users: list[str] = []

    def serve(home: Home, user: str, *rest: object) -> None:
        users.append(user)
        rest[-1](ADDRESSES)  # type: ignore[operator]

    monkeypatch.setattr("sottovoce.client.service.serve.serve", serve)
    return users


def serve(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["client", "serve", "--home", str(home), *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def home_of(folder: Path, *users: str) -> Path:
    for user in users:
        Home(folder).histories.record(user, "i1")
    return folder


@pytest.mark.parametrize(
    ("users", "arguments", "person"),
    [
        ((), (), "owner"),
        ((), ("--user", "ann"), "ann"),
        (("ann",), (), "ann"),
        (("ann", "bob"), ("--user", "bob"), "bob"),
        (("ann", "bob"), ("--user", "cleo", "--new-user"), "cleo"),
    ],
)
def test_the_person_is_served_and_named(
    tmp_path: Path, served: list[str], users: tuple[str, ...], arguments: tuple[str, ...], person: str
) -> None:
    assert f"The page of '{person}'." in serve(home_of(tmp_path / "home", *users), *arguments)
    assert served == [person]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "the 2 users of this device: --user NAME ('ann', 'bob')"), (("--user", "cleo"), "for somebody new")],
)
def test_nobody_is_made_up_beside_those_who_are_known(
    tmp_path: Path, served: list[str], arguments: tuple[str, ...], told: str
) -> None:
    home = home_of(tmp_path / "home", "ann", "bob")
    with pytest.raises(ConfigError) as refused:
        serve(home, *arguments)
    assert told in str(refused.value) and refused.value.exit_code == 2
    assert served == [] and Home(home).histories.users() == ["ann", "bob"]
