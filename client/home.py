"""The home of one device: everything that it keeps, in one private folder.

histories.sqlite   what its people did: never leaves it, and can be forgotten
ledger.sqlite      what its people's releases cost: is never forgotten, not even by joining again; hashes in it are
owner.toml         what its owner allows
invitation.json    which federation it belongs to, and its own key
bundles/           the last two models of that federation
conversations.sqlite, impressions.sqlite   what was said to the page, and what it showed: forgotten with the history
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sottovoce.client.bundles import BundleStore
from sottovoce.client.database import is_full
from sottovoce.client.histories import HistoryStore
from sottovoce.client.owner import Owner
from sottovoce.common.errors import DataError, SottovoceError
from sottovoce.common.invitation import Invitation
from sottovoce.common.privacy.ledger import Ledger, Sent

HOME_VARIABLE = "SOTTOVOCE_HOME"
"""Names the home's folder, where no command line does."""


class NotForgottenError(DataError):
    """Not all could be forgotten that was asked for: what is left, and why.

    Args:
        folder: Of the home.
        failures: What each part said that is not forgotten.
    """

    def __init__(self, folder: Path, failures: Sequence[SottovoceError]) -> None:
        left = "; ".join(dict.fromkeys(map(str, failures)))
        super().__init__(folder, f"not all is forgotten yet, so forget again: {left}")
        self.failures = tuple(failures)


def forget_each(folder: Path, *steps: Callable[[], int | None]) -> list[int | None]:
    """Take every step, whatever becomes of the others, and say what each gave.

    Raises:
        NotForgottenError: one or more of them failed.
    """
    gone: list[int | None] = []
    failures: list[SottovoceError] = []
    for step in steps:
        try:
            gone.append(step())
        except NotForgottenError as error:
            failures += error.failures
        except SottovoceError as error:
            failures.append(error)
        except (OSError, sqlite3.Error) as error:
            failure = DataError(folder, f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            failures.append(failure)
    if failures:
        raise NotForgottenError(folder, failures) from min(failures, key=lambda each: not is_full(each))
    return gone


@dataclass(frozen=True)
class Home:
    """One device.

    Attributes:
        folder: Where everything lies; made, for its owner's eyes only, if it is missing.

    Raises:
        DataError: the folder cannot be made.
    """

    folder: Path

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise DataError(self.folder, f"no home can be made here: {error.strerror}") from error

    @property
    def invitation_file(self) -> Path:
        """Which federation the device joined, and its private key."""
        return self.folder / "invitation.json"

    @property
    def owner_file(self) -> Path:
        """The owner's settings."""
        return self.folder / "owner.toml"

    @property
    def ledger_file(self) -> Path:
        """What was spent."""
        return self.folder / "ledger.sqlite"

    @property
    def conversations_file(self) -> Path:
        """What was said to the page."""
        return self.folder / "conversations.sqlite"

    @property
    def impressions_file(self) -> Path:
        """What the page showed."""
        return self.folder / "impressions.sqlite"

    @cached_property
    def invitation(self) -> Invitation | None:
        """The invitation that was accepted, if any.

        Raises:
            DataError: it cannot be read.
        """
        return Invitation.load(self.invitation_file) if self.invitation_file.exists() else None

    @property
    def joined(self) -> Invitation:
        """The invitation that was accepted.

        Raises:
            DataError: there is none.
        """
        if self.invitation is None:
            raise DataError(self.folder, "belongs to no federation: `sottovoce client join INVITATION` first")
        return self.invitation

    @property
    def owner(self) -> Owner:
        """The owner's settings as they are now.

        Raises:
            DataError: they cannot be read.
        """
        return Owner.load(self.owner_file)

    @cached_property
    def histories(self) -> HistoryStore:
        """What the device's people did."""
        return HistoryStore(
            self.folder / "histories.sqlite", None if self.invitation is None else self.invitation.capacity
        )

    @cached_property
    def ledger(self) -> Ledger:
        """Every release that the device's people took part in, in whatever federation.

        Raises:
            LedgerError: it cannot be read, or was lost after the device had joined a federation.
        """
        return Ledger(self.ledger_file, one_node=True, must_exist=self.invitation_file.exists())

    @cached_property
    def bundles(self) -> BundleStore:
        """The models of the federation that the device joined: a new one under an old name, with another key, has none.

        Raises:
            DataError: it joined none.
        """
        invitation = self.joined
        place = hashlib.sha256(f"{invitation.federation} {invitation.signing_key}".encode()).hexdigest()[:16]
        return BundleStore(self.folder / "bundles" / place, invitation.signing_key, invitation.federation)

    def sent(self) -> list[Sent]:
        """What left this device for a model, oldest first: when, how large, its hash, which release."""
        return self.ledger.sent()

    def forget(self, user: str | None, item: str | None = None) -> int:
        """Delete from the histories, as `HistoryStore.forget` does, and all that rests on them.

        That is what was said to the page and what it showed, and the hashes of all exact sums that left before. The
        histories go first: a sum that is being made meanwhile either lacks what was forgotten, or is not sent.

        Raises:
            NotForgottenError: one of them could not be written; the others were, if they could be.
        """
        from sottovoce.client.language.conversation import Conversations
        from sottovoce.client.service.impressions import forget_impressions

        gone, *_ = forget_each(
            self.folder,
            lambda: self.histories.forget(user, item),
            self._forget_sums,
            lambda: forget_impressions(self.impressions_file, user, item),
            lambda: Conversations(self.conversations_file).forget(user, item),
        )
        return int(gone or 0)

    def _forget_sums(self) -> None:
        if self.ledger_file.exists():
            self.ledger.forget_sums()

    def join(self, invitation: Invitation) -> Home:
        """Accept an invitation, in the place of an earlier one; ledger and histories stay.

        Raises:
            DataError: it has expired, or is for fewer users than the device holds, or cannot be kept.
        """
        if invitation.expired():
            raise DataError("invitation", f"expired on {invitation.expires:%Y-%m-%d}: ask for a new one")
        _ = self.ledger  # is there before a device belongs to anybody
        users = len(self.histories.users())
        if users > invitation.capacity:
            raise DataError(self.folder, f"holds {users} users; this invitation is for {invitation.capacity}")
        unfinished = self.invitation_file.with_suffix(".part")
        try:
            unfinished.unlink(missing_ok=True)
            invitation.save(unfinished)
            unfinished.replace(self.invitation_file)
        except OSError as error:
            raise DataError(self.folder, f"the invitation could not be kept: {error.strerror}") from error
        return Home(self.folder)


def find_home(named: Path | None = None) -> Home:
    """The home that is named, else the environment's, else the one in the user's own folder."""
    return Home(named or Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".sottovoce"))
