"""The public catalogue: what can be recommended, as an id and a text per item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sottovoce.common.errors import DataError


@dataclass(frozen=True)
class Catalogue:
    """Items in a fixed order; an item's position is its row in every item matrix.

    Attributes:
        ids: Unique item ids, as the data names them.
        titles: What a person reads in a list, one per item.
        texts: What the encoder reads, one per item; never empty.
        attributes: Public columns by name (for example `categories`, `year`), one string per item, possibly empty;
            several values in one string are separated by ` | `.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def position(self) -> dict[str, int]:
        """The row of each item id."""
        return {item: row for row, item in enumerate(self.ids)}

    @cached_property
    def sha256(self) -> str:
        """Names this catalogue: equal on two nodes exactly if every id, title, text and attribute is."""
        return hashlib.sha256(self._json().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the catalogue as one JSON file."""
        path.write_text(self._json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing or is not a catalogue.
        """
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            ids, titles, texts = (tuple(map(str, table[name])) for name in ("ids", "titles", "texts"))
            attributes = {str(name): tuple(map(str, values)) for name, values in table["attributes"].items()}
        except FileNotFoundError as error:
            raise DataError(path, "no catalogue here") from error
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
            raise DataError(path, f"not a catalogue: {error}") from error
        if len({len(column) for column in (ids, titles, texts, *attributes.values())}) != 1:
            raise DataError(path, "not a catalogue: its columns differ in length")
        if len(set(ids)) != len(ids):
            raise DataError(path, "not a catalogue: an item id stands in it twice")
        return cls(ids, titles, texts, attributes)

    def _json(self) -> str:
        table = {"ids": self.ids, "titles": self.titles, "texts": self.texts, "attributes": dict(self.attributes)}
        return json.dumps(table, ensure_ascii=False, sort_keys=True)
