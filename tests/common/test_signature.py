from __future__ import annotations

import json
import shutil
from pathlib import Path

import federation
import pytest

from sottovoce.common.bundle import write_bundle
from sottovoce.common.errors import DataError
from sottovoce.common.signature import SIGNED_FILES, SigningKey, sign_bundle, verify_bundle


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def bundle(tmp_path: Path, key: SigningKey) -> Path:
    federation.space().save(tmp_path / "items.safetensors")
    folder = tmp_path / "bundle"
    write_bundle(folder, federation.catalogue(), tmp_path / "items.safetensors", federation.random_head(), "card", {})
    sign_bundle(folder, key, 3, "people")
    return folder


def test_what_was_signed_is_verified(bundle: Path, key: SigningKey) -> None:
    signed = verify_bundle(bundle, key.public)
    assert (signed.version, signed.federation) == (3, "people")


def test_the_key_is_kept_for_its_owner_alone_and_never_replaced(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "key"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public == key.public
    assert key.public not in path.read_text()
    with pytest.raises(DataError):
        SigningKey.generate().save(path)


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(DataError, match="not a signing key"):
        SigningKey.load(tmp_path / "key")


@pytest.mark.parametrize("name", [name for name in SIGNED_FILES if name != "signature.json"])
def test_every_byte_is_signed(bundle: Path, key: SigningKey, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[-2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    with pytest.raises(DataError):
        verify_bundle(bundle, key.public)


@pytest.mark.parametrize("change", [{"version": 4}, {"federation": "others"}, {"version": True}, {"more": 1}])
def test_what_the_signature_says_is_signed(bundle: Path, key: SigningKey, change: dict[str, object]) -> None:
    path = bundle / "signature.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError):
        verify_bundle(bundle, key.public)


def test_another_key_is_refused(bundle: Path) -> None:
    with pytest.raises(DataError, match="not signed by this federation"):
        verify_bundle(bundle, SigningKey.generate().public)


@pytest.mark.parametrize("name", SIGNED_FILES)
def test_a_missing_file_is_refused(bundle: Path, key: SigningKey, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(DataError):
        verify_bundle(bundle, key.public)


def test_a_file_more_is_refused(bundle: Path, key: SigningKey) -> None:
    shutil.copy(bundle / "manifest.json", bundle / "model.pkl")
    with pytest.raises(DataError, match="no bundle has such a file"):
        verify_bundle(bundle, key.public)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"schema": 1}'])
def test_rubbish_is_refused_in_one_line(bundle: Path, key: SigningKey, content: bytes) -> None:
    (bundle / "signature.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        verify_bundle(bundle, key.public)
    assert "\n" not in str(caught.value)
