"""Make a server, invite nodes, and change what can be recommended."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from sottovoce.common.bundle import load_bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.cold_start import moved_head
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.invitation import Invitation, new_private_key, public_key
from sottovoce.common.privacy.plan import Trust
from sottovoce.common.readers import READERS, Reader, load_readers, save_readers
from sottovoce.common.scoring import Head
from sottovoce.common.signature import SigningKey
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.deployment.certificates import make_authority, make_server_certificate
from sottovoce.server.deployment.folder import ServerFolder, new_folder
from sottovoce.server.deployment.publications import Publications, published_catalogue
from sottovoce.server.deployment.settings import LONGEST_DAYS, ServerSettings
from sottovoce.server.publish import privacy_facts
from sottovoce.server.strategy import head_shape


def make_server(
    path: Path, settings: ServerSettings, catalogue: Catalogue, space: ItemSpace, readers: Sequence[Reader] = ()
) -> ServerFolder:
    """Make a server's folder, and publish its first bundle: the catalogue, with a head that knows content alone.

    Args:
        path: A new or empty folder.
        settings: What the operator decides; `training` is resolved.
        catalogue: What can be recommended.
        space: Its item vectors.
        readers: Maps for wishes in words.

    Raises:
        ConfigError: the folder is not empty, or a deployment may not follow the plan.
    """
    check_deployable(settings)
    folder = new_folder(path)
    folder.tls.mkdir(mode=0o700)
    make_authority(folder.tls, settings.federation)
    make_server_certificate(folder.tls, settings.federation, settings.hosts)
    SigningKey.generate().save(folder.path / "signing.key")
    settings.save(folder.settings_file)
    _ = folder.registry, folder.ledger, folder.control_key
    _add_catalogue(folder, catalogue, space, readers)
    _publish(folder, Head.untrained(head_shape(settings.training, space)), {"round": 0})
    return folder


def check_deployable(settings: ServerSettings) -> None:
    """Refuse settings whose runs no deployment may make.

    Raises:
        ConfigError: the plan is for simulations, or one run would spend more than all may.
    """
    if settings.training.head.state == "text":
        raise ConfigError("training.head.state", "text", "items: a bundle has no map for what people write")
    plan = settings.training.plan()
    if plan.simulated_only:
        raise ConfigError("training.privacy", plan.trust.value, f"what a deployment may follow: {plan.simulated_only}")
    if plan.target_epsilon > settings.total_epsilon:
        raise ConfigError("training.privacy.epsilon", plan.target_epsilon, "at most total_epsilon")


def invite(
    folder: ServerFolder, name: str, capacity: int | None, days: float | None, file: Path | None = None
) -> Invitation:
    """Admit a new node; what its owner needs to join, written to `file` if one is given.

    Raises:
        ConfigError: the name is taken or malformed, or a number is outside its range.
        DataError: the file is there already or cannot be written; nobody is admitted then.
    """
    settings = folder.settings
    days = settings.invitation_days if days is None else days
    if not 0 < days <= LONGEST_DAYS:
        raise ConfigError("--days", days, f"a number above 0, at most {LONGEST_DAYS}")
    key = new_private_key()
    try:
        invitation = Invitation(
            schema=1,
            federation=settings.federation,
            node=name,
            capacity=settings.capacity if capacity is None else capacity,
            addresses=settings.addresses,
            certificate_authority=(folder.tls / "ca.pem").read_text(encoding="ascii"),
            private_key=key,
            signing_key=folder.signing_key.public,
            expires=datetime.fromtimestamp(time.time() + days * 86_400, UTC),
        )
    except ValueError as error:
        raise ConfigError("NAME, --capacity", f"{name}, {capacity}", "[a-z0-9._-]{1,64}, and 1 or more") from error
    pem = load_ssh_public_key(public_key(key).encode()).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if file is not None:
        invitation.save(file)
    try:
        folder.registry.invite(name, pem.decode(), invitation.capacity, invitation.expires.timestamp())
    except BaseException:
        if file is not None:
            file.unlink()
        raise
    return invitation


def update_catalogue(folder: ServerFolder, catalogue: Catalogue, encode: Any) -> int:  # noqa: ANN401
    """Publish a changed catalogue with the newest head; the bundle's version. No training, and no budget.

    New items are placed in the item space as it is, with the popularity and correction that their texts foretell
    (`common.cold_start`); items that are gone are left out. The next run trains over the new catalogue. Interrupted, it
    has changed nothing, and is asked for again.

    Args:
        folder: The server.
        catalogue: All items that can be recommended from now on.
        encode: From texts to the encoder's vectors, shape [n, D].

    Raises:
        ConfigError: a run is unfinished.
        DataError: nothing is published yet, or the catalogue is empty.
    """
    from sottovoce.server.deployment.runs import unfinished

    if run := unfinished(folder):
        raise ConfigError("catalogue", run.name, "no unfinished run: it goes on with the catalogue that it began with")
    newest = Publications(folder).newest
    if newest is None or not len(catalogue):
        raise DataError(folder.path, "no published bundle, or no item in the new catalogue")
    place = published_catalogue(folder)
    bundle, space = load_bundle(newest), ItemSpace.load(place / "items.safetensors")
    vectors = space.project(catalogue.texts, encode(catalogue.texts)).astype(np.float32)
    facts = {**space.facts, "catalogue_sha256": catalogue.sha256}
    readers = load_readers(place / READERS)
    _add_catalogue(folder, catalogue, ItemSpace(vectors, facts, space.maps), readers)
    rows = np.array([bundle.catalogue.position.get(item, -1) for item in catalogue.ids])
    kept = {key: bundle.manifest[key] for key in ("run", "round") if key in bundle.manifest}
    return _publish(folder, moved_head(bundle.model.head, bundle.model.vectors, rows, vectors), kept)


def _add_catalogue(folder: ServerFolder, catalogue: Catalogue, space: ItemSpace, readers: Sequence[Reader]) -> None:
    place = folder.next_number("catalogues")
    part = place.with_name("unfinished")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    catalogue.save(part / "catalogue.json")
    space.save(part / "items.safetensors")
    save_readers(part / READERS, readers)
    part.rename(place)


def _publish(folder: ServerFolder, head: Head, facts: dict[str, Any]) -> int:
    """Publish a bundle that no run made; its version."""
    place, config = folder.numbered("catalogues")[-1], folder.settings.training
    bundle = folder.path / "bundle"
    trained = bool(facts.get("run"))
    facts = {"run": "", "state": config.head.state, "privacy": _spent(folder), **facts}
    card = "\n".join(
        [
            "# Model card",
            "",
            f"- **Recommends** {head.shape.items} items of catalogue {int(place.name)}.",
            f"- **Encoder** {config.encoder.name}, frozen.",
            "- **Trained** "
            + (
                "by the run that the manifest names; items added since are recommended by their content."
                if trained
                else "not at all yet: content alone, and nobody's data."
            ),
            "- **Privacy** as in `manifest.json`, over all releases of this population.",
        ]
    )
    catalogue, items = Catalogue.load(place / "catalogue.json"), place / "items.safetensors"
    facts["space"] = ItemSpace.load(items).published
    write_bundle(bundle, catalogue, items, head, card + "\n", facts, load_readers(place / READERS))
    version = Publications(folder).add(bundle)
    shutil.rmtree(bundle)
    return version


def _spent(folder: ServerFolder) -> dict[str, Any]:
    """What all releases of the population cost until now."""
    plan = folder.settings.training.plan()
    if folder.ledger.events():
        return privacy_facts(plan, folder.ledger)
    private = plan.trust is not Trust.NONE and math.isfinite(plan.target_epsilon)
    return {"unit": "user", "trust": plan.trust.value, "epsilon": 0.0 if private else None, "delta": plan.delta,
            "releases": []}  # fmt: skip
