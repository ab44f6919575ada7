"""What becomes of an error: one line on stderr, the exit code of its kind, and a traceback only on request."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from sottovoce.cli import budget as budget_module
from sottovoce.cli import main as module
from sottovoce.common import errors

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def left_with(monkeypatch: Patch, *arguments: str) -> int:
    """Run the command line in this process; the status it leaves with."""
    monkeypatch.setattr(sys, "argv", ["sottovoce", *arguments])
    with pytest.raises(SystemExit) as left:
        module.run()
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("budget", "--release", "noise=x"),
        ("budget", "--release", "noise=1\nrate=2"),
        ("budget", "--release", "noise=1", "--delta", "2"),
        ("budget", "--release", "noise=1", "--epsilon", "nan"),
        ("budget", "--release", "noise=1", "--delta", "many"),
        ("budget", "--release", "noise=1", "--nonsense"),
        ("budget",),
        ("nonsense",),
        ("evaluate",),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_exits_with_2(
    capsys: Capture, monkeypatch: Patch, arguments: tuple[str, ...]
) -> None:
    assert left_with(monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith("sottovoce: ")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError("seed", -1, "0 or more"), 2),
        (errors.DataError("u.data", "broken", 3), 2),
        (errors.EncoderError("cannot be had"), 2),
        (errors.BudgetSpentError("would pass the budget"), 3),
        (errors.FederationError("too few nodes"), 4),
        (errors.LedgerError("another plan"), 4),
        (ImportError("No module named 'flwr'"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "results.json"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (OSError(errno.EBADF, "Bad file descriptor"), 1),
        (RuntimeError("a defect"), 1),
        (KeyError("a defect"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_kind_of_error_has_its_exit_code(
    capsys: Capture, monkeypatch: Patch, error: BaseException, status: int
) -> None:
    def fail(*_: object) -> float:
        raise error

    monkeypatch.setattr("sottovoce.common.privacy.accounting.epsilon", fail)
    assert left_with(monkeypatch, "budget", "--release", "noise=1") == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (0 if isinstance(error, KeyboardInterrupt) else 1)
    if isinstance(error, errors.SottovoceError):
        assert lines == [f"sottovoce: {error}"]
    if isinstance(error, OSError) and status == 2:
        assert lines == [f"sottovoce: {error.filename or 'the disk'}: {error.strerror}"]
    if status == 1:
        assert lines[0].startswith(f"sottovoce: a defect of ours: {type(error).__name__}")


def test_an_error_of_several_lines_is_told_in_one(capsys: Capture, monkeypatch: Patch) -> None:
    """What a library says of a text model or a TOML file may run over many lines."""

    def fail(*_: object) -> float:
        raise errors.EncoderError("folder: cannot be loaded:\nfirst\n  second\n")

    monkeypatch.setattr(budget_module, "_release", fail)
    assert left_with(monkeypatch, "budget", "--release", "noise=1") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_verb_that_went_well_exits_with_0(capsys: Capture, monkeypatch: Patch) -> None:
    assert left_with(monkeypatch, "budget", "--release", "noise=1") == 0
    assert capsys.readouterr().err == ""


def test_help_names_every_verb(capsys: Capture, monkeypatch: Patch) -> None:
    assert left_with(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in ("simulate", "prepare", "evaluate", "budget", "doctor", "data"))


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sottovoce.cli.main import run; run()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_itself_says_one_line() -> None:
    done = shell("budget", "--release", "noise=x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sottovoce: --release = 'noise=x': expected noise=σ,rate=q,count=T[,name=…]\n"


def test_debug_shows_the_traceback_and_keeps_the_exit_code() -> None:
    done = shell("--debug", "budget", "--release", "noise=x")
    assert "Traceback" in done.stderr
    assert "ConfigError: --release = 'noise=x'" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    "arguments", [("evaluate", "/nonexistent/run"), ("simulate", "--resume", "--out", "/nonexistent/run")]
)
def test_a_folder_that_is_no_run_is_refused(capsys: Capture, monkeypatch: Patch, arguments: tuple[str, ...]) -> None:
    assert left_with(monkeypatch, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "sottovoce: /nonexistent/run: not a run folder: make one with `sottovoce simulate` or `sottovoce prepare`"
    ]


@pytest.mark.parametrize(
    ("option", "value"), [("--epsilon", "1"), ("--trust", "node"), ("--set", "train.rounds=3"), ("--data", "ml-100k")]
)
def test_what_a_resumed_run_would_ignore_is_refused(
    capsys: Capture, monkeypatch: Patch, option: str, value: str
) -> None:
    """Even a value that is the default: who types it means it."""
    assert left_with(monkeypatch, "simulate", "--resume", "--out", "/nonexistent/run", option, value) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sottovoce: {option} = ")
    assert line.endswith("expected nothing beside --resume, which keeps the settings of its run")


@pytest.mark.parametrize("arguments", [(), ("data",)], ids=str)
def test_without_a_verb_there_is_help_and_nothing_else(
    capsys: Capture, monkeypatch: Patch, arguments: tuple[str, ...]
) -> None:
    left_with(monkeypatch, *arguments)
    said = capsys.readouterr()
    assert "Usage: " in said.out
    assert said.err == ""
