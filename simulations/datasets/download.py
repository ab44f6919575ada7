"""Fetch MovieLens-100K: checked by SHA-256, cached for the user, never shipped with this project.

A cached folder is moved into place whole, and its files are checked whenever it is asked for: half a download, or one
that was damaged since, is fetched anew.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from sottovoce.common.cache import cache_folder
from sottovoce.common.errors import ConfigError, DataError

NAMES = ("ml-100k",)
TERMS = (
    "MovieLens 100K, by GroupLens at the University of Minnesota (https://grouplens.org/datasets/movielens/100k/).",
    "Terms: for research; not to be passed on or used commercially without GroupLens' permission; no endorsement may",
    "be implied; publications cite F. M. Harper and J. A. Konstan (2015), The MovieLens Datasets, ACM TiiS 5(4).",
)
MAX_BYTES = 50_000_000
_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_WHEEL = "recbole==1.2.1"
_LOCK_SECONDS = 600


@dataclass(frozen=True)
class Origin:
    """One place where a data set can be had.

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


def fetch(name: str, say: Callable[[str], None]) -> Path:
    """The folder of a data set, downloaded if it is not cached.

    Args:
        name: One of `NAMES`.
        say: Is told the terms of use, and where the data came from, a line at a time.

    Raises:
        ConfigError: no data set of this name can be fetched.
        DataError: no place has it, or the cache cannot be written.
    """
    if name not in NAMES:
        raise ConfigError("data", name, f"a data set that can be fetched: {', '.join(NAMES)}")
    for line in TERMS:
        say(line)
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock", timeout=_LOCK_SECONDS):
            return cached(name) or _download(name, cache, say)
    except Timeout as error:
        raise DataError(cache / name, f"another process has been fetching it for {_LOCK_SECONDS} s") from error
    except OSError as error:
        raise DataError(cache, f"the cache cannot be written: {error.strerror or error}") from error


def cached(name: str) -> Path | None:
    """The folder of a data set, if it is cached and whole."""
    folder = cache_folder() / name
    whole = any(_matches(folder, origin.members) for origin in ORIGINS)
    return folder if whole else None


def _download(name: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Try one origin after the other; the folder appears under its name only when it is whole."""
    failures = []
    for origin in ORIGINS:
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as temporary:
            try:
                folder = _unpack(origin, origin.obtain(Path(temporary)), Path(temporary) / name)
            except (OSError, httpx.HTTPError, zipfile.BadZipFile, KeyError) as error:
                failures.append(f"{origin.label}: {_one_line(error)}")
                say(f"Not from {failures[-1]}")
                continue
            shutil.rmtree(cache / name, ignore_errors=True)
            folder.replace(cache / name)
        say(f"Fetched {name} from {origin.label} into {cache / name}")
        return cache / name
    why = "; ".join(failures)
    raise DataError(cache / name, f"cannot be fetched ({why}); get it from {_URL}, unpack it and name its folder")


def _unpack(origin: Origin, archive: Path, folder: Path) -> Path:
    found = _sha256(archive)
    if found != origin.sha256:
        raise OSError(f"its archive has SHA-256 {found[:12]}…, not {origin.sha256[:12]}…")
    folder.mkdir()
    with zipfile.ZipFile(archive) as packed:
        for member in origin.members:
            (folder / member).write_bytes(packed.read(f"{origin.prefix}/{member}"))
    if not _matches(folder, origin.members):
        raise OSError("a file in its archive has another SHA-256")
    return folder


def _from_grouplens(folder: Path) -> Path:
    archive = folder / "ml-100k.zip"
    with httpx.stream("GET", _URL, timeout=httpx.Timeout(30, connect=10), follow_redirects=True) as answer:
        answer.raise_for_status()
        with archive.open("wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                if file.tell() > MAX_BYTES:
                    raise OSError(f"it sends more than {MAX_BYTES} bytes")
    return archive


def _from_wheel(folder: Path) -> Path:
    """Let pip download one wheel, so that its index, proxy and certificates are those that the user has set."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(  # noqa: S603 (constant arguments)
            [*pip, "--dest", str(folder), _WHEEL], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("pip download took longer than 300 s") from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(f"pip download {_WHEEL} failed ({told[-1] if told else done.returncode})")
    return wheel


def _matches(folder: Path, members: Mapping[str, str]) -> bool:
    try:
        return all(_sha256(folder / member) == sha256 for member, sha256 in members.items())
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


ORIGINS = (
    Origin(
        label="GroupLens",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        obtain=_from_grouplens,
        prefix="ml-100k",
        members={
            "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
            "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
        },
    ),
    Origin(
        label="the recbole 1.2.1 wheel",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        obtain=_from_wheel,
        prefix="recbole/dataset_example/ml-100k",
        members={
            "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        },
    ),
)
