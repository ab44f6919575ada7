"""A federation of real processes: over TLS, with authentication, and through crashes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sottovoce.client.home import Home
from sottovoce.common.signature import verify_bundle
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.simulations import demonstration
from sottovoce.simulations.loopback import left_over, loopback

pytestmark = [pytest.mark.slow, pytest.mark.data]


def test_the_demonstration_ends_with_a_model_on_every_node_and_nothing_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "federation"
    demonstration.demonstrate(folder)
    key = ServerFolder(folder / "server").signing_key.public
    for place in range(demonstration.NODES):
        bundle = Home(folder / f"home-{place}").bundles.current()
        assert bundle is not None
        assert verify_bundle(bundle, key).version == 2
    said = capsys.readouterr().out
    assert "everything is stopped" in said
    assert "who has met" in said
    assert left_over(folder) == []


def test_a_server_killed_in_mid_run_goes_on_within_one_command_and_spends_nothing_twice(tmp_path: Path) -> None:
    with loopback(tmp_path / "federation") as federation:
        names = demonstration.set_up(federation)
        federation.start_server()
        for name in names:
            federation.start_node(name)
        federation.command("server", "start-run", str(federation.server))
        federation.wait("a round is done", lambda facts: (facts["runs"][-1]["round"] or 0) >= 1, 600)
        federation.kill("server")
        before = federation.status()
        began = time.monotonic()
        federation.start_server()
        after = federation.wait("the run ends", lambda facts: facts["runs"][-1]["outcome"] == "published", 900)
        print(f"resumed and ended within {time.monotonic() - began:.0f} s")
        run = after["runs"][-1]["run"]
        rounds = json.loads((federation.server / "runs" / run / "rounds.json").read_text())
        assert [each["round"] for each in rounds] == [0, 1, 2, 3]
        assert before["budget"]["epsilon_spent"] <= after["budget"]["epsilon_spent"] <= 8
        server = ServerFolder(federation.server)
        assert server.ledger.count((server.path / "runs" / run / "run").read_text(), "head") == demonstration.ROUNDS
        for name in names:
            assert Home(federation.home(name)).ledger.epsilon(1e-5) >= after["budget"]["epsilon_spent"] - 1e-9
