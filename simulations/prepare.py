"""Prepare a run: read the data, split it, encode the catalogue, and lay out what the nodes will find.

The held-out items stay in a file of their own that no node opens, so that training cannot know them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from sottovoce.common import multilingual
from sottovoce.common.cache import cache_folder
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.config import Config
from sottovoce.common.encoder import Encoder, cached_vectors, find_encoder
from sottovoce.common.errors import DataError
from sottovoce.common.evaluation import HeldOut, hold_out
from sottovoce.common.history import Histories
from sottovoce.common.readers import Reader, fit_reader, save_readers
from sottovoce.common.scoring import FloatArray
from sottovoce.common.vectors import ItemSpace, fit_item_space
from sottovoce.simulations.datasets import Dataset, ReadOptions, load_dataset

Say = Callable[[str], None]

VERSION = 2
"""Raised when what is prepared changes its form or meaning."""


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened.

    Attributes:
        folder: Where it lies.
        catalogue: The items.
        space: Their vectors.
        held_out: What evaluation knows; `held_out.known` is what the nodes hold.
        facts: `name`, `users`, `items`, `interactions` of the data set, and `notes` on what was left out.
    """

    folder: Path
    catalogue: Catalogue
    space: ItemSpace
    held_out: HeldOut
    facts: dict[str, str | int | list[str]]


def prepare(dataset: Dataset, config: Config, say: Say = lambda _: None) -> Prepared:
    """Split and encode a data set, or find it prepared.

    Args:
        dataset: What was read.
        config: Settings; `data` and `encoder` matter.
        say: Told what is going on.

    Raises:
        EncoderError: the encoder cannot be had.
        ConfigError: a history is too short to hold something out.
    """
    encoder = find_encoder(config.encoder.name, config.encoder.revision)
    folder = cache_folder() / "prepared" / _key(dataset, config, encoder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "facts.json").exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _write(folder, dataset, config, encoder, say)
    return open_prepared(folder)


def item_space(catalogue: Catalogue, config: Config, encoder: Encoder) -> ItemSpace:
    """Encode a catalogue and fit its item space."""
    return fit_item_space(
        catalogue.texts,
        encoder.encode_cached(catalogue.texts),
        encoder,
        config.encoder.revision,
        catalogue.sha256,
        config.encoder.dimensions,
        config.encoder.word_dimensions,
    )


def open_prepared(folder: Path) -> Prepared:
    """Open what `prepare` wrote.

    Raises:
        DataError: it is not there, or not whole.
    """
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        with np.load(folder / "held_out.npz", allow_pickle=False) as table:
            targets, negatives = table["targets"], table["negatives"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(folder, "not prepared data: run `sottovoce prepare` or `sottovoce simulate` again") from error
    known = Histories.load(folder / "histories.npz")
    catalogue, space = Catalogue.load(folder / "catalogue.json"), ItemSpace.load(folder / "items.safetensors")
    return Prepared(folder, catalogue, space, HeldOut(known, targets, negatives), facts)


def read_data(config: Config) -> Dataset:
    """Read the data set that the settings name.

    Raises:
        DataError: it cannot be used.
    """
    data = config.data
    options = ReadOptions(
        min_interactions=data.min_interactions,
        min_rating=data.min_rating,
        lenient=data.lenient,
        items=Path(data.items) if data.items else None,
        columns=data.columns,
    )
    return load_dataset(data.source, options)


def _write(folder: Path, dataset: Dataset, config: Config, encoder: Encoder, say: Say) -> None:
    held_out = hold_out(dataset.histories, len(dataset.catalogue), config.data.held_out)
    held_out.known.save(folder / "histories.npz")
    dataset.catalogue.save(folder / "catalogue.json")
    np.savez(folder / "held_out.npz", targets=held_out.targets, negatives=held_out.negatives)
    say(f"encoding {len(dataset.catalogue)} items with {encoder.name}")
    space = item_space(dataset.catalogue, config, encoder)
    space.save(folder / "items.safetensors")
    encoded = encoder.encode_cached(dataset.catalogue.texts)
    save_readers(folder / "readers.safetensors", _readers(space, encoded, dataset.catalogue.texts))
    facts = {
        "name": dataset.name,
        "users": len(dataset.histories),
        "items": len(dataset.catalogue),
        "interactions": len(dataset.histories.items),
        "ordered": dataset.ordered,
        "notes": list(dataset.notes),
    }
    # Last, since its presence says that all the rest is there.
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _readers(space: ItemSpace, encoded: FloatArray, texts: Sequence[str]) -> list[Reader]:
    """What brings wishes in words into the item space: by the multilingual encoder, if it is there, and by our own."""
    own = {"encoder": space.encoder, "revision": space.revision or "", "fingerprint": space.facts["encoder_sha256"]}
    readers = [fit_reader(encoded, space.vectors, own)]
    if multilingual.installed():
        facts = {"encoder": multilingual.NAME, "revision": "", "fingerprint": multilingual.fingerprint()}
        understood = cached_vectors(facts["fingerprint"], texts, multilingual.encode)
        readers.insert(0, fit_reader(understood, space.vectors, facts))
    return readers


def _key(dataset: Dataset, config: Config, encoder: Encoder) -> str:
    """Names a prepared folder by everything that it is a function of."""
    histories = dataset.histories
    parts = [
        str((VERSION, multilingual.installed())),
        dataset.catalogue.sha256,
        encoder.fingerprint,
        config.data.held_out,
        str((config.encoder.dimensions, config.encoder.word_dimensions, config.encoder.name, config.encoder.revision)),
        hashlib.sha256(histories.items.tobytes() + histories.offsets.tobytes()).hexdigest(),
        hashlib.sha256("\n".join(histories.users.tolist()).encode()).hexdigest(),
        hashlib.sha256("\n".join([] if histories.words is None else histories.words.tolist()).encode()).hexdigest(),
    ]
    return f"{dataset.name[:40]}-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:16]}"
