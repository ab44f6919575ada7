from __future__ import annotations

import io
import zipfile

import pytest

from sottovoce.common.app_bundle import app_bundle, check_app_bundle
from sottovoce.common.errors import RequestRefusedError


def repacked(change: dict[str, bytes], drop: tuple[str, ...] = ()) -> bytes:
    """Our bundle with other files."""
    with zipfile.ZipFile(io.BytesIO(app_bundle())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, **change}.items():
            if name not in drop:
                archive.writestr(name, content)
    return buffer.getvalue()


def project(**app: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(app_bundle())) as archive:
        text = archive.read("pyproject.toml").decode()
    for old, new in app.items():
        text = text.replace(f"sottovoce.{old}.app:app", new)
    return text.encode()


def test_our_own_app_is_taken() -> None:
    check_app_bundle(app_bundle())
    check_app_bundle(repacked({}))


@pytest.mark.parametrize(
    "content",
    [
        repacked({"sottovoce/client/app.py": b"import os"}),
        repacked({"evil.pth": b"import os"}),
        repacked({}, drop=(".info/CONTENT",)),
        repacked({"pyproject.toml": project(client="os:system")}),
        repacked({"pyproject.toml": project(server="other.server:app")}),
        repacked({"pyproject.toml": project().replace(b"dependencies = []", b'dependencies = ["evil"]')}),
        repacked({"pyproject.toml": b"[project]\n"}),
        repacked({"pyproject.toml": b"\xff"}),
        repacked({"pyproject.toml": b"#" * 10_000_000}),
        b"",
        b"PK\x03\x04",
        b"\x00" * 20_000,
    ],
)
def test_an_app_that_brings_or_names_other_code_is_refused(content: bytes) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        check_app_bundle(content)
    assert "\n" not in str(caught.value)
