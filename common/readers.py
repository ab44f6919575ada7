"""A map that brings what an encoder says of a text into the item space: how a wish in words finds its items.

Fitted on the catalogue by ridge regression from the encoder's vectors of the items' texts to the items' vectors, and
cut to a low rank (reduced-rank regression, Izenman 1975). Any encoder will do, also one that the item space was not
made with: a multilingual one brings wishes in other languages to the same place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import DataError
from sottovoce.common.mapped import MappedFile
from sottovoce.common.quantised import to_integers
from sottovoce.common.scoring import FloatArray, save_arrays

READERS = "readers.safetensors"
"""Where the maps lie beside an item space."""

RANK = 48
RIDGE = 0.3
"""Relative to the mean variance of an encoder's coordinate times the number of items."""


@dataclass(frozen=True)
class Reader:
    """A linear map from an encoder's space (length D) to the item space (length d), through k coordinates.

    Attributes:
        facts: `encoder`, `revision` and `fingerprint` of the encoder.
        mean: The encoder's mean over the catalogue, shape [D].
        down: Shape [k, D], whole numbers.
        up: Shape [k, d], whole numbers.
        scale: What to multiply each of the k coordinates by, shape [k].
    """

    facts: Mapping[str, str]
    mean: FloatArray
    down: NDArray[np.int8]
    up: NDArray[np.int8]
    scale: FloatArray

    def __post_init__(self) -> None:
        rank, length = self.down.shape
        if self.mean.shape != (length,) or self.scale.shape != (rank,) or len(self.up) != rank or self.up.ndim != 2:
            raise ValueError("a map whose parts do not fit together")
        if not {"encoder", "fingerprint"} <= set(self.facts) or not all(
            np.isfinite(part).all() for part in (self.mean, self.scale)
        ):
            raise ValueError("a map that does not name its encoder, or holds numbers that are not finite")

    @property
    def dimension(self) -> int:
        """Length d of an item vector."""
        return int(self.up.shape[1])

    @cached_property
    def _down(self) -> FloatArray:
        return self.down * self.scale[:, None]

    def place(self, encoded: FloatArray) -> FloatArray:
        """Unit vectors in the item space, shape [n, d], for an encoder's vectors of shape [n, D]."""
        placed = (encoded - self.mean) @ self._down.T @ self.up.astype(np.float32)
        return np.asarray(placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def arrays(self, place: int) -> dict[str, NDArray[np.generic]]:
        """What a file holds of the map that stands at `place`."""
        parts: dict[str, NDArray[Any]] = {"mean": self.mean, "down": self.down, "up": self.up, "scale": self.scale}
        return {f"reader.{place}.{name}": part for name, part in parts.items()}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[np.generic]], place: int, facts: Mapping[str, str]) -> Reader:
        """Take up what a file holds.

        Raises:
            ValueError, KeyError: it holds something else.
        """
        mean, down, up, scale = (arrays[f"reader.{place}.{name}"] for name in ("mean", "down", "up", "scale"))
        kinds = [part.dtype.str[1:] for part in (mean, down, up, scale)]
        if kinds != ["f4", "i1", "i1", "f4"]:
            raise ValueError("a map of other types")
        return cls(dict(facts), mean, down, up, scale)  # type: ignore[arg-type]


def fit_reader(encoded: FloatArray, vectors: FloatArray, facts: Mapping[str, str], rank: int = RANK) -> Reader:
    """The map that brings `encoded`, shape [I, D], closest to `vectors`, shape [I, d].

    Args:
        encoded: The encoder's vectors of the items' texts.
        vectors: The items' vectors.
        facts: Names the encoder.
        rank: How many coordinates to go through.
    """
    mean = encoded.mean(axis=0).astype(np.float32)
    centred = (encoded - mean).astype(np.float64)
    gram = centred.T @ centred
    penalty = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    whole = np.linalg.solve(gram + penalty, centred.T @ vectors)
    # The leading directions of what the map says of the catalogue, and the map to each of them.
    directions = np.linalg.svd(centred @ whole, full_matrices=False)[2][:rank]
    down, scale = to_integers((whole @ directions.T).T.astype(np.float32), np.int8)
    up, up_scale = to_integers(directions.astype(np.float32), np.int8)
    return Reader(dict(facts), mean, down, up, scale * up_scale)


def save_readers(path: Path, readers: Sequence[Reader]) -> None:
    """Write maps as one safetensors file, and what names their encoders as JSON beside it."""
    arrays = {name: part for place, reader in enumerate(readers) for name, part in reader.arrays(place).items()}
    save_arrays(path, arrays)
    path.with_suffix(".json").write_text(json.dumps([dict(reader.facts) for reader in readers]), encoding="utf-8")


def load_readers(path: Path) -> tuple[Reader, ...]:
    """Read what `save_readers` wrote; none where there is no such file.

    Raises:
        DataError: a file is damaged.
    """
    if not path.exists():
        return ()
    arrays = MappedFile.open(path).arrays()
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return tuple(Reader.read(arrays, place, told) for place, told in enumerate(facts))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(path, f"not a file of maps: {error}") from error
