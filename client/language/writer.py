"""A language model in a process of its own: it may be absent, slow or killed, and only a thread waits for it.

Whatever it says is checked again here, by the process that shows it.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sottovoce.client.language.check import faults, faults_so_far
from sottovoce.client.language.given import Given
from sottovoce.client.language.piece import Piece

START_S, PIECE_S, WHOLE_S = 180.0, 60.0, 180.0
"""How long to wait for the model to open, for the next words, and for a whole text: long, on a busy machine."""
AGAIN_S = 30.0
"""After a failure the process is not started again before this."""
LONGEST_LINE = 20_000

_ENDED = ""


@dataclass
class Writer:
    """One model.

    Args:
        model: A GGUF file or a model's folder.
        python: The interpreter that has torch.
    """

    model: Path
    python: str = sys.executable
    problem: str = field(default="", init=False)
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue, init=False)
    _failed_at: float = field(default=-AGAIN_S, init=False)

    def write(self, given: Given) -> Iterator[Piece]:
        """A text as it grows, each piece checked; the last one is whole, or says why there is none."""
        if not self._ready():
            yield Piece(refused=self.problem or "there is no writer", done=True)
            return
        deadline = time.monotonic() + WHOLE_S
        if self._process is None or self._process.stdin is None or not self._send(given):
            yield self._lost("the writer is gone")
            return
        while True:
            piece = self._next(min(PIECE_S, deadline - time.monotonic()))
            if piece is None:
                yield self._lost("the writer is too slow, or gone")
                return
            told = [] if piece.refused else (faults if piece.done else faults_so_far)(piece.text, given)
            if piece.done or not told:
                yield piece if not told else Piece(refused=told[0], done=True, tokens=piece.tokens)
            if piece.done:
                return

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def _ready(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        if time.monotonic() - self._failed_at < AGAIN_S:
            return False
        self.close()
        self._lines = queue.Queue()
        command = [self.python, "-m", "sottovoce.client.language.worker", str(self.model)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own module)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )  # fmt: skip
        except OSError as error:
            self._lost(f"the writer cannot be started: {error.strerror}")
            return False
        threading.Thread(target=_listen, args=(self._process, self._lines), daemon=True).start()
        told = self._line(START_S)
        if told is None or "ready" not in told:
            self._lost(str((told or {}).get("failed", "the writer did not start")))
            return False
        self.problem = ""
        return True

    def _send(self, given: Given) -> bool:
        try:
            self._process.stdin.write(given.json() + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):
            return False
        return True

    def _next(self, seconds: float) -> Piece | None:
        told = self._line(seconds)
        try:
            return None if told is None else Piece(**told)  # type: ignore[arg-type]
        except TypeError:
            return None

    def _line(self, seconds: float) -> dict[str, object] | None:
        try:
            line = self._lines.get(timeout=max(seconds, 0.0))
            told = json.loads(line) if line != _ENDED else None
        except (queue.Empty, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def _lost(self, why: str) -> Piece:
        self.problem, self._failed_at = why, time.monotonic()
        self.close()
        return Piece(refused=why, done=True)


def _listen(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Pass on what the process says; an empty line, when it has ended."""
    try:
        while line := process.stdout.readline(LONGEST_LINE):  # type: ignore[union-attr]
            lines.put(line)
    except (OSError, ValueError):
        pass
    lines.put(_ENDED)
