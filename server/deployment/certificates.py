"""The federation's own certificate authority, and the server's certificate under it.

Nodes trust this authority and no other, so that no public authority can vouch for another server.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sottovoce.common.errors import DataError
from sottovoce.common.signature import write_secret

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=398)
CLOCK_RESERVE = timedelta(hours=24)
"""A certificate is valid from that long before it was made: a device's clock may be late."""


def make_authority(folder: Path, federation: str) -> None:
    """Write `ca.pem` and `ca.key`.

    Raises:
        DataError: there is an authority already.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(f"{federation} certificate authority")
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - CLOCK_RESERVE)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    _write_key(folder / "ca.key", key)
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def make_server_certificate(folder: Path, federation: str, hosts: Sequence[str]) -> None:
    """Write `server.pem` and `server.key` for `hosts`, names or addresses; earlier ones are replaced.

    Raises:
        DataError: there is no authority in the folder.
    """
    try:
        authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        authority_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise DataError(folder, "no certificate authority here: restore ca.pem and ca.key from a backup") from error
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise DataError(folder / "ca.key", "not the key of this authority")
    key = ec.generate_private_key(ec.SECP384R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(authority.subject, _name(federation), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - CLOCK_RESERVE)
        .not_valid_after(now + SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    unfinished = folder / "server.key.part"
    unfinished.unlink(missing_ok=True)
    _write_key(unfinished, key)
    (folder / "server.pem.part").write_bytes(certificate.public_bytes(Encoding.PEM))
    unfinished.replace(folder / "server.key")
    (folder / "server.pem.part").replace(folder / "server.pem")


def expiry(certificate: Path) -> datetime:
    """Until when a certificate is valid."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
