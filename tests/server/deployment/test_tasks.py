from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import federation
import pytest
import servers
from flwr.app import Error, Message
from flwr.proto.node_pb2 import NodeInfo

from sottovoce.client.node import Node
from sottovoce.common.bundle import load_bundle
from sottovoce.common.errors import ConfigError, FederationError
from sottovoce.common.messages import Publication, Receipt, Request
from sottovoce.common.signature import verify_bundle
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.members import Members
from sottovoce.server.deployment.publications import Publications, deliver
from sottovoce.server.deployment.runs import cancel, request_run, state_of, unfinished
from sottovoce.server.deployment.setup import invite
from sottovoce.server.deployment.tasks import perform


@dataclass
class Device:
    """A node as the server meets it: it trains, and holds a bundle."""

    name: str
    node: Node
    version: int = 0
    trains: bool = True
    told: Callable[[Receipt], Receipt] = lambda receipt: receipt
    asked: list[Publication] = field(default_factory=list)

    def answer(self, message: Message) -> Message | None:
        if message.metadata.message_type == "query":
            publication = Publication.from_record(message.content)
            self.asked.append(publication)
            if publication.files:
                self.version = max(self.version, publication.version)
            return Message(self.told(Receipt(self.version)).to_record(), reply_to=message)
        if not self.trains:
            return Message(Error(1, "gone"), reply_to=message)
        return Message(self.node.answer(Request.from_record(message.content)).to_record(), reply_to=message)


@dataclass
class DeviceGrid(federation.LocalGrid):
    """Reaches devices by Flower ids that have nothing to do with what they say of themselves."""

    devices: dict[int, Device] = field(default_factory=dict)
    _names: Any = field(default_factory=lambda: itertools.count(1))

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=node, name=device.name) for node, device in self.devices.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        identifiers = []
        for message in messages:
            identifier = f"m{next(self._names)}"
            message.metadata.__dict__["_message_id"] = identifier
            identifiers.append(identifier)
            reply = self.devices[message.metadata.dst_node_id].answer(message)
            if reply is not None:
                reply.metadata.__dict__["_src_node_id"] = message.metadata.dst_node_id
                self._waiting[identifier] = reply
        return identifiers


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    small = {"nodes": 2, "deadline_s": 60.0, "gather_s": 0.1, "minimum_nodes": 1}
    return servers.make(tmp_path / "server", servers.settings(federation=small))


@pytest.fixture
def grid(tmp_path: Path, server: ServerFolder) -> DeviceGrid:
    """Two invited devices, and a stranger."""
    data = federation.write_data(tmp_path / "data", federation.random_histories(servers.USERS))
    nodes = [federation.make_node(tmp_path / "nodes", data, place, 3, simulated=False) for place in range(3)]
    devices = {101 + place: Device(f"hub-{place}", node) for place, node in enumerate(nodes)}
    for name in ("hub-0", "hub-1"):
        invite(server, name, None, None)
    server.registry.seen({"hub-0", "hub-1"})
    return DeviceGrid([], devices=devices)


def bundles(server: ServerFolder) -> dict[str, int]:
    return {member.name: member.bundle for member in server.registry.members()}


def test_a_run_ends_with_a_signed_model_on_every_member(server: ServerFolder, grid: DeviceGrid) -> None:
    run = request_run(server, server.settings.training)
    perform(grid, server, "train", run.name)
    state = state_of(run)
    assert (state.outcome, state.version, state.round) == ("published", 2, 3)
    newest = Publications(server).newest
    assert newest is not None
    assert verify_bundle(newest, server.signing_key.public).version == 2
    assert load_bundle(newest).model.head.b.any()
    assert bundles(server) == {"hub-0": 2, "hub-1": 2}
    assert not grid.devices[103].asked, "a stranger is sent nothing"
    assert server.ledger.count((run / "run").read_text(), "head") == 3


def test_one_ledger_counts_all_runs_and_the_budget_ends_the_second(server: ServerFolder, grid: DeviceGrid) -> None:
    for expected in ("published", "budget spent"):
        run = request_run(server, server.settings.training)
        perform(grid, server, "train", run.name)
        assert state_of(run).outcome == expected
    assert server.ledger.epsilon(1e-4) <= server.settings.total_epsilon
    assert Publications(server).version == 2, "nothing was trained, and nothing is published"


def test_a_run_of_a_larger_delta_has_no_more_to_spend(server: ServerFolder, grid: DeviceGrid) -> None:
    own = server.settings.training
    wider = own.model_copy(update={"privacy": own.privacy.model_copy(update={"delta": 1e-2})})
    for _ in range(3):
        perform(grid, server, "train", request_run(server, wider).name)
    assert server.ledger.epsilon(own.plan().delta) <= server.settings.total_epsilon


def test_a_run_without_enough_answers_is_unfinished_and_goes_on_at_no_more_cost(
    server: ServerFolder, grid: DeviceGrid
) -> None:
    run = request_run(server, server.settings.training)
    for device in grid.devices.values():
        device.trains = False
    with pytest.raises(FederationError, match="0 of 2"):
        perform(grid, server, "train", run.name)
    state, spent = state_of(run), server.ledger.epsilon(1e-4)
    assert (state.outcome, state.attempts) == ("", 1)
    with pytest.raises(FederationError):
        perform(grid, server, "train", run.name)
    assert state_of(run).attempts == 2
    assert server.ledger.epsilon(1e-4) == spent
    for device in grid.devices.values():
        device.trains = True
    perform(grid, server, "train", run.name)
    assert state_of(run).outcome == "published"
    assert server.ledger.epsilon(1e-4) <= server.settings.total_epsilon


def test_a_disk_that_refuses_is_told_as_the_runs_last_fault(server: ServerFolder, grid: DeviceGrid) -> None:
    run = request_run(server, server.settings.training)
    (run / "checkpoint").write_text("in the way")
    with pytest.raises(FileExistsError):
        perform(grid, server, "train", run.name)
    assert ("checkpoint" in state_of(run).error, state_of(run).outcome) == (True, "")
    (run / "checkpoint").unlink()
    perform(grid, server, "train", run.name)
    assert state_of(run).outcome == "published"


def test_a_run_that_is_cancelled_meanwhile_publishes_nothing(server: ServerFolder, grid: DeviceGrid) -> None:
    run = request_run(server, server.settings.training)

    def cancels(receipt: Receipt) -> Receipt:
        if unfinished(server):
            cancel(server)
        return receipt

    grid.devices[101].told = cancels
    perform(grid, server, "train", run.name)
    assert (state_of(run).outcome, Publications(server).version) == ("cancelled", 1)
    assert server.ledger.epsilon(1e-4) > 0, "what was spent stays spent"


def test_who_cancels_while_a_run_is_published_is_told_that_it_is_too_late(
    server: ServerFolder, grid: DeviceGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, add, told = request_run(server, server.settings.training), Publications.add, []

    def cancelled_meanwhile(publications: Publications, bundle: Path) -> int:
        late = threading.Thread(target=lambda: told.append(raised(lambda: cancel(server))))
        late.start()
        late.join(1)
        assert late.is_alive(), "it waits"
        waiting.append(late)
        return add(publications, bundle)

    waiting: list[threading.Thread] = []
    monkeypatch.setattr(Publications, "add", cancelled_meanwhile)
    perform(grid, server, "train", run.name)
    waiting[0].join(30)
    assert state_of(run).outcome == "published"
    assert [type(error) for error in told] == [ConfigError]


def raised(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except ConfigError as error:
        return error
    return None


def test_a_revoked_node_is_not_asked(server: ServerFolder, grid: DeviceGrid) -> None:
    server.registry.revoke("hub-1")
    run = request_run(server, server.settings.training)
    perform(grid, server, "train", run.name)
    assert not grid.devices[102].asked
    assert json.loads((run / "rounds.json").read_text())[0]["nodes"] == 1


def test_capacity_goes_by_the_invitation_and_not_by_what_an_answer_says(server: ServerFolder, grid: DeviceGrid) -> None:
    invite(server, "small", 1, None)
    grid.devices[104] = Device("small", grid.devices[101].node)
    members = Members(grid, server.registry)
    assert set(members.present()) == {101, 102, 104}
    assert (members.capacity_of(101), members.capacity_of(104)) == (servers.USERS, 1)
    for stranger in (103, 105):
        with pytest.raises(FederationError, match="not a member"):
            members.capacity_of(stranger)


def test_who_was_away_is_brought_the_newest_bundle_later(server: ServerFolder, grid: DeviceGrid) -> None:
    away = grid.devices.pop(102)
    run = request_run(server, server.settings.training)
    perform(grid, server, "train", run.name)
    assert bundles(server) == {"hub-0": 2, "hub-1": 0}
    grid.devices[102] = away
    asked = len(grid.devices[101].asked)
    perform(grid, server, "deliver", "")
    assert bundles(server) == {"hub-0": 2, "hub-1": 2}
    assert len(grid.devices[101].asked) == asked, "who holds it is left in peace"
    assert set(away.asked[-1].files) == {path.name for path in (server.path / "published" / "000002").iterdir()}


def test_a_device_that_lost_its_bundle_gets_it_again(server: ServerFolder, grid: DeviceGrid) -> None:
    members = Members(grid, server.registry)
    deliver(grid, server, members, 1.0)
    grid.devices[101].version = 0
    deliver(grid, server, members, 1.0, ask_all=True)
    assert grid.devices[101].version == 1
    assert [bool(asked.files) for asked in grid.devices[101].asked] == [True, False, True]
    assert [bool(asked.files) for asked in grid.devices[102].asked] == [True, False]


def test_a_refusal_or_a_fancy_version_is_not_taken_for_a_receipt(server: ServerFolder, grid: DeviceGrid) -> None:
    grid.devices[101].told = lambda _: Receipt(0, "no room")
    grid.devices[102].told = lambda _: Receipt(9)
    deliver(grid, server, Members(grid, server.registry), 1.0)
    assert bundles(server) == {"hub-0": 0, "hub-1": 0}


def test_where_nodes_add_the_noise_each_keeps_its_own_ledger(tmp_path: Path) -> None:
    small = {"nodes": 2, "deadline_s": 60.0, "gather_s": 0.1, "minimum_nodes": 2}
    server = servers.make(tmp_path / "server", servers.settings(federation=small, privacy={"trust": "node"}))
    data = federation.write_data(tmp_path / "data", federation.random_histories(servers.USERS))
    nodes = [federation.make_node(tmp_path / "nodes", data, place, 2, simulated=False) for place in range(2)]
    for place in range(2):
        invite(server, f"hub-{place}", None, None)
    grid = DeviceGrid([], devices={7 + place: Device(f"hub-{place}", node) for place, node in enumerate(nodes)})
    run = request_run(server, server.settings.training)
    perform(grid, server, "train", run.name)
    assert state_of(run).outcome == "published"
    spent = server.ledger.epsilon(1e-4)
    assert [node.ledger.epsilon(1e-4) for node in nodes] == [pytest.approx(spent)] * 2
