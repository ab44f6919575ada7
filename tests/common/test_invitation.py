from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sottovoce.common.errors import DataError
from sottovoce.common.invitation import Invitation, new_private_key
from sottovoce.common.signature import SigningKey


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def invitation(**changes: Any) -> Invitation:  # noqa: ANN401
    table = {
        "federation": "films",
        "node": "hub-1",
        "capacity": 4,
        "addresses": ("127.0.0.1:9092",),
        "certificate_authority": certificate(),
        "private_key": new_private_key(),
        "signing_key": SigningKey.generate().public,
        "expires": datetime.now(UTC) + timedelta(days=7),
    }
    return Invitation(**{**table, **changes})


def encrypted() -> str:
    """A key that says of itself that a password is needed."""
    head, *body, tail = new_private_key().strip().splitlines()
    plain, locked = (b"".join(len(word).to_bytes(4) + word for word in words) for words in (
        (b"none", b"none", b""), (b"aes256-ctr", b"bcrypt", b"\0\0\0\x10" + bytes(16) + b"\0\0\0\x10"),
    ))  # fmt: skip
    content = b64decode("".join(body)).replace(plain, locked)
    return "\n".join((head, b64encode(content).decode(), tail, ""))


def of_another_version() -> str:
    """A certificate that says that it is of version 10."""
    head, *body, tail = certificate().strip().splitlines()
    content = b64decode("".join(body)).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09")
    return "\n".join((head, b64encode(content).decode(), tail, ""))


def test_an_invitation_survives_its_file(tmp_path: Path) -> None:
    made = invitation()
    made.save(tmp_path / "node.json")
    assert (tmp_path / "node.json").stat().st_mode & 0o777 == 0o600
    assert Invitation.load(tmp_path / "node.json") == made


def test_the_private_key_is_not_shown() -> None:
    made = invitation()
    assert "PRIVATE" not in repr(made)
    assert made.public_key.startswith("ecdsa-sha2-nistp384 ")


def test_it_expires() -> None:
    now = datetime.now(UTC)
    assert not invitation(expires=now + timedelta(seconds=9)).expired(now)
    assert invitation(expires=now).expired(now)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"capacity": 0},
        {"addresses": []},
        {"addresses": ["https://somewhere"]},
        {"addresses": ["server:99999"]},
        {"addresses": ["server:0"]},
        {"private_key": encrypted()},
        {"certificate_authority": of_another_version()},
        {"certificate_authority": "none"},
        {"private_key": "none"},
        {"signing_key": "12"},
        {"expires": "2026-01-01T00:00:00"},
        {"node": "../hub"},
        {"more": 1},
    ],
)
def test_what_is_malformed_is_refused_without_quoting_it(tmp_path: Path, change: dict[str, Any]) -> None:
    table = json.loads(invitation().model_dump_json(by_alias=True)) | change
    (tmp_path / "node.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="not an invitation") as caught:
        Invitation.load(tmp_path / "node.json")
    assert "PRIVATE" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\x00", b"[" * 60_000, b" " * 70_000])
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "node.json").write_bytes(content)
    with pytest.raises(DataError, match="not an invitation"):
        Invitation.load(tmp_path / "node.json")


@pytest.mark.parametrize("field", ["private_key", "certificate_authority"])
def test_a_key_or_a_certificate_with_wrong_letters_is_taken_or_refused(tmp_path: Path, field: str) -> None:
    """Letters are changed in turn; its library's decoder raises errors of many kinds."""
    table = json.loads(invitation().model_dump_json(by_alias=True))
    for place in range(0, len(table[field]), 2):
        for letter in "A0":
            damaged = table[field][:place] + letter + table[field][place + 1 :]
            (tmp_path / "node.json").write_text(json.dumps({**table, field: damaged}))
            with suppress(DataError):
                Invitation.load(tmp_path / "node.json")
