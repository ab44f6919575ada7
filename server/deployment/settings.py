"""What an operator decides, in `server.toml`."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated

import tomli_w
from pydantic import Field, ValidationError, field_validator

from sottovoce.common.config import Config, Settings
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.invitation import Address, Name

LONGEST_DAYS = 3650
"""That an invitation may be good for."""


class ServerSettings(Settings):
    """All settings of a server.

    Attributes:
        federation: Name of the federation: the population that its ledger counts.
        addresses: Where nodes find the server, as `host:port`; written into invitations and the certificate.
        listen: Where the Fleet API listens, which nodes speak to.
        control: Where Flower's Control and Runtime APIs listen. They ask nobody who they are, so: loopback only.
        status: Where metrics and health are told, loopback only; a reverse proxy may open it to a monitoring network.
        total_epsilon: What all runs together may spend.
        capacity: How many users a node may hold, unless its invitation says otherwise.
        invitation_days: How long an invitation is good for.
        training: The settings of a run; `training.privacy.epsilon` is one run's share of the budget.
    """

    federation: Name
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    listen: Address = "0.0.0.0:9092"
    control: Address = "127.0.0.1:9093"
    status: Address = "127.0.0.1:9094"
    total_epsilon: Annotated[float, Field(gt=0)]
    capacity: Annotated[int, Field(ge=1)]
    invitation_days: Annotated[float, Field(gt=0, le=LONGEST_DAYS)] = 7.0
    training: Config

    @field_validator("control", "status")
    @classmethod
    def _loopback(cls, address: str) -> str:
        if not ipaddress.ip_address(split(address)[0]).is_loopback:
            raise ValueError("must be a loopback address: whoever reaches it may start runs")
        return address

    @property
    def hosts(self) -> list[str]:
        """What the server's certificate is for: where nodes find it, and where it finds itself."""
        return list(dict.fromkeys([split(each)[0] for each in self.addresses] + ["localhost", "127.0.0.1", "::1"]))

    def save(self, path: Path) -> None:
        """Write the settings as TOML."""
        path.write_text(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ServerSettings:
        """Read what an operator wrote.

        Raises:
            DataError: the file is missing or is not TOML.
            ConfigError: a setting is unknown or outside its range.
        """
        try:
            return check(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise DataError(path.parent, "no server here: make one with `sottovoce server init`") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise DataError(path, f"not TOML: {error}") from error


def check(table: dict[str, object]) -> ServerSettings:
    """Check a table of settings.

    Raises:
        ConfigError: names the first setting that is unknown or outside its range.
    """
    try:
        return ServerSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "server.toml"
        raise ConfigError(name, first["input"], first["msg"].removeprefix("Value error, ")) from error


def split(address: str) -> tuple[str, int]:
    """Host (without brackets) and port of `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
