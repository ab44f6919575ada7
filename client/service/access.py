"""Who may speak to the service: the person who started it, from a browser page or a program that they gave the token.

The guarantee: no request is answered from, or changes, anything private unless

1. it comes from this machine (the service listens on 127.0.0.1) and, where the system tells, from a process of the user
   who started the service;
2. its Host is one of ours, so that a foreign name that was made to resolve to 127.0.0.1 (DNS rebinding) is refused;
3. its Origin and Sec-Fetch-Site, where a browser sends them, are ours, so that no other site's page can read or change
   anything;
4. it carries the token (`Authorization: Bearer …`), or a browser's session cookie; beside the cookie every request but
   the reading of the page itself also carries the page's own secret (CSRF), which only a page of ours can read.

Token, cookie and secret are drawn afresh at each start; none of them is logged, or stored with a history.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

CSRF_HEADER = "x-sottovoce-page"

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: HTTP status.
        reason: One line for a person.
    """

    status: int
    reason: str


@dataclass(frozen=True)
class Access:
    """The rules, and the secrets of one run of the service.

    Attributes:
        port: Where the page is served.
        token: What `client serve` prints.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        if len(self.token) < 20:
            raise ValueError("a token of at least 20 characters is expected")

    @property
    def hosts(self) -> frozenset[str]:
        """The Host headers that are ours."""
        return frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    @property
    def cookie_name(self) -> str:
        """Of this port alone: a browser sends a cookie to every port of a host, so that two pages would share it."""
        return f"sottovoce-{self.port}"

    @property
    def session(self) -> str:
        """What the cookie of a browser holds; the token cannot be found from it."""
        return self._derived("session")

    @property
    def page_secret(self) -> str:
        """What a page of ours sends with each request beside its cookie."""
        return self._derived("page")

    @property
    def cookie(self) -> str:
        """The value of `Set-Cookie`: for this session of the browser, and out of reach for scripts and other sites."""
        return f"{self.cookie_name}={self.session}; Path=/; HttpOnly; SameSite=Strict"

    def admits(self, token: str) -> bool:
        """Whether `token` is ours, in constant time."""
        return _equal(token, self.token)

    def foreign(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuses what was not meant for us, or comes from another page, before any secret is looked at."""
        host = headers.get("host", "")
        if host not in self.hosts:
            return Refusal(421, "this service answers to 127.0.0.1 and localhost only")
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return Refusal(403, "another site may not speak to this service")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Refusal(403, "another site may not speak to this service")
        return None

    def unknown(self, headers: Mapping[str, str], cookies: Mapping[str, str], reads_page: bool) -> Refusal | None:
        """Refuses who carries neither the token nor a cookie with the page's secret.

        Args:
            headers: Of the request, names in lower case.
            cookies: Of the request.
            reads_page: Whether the page or a file of it is read: a browser sends no header of ours then.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.admits(token):
            return None
        if not _equal(cookies.get(self.cookie_name, ""), self.session):
            return Refusal(401, "open the address that `sottovoce client serve` printed: it carries the token")
        if not reads_page and not _equal(headers.get(CSRF_HEADER, ""), self.page_secret):
            return Refusal(403, "load the page again: this request does not come from it")
        return None

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), f"sottovoce {purpose}".encode(), hashlib.sha256).hexdigest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
