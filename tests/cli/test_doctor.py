"""`sottovoce doctor`: what is missing is named, with what to do about it; only the slow test starts a runtime."""

from __future__ import annotations

import importlib.metadata
import re
import stat
import tomllib
from pathlib import Path

import pytest

from sottovoce.cli import doctor as module
from sottovoce.cli.doctor import EXTRAS, doctor, needed
from sottovoce.common.errors import EncoderError

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]


STARTS_RUNTIME = module._runtime


@pytest.fixture(autouse=True)
def healthy(monkeypatch: Patch, tmp_path: Path) -> None:
    """A machine on which all is well, however wide its screen."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(module, "_runtime", lambda: "started, and a node answered")
    monkeypatch.setattr(module, "_encoder", lambda: "fingerprint 0123456789abcdef")
    monkeypatch.setattr(importlib.metadata, "version", lambda package: f"1.2.3-{len(package)}")


def test_where_all_is_there_it_says_so(capsys: Capture, tmp_path: Path) -> None:
    assert doctor() == 0
    shown = capsys.readouterr().out
    for text in ("all is there", "fingerprint 0123456789abcdef", str(tmp_path / "cache"), "torch 1.2.3-5"):
        assert text in shown
    assert "pip install" not in shown


def test_what_is_needed_is_what_the_package_asks_for() -> None:
    asked = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = asked["optional-dependencies"]
    assert set(EXTRAS.values()) == set(extras) - {"dev"} | {""}
    for extra in EXTRAS.values():
        texts = extras[extra] if extra else asked["dependencies"]
        names = {re.split("[^a-z0-9-]", text)[0] for text in texts} - {"sottovoce"}
        assert needed(extra) == names | ({"ray"} if extra == "simulation" else set())


@pytest.mark.parametrize("use", EXTRAS)
def test_a_missing_package_is_named_with_its_extra(capsys: Capture, monkeypatch: Patch, use: str) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    extra = EXTRAS[use]
    others = set().union(*(needed(other) for other in EXTRAS.values() if other != extra))
    absent = min(needed(extra) - others)

    def version(package: str) -> str:
        if package == absent:
            raise importlib.metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert doctor() == 2
    shown = capsys.readouterr().out
    assert f"pip install 'sottovoce{f'[{extra}]' if extra else ''}' (lacks {absent})" in shown
    assert "1 things need attention" in shown
    assert shown.count("pip install") == 1


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (EncoderError("encoder `minilm` is not installed: pip install it"), "encoder `minilm` is not installed"),
        (ImportError("No module named 'filelock'"), "ImportError: No module named 'filelock'"),
        (OSError("a node did not answer: boom"), "OSError: a node did not answer: boom"),
    ],
)
@pytest.mark.parametrize("look", ["_encoder", "_cache", "_runtime"])
def test_what_fails_is_a_finding_and_not_a_traceback(
    capsys: Capture, monkeypatch: Patch, look: str, error: Exception, advice: str
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(module, look, fail)
    assert doctor() == 2
    shown = capsys.readouterr().out
    assert advice in shown
    assert "Traceback" not in shown


def test_a_cache_that_cannot_be_written_is_found(capsys: Capture, monkeypatch: Patch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "file" / "cache"))
    assert doctor() == 2
    assert "NotADirectoryError" in capsys.readouterr().out


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    doctor()
    assert list((tmp_path / "cache").iterdir()) == []
    assert stat.S_ISDIR((tmp_path / "cache").stat().st_mode)


@pytest.mark.slow
def test_a_real_runtime_starts_and_a_node_answers() -> None:
    assert STARTS_RUNTIME() == "started, and a node answered"
