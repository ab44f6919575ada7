"""A device for tests: a small model with titles from everywhere, a home, and the service over both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvicorn

from sottovoce.client.home import Home
from sottovoce.client.language.cards import CardTexts
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.piece import Piece
from sottovoce.client.service.access import Access
from sottovoce.client.service.device import Device
from sottovoce.client.service.models import Models
from sottovoce.client.service.page import make_page
from sottovoce.client.service.serve import address_file
from sottovoce.client.service.texts import Texts
from sottovoce.common.bundle import write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.scoring import Head, HeadShape, save_arrays
from sottovoce.common.vectors import unit_rows

ITEMS, DIMENSION, USER = 60, 12, "owner"
CATEGORIES = ("Comedy", "Drama", "Horror", "Sci-Fi")
TITLES = {
    0: "Space Ghosts (1994)",
    1: "🎬 Émoji & <b>Bold</b> (1995)",
    2: "رحلة إلى القمر (1996)",
    3: "太空恐怖 (1997)",
}


def catalogue(items: int = ITEMS, said: str = "") -> Catalogue:
    """Titles in several scripts, two categories for every third item, and a year each; `said` ends every text."""
    titles = tuple(TITLES.get(row, f"Film {row} ({1990 + row % 10})") for row in range(items))
    names = [CATEGORIES[row % 4] + (f" | {CATEGORIES[(row + 1) % 4]}" if row % 3 == 0 else "") for row in range(items)]
    texts = tuple(f"{title} {name.replace(' | ', ' ')}{said}" for title, name in zip(titles, names, strict=True))
    years = tuple(title[-5:-1] for title in titles)
    ids = tuple(f"i{row}" for row in range(items))
    return Catalogue(ids, titles, texts, {"categories": tuple(names), "year": years})


def make_bundle(folder: Path, items: int = ITEMS, seed: int = 0, said: str = "", **facts: object) -> Path:
    """A published model over `catalogue(items, said)`, with some facts more in its manifest."""
    rng = np.random.default_rng(seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    vectors = unit_rows(rng.normal(size=(items, DIMENSION)).astype(np.float32))
    source = folder.with_name(folder.name + "-items.safetensors")
    save_arrays(source, {"vectors": vectors, "rotation": np.eye(DIMENSION, dtype=np.float32)})
    shape = HeadShape(items, DIMENSION, 2, 0, 4.0)
    b = np.sort(rng.normal(size=items).astype(np.float32))[::-1].copy()
    head = Head(shape, b, {"V": 0.1 * rng.normal(size=(items, 2)).astype(np.float32)})
    told = {"privacy": {"epsilon": 8.0, "delta": 1e-5, "trust": "server"}, **facts}
    write_bundle(folder, catalogue(items, said), source, head, "# Model card\n\n- **Limits** few.\n", told)
    source.unlink()
    return folder


def make_device(folder: Path, bundle: Path | None) -> Device:
    home = Home(folder / "home")
    return Device(home, Models(home, bundle), USER)


@dataclass
class Writes:
    """In the place of a language model: says the same of everything, in two pieces."""

    jobs: list[Job] = field(default_factory=list)

    def write(self, given: Given) -> Iterator[Piece]:
        self.jobs.append(given.job)
        yield Piece("It is")
        yield Piece(f"It is a {given.job}.", done=True)

    def close(self) -> None:
        """Nothing to end."""


def writing(device: Device, writer: Writes) -> Device:
    """The device with a writer."""
    device.texts.written.close()
    device.texts = Texts(device.texts.session, CardTexts(writer))
    return device


@contextmanager
def page_of(device: Device) -> Iterator[str]:
    """The page of a device in this process; its address with the token."""
    listening = socket.create_server(("127.0.0.1", 0))
    entrance = Access(listening.getsockname()[1])
    config = uvicorn.Config(make_page(device, entrance), log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{entrance.port}/?token={entrance.token}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def access() -> Access:
    return Access(8765, "a-token-of-more-than-twenty-letters")


@dataclass(frozen=True)
class Service:
    """A service in a process of its own."""

    page: str
    grpc: str
    token: str
    user: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        return self.page.partition("/?")[0]


@contextmanager
def service(home: Path, bundle: Path | None, *arguments: str, user: str = USER) -> Iterator[Service]:
    """`sottovoce client serve` on free ports, ended when the block is left."""
    given = [] if bundle is None else ["--bundle", str(bundle)]
    command = [
        sys.executable,
        "-c",
        "from sottovoce.cli.main import run; run()",
        "client",
        "serve",
        "--home",
        str(home),
    ]
    file = address_file(Home(home), user)
    before = file.read_bytes() if file.exists() else b""
    process = subprocess.Popen(
        [*command, *given, "--port", "0", "--grpc-port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "COLUMNS": "400", "SOTTOVOCE_WRITER": "none"},
    )  # fmt: skip
    try:
        yield Service(home=home, process=process, **_wait_for(file, process, before))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def _wait_for(path: Path, process: subprocess.Popen[str], before: bytes = b"") -> dict[str, str]:
    """What the process wrote into the file, in the place of what one that was killed had left there."""
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the service ended: {process.stdout.read() if process.stdout else ''}")
        try:
            written = path.read_bytes()
            if written != before:
                found: dict[str, str] = json.loads(written)
                return found
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.05)
    raise RuntimeError("the service did not start")
