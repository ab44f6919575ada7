"""The owner's verbs, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from devices import FEDERATION, invitation, signed_bundle
from typer.testing import CliRunner
from verifiable import BAG, published

from sottovoce.cli.client import client
from sottovoce.client.home import Home
from sottovoce.client.owner import Conditions, Owner
from sottovoce.common.errors import ConfigError, DataError, SottovoceError
from sottovoce.common.privacy.accounting import ReleaseEvent
from sottovoce.common.privacy.ledger import Release
from sottovoce.common.signature import SigningKey, sign_bundle

KEY = SigningKey.generate()


def do(*arguments: str | Path) -> str:
    """What a verb prints; what it raises is raised."""
    done = CliRunner().invoke(client, [str(each) for each in arguments], catch_exceptions=False, standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SOTTOVOCE_HOME", str(tmp_path / "home"))
    invitation(KEY).save(tmp_path / "invitation.json")
    assert KEY.public in do("join", tmp_path / "invitation.json")
    return Home(tmp_path / "home")


def test_a_life_of_a_device(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "app.jsonl"
    file.write_text('{"item": "item 1", "at": 1}\n{"item": "item 2", "at": 2}\n')
    assert "2 of 2 events are new" in do("import", file)
    assert "0 of 2 events are new" in do("import", file)
    home.bundles.install(signed_bundle(tmp_path / "bundle", KEY, 4))
    release = Release("film-club", "run", 1, "head", "server")
    home.ledger.open(release, ReleaseEvent("head", 2.0, 1.0, 1), "sha", "os", 8.0, 1e-5)
    home.ledger.record_sent(release, b"sums")
    facts = json.loads(do("status", "--json"))
    assert (facts["node"], facts["model"], facts["users"]) == ("kitchen", 4, 1)
    [sent] = facts["sent"]
    assert (sent["release"], sent["bytes"], len(sent["sha256"])) == (release.id, 4, 64)
    shown = do("status")
    assert "of 8 spent" in shown and "film-club/run" in shown
    assert "1 events are deleted" in do("forget", "item 1")
    assert [json.loads(line)["item"] for line in do("export").splitlines()] == ["item 2"]
    assert "1 events are deleted" in do("forget", "all")
    assert do("export") == ""
    assert json.loads(do("status", "--json"))["epsilon_spent"] == facts["epsilon_spent"] > 0


def test_the_owner_sets_the_cap_and_the_conditions(home: Home) -> None:
    assert "cap ε = 2.5" in do("budget", "--max-epsilon", "2.5", "--hours", "22:00-07:00", "--on-battery")
    do("budget", "--trust", "node", "--max-load", "0.5")
    assert home.owner == Owner(
        max_epsilon=2.5, trust=("node",), conditions=Conditions(hours="22:00-07:00", max_load=0.5, on_power=False)
    )


def test_item_vectors_are_compared_with_the_devices_own_encoder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no model was received yet"):
        do("verify")
    monkeypatch.setattr("sottovoce.client.verify.find_encoder", lambda *_: BAG)
    for version, swapped in enumerate((None, (3, 58)), 1):
        (tmp_path / str(version)).mkdir()
        published(tmp_path / str(version), swapped=swapped)
        sign_bundle(tmp_path / str(version) / "bundle", KEY, version, FEDERATION)
        home.bundles.install(tmp_path / str(version) / "bundle")
        if swapped is None:
            assert do("verify") == "20 of 100 item vectors are near to where bag places their texts\n"
    with pytest.raises(DataError, match="2 of 100 item vectors are not near to their texts: A film about"):
        do("verify", "--sample", "100")


@pytest.mark.parametrize(
    "arguments", [("--max-epsilon", "-1"), ("--max-epsilon", "inf"), ("--trust", "aggregate"), ("--hours", "late")]
)
def test_a_cap_outside_its_range_changes_nothing(home: Home, arguments: tuple[str, str]) -> None:
    with pytest.raises(ConfigError):
        do("budget", *arguments)
    assert home.owner == Owner()


def test_a_data_set_is_read_by_its_own_reader_and_shared_out(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "visits.csv"
    rows = [f"u{user},item {item},{item}" for user in range(4) for item in range(5)]
    file.write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    assert "10 of 10 events are new, of 2 users" in do("import", file, "--shard", "1/2")
    assert home.histories.users() == ["u1", "u3"]
    assert home.histories.taste("u1").history == tuple(f"item {item}" for item in range(5))
    with pytest.raises(ConfigError, match="shard"):
        do("import", file, "--shard", "2/2")


@pytest.mark.parametrize("verb", [("join", "none.json"), ("import", "none.jsonl"), ("import", "none.csv"), ("run",)])
def test_what_is_not_there_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SOTTOVOCE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SottovoceError) as caught:
        do(*verb)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_without_the_simulation_a_data_set_is_refused_and_json_lines_are_read(tmp_path: Path) -> None:
    """In a process in which pandas, pyarrow and the simulation cannot be imported."""
    code = (
        "import sys\n"
        "for name in ('pandas', 'pyarrow', 'sottovoce.simulations.datasets', 'flwr'): sys.modules[name] = None\n"
        "from sottovoce.cli.main import run\nrun()\n"
    )
    (tmp_path / "a.jsonl").write_text('{"item": "a", "at": 1}\n')
    (tmp_path / "a.csv").write_text("user,item,timestamp\n1,2,3\n")
    done = {
        name: subprocess.run(
            [sys.executable, "-c", code, "client", "import", str(tmp_path / name), "--home", str(tmp_path / "home")],
            capture_output=True, text=True, check=False,
        )
        for name in ("a.jsonl", "a.csv")
    }  # fmt: skip
    assert "1 of 1 events are new" in done["a.jsonl"].stdout, done["a.jsonl"].stderr
    assert done["a.csv"].returncode == 2
    assert "sottovoce[simulation]" in done["a.csv"].stderr


def test_an_expired_invitation_is_refused(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    invitation(KEY, expires=datetime.now(UTC) - timedelta(days=1)).save(tmp_path / "late.json")
    with pytest.raises(DataError, match="expired"):
        do("join", tmp_path / "late.json", "--home", tmp_path / "home")
