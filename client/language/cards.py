"""Texts for cards: at once from a template, then by a model, where there is one and its text passes the check.

Asking never waits. Texts are kept in memory by the facts that they rest on, and by nothing else: `forget` drops them,
and so does the end of the service.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from sottovoce.client.language.given import Given
from sottovoce.client.language.models import DEFAULT, find_model
from sottovoce.client.language.piece import Piece
from sottovoce.client.language.template import template
from sottovoce.client.language.writer import Writer
from sottovoce.common.errors import DataError

MODEL_VARIABLE = "SOTTOVOCE_WRITER"
"""Names another model than the default: a file, a folder or a hub's id; `none` for no model."""
NEEDS = ("torch", "gguf", "tokenizers", "platformdirs")
KEPT, WAITING = 2_000, 64


class Writes(Protocol):
    """Somebody who writes texts."""

    def write(self, given: Given) -> Iterator[Piece]:
        """A text as it grows; the last piece is whole or refused."""

    def close(self) -> None:
        """End."""


def find_writer() -> Writer | None:
    """A writer by the model that the environment names, or by the one that was fetched; `None` if there is neither."""
    name = os.environ.get(MODEL_VARIABLE, DEFAULT)
    if name == "none" or any(find_spec(module) is None for module in NEEDS):
        return None
    try:
        return Writer(find_model(name))
    except DataError:
        if name != DEFAULT:
            raise
        return None


@dataclass(frozen=True)
class CardText:
    """What a card shows.

    Attributes:
        text: Checked, or from a template.
        by_model: Whether a model wrote it, or chose it of a longer text: the page says so.
        done: Whether it stays as it is.
    """

    text: str
    by_model: bool
    done: bool


class CardTexts:
    """The texts of one device.

    Args:
        writer: A model; `None`, if there is none: templates serve.
    """

    def __init__(self, writer: Writes | None) -> None:
        self._writer = writer
        self._texts: OrderedDict[str, CardText] = OrderedDict()
        self._waiting: OrderedDict[str, Given] = OrderedDict()
        self._changed = threading.Condition()
        self._ending = False
        self._age = 0
        self._thread = threading.Thread(target=self._write_on, name="card texts", daemon=True)
        if writer is not None:
            self._thread.start()

    @property
    def by_model(self) -> bool:
        """Whether there is a model that writes."""
        return self._writer is not None

    def ask(self, given: Given, soon: bool = False) -> CardText:
        """What there is for these facts now; a model's text is begun, if there is a model, `soon` before all others."""
        with self._changed:
            known = self._texts.get(given.key)
            if known is None:
                known = CardText(template(given), by_model=False, done=self._writer is None)
                self._keep(given.key, known)
            if not known.done and given.key not in self._waiting:
                self._waiting[given.key] = given
                if soon:
                    self._waiting.move_to_end(given.key, last=False)
                while len(self._waiting) > WAITING:
                    key, _ = self._waiting.popitem(last=soon)
                    self._texts.pop(key, None)
                self._changed.notify()
            return known

    def forget(self) -> None:
        """Drop every text, also one that is being written."""
        with self._changed:
            self._texts.clear()
            self._waiting.clear()
            self._age += 1

    def close(self) -> None:
        """End the writer."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._writer is not None:
            self._writer.close()

    def _keep(self, key: str, text: CardText) -> None:
        self._texts[key] = text
        self._texts.move_to_end(key)
        while len(self._texts) > KEPT:
            self._texts.popitem(last=False)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                if self._ending:
                    return
                key, given = next(iter(self._waiting.items()))
                age = self._age
            self._write(key, given, age)
            with self._changed:
                self._waiting.pop(key, None)

    def _write(self, key: str, given: Given, age: int) -> None:
        """Put each piece in the place of what stood there; a refused text leaves the template."""
        for piece in () if self._writer is None else self._writer.write(given):
            text = CardText(template(given) if piece.refused else piece.text, not piece.refused, piece.done)
            with self._changed:
                if self._ending or self._age != age:
                    return
                self._keep(key, text)
