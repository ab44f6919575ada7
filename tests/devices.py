"""Made-up devices: invitations, signed bundles, homes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from federation import catalogue, space

from sottovoce.client.home import Home
from sottovoce.common.bundle import write_bundle
from sottovoce.common.invitation import Invitation, new_private_key
from sottovoce.common.scoring import Head, HeadShape
from sottovoce.common.signature import SIGNED_FILES, SigningKey, sign_bundle

FEDERATION = "film-club"


@cache
def certificate() -> str:
    """A self-signed certificate that is nobody's."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def invitation(key: SigningKey, **changes: Any) -> Invitation:  # noqa: ANN401
    table: dict[str, Any] = {
        "federation": FEDERATION, "node": "kitchen", "capacity": 40, "addresses": ["127.0.0.1:9"],
        "certificate_authority": certificate(), "private_key": new_private_key(), "signing_key": key.public,
        "expires": datetime.now(UTC) + timedelta(days=1),
    }  # fmt: skip
    return Invitation.model_validate({**table, **changes})


def signed_bundle(
    folder: Path, key: SigningKey, version: int, *, items: int = 60, federation: str = FEDERATION, note: str = ""
) -> Path:
    """A bundle over the first `items` items, signed."""
    folder.mkdir(parents=True)
    space_file = folder / "space.safetensors"
    space(items).save(space_file)
    bundle = folder / "bundle"
    head = Head.untrained(HeadShape(items, space(items).dimension, 4, 6, 3.0))
    facts = {"state": "items", "privacy": {}, "space": space(items).published}
    write_bundle(bundle, catalogue(items), space_file, head, f"# Model card {note}\n", facts)
    sign_bundle(bundle, key, version, federation)
    return bundle


def files_of(bundle: Path) -> dict[str, bytes]:
    return {name: (bundle / name).read_bytes() for name in SIGNED_FILES}


def joined_home(folder: Path, key: SigningKey, **changes: Any) -> Home:  # noqa: ANN401
    return Home(folder).join(invitation(key, **changes))
