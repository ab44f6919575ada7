"""Every request passes here first: who asks, how much they send, and the headers that every answer carries."""

from __future__ import annotations

import contextlib
import json
from http.cookies import CookieError, SimpleCookie

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sottovoce.client.service.access import SECURITY_HEADERS, Access, Refusal
from sottovoce.common.peer import is_foreign

MAX_BODY_BYTES = 16_384
"""A request's body is at most this long: the longest wish with its settings is a fraction of it."""


class Guard:
    """Wraps the application: what is refused never reaches it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # no websockets here
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        body = b""
        while refusal is None:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES or int(headers.get("content-length") or 0) > MAX_BODY_BYTES:
                refusal = Refusal(413, f"too long: at most {MAX_BODY_BYTES} bytes")
            elif not message.get("more_body", False):
                break
        if refusal is not None:
            return await refuse(refusal, send)
        with contextlib.suppress(Exception):  # answered and logged by its kind alone: uvicorn would log what it says
            await self._app(scope, _replayed(body, receive), _with_headers(send))
        return None

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Refusal | None:
        refusal = self._access.foreign(headers)
        if refusal is None and is_foreign(scope["client"], scope["server"]):
            refusal = Refusal(403, "another user of this machine may not speak to this service")
        if refusal is None and not (headers.get("content-length") or "0").isdigit():
            refusal = Refusal(400, "content-length is not a number")
        if refusal is not None or _brings_token(scope):
            return refusal
        reads_page = scope["method"] == "GET" and not scope["path"].startswith("/api/")
        return self._access.unknown(headers, _cookies(headers), reads_page)


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer with a status and one line."""
    codes = {401: "unauthorized", 403: "stale_page", 413: "too_large"}
    said = {"code": codes.get(refusal.status, "refused"), "message": refusal.reason}
    headers = {**SECURITY_HEADERS, "content-type": "application/json", "connection": "close"}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def _brings_token(scope: Scope) -> bool:
    """The first visit: the route itself looks at the token, and answers with a cookie or a refusal."""
    return bool(scope["method"] == "GET" and scope["path"] == "/" and scope["query_string"].startswith(b"token="))


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, and then what the connection says."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    encoded = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *encoded]}
        await send(message)

    return sending
