"""The model in use: the newest that the device's federation sent, or a bundle that the person opened."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sottovoce.client.home import Home
from sottovoce.client.recommender import CATEGORIES, Recommender
from sottovoce.client.service.views import Item, Model
from sottovoce.common.domains import DOMAINS, Domain, domain_of
from sottovoce.common.errors import DataError, InputError, SottovoceError


class NoModelError(SottovoceError):
    """There is no model on this device yet, or none that can be read."""


class NotFoundError(InputError):
    """No such item, category or entry."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory, and where it came from."""

    recommender: Recommender
    folder: Path
    model: Model
    signed: bool

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories of the catalogue, sorted."""
        column = self.recommender.model.table.attributes.get(CATEGORIES)
        return () if column is None else tuple(sorted({name for parts in column.parts for name in parts}))

    @cached_property
    def domain(self) -> Domain:
        """What kind of catalogue it is; of one that this program does not know, the words that fit anything."""
        return DOMAINS.get(str(self.recommender.bundle.manifest.get("domain")), domain_of(None))

    @cached_property
    def average(self) -> float:
        """The score of an average item without a history: scores are told above it."""
        return float(self.recommender.model.index.b.mean(dtype=np.float64))

    def position(self, item_id: str) -> int:
        """The catalogue position of an item.

        Raises:
            NotFoundError: there is none of this id.
        """
        position = self.recommender.model.table.position.get(item_id)
        if position is None:
            raise NotFoundError("no such item in this model's catalogue")
        return position

    def named(self, place: int) -> tuple[str, str]:
        """Id and title of the item at a position."""
        table = self.recommender.model.table
        return table.ids[place], table.titles[place]

    def item(self, place: int) -> Item:
        """What is public of the item at a position."""
        attributes = self.recommender.model.table.attributes
        column = attributes.get(CATEGORIES)
        categories = () if column is None else column.parts[int(column.codes[place])]
        year = attributes["year"][place] if "year" in attributes else ""
        return Item(*self.named(place), year, categories)


class Models:
    """Follows the model: a new one is used from the next call on; one that cannot be read is told, and the last stays.

    Args:
        home: The device; its federation's models are verified when they arrive.
        bundle: A folder to be used instead.
    """

    def __init__(self, home: Home, bundle: Path | None = None) -> None:
        self._home = home
        self._bundle = bundle
        self._lock = threading.Lock()
        self._stamp: object = None
        self._loaded: Loaded | None = None
        self._problem = ""

    def current(self) -> Loaded:
        """The model in use.

        Raises:
            NoModelError: there is none.
        """
        with self._lock:
            self._follow()
            if self._loaded is None:
                raise NoModelError(self._problem or "there is no model on this device yet")
            return self._loaded

    def status(self) -> Model:
        """The model in use, or why there is none."""
        try:
            loaded = self.current()
        except NoModelError:
            return Model(present=False, problem=self._problem)
        return replace(loaded.model, problem=self._problem)

    def _follow(self) -> None:
        try:
            folder = self._folder()
            stamp = None if folder is None else (folder, (folder / "manifest.json").stat().st_mtime_ns)
        except (OSError, SottovoceError) as error:
            self._problem, self._stamp = _told(error), None
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if folder is None:
            return
        try:
            self._loaded, self._problem = self._load(folder), ""
        except (DataError, OSError, ValueError) as error:
            self._problem = _told(error)

    def _folder(self) -> Path | None:
        if self._bundle is not None:
            return self._bundle
        return self._home.bundles.current() if self._home.invitation is not None else None

    def _load(self, folder: Path) -> Loaded:
        recommender = Recommender.load(folder)
        digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        version = int(folder.name) if self._bundle is None else 0
        model = Model(True, digest, version, len(recommender.model.table))
        return Loaded(recommender, folder, model, signed=self._bundle is None)


def _told(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename}: no bundle here"
    return " ".join(str(error).split())
