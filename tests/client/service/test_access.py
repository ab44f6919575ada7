"""Who may speak to the service: nobody without the token, no other site, host or user."""

from __future__ import annotations

import pytest

from sottovoce.client.service.access import CSRF_HEADER, SECURITY_HEADERS, Access

ACCESS = Access(8765, "a-token-of-more-than-twenty-letters")
HOST = {"host": "127.0.0.1:8765"}
BEARER = {"authorization": f"Bearer {ACCESS.token}"}
COOKIES = {ACCESS.cookie_name: ACCESS.session}
PAGE = {CSRF_HEADER: ACCESS.page_secret}


@pytest.mark.parametrize(
    "headers",
    [
        HOST,
        {"host": "localhost:8765"},
        {**HOST, "origin": "http://127.0.0.1:8765"},
        {**HOST, "sec-fetch-site": "same-origin"},
        {**HOST, "sec-fetch-site": "none"},
    ],
)
def test_what_is_ours_is_let_in(headers: dict[str, str]) -> None:
    assert ACCESS.foreign(headers) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 421),
        ({"host": "evil.example:8765"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "127.0.0.1:80"}, 421),
        ({"host": "127.0.0.1:8765.evil.example"}, 421),
        ({"host": "0.0.0.0:8765"}, 421),
        ({**HOST, "origin": "http://evil.example"}, 403),
        ({**HOST, "origin": "null"}, 403),
        ({**HOST, "origin": "https://127.0.0.1:8765"}, 403),
        ({**HOST, "origin": "http://127.0.0.1:9999"}, 403),
        ({**HOST, "origin": "http://localhost:8765"}, 403),
        ({**HOST, "sec-fetch-site": "cross-site"}, 403),
        ({**HOST, "sec-fetch-site": "same-site"}, 403),
    ],
)
def test_other_hosts_and_origins_are_refused(headers: dict[str, str], status: int) -> None:
    refusal = ACCESS.foreign(headers)
    assert refusal is not None and refusal.status == status


@pytest.mark.parametrize(
    ("headers", "cookies", "reads_page", "status"),
    [
        (BEARER, {}, False, None),
        ({"authorization": f"bearer {ACCESS.token}"}, {}, False, None),
        (PAGE, COOKIES, False, None),
        ({}, COOKIES, True, None),
        ({}, {}, True, 401),
        ({}, {}, False, 401),
        (PAGE, {}, False, 401),
        ({}, COOKIES, False, 403),
        ({CSRF_HEADER: "wrong"}, COOKIES, False, 403),
        ({"authorization": "Bearer wrong"}, {}, False, 401),
        ({"authorization": f"Basic {ACCESS.token}"}, {}, False, 401),
        ({"authorization": "Bearer "}, {}, False, 401),
        ({}, {ACCESS.cookie_name: ACCESS.token}, True, 401),
        ({"authorization": "Bearer ünïcode"}, {}, False, 401),
    ],
)
def test_only_the_token_or_a_session_of_it_is_known(
    headers: dict[str, str], cookies: dict[str, str], reads_page: bool, status: int | None
) -> None:
    refusal = ACCESS.unknown(headers, cookies, reads_page)
    assert (None if refusal is None else refusal.status) == status


def test_secrets_are_fresh_and_never_shown() -> None:
    one, other = Access(1), Access(1)
    assert len({one.token, other.token, one.session, other.session, one.page_secret, other.page_secret}) == 6
    assert one.token not in repr(one)
    assert all(flag in one.cookie for flag in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert one.token not in one.cookie
    with pytest.raises(ValueError, match="20"):
        Access(1, "short")


def test_the_page_may_load_nothing_from_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in SECURITY_HEADERS["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
