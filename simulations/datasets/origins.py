"""Where a public data set can be had, and how to tell that it came whole."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import httpx

from sottovoce.common.errors import DataError
from sottovoce.common.wheels import from_wheel, sha256_of

MAX_BYTES = 50_000_000
__all__ = ["Archive", "CountedFile", "Download", "Origin", "Part", "from_wheel", "sha256_of", "stream"]

SUMS = "SHA256SUMS"
"""The file of a folder that says what came; its lines are those of `sha256sum`."""


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


@dataclass(frozen=True)
class Part:
    """One file to download: a zip of which some files are taken, or a file that is kept as it is.

    Attributes:
        url: Where it lies.
        folder: Where its files go within the data set's folder.
        members: Names of the files to take from a zip, wherever they stand in it; none for a file that is no zip.
        md5: As its makers publish it; nothing where they do not.
    """

    url: str
    folder: str = "."
    members: tuple[str, ...] = ()
    md5: str | None = None

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Download:
    """Files whose SHA-256 their makers do not publish: the sums that they had when they came are kept beside them.

    Attributes:
        label: What to call it.
        parts: What to download.
        by_hand: Files that a person has downloaded, by their names; they are taken in place of a download.
        read: Reads the files once before they count as the data set; raises `DataError` where they are something else.
        limit: Bytes that one file, packed or unpacked, may have.
    """

    label: str
    parts: tuple[Part, ...]
    read: Callable[[Path], object]
    by_hand: Mapping[str, Path] = field(default_factory=dict)
    limit: int = 1_000_000_000

    def deliver(self, folder: Path) -> None:
        """Download, check what can be checked, unpack, read, and write down the sums."""
        with TemporaryDirectory(dir=folder.parent) as temporary:
            for part in self.parts:
                target = folder / part.folder
                target.mkdir(parents=True, exist_ok=True)
                source = self.by_hand.get(part.name) or stream(part.url, Path(temporary) / part.name, self.limit)
                self._check(part, source)
                if part.members:
                    self._unpack(part, source, target)
                else:
                    shutil.copyfile(source, target / part.name)
        self._try(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
        (folder / SUMS).write_text("".join(lines), encoding="utf-8")

    def is_whole(self, folder: Path) -> bool:
        """Whether every file still has the sum that it had when it came."""
        try:
            lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
            pairs = [line.split("  ", 1) for line in lines]
            return bool(pairs) and all(sha256_of(folder / name) == digest for digest, name in pairs)
        except (OSError, ValueError):
            return False

    def _try(self, folder: Path) -> None:
        try:
            self.read(folder)
        except DataError as error:
            raise OSError(str(error).replace(f"{folder}/", "")) from error

    def _check(self, part: Part, source: Path) -> None:
        if part.md5 is None:
            return
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()  # as published; it tells damage, not malice
        if found != part.md5:
            raise OSError(f"{part.name} has MD5 {found}, published is {part.md5}")

    def _unpack(self, part: Part, source: Path, target: Path) -> None:
        with zipfile.ZipFile(source) as packed:
            there = {Path(info.filename).name: info for info in packed.infolist() if not info.is_dir()}
            for member in part.members:
                if member not in there:
                    raise OSError(f"{part.name} holds no {member}")
                if there[member].file_size > self.limit:
                    raise OSError(f"{member} in {part.name} has more than {self.limit} bytes")
                with packed.open(there[member]) as inside, (target / member).open("wb") as file:
                    shutil.copyfileobj(inside, file)


def stream(url: str, path: Path, limit: int | None = None) -> Path:
    """Download `url` into the file `path`, up to a limit in bytes, `MAX_BYTES` by default.

    Raises:
        OSError: it is larger.
        httpx.HTTPError: it cannot be had.
    """
    limit = MAX_BYTES if limit is None else limit
    with httpx.stream("GET", url, timeout=httpx.Timeout(30, connect=10), follow_redirects=True) as answer:
        answer.raise_for_status()
        with path.open("wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                if file.tell() > limit:
                    raise OSError(f"it sends more than {limit} bytes")
    return path
