"""A catalogue update: new items join a published model through their texts, and are recommended at once.

Nobody trains for it, and nothing is released: vectors come from the texts, popularity and corrections from what was
published before (`common.cold_start`). The next rounds of training know the new items like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sottovoce.common.bundle import Published, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.cold_start import with_new_items
from sottovoce.common.errors import DataError
from sottovoce.common.scoring import FloatArray, save_arrays
from sottovoce.common.vectors import ItemSpace

Encode = Callable[[Sequence[str]], FloatArray]


def extend_bundle(bundle: Published, card: str, space: ItemSpace, new: Catalogue, encode: Encode, out: Path) -> int:
    """Write `bundle` with `new` items behind its own; how many they are.

    Args:
        bundle: A published model.
        card: Its model card; a line on the new items is added.
        space: The item space that the model was trained in.
        new: The new items; such as the bundle has already are left out.
        encode: The encoder of `space`.
        out: The bundle to write.

    Raises:
        DataError: none of the items is new, or the space is another than the bundle's.
    """
    old = bundle.catalogue.catalogue()
    rows = [row for row, item in enumerate(new.ids) if item not in old.position]
    if not rows:
        raise DataError(out, "not written: the bundle has every one of these items already")
    if space.vectors.shape != (bundle.shape.items, bundle.shape.dimension):
        raise DataError(out, "not written: the item space is another than the one that the model was trained in")
    texts = [new.texts[row] for row in rows]
    vectors, added = bundle.model.vectors, space.project(texts, encode(texts))
    head = with_new_items(bundle.model.head, vectors, added)
    facts = {name: fact for name, fact in bundle.manifest.items() if name not in _WRITTEN}
    note = f"- **New items** {len(rows)} joined by their texts alone; nobody's history says anything of them yet.\n"
    with TemporaryDirectory() as folder:
        source = Path(folder) / "items.safetensors"
        save_arrays(source, {"vectors": np.concatenate([vectors, added])})
        write_bundle(out, _joined(old, new, rows), source, head, card.rstrip() + "\n" + note, facts, bundle.readers)
    return len(rows)


_WRITTEN = {"schema", "shape", "readers", "sha256", "manifest_sha256"}


def _joined(old: Catalogue, new: Catalogue, rows: Sequence[int]) -> Catalogue:
    def column(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
        return (*first, *(second[row] for row in rows))

    empty = ("",) * len(new)
    attributes: Mapping[str, tuple[str, ...]] = {
        name: column(values, new.attributes.get(name, empty)) for name, values in old.attributes.items()
    }
    return Catalogue(column(old.ids, new.ids), column(old.titles, new.titles), column(old.texts, new.texts), attributes)
