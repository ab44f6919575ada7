from __future__ import annotations

import math
import time
from pathlib import Path

import federation
import numpy as np
import pytest
import servers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from numpy.typing import NDArray

from sottovoce.common.bundle import load_bundle, open_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError, DataError, LedgerError
from sottovoce.common.invitation import Invitation
from sottovoce.common.privacy.accounting import ReleaseEvent
from sottovoce.common.privacy.ledger import SERVER, Release
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.signature import verify_bundle
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.publications import Publications
from sottovoce.server.deployment.runs import cancel, request_run
from sottovoce.server.deployment.settings import ServerSettings, check
from sottovoce.server.deployment.setup import invite, make_server, update_catalogue


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    return servers.make(tmp_path / "server")


def test_a_new_server_has_published_a_head_that_knows_content_alone(server: ServerFolder) -> None:
    newest = Publications(server).newest
    assert newest is not None
    signed = verify_bundle(newest, server.signing_key.public)
    assert (signed.version, signed.federation) == (1, "people")
    bundle = load_bundle(newest)
    assert not bundle.model.head.b.any()
    assert bundle.manifest["privacy"]["releases"] == []


def test_secrets_are_their_owners_alone(server: ServerFolder) -> None:
    secret = [server.path / "signing.key", *server.tls.glob("*.key"), server.path / "nodes.sqlite", server.ledger_file]
    secret.append(server.control_key_file)
    assert len(secret) == 6
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("key", [b"", b"\n", b"a" * 63, b"a" * 64 + b"\n", b"\xff" * 64])
def test_a_door_without_a_whole_key_is_not_opened(server: ServerFolder, key: bytes) -> None:
    server.control_key_file.write_bytes(key)
    with pytest.raises(DataError, match="not a key of 64 hexadecimal digits"):
        _ = ServerFolder(server.path).control_key


def test_settings_survive_their_file(server: ServerFolder) -> None:
    assert ServerSettings.load(server.settings_file) == server.settings


def test_a_server_is_never_overwritten(server: ServerFolder) -> None:
    key = server.signing_key.public
    with pytest.raises(ConfigError, match="never overwritten"):
        servers.make(server.path)
    assert ServerFolder(server.path).signing_key.public == key


@pytest.mark.parametrize("name", ["control", "status"])
def test_what_asks_nobody_who_they_are_listens_on_loopback_alone(name: str) -> None:
    table = servers.settings().model_dump()
    with pytest.raises(ConfigError, match="loopback"):
        check({**table, name: "0.0.0.0:9093"})


@pytest.mark.parametrize(
    "section", [{"trust": "aggregate"}, {"noise": "seeded"}, {"epsilon": 9.0}], ids=["aggregate", "seeded", "budget"]
)
def test_a_plan_that_no_deployment_may_follow_is_refused(tmp_path: Path, section: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        servers.make(tmp_path / "server", servers.settings(privacy=section))
    assert not (tmp_path / "server").exists()


def test_an_invitation_has_what_a_node_needs_and_the_server_keeps_the_public_half(server: ServerFolder) -> None:
    invitation = invite(server, "hub-1", capacity=3, days=1)
    (member,) = server.registry.members()
    pem = load_ssh_public_key(invitation.public_key.encode()).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    assert (member.name, member.capacity, member.public_key) == ("hub-1", 3, pem.decode())
    assert invitation.signing_key == server.signing_key.public
    assert "PRIVATE" not in (server.path / "nodes.sqlite").read_bytes().decode(errors="ignore")
    assert 0 < invitation.expires.timestamp() - time.time() < 86_401


@pytest.mark.parametrize(("name", "capacity"), [("Hub", 1), ("../hub", 1), ("", 1), ("hub", 0)])
def test_a_malformed_invitation_is_not_made(server: ServerFolder, name: str, capacity: int) -> None:
    with pytest.raises(ConfigError):
        invite(server, name, capacity, None)
    assert server.registry.members() == []


def test_no_invitation_is_made_twice(server: ServerFolder, tmp_path: Path) -> None:
    invite(server, "hub", None, None).save(tmp_path / "hub.json")
    with pytest.raises(ConfigError, match="no node of this federation"):
        invite(server, "hub", None, None)
    assert Invitation.load(tmp_path / "hub.json").capacity == server.settings.capacity


@pytest.mark.parametrize("days", [0.0, -3.0, math.nan, math.inf, 1e12, 1e30])
def test_an_invitation_of_no_possible_length_is_refused_and_its_name_stays_free(
    server: ServerFolder, tmp_path: Path, days: float
) -> None:
    with pytest.raises(ConfigError, match="--days"):
        invite(server, "hub", None, days, tmp_path / "hub.json")
    assert not (tmp_path / "hub.json").exists()
    assert invite(server, "hub", None, 1.0).node == "hub"


def encode(texts: tuple[str, ...]) -> NDArray[np.float32]:
    return np.ones((len(texts), 4), np.float32)


def test_a_changed_catalogue_is_published_without_training(
    server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = np.eye(federation.DIMENSION, dtype=np.float32)
    monkeypatch.setattr(
        ItemSpace, "project", lambda self, texts, encoded: np.stack([places[len(t) % 9] for t in texts])
    )
    old = federation.catalogue()
    names = (*old.ids[10:], "new")
    version = update_catalogue(server, Catalogue(names, names, names), encode)
    assert version == 2
    newest = Publications(server).newest
    assert newest is not None
    verify_bundle(newest, server.signing_key.public)
    bundle = load_bundle(newest)
    assert bundle.catalogue.ids == names
    assert server.ledger.epsilon(1e-4) == 0
    space = ItemSpace.of_bundle(open_bundle(newest))
    assert space.sha256 == ItemSpace.load(server.numbered("catalogues")[-1] / "items.safetensors").sha256
    assert space.facts["catalogue_sha256"] == bundle.catalogue.sha256 != old.sha256
    run = request_run(server, server.settings.training)
    assert "000002" in (run / "config.toml").read_text()


def test_a_catalogue_that_was_not_published_is_nobodys(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process was killed between the two: nodes hold the old one, and would decline a run over the new one."""
    monkeypatch.setattr(ItemSpace, "project", lambda self, texts, _: np.eye(federation.DIMENSION, dtype=np.float32))
    names = federation.catalogue().ids[: federation.DIMENSION]
    new = Catalogue(names, names, names)
    with monkeypatch.context() as killed:
        killed.setattr(Publications, "add", killed_here)
        with pytest.raises(KeyboardInterrupt):
            update_catalogue(server, new, encode)
    run = request_run(server, server.settings.training)
    assert Catalogue.load(RunFolder(run).data / "catalogue.json").sha256 == federation.catalogue().sha256
    cancel(server)
    assert update_catalogue(server, new, encode) == 2
    run = request_run(server, server.settings.training)
    assert Catalogue.load(RunFolder(run).data / "catalogue.json").sha256 == new.sha256


def killed_here(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_changed_catalogue_tells_what_all_releases_cost(
    server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run may have made releases, and failed before it published anything.
    monkeypatch.setattr(ItemSpace, "project", lambda self, texts, _: np.eye(federation.DIMENSION, dtype=np.float32))
    release = Release(server.settings.federation, "run", 0, "popularity", SERVER)
    server.ledger.open(release, ReleaseEvent("popularity", 1.0, 1.0, 1), "x", "os", 100.0, 1e-5)
    names = federation.catalogue().ids[: federation.DIMENSION]
    update_catalogue(server, Catalogue(names, names, names), encode)
    newest = Publications(server).newest
    assert newest is not None
    told = load_bundle(newest).manifest["privacy"]
    assert told["epsilon"] == server.ledger.epsilon(told["delta"]) > 1
    assert "not at all yet" in (newest / "MODEL_CARD.md").read_text()


def test_a_ledger_that_was_lost_is_not_begun_anew(server: ServerFolder) -> None:
    (server.path / "ledger.sqlite").unlink()
    with pytest.raises(LedgerError, match="restore it from a backup"):
        _ = ServerFolder(server.path).ledger


def test_a_run_that_began_keeps_its_catalogue(server: ServerFolder) -> None:
    request_run(server, server.settings.training)
    with pytest.raises(ConfigError, match="unfinished run"):
        update_catalogue(server, federation.catalogue(), encode)


def test_an_empty_catalogue_is_refused(server: ServerFolder) -> None:
    with pytest.raises(DataError):
        update_catalogue(server, Catalogue((), (), ()), encode)


def test_a_folder_that_is_no_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no server here"):
        _ = ServerFolder(tmp_path).settings


def test_make_server_wants_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError):
        make_server(tmp_path, servers.settings(), federation.catalogue(), federation.space())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_histories_as_texts_are_not_deployed(tmp_path: Path) -> None:
    given = servers.settings()
    head = given.training.head.model_copy(update={"state": "text"})
    written = given.model_copy(update={"training": given.training.model_copy(update={"head": head})})
    with pytest.raises(ConfigError, match="no map for what people write"):
        make_server(tmp_path / "server", written, federation.catalogue(), federation.space())
