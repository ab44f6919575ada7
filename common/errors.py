"""The errors that Sottovoce raises on purpose, in one tree.

Each says in one line what was wrong, where, and what to do. The command line prints that line and leaves with the
error's `exit_code`; anything else that surfaces is a defect of ours and leaves with 1.

    SottovoceError
    ├── InputError (2)            what a user gave cannot be used
    │   ├── ConfigError             a setting: name, value, range
    │   ├── DataError               a file: path, line, reason
    │   └── EncoderError            a text model that cannot be had
    ├── BudgetSpentError (3)      the next release would pass the budget
    └── FederationError (4)       the federation could not go on
        ├── UpdateRefusedError      one node's answer is malformed
        ├── RequestRefusedError     a node declines what a server asks
        └── LedgerError             a release asked again with other content, or a ledger that cannot be read
"""

from __future__ import annotations

from pathlib import Path


class SottovoceError(Exception):
    """The root of every error that is raised on purpose."""

    exit_code = 1


class InputError(SottovoceError):
    """What a user gave cannot be used."""

    exit_code = 2


class ConfigError(InputError):
    """A setting is outside its range.

    Args:
        name: The setting's dotted name, for example `privacy.epsilon`.
        value: What was given.
        expected: The range or form that is accepted.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(name, value, expected)
        self.name = name

    def __str__(self) -> str:
        name, value, expected = self.args
        return f"{name} = {value!r}: expected {expected}"


class DataError(InputError):
    """A file cannot be used as data.

    Args:
        path: The file.
        reason: What is wrong, and what to do.
        line: The line in the file, counted from 1, where there is one.
    """

    def __init__(self, path: str | Path, reason: str, line: int | None = None) -> None:
        super().__init__(path, reason, line)
        self.line = line

    def __str__(self) -> str:
        path, reason, line = self.args
        return f"{path}: {reason}" if line is None else f"{path}:{line}: {reason}"


class EncoderError(InputError):
    """A text model cannot be had, or is not the one that was asked for."""


class BudgetSpentError(SottovoceError):
    """The next release would pass the privacy budget; nothing was released."""

    exit_code = 3


class FederationError(SottovoceError):
    """The federation could not go on."""

    exit_code = 4


class UpdateRefusedError(FederationError):
    """One node's answer is malformed, non-finite or for another model; the round goes on without it."""


class RequestRefusedError(FederationError):
    """A node declines what a server asks. The reason depends on public input only, never on a history."""


class LedgerError(FederationError):
    """A release was asked for again with other content, or the ledger cannot be read."""
