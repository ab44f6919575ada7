"""An invitation: the one file that an operator hands to the owner of a node, and all that the node needs to join.

It holds the node's own private key, so it travels like a password. The server keeps the public half only: a node is
who can sign with its key, whatever it says of itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from sottovoce.common.errors import DataError
from sottovoce.common.signature import write_secret

MAX_BYTES = 65_536

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]


def _has_port(address: str) -> str:
    if not 0 < int(address.rpartition(":")[2]) < 2**16:
        raise ValueError("a port is a number from 1 to 65535")
    return address


Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"), AfterValidator(_has_port)]


class Invitation(BaseModel):
    """What a node needs to join.

    Attributes:
        schema_version: Of this form.
        federation: Name of the federation, which is the population that its ledger counts.
        node: The node's public name, unique in the federation.
        capacity: How many users the node may hold at most: what it sends is re-clipped to that many.
        addresses: `host:port` of the server's Fleet API; tried in this order.
        certificate_authority: The only CA that the server's certificate may come from, as PEM.
        private_key: The node's key (ECDSA, OpenSSH format), with which Flower authenticates it.
        signing_key: The public key that bundles must be signed with, in hexadecimal.
        expires: Until when the node must have joined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    federation: Name
    node: Name
    capacity: Annotated[int, Field(ge=1)]
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    certificate_authority: str
    private_key: str = Field(repr=False)
    signing_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expires: AwareDatetime

    @field_validator("certificate_authority")
    @classmethod
    def _is_certificate(cls, text: str) -> str:
        try:
            x509.load_pem_x509_certificate(text.encode())
        except Exception as error:  # of a damaged one, its library raises whatever its decoder met
            raise ValueError("not a certificate") from error
        return text

    @field_validator("private_key")
    @classmethod
    def _is_key(cls, text: str) -> str:
        public_key(text)
        return text

    @property
    def public_key(self) -> str:
        """The node's public key in OpenSSH format, as the server knows it."""
        return public_key(self.private_key)

    def expired(self, now: datetime | None = None) -> bool:
        """Whether it is too late to join."""
        return (now or datetime.now(UTC)) >= self.expires

    def save(self, path: Path) -> None:
        """Write the invitation, readable by its owner alone; an existing file is never replaced.

        Raises:
            DataError: there is a file already, or none can be made there.
        """
        write_secret(path, self.model_dump_json(indent=1, by_alias=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> Invitation:
        """Read an invitation.

        Raises:
            DataError: it is missing or malformed; the reason never quotes what it says.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise DataError(path, f"no invitation that can be read: {error.strerror}") from error
        if len(content) > MAX_BYTES:
            raise DataError(path, "not an invitation: too large")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            place = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
            raise DataError(path, f"not an invitation{f' ({place})' if place else ''}: ask for a new one") from None


def new_private_key() -> str:
    """A node's key (ECDSA over P-384, what Flower authenticates nodes by), in OpenSSH format."""
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_key(private_key: str) -> str:
    """The public half of a node's key, in OpenSSH format.

    Raises:
        ValueError: it is no ECDSA key.
    """
    try:
        key = load_ssh_private_key(private_key.encode(), None)
    except Exception as error:  # encrypted, of a kind that is not supported, or damaged: each in a way of its own
        raise ValueError("not a private key in OpenSSH format that can be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a node's key is an ECDSA key")
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
