"""Signatures on what a federation publishes: Ed25519 (RFC 8032) over a bundle's manifest, which names every other file.

A signature binds three things together: the exact bytes of the manifest, the federation that they belong to, and a
version that only grows. So nobody but the holder of the federation's key can make a bundle, move one from another
federation, or pass an older one off as new. What else a device asks of a bundle, `common.bundle.load_bundle` checks.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sottovoce.common.bundle import FILES
from sottovoce.common.errors import DataError

SIGNATURE = "signature.json"
SIGNED_FILES = ("manifest.json", *FILES, SIGNATURE)
"""A signed bundle consists of these and nothing else."""

Hex = Annotated[str, Field(pattern="^[0-9a-f]+$")]


@dataclass(frozen=True)
class SigningKey:
    """The key with which a federation signs; only its public half ever leaves the server."""

    _private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key, from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key that `save` wrote.

        Raises:
            DataError: it is missing, or is none.
        """
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii"))))
        except (OSError, ValueError) as error:
            raise DataError(path, "not a signing key: restore it from a backup, nodes trust no other") from error

    def save(self, path: Path) -> None:
        """Write the key, readable by its owner alone; an existing file is never replaced.

        Raises:
            DataError: there is a file already.
        """
        write_secret(path, self._private.private_bytes_raw().hex())

    @property
    def public(self) -> str:
        """The public half, in hexadecimal."""
        return self._private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """The signature of `message`, in hexadecimal."""
        return self._private.sign(message).hex()


@dataclass(frozen=True)
class Signed:
    """What a signature says.

    Attributes:
        version: Grows with every bundle of a federation.
        federation: Whose bundle it is.
        manifest_sha256: Hash of the manifest file's exact bytes.
    """

    version: int
    federation: str
    manifest_sha256: str

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return b"sottovoce bundle\n" + json.dumps(asdict(self), sort_keys=True).encode()


class _SignatureFile(BaseModel):
    """The form of `signature.json`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(alias="schema")
    version: Annotated[int, Field(ge=1)]
    federation: Annotated[str, Field(min_length=1, max_length=200)]
    manifest_sha256: Hex
    signature: Hex


def sign_bundle(folder: Path, key: SigningKey, version: int, federation: str) -> Signed:
    """Write `signature.json` beside a bundle's manifest."""
    signed = Signed(version, federation, _sha256(folder / "manifest.json"))
    table = {"schema": 1, **asdict(signed), "signature": key.sign(signed.message)}
    unfinished = folder / f"{SIGNATURE}.part"
    unfinished.write_text(json.dumps(table, indent=1), encoding="utf-8")
    unfinished.replace(folder / SIGNATURE)
    return signed


def verify_bundle(folder: Path, public_key: str) -> Signed:
    """Check a signed bundle before anything else of it is read.

    Args:
        folder: Holds the bundle's files and no others.
        public_key: Of the federation, in hexadecimal.

    Raises:
        DataError: the signature is missing, malformed, or not by this key over this manifest; a file that the manifest
            names differs; or there is a file that no bundle has.
    """
    path = folder / SIGNATURE
    try:
        file = _SignatureFile.model_validate_json(path.read_bytes())
        signed = Signed(file.version, file.federation, file.manifest_sha256)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(file.signature), signed.message
        )
        strange = sorted({each.name for each in folder.iterdir()} - set(SIGNED_FILES))
        if strange:
            raise DataError(folder / strange[0], "no bundle has such a file: refused")
        if _sha256(folder / "manifest.json") != signed.manifest_sha256:
            raise DataError(folder / "manifest.json", "not the manifest that was signed")
        hashes = json.loads((folder / "manifest.json").read_bytes())["sha256"]
        for name in FILES:
            if _sha256(folder / name) != hashes[name]:
                raise DataError(folder / name, "not the file that the signed manifest names")
    except OSError as error:
        raise DataError(folder, f"not a signed bundle: {error.strerror} ({Path(str(error.filename)).name})") from error
    except InvalidSignature as error:
        raise DataError(path, "not signed by this federation") from error
    except ValidationError as error:
        raise DataError(path, "not a bundle's signature") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(folder, "not a signed bundle: malformed") from error
    return signed


def write_secret(path: Path, text: str) -> None:
    """Write a new file that its owner alone may read.

    Raises:
        DataError: there is a file already, or none can be made there.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise DataError(path, "is there already, and is never replaced") from error
    except OSError as error:
        raise DataError(path, f"cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
