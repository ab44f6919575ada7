"""What somebody may cost the server before a word was understood: seconds, bytes, and a share of all connections.

A stranger has no key, so nothing of the gate holds before a request's head is there. Uvicorn by itself waits for ever
for the first one, and its faster parser takes a head of any length.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.h11_impl import H11Protocol

HANDSHAKE_S = 10.0
"""For a connection to be encrypted."""
HEAD_S = 10.0
"""For the head of a request, from the connection or the head's first byte on; h11 takes 16 KiB of it."""
SHARE = 4
"""One address may hold a quarter of the connections that there may be: room for a hundred nodes behind it."""


class Door(socket.socket):
    """A listening socket that hangs up at once on who comes above `most` connections, or an address's share of them.

    A connection that is not encrypted yet costs a buffer of 256 KiB, and no protocol knows of it.
    """

    def __init__(self, listening: socket.socket, most: int) -> None:
        super().__init__(fileno=listening.detach())
        self._most = most
        self._held: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            ConnectionAbortedError: it was one too many, which asyncio passes over.
        """
        connection, address = super().accept()
        held = [host for each, host in self._held.items() if each.fileno() >= 0]
        if len(held) >= self._most or held.count(address[0]) >= self._most // SHARE:
            connection.close()
            raise ConnectionAbortedError
        self._held[connection] = address[0]
        return connection, address


class Connection(H11Protocol):
    """A connection that is closed when no head of a request comes in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its base has it
        """Wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what comes; of a connection that is being closed, nothing more."""
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        """Serve the request that is there, if one is, and else wait for it no longer than it may take."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()
        elif self._deadline is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget_deadline()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers wait for a handshake no longer than it may take."""

    async def create_server(self, *given: Any, **options: Any) -> asyncio.Server:  # noqa: ANN401
        """As asyncio's own."""
        if options.get("ssl") is not None:
            options = {"ssl_handshake_timeout": HANDSHAKE_S, **options}
        return await super().create_server(*given, **options)
