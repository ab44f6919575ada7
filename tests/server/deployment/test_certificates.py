from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from sottovoce.common.errors import DataError
from sottovoce.server.deployment.certificates import expiry, make_authority, make_server_certificate


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    make_authority(tmp_path, "films")
    make_server_certificate(tmp_path, "films", ["localhost", "127.0.0.1", "recommender.example"])
    return tmp_path


def shake_hands(server: Path, trusted: Path, name: str) -> None:
    """A TLS handshake with the certificate in `server`, by a client that trusts the authority in `trusted` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server / "server.pem", server / "server.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            context.wrap_socket(ours, server_side=True).close()
        except (ssl.SSLError, OSError):
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client = ssl.create_default_context(cafile=trusted / "ca.pem")
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        client.wrap_socket(theirs, server_hostname=name).close()
    finally:
        theirs.close()
        thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "recommender.example"])
def test_a_client_that_trusts_the_authority_takes_the_server(tls: Path, name: str) -> None:
    shake_hands(tls, tls, name)


def test_another_name_is_refused(tls: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(tls, tls, "elsewhere.example")


def test_another_authority_is_refused(tls: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_authority(other, "films")
    make_server_certificate(other, "films", ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(other, tls, "localhost")


def test_keys_are_their_owners_alone_and_an_authority_is_never_replaced(tls: Path) -> None:
    for name in ("ca.key", "server.key"):
        assert (tls / name).stat().st_mode & 0o777 == 0o600
    before = (tls / "ca.key").read_bytes()
    with pytest.raises(DataError):
        make_authority(tls, "films")
    assert (tls / "ca.key").read_bytes() == before


def test_a_renewed_certificate_is_taken_by_old_clients(tls: Path) -> None:
    before = (tls / "server.pem").read_bytes()
    make_server_certificate(tls, "films", ["new.example"])
    assert (tls / "server.pem").read_bytes() != before
    shake_hands(tls, tls, "new.example")
    assert expiry(tls / "server.pem").year >= 2026


def test_without_its_authority_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no certificate authority"):
        make_server_certificate(tmp_path, "films", ["localhost"])
