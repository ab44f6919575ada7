from __future__ import annotations

import pytest

from sottovoce.client.service import guard
from sottovoce.common.peer import Address, is_foreign


@pytest.fixture(autouse=True)
def known_test_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starlette's test client calls without a connection, so that no system could list whose it is."""

    def foreign(peer: Address, ours: Address) -> bool:
        return peer[0] != "testclient" and is_foreign(peer, ours)

    monkeypatch.setattr(guard, "is_foreign", foreign)
