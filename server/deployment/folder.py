"""The server's folder: everything that an operator has to keep, and to back up.

server.toml        settings
signing.key        signs bundles; nodes trust no other (0600)
nodes.sqlite       who was invited
ledger.sqlite      every release of this population, over all runs
control.key        opens the loopback door to the server's own processes (0600)
tls/               certificate authority, server certificate, their keys (0600)
catalogues/N/      the public items and their vectors, by version
runs/N/            settings, checkpoint and bundle of each run
published/N/       every signed bundle, by version
schedule.json      when runs begin by themselves
log/               JSON lines
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.signature import SigningKey, write_secret
from sottovoce.server.deployment.registry import Registry
from sottovoce.server.deployment.settings import ServerSettings

SERVER_VARIABLE = "SOTTOVOCE_SERVER"
"""Names the server's folder to the processes that a server starts."""

LOCK_WAIT_S = 20.0
"""Longer than the processes of a killed server take to notice."""


@dataclass(frozen=True)
class ServerFolder:
    """Paths in a server's folder, and what lies there.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings_file(self) -> Path:
        """What the operator decides."""
        return self.path / "server.toml"

    @property
    def tls(self) -> Path:
        """Certificates and their keys."""
        return self.path / "tls"

    @property
    def log(self) -> Path:
        """What was said."""
        return self.path / "log"

    @property
    def schedule(self) -> Path:
        """When runs begin by themselves."""
        return self.path / "schedule.json"

    @property
    def ledger_file(self) -> Path:
        """The population's ledger."""
        return self.path / "ledger.sqlite"

    @property
    def control_key_file(self) -> Path:
        """Where `control_key` lies."""
        return self.path / "control.key"

    @cached_property
    def control_key(self) -> str:
        """What the server's own processes show each other; made where it is missing.

        Raises:
            DataError: it cannot be made or read.
        """
        try:
            if not self.control_key_file.exists():
                part = self.control_key_file.with_suffix(".part")
                part.unlink(missing_ok=True)
                write_secret(part, secrets.token_hex(32))
                part.replace(self.control_key_file)
            key = self.control_key_file.read_bytes()
        except OSError as error:
            raise DataError(self.control_key_file, f"cannot be read or made: {error.strerror}") from error
        if not re.fullmatch(rb"[0-9a-f]{64}", key):
            raise DataError(
                self.control_key_file, "not a key of 64 hexadecimal digits: delete it, and start the server"
            )
        return key.decode()

    @cached_property
    def settings(self) -> ServerSettings:
        """What the operator decided.

        Raises:
            DataError: there is no server here.
            ConfigError: a setting is outside its range.
        """
        return ServerSettings.load(self.settings_file)

    @cached_property
    def registry(self) -> Registry:
        """Who was invited."""
        return Registry(self.path / "nodes.sqlite")

    @cached_property
    def ledger(self) -> Ledger:
        """Every release of this population."""
        return Ledger(self.ledger_file, must_exist=(self.path / "published").exists())

    @cached_property
    def signing_key(self) -> SigningKey:
        """The federation's key."""
        return SigningKey.load(self.path / "signing.key")

    def numbered(self, kind: str) -> list[Path]:
        """The folders of `catalogues`, `runs` or `published` in the order of their numbers."""
        folder = self.path / kind
        found = folder.iterdir() if folder.exists() else ()
        return sorted(path for path in found if path.name.isdigit())

    def next_number(self, kind: str) -> Path:
        """The folder that comes after the last one of its kind; it is not made."""
        last = self.numbered(kind)
        return self.path / kind / f"{int(last[-1].name) + 1 if last else 1:06d}"


def served_folder() -> ServerFolder | None:
    """The folder of the server that started this process, if one did."""
    named = os.environ.get(SERVER_VARIABLE)
    return ServerFolder(Path(named)) if named else None


def new_folder(path: Path) -> ServerFolder:
    """An empty folder for a new server, readable by its owner alone.

    Raises:
        ConfigError: there is something in it.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(path.iterdir()):
        raise ConfigError("DIR", str(path), "a new or empty folder: a server is never overwritten")
    return ServerFolder(path.absolute())


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock while the block runs; a process that inherits its descriptor holds it too.

    Raises:
        ConfigError: somebody else holds it, also after a while.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigError("DIR", str(path.parent), "a server that is not up already") from None
                time.sleep(0.2)
        yield descriptor
    finally:
        os.close(descriptor)
