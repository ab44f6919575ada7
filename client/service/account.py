"""What was spent of the person's privacy, what left the device for it, and what stays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sottovoce.client.home import Home
from sottovoce.client.language.conversation import Conversations
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.log import utc
from sottovoce.client.service.views import Privacy, Update


@dataclass
class Account:
    """The privacy view of one person.

    Attributes:
        home: The device.
        user: Who the person is, among its users.
        impressions: What was shown.
        conversations: What was said.
    """

    home: Home
    user: str
    impressions: Impressions
    conversations: Conversations
    _spent: tuple[object, float | None] | None = field(default=None, init=False)

    def privacy(self) -> Privacy:
        """What was spent, what left, and what stays.

        Raises:
            DataError, LedgerError: what was written of it cannot be read.
        """
        owner, invitation = self.home.owner, self.home.invitation
        sent = self.home.sent() if self.home.ledger_file.exists() else []
        seen = {"plain" if not each.noise_multiplier else _maker(each.release) for each in sent}
        return Privacy(
            epsilon=self._epsilon(owner.max_delta),
            cap=owner.max_epsilon,
            delta=owner.max_delta,
            federation="" if invitation is None else invitation.federation,
            updates=tuple(Update(utc(each.at), each.release, each.bytes, each.sha256) for each in reversed(sent)),
            seen=tuple(sorted(seen)),
            history=self.home.histories.page(self.user, 0, 1)[0],
            impressions=self.impressions.count(self.user),
            sentences=len(self.conversations.sentences(self.user)),
        )

    def _epsilon(self, delta: float) -> float | None:
        """The accountant takes a moment: asked again only when something was spent since."""
        if not self.home.ledger_file.exists():
            return 0.0
        stamp = (self.home.ledger_file.stat().st_mtime_ns, delta)
        if self._spent is None or self._spent[0] != stamp:
            spent = self.home.ledger.epsilon(delta)
            self._spent = (stamp, spent if np.isfinite(spent) else None)
        return self._spent[1]


def _maker(release: str) -> str:
    """Who made a release, from its id: the server, or the node itself."""
    return "server" if release.endswith("/server") else "node"
