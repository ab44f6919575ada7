"""Runs, schedules, back-off, locks and what is told to an operator: all from the folder, without a process."""

from __future__ import annotations

import json
import logging
import math
import socket
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
from prometheus_client.parser import text_string_to_metric_families

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.server.deployment import folder as folders
from sottovoce.server.deployment import monitoring, supervisor
from sottovoce.server.deployment.folder import ServerFolder, locked
from sottovoce.server.deployment.logs import JsonFormatter, log_as_json
from sottovoce.server.deployment.monitoring import Monitor, serve_status, status_of
from sottovoce.server.deployment.runs import RunState, cancel, request_run, save_state, state_of, unfinished
from sottovoce.server.deployment.schedule import begin_if_due, repeat_every
from sottovoce.server.deployment.settings import split
from sottovoce.server.deployment.setup import invite
from sottovoce.server.deployment.supervisor import BackOff, environment


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    return servers.make(tmp_path / "server")


def finish(run: Path, outcome: str = "published") -> None:
    save_state(run, RunState(outcome=outcome, version=2, round=3))


def test_a_run_is_unfinished_until_its_folder_says_otherwise(server: ServerFolder) -> None:
    run = request_run(server, server.settings.training)
    assert unfinished(ServerFolder(server.path)) == run
    with pytest.raises(ConfigError, match="unfinished"):
        request_run(server, server.settings.training)
    finish(run)
    assert unfinished(server) is None
    assert request_run(server, server.settings.training).name == "000002"


def test_attempts_count_those_in_a_row_that_came_no_further(server: ServerFolder) -> None:
    run = request_run(server, server.settings.training)
    for reached, attempts in ((0, 1), (0, 2), (1, 1), (1, 2)):
        save_state(run, state_of(run).failed("nobody there", reached, fatal=False))
        assert state_of(run).attempts == attempts
    assert unfinished(server) == run
    save_state(run, state_of(run).failed("no catalogue", 1, fatal=True))
    assert (state_of(run).outcome, unfinished(server)) == ("failed", None)


def test_a_scheduled_run_begins_when_its_time_has_come_and_not_before(
    server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeat_every(server, 2, ["train.rounds=1"])
    begin_if_due(server)
    assert server.numbered("runs") == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7300)
    begin_if_due(server)
    begin_if_due(server)
    (run,) = server.numbered("runs")
    assert "rounds = 1" in (run / "config.toml").read_text()
    finish(run)
    begin_if_due(server)
    assert len(server.numbered("runs")) == 1, "two hours have to pass first"
    monkeypatch.setattr(time, "time", lambda: now + 2 * 7300)
    begin_if_due(server)
    assert len(server.numbered("runs")) == 2


def test_a_schedule_ends_with_the_budget(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(request_run(server, server.settings.training), "budget spent")
    repeat_every(server, 1, [])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 4000)
    begin_if_due(server)
    assert len(server.numbered("runs")) == 1
    assert not server.schedule.exists()


@pytest.mark.parametrize("hours", [math.nan, math.inf, -math.inf, -5.0])
def test_an_interval_that_is_none_is_refused(server: ServerFolder, hours: float) -> None:
    with pytest.raises(ConfigError, match="--every"):
        repeat_every(server, hours, [])
    assert not server.schedule.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"hours": 1}', '{"hours": NaN, "next": 0, "settings": []}',
                '{"hours": 1, "next": "soon", "settings": []}', '{"hours": 0, "next": 0, "settings": []}']
)  # fmt: skip
def test_a_damaged_schedule_is_named_and_set_anew(server: ServerFolder, content: str) -> None:
    server.schedule.write_text(content)
    with pytest.raises(DataError, match="not a schedule"):
        begin_if_due(server)
    repeat_every(server, 1, [])
    begin_if_due(server)


@pytest.mark.parametrize("content", ["", '{"outcome": "publ', "[]", '{"outcome": 3}', "\x00"])
def test_a_run_whose_state_is_damaged_stops_no_other(server: ServerFolder, content: str) -> None:
    damaged = request_run(server, server.settings.training)
    (damaged / "state.json").write_text(content)
    assert unfinished(server) is None
    run = request_run(server, server.settings.training)
    assert unfinished(server) == run
    told = status_of(server)["runs"]
    assert [each["outcome"] for each in told] == ["damaged", "unfinished"]
    assert f"{damaged / 'state.json'}: not the state of a run" in told[0]["error"]
    (damaged / "state.json").unlink()
    assert unfinished(server) == damaged, "and it goes on, as its line says"


def test_a_run_whose_settings_are_gone_is_told_with_the_others(server: ServerFolder) -> None:
    run = request_run(server, server.settings.training)
    (run / "config.toml").unlink()
    assert "not a run folder" in status_of(server)["runs"][0]["error"]


def test_a_cancelled_run_stays_so_whatever_its_process_says_later(server: ServerFolder) -> None:
    with pytest.raises(ConfigError, match="an unfinished run"):
        cancel(server)
    run = request_run(server, server.settings.training)
    assert cancel(server) == run
    save_state(run, state_of(run).failed("it was ended", 1, fatal=False))
    finish(run)
    assert (state_of(run).outcome, unfinished(server)) == ("cancelled", None)


def test_back_off_doubles_up_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    waits, back_off = [], BackOff()
    assert back_off.over
    for _ in range(11):
        back_off.fail()
        waits.append(back_off.not_before)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == supervisor.LONGEST_DELAY_S
    assert not back_off.over
    back_off.succeed()
    assert back_off.over


def test_one_supervisor_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOCK_WAIT_S", 0.3)
    with locked(tmp_path / "lock"), pytest.raises(ConfigError, match="not up already"), locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        pass


def test_flower_tells_nobody_and_installs_nothing(server: ServerFolder) -> None:
    given = environment(server)
    assert given["FLWR_TELEMETRY_ENABLED"] == "0"
    assert given["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert given["SOTTOVOCE_SERVER"] == str(server.path)


def read(server: ServerFolder, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.settings.status}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health_are_told_and_nothing_else(server: ServerFolder) -> None:
    invite(server, "hub", None, None)
    monitor = Monitor(server)
    with serve_status(monitor):
        assert read(server, "/healthz")[0] == 503
        monitor.ready = True
        assert read(server, "/healthz") == (200, '{"superlink": true}')
        assert read(server, "/nodes.sqlite")[0] == 404
        status, text = read(server, "/metrics")
    assert status == 200
    told = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert {sample.labels["standing"]: sample.value for sample in told["sottovoce_nodes"]}["invited"] == 1
    assert told["sottovoce_published_version"][0].value == 1
    assert set(told) <= {
        f"sottovoce_{name}"
        for name in (
            *("nodes", "runs", "superlink_starts", "superlink_up", "epsilon_spent", "epsilon_total", "round"),
            *("published_version", "certificate_expires_at_seconds"),
        )
    }


def test_who_says_nothing_keeps_no_other_from_being_told(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "CALLERS", 3)
    with serve_status(Monitor(server, ready=True)), ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(split(server.settings.status))) for _ in range(2)]
        assert read(server, "/healthz")[0] == 200
        silent += [held.enter_context(socket.create_connection(split(server.settings.status))) for _ in range(2)]
        silent[-1].settimeout(20)
        assert silent[-1].recv(1) == b"", "one too many is hung up on"
        for each in silent:
            each.settimeout(20)
            assert each.recv(1) == b"", "and so is everybody who says nothing for long"
        assert read(server, "/healthz")[0] == 200


def test_a_status_address_that_is_taken_is_named(server: ServerFolder) -> None:
    taken = socket.create_server(split(server.settings.status))
    with taken, pytest.raises(ConfigError, match="status = '127"), serve_status(Monitor(server)):
        pass


def test_metrics_that_need_no_folder_are_told_without_one(server: ServerFolder) -> None:
    (server.path / "nodes.sqlite").write_bytes(b"damaged" * 1000)
    with serve_status(Monitor(server, ready=True)):
        status, text = read(server, "/metrics")
    assert (status, "sottovoce_superlink_up 1.0" in text, "sottovoce_nodes" in text) == (200, True, False)


def test_the_status_needs_no_server_that_is_up(server: ServerFolder) -> None:
    run = request_run(server, server.settings.training)
    save_state(run, state_of(run).failed("nobody there", -1, fatal=False))
    facts = json.loads(json.dumps(status_of(server)))
    assert facts["runs"][0] | {"rounds": 0} == {
        **{"run": "000001", "outcome": "unfinished", "round": None, "rounds": 0},
        **{"version": None, "attempts": 1, "error": "nobody there"},
    }
    assert (facts["budget"]["epsilon_spent"], facts["budget"]["epsilon_left"]) == (0, 8)


def test_a_line_of_the_log_is_one_json_object(tmp_path: Path) -> None:
    file = tmp_path / "log" / "server.jsonl"
    logger = logging.getLogger("sottovoce")
    kept = logger.handlers, logger.level, logger.propagate
    try:
        log_as_json(file)
        try:
            raise ValueError("a secret")
        except ValueError:
            logging.getLogger("sottovoce.x").exception("two\nlines", extra={"round": 3})
    finally:
        logger.handlers, logger.level, logger.propagate = kept
    line = json.loads(file.read_text())
    assert (line["message"], line["round"], line["level"], line["error"]) == ("two lines", 3, "error", "ValueError")
    assert "secret" not in file.read_text(), "of an error its kind is told, and not its text"
    assert isinstance(JsonFormatter().format(logging.makeLogRecord({"msg": "x"})), str)
