"""A published model: what a device needs to recommend, in one folder, with a manifest that names every byte.

head.safetensors     popularity prior and trained parts
items.safetensors    item vectors, quantised, and maps that bring a wish in words into their space
catalogue.json       ids, titles, texts, attributes
MODEL_CARD.md        what the model is, what it cost in privacy, what it is not
manifest.json        version, shape, privacy, sha256 of each file above
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.common.item_table import ItemTable
from sottovoce.common.mapped import MappedFile
from sottovoce.common.quantised import Quantised, to_integers
from sottovoce.common.readers import Reader
from sottovoce.common.scoring import (
    Blocks,
    FloatArray,
    Head,
    HeadShape,
    IntArray,
    ScoringModel,
    load_arrays,
    save_arrays,
)

SCHEMA = 2
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


@dataclass(frozen=True)
class Published:
    """A published model as it lies on the disk; its large arrays are views of memory-mapped files.

    Attributes:
        catalogue: What can be recommended.
        shape: Of the head.
        vectors: F, the item vectors with their correction.
        corrections: V as whole numbers, shape [I, r], with a scale per row; no columns where the head has none.
        correction_scales: Shape [I].
        b: Popularity prior, shape [I].
        mix: W, shape [k, k].
        readers: Maps that bring an encoder's output into the item space.
        manifest: Public facts: `privacy`, `run`, `state`, hashes.
        blocks: What the item vectors were put together from, where the bundle says so.
    """

    catalogue: ItemTable
    shape: HeadShape
    vectors: Quantised
    corrections: np.ndarray[tuple[int, ...], np.dtype[np.int8]]
    correction_scales: FloatArray
    b: FloatArray
    mix: FloatArray
    readers: tuple[Reader, ...]
    manifest: Mapping[str, Any]
    blocks: Blocks | None = None

    def content_rows(self, rows: IntArray | slice) -> FloatArray:
        """E, the item vectors without their correction."""
        content = self.vectors.rows(rows)
        content[:, : self.shape.rank] -= self.corrections[rows] * self.correction_scales[rows][:, None]
        return content

    @cached_property
    def model(self) -> ScoringModel:
        """The model in float32: four bytes for each coordinate of each item."""
        every = slice(None)
        trained = {"V": self.corrections * self.correction_scales[:, None], "W": self.mix}
        head = Head(self.shape, self.b, {name: trained[name] for name in self.shape.trained})
        return ScoringModel(self.content_rows(every), head, self.blocks)


def write_bundle(
    folder: Path,
    catalogue: Catalogue,
    items_file: Path,
    head: Head,
    card: str,
    facts: dict[str, Any],
    readers: Sequence[Reader] = (),
) -> None:
    """Write a bundle as a whole, or leave the previous one in its place.

    Args:
        folder: Where.
        catalogue: What can be recommended.
        items_file: An item space as saved.
        head: The model.
        card: The model card, in Markdown.
        facts: What else the manifest says.
        readers: Maps that bring an encoder's output into the item space.
    """
    unfinished = folder.with_name(folder.name + ".part")
    _remove(unfinished)
    unfinished.mkdir(parents=True)
    space = cast(dict[str, FloatArray], load_arrays(items_file))
    vectors = Quantised.of(head.item_vectors(space["vectors"]))
    maps = {name: array for place, reader in enumerate(readers) for name, array in reader.arrays(place).items()}
    save_arrays(unfinished / "head.safetensors", _head_arrays(head))
    rotation = {"rotation": space["rotation"]} if "blocks" in facts else {}
    save_arrays(unfinished / "items.safetensors", {**vectors.arrays, **maps, **rotation})
    ItemTable.of(catalogue).save(unfinished / "catalogue.json")
    manifest = {
        "schema": SCHEMA,
        "shape": asdict(head.shape),
        **facts,
        "readers": [reader.facts for reader in readers],
    }
    _seal(unfinished, card, manifest)
    _put_in_place(unfinished, folder)


def replace_card(folder: Path, card: str) -> None:
    """Put another model card into a bundle, as a whole or not at all; the manifest names the new card.

    Raises:
        DataError: this is no bundle, a file is not the one that the manifest names, or the bundle is signed.
    """
    manifest = dict(open_bundle(folder).manifest)
    strange = sorted({path.name for path in folder.iterdir()} - {*FILES, "manifest.json"})
    if strange:
        raise DataError(folder / strange[0], "a bundle that was signed keeps its model card")
    if (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == card:
        return
    unfinished = folder.with_name(folder.name + ".part")
    _remove(unfinished)
    shutil.copytree(folder, unfinished)
    _seal(unfinished, card, manifest)
    _put_in_place(unfinished, folder)


def _seal(folder: Path, card: str, manifest: dict[str, Any]) -> None:
    """Write the model card, and the manifest that names every byte."""
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    manifest = manifest | {"sha256": hashes}
    manifest["manifest_sha256"] = _digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle whole, in float32, and check every file against the manifest.

    Raises:
        DataError: a file is missing, damaged, or not the one that the manifest names.
    """
    published = open_bundle(folder)
    return Bundle(published.catalogue.catalogue(), published.model, published.manifest)


def open_bundle(folder: Path, check: bool = True) -> Published:
    """Map a bundle into memory.

    Each file is read once: what is hashed is what is used.

    Args:
        folder: Where.
        check: Whether to hash the files; only who checked this very folder before may leave it out.

    Raises:
        DataError: a file is missing, damaged, or not the one that the manifest names.
    """
    manifest, shape, hashes = _read_manifest(folder)
    files = {name: _open_file(folder / name, digest if check else None) for name, digest in hashes.items()}
    table = ItemTable.read(bytes(files["catalogue.json"].content), folder / "catalogue.json")
    head, items = files["head.safetensors"].arrays(), files["items.safetensors"].arrays()
    try:
        readers = tuple(Reader.read(items, place, told) for place, told in enumerate(manifest.get("readers", [])))
        published = Published(
            table,
            shape,
            Quantised.read(items),
            _typed(head.pop("V", np.zeros((shape.items, 0), np.int8)), np.int8, (shape.items, shape.rank)),
            _typed(head.pop("V.scale", np.ones(shape.items, np.float32)), np.float32, (shape.items,)),
            _typed(head.pop("b"), np.float32, (shape.items,)),
            _typed(head.pop("W", np.zeros((0, 0), np.float32)), np.float32, (shape.mix, shape.mix)),
            readers,
            manifest,
            _blocks(manifest, items),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(folder, f"its parts do not fit together: {error}") from error
    sizes = {len(table), len(published.vectors)}
    if sizes != {shape.items} or published.vectors.dimension != shape.dimension or head:
        raise DataError(folder, "its parts do not fit together")
    if any(reader.dimension != shape.dimension for reader in readers):
        raise DataError(folder, "its parts do not fit together: a map into another space")
    return published


def _read_manifest(folder: Path) -> tuple[dict[str, Any], HeadShape, dict[str, str]]:
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
    return manifest, shape, hashes


def _blocks(manifest: Mapping[str, Any], items: Mapping[str, Any]) -> Blocks | None:
    if "blocks" not in manifest:
        return None
    return Blocks(tuple((str(name), int(size)) for name, size in manifest["blocks"]), items["rotation"])


def _open_file(path: Path, digest: str | None) -> MappedFile:
    try:
        file = MappedFile.open(path)
    except DataError as error:
        raise DataError(path, "missing, or not the file that the manifest names") from error
    if digest is not None and file.sha256 != digest:
        raise DataError(path, "missing, or not the file that the manifest names")
    return file


def _typed(array: np.ndarray[Any, Any], kind: type, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - of `kind`
    if array.dtype != kind or array.shape != shape:
        raise ValueError(f"{array.dtype} of shape {array.shape} where {shape} is expected")
    if kind is np.float32 and not np.isfinite(array).all():
        raise ValueError("numbers that are not finite")
    return array


def _head_arrays(head: Head) -> dict[str, Any]:
    arrays: dict[str, Any] = {"b": head.b}
    if "V" in head.parameters:
        arrays["V"], arrays["V.scale"] = to_integers(head.parameters["V"], np.int8)
    return arrays | ({"W": head.parameters["W"]} if "W" in head.parameters else {})


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
