"""A published model: what a device needs to recommend, in one folder, with a manifest that names every byte.

head.safetensors     popularity prior and trained parts
items.safetensors    item vectors and the map for new texts
catalogue.json       ids, titles, texts, attributes
MODEL_CARD.md        what the model is, what it cost in privacy, what it is not
manifest.json        version, shape, privacy, sha256 of each file above
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.common.scoring import Blocks, FloatArray, Head, HeadShape, ScoringModel, load_arrays, save_arrays

SCHEMA = 1
FILES = ("head.safetensors", "items.safetensors", "catalogue.json", "MODEL_CARD.md")


@dataclass(frozen=True)
class Bundle:
    """A published model in memory.

    Attributes:
        catalogue: What can be recommended.
        model: Item vectors and head.
        manifest: Public facts: `privacy`, `run`, `state`, hashes.
    """

    catalogue: Catalogue
    model: ScoringModel
    manifest: Mapping[str, Any]


def write_bundle(
    folder: Path, catalogue: Catalogue, items_file: Path, head: Head, card: str, facts: dict[str, Any]
) -> None:
    """Write a bundle as a whole, or leave the previous one in its place.

    Args:
        folder: Where.
        catalogue: What can be recommended.
        items_file: An item space as saved; copied byte for byte.
        head: The model.
        card: The model card, in Markdown.
        facts: What else the manifest says.
    """
    unfinished = folder.with_name(folder.name + ".part")
    _remove(unfinished)
    unfinished.mkdir(parents=True)
    save_arrays(unfinished / "head.safetensors", cast(dict[str, Any], {"b": head.b, **head.parameters}))
    (unfinished / "items.safetensors").write_bytes(items_file.read_bytes())
    catalogue.save(unfinished / "catalogue.json")
    (unfinished / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    hashes = {name: hashlib.sha256((unfinished / name).read_bytes()).hexdigest() for name in FILES}
    manifest = {"schema": SCHEMA, "shape": asdict(head.shape), **facts, "sha256": hashes}
    manifest["manifest_sha256"] = _digest(manifest)
    (unfinished / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    _put_in_place(unfinished, folder)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle, and check every file against the manifest.

    Raises:
        DataError: a file is missing, damaged, or not the one that the manifest names.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise DataError(path, f"a bundle of version {manifest['schema']}, this program reads {SCHEMA}")
        if manifest.pop("manifest_sha256") != _digest(manifest):
            raise DataError(path, "not a bundle's manifest: it was changed after it was written")
        shape, hashes = HeadShape(**manifest["shape"]), {name: str(manifest["sha256"][name]) for name in FILES}
    except FileNotFoundError as error:
        raise DataError(folder, "no bundle here") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise DataError(path, f"not a bundle's manifest: {error}") from error
    for name, digest in hashes.items():
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise DataError(folder / name, "missing, or not the file that the manifest names")
    catalogue = Catalogue.load(folder / "catalogue.json")
    items = cast(dict[str, FloatArray], load_arrays(folder / "items.safetensors"))
    parts = cast(dict[str, FloatArray], load_arrays(folder / "head.safetensors"))
    expected = {"b": (shape.items,), **shape.trained}
    if {name: part.shape for name, part in parts.items()} != expected or len(catalogue) != shape.items:
        raise DataError(folder, "its parts do not fit together")
    if "vectors" not in items or items["vectors"].shape != (shape.items, shape.dimension):
        raise DataError(folder, "its item vectors do not fit its head")
    head = Head(shape, parts.pop("b"), parts)
    return Bundle(catalogue, ScoringModel(items["vectors"], head, _blocks(folder, manifest, items)), manifest)


def _blocks(folder: Path, manifest: Mapping[str, Any], items: Mapping[str, FloatArray]) -> Blocks | None:
    """What the item vectors are made of, where the manifest says so."""
    if "blocks" not in manifest:
        return None
    try:
        return Blocks(tuple((str(name), int(size)) for name, size in manifest["blocks"]), items["rotation"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(folder, f"its parts do not fit together: {error}") from error


def _put_in_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; if that fails, what was there before is there again."""
    previous = folder.with_name(folder.name + ".old")
    _remove(previous)
    if folder.exists():
        folder.rename(previous)
    try:
        new.rename(folder)
    except OSError:
        if previous.exists():
            previous.rename(folder)
        raise
    _remove(previous)


def _digest(manifest: dict[str, Any]) -> str:
    """sha256 over everything that a manifest says."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
