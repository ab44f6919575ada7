"""Item vectors in few bytes, so that the ranking stays: leading coordinates in 16 bits, the rest in 8, a scale per row.

Item vectors are rotated so that the leading coordinates carry most of them, and states more still: an error there moves
a score most. On MovieLens-100K 48 leading coordinates in 16 bits keep the item at 99.6 % of the places of all top 10
lists; 8 bits throughout keep 93 %. The first of them stand apart, so that a first look at all items reads them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.scoring import FloatArray, IntArray

Kind = TypeVar("Kind", np.int8, np.int16)

LEADING = 32
"""Coordinates of a first look, in 16 bits."""

MIDDLE, MIDDLE_OF_MANY, MANY = 16, 64, 20_000
"""Further coordinates in 16 bits, and as many for catalogues of `MANY` items and more, whose scores lie closer."""


@dataclass(frozen=True)
class Quantised:
    """Vectors as whole numbers and one scale per row and part; the arrays may lie in a memory-mapped file.

    Attributes:
        lead: The leading coordinates, int16, shape [I, k].
        middle: The next, int16, shape [I, m].
        rest: The other coordinates, int8, shape [I, d - k - m].
        scale: Shape [I, 3]: what the whole numbers of each part are multiplied by.
    """

    lead: NDArray[np.int16]
    middle: NDArray[np.int16]
    rest: NDArray[np.int8]
    scale: FloatArray

    def __post_init__(self) -> None:
        parts = (self.lead, np.int16), (self.middle, np.int16), (self.rest, np.int8), (self.scale, np.float32)
        if any(part.dtype != kind or part.ndim != 2 or len(part) != len(self.lead) for part, kind in parts):
            raise ValueError("not quantised vectors: int16, int16, int8 and float32 of as many rows are expected")
        if self.scale.shape[1] != 3 or not np.isfinite(self.scale).all():
            raise ValueError("not quantised vectors: three finite scales per row are expected")

    def __len__(self) -> int:
        return len(self.lead)

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        return sum(part.shape[1] for part in self._parts)

    @property
    def _parts(self) -> tuple[NDArray[Any], ...]:
        return self.lead, self.middle, self.rest

    def rows(self, items: IntArray | slice) -> FloatArray:
        """The vectors of `items`, shape [len(items), d]."""
        scale = self.scale[items]
        parts: list[FloatArray] = [part[items] * scale[:, [at]] for at, part in enumerate(self._parts)]
        return np.concatenate(parts, axis=1)

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What a file holds of it."""
        return {"lead": self.lead, "middle": self.middle, "rest": self.rest, "scale": self.scale}

    @classmethod
    def of(cls, vectors: FloatArray) -> Quantised:
        """Quantise vectors of shape [I, d]."""
        end = LEADING + (MIDDLE if len(vectors) < MANY else MIDDLE_OF_MANY)
        lead, lead_scale = to_integers(vectors[:, :LEADING], np.int16)
        middle, middle_scale = to_integers(vectors[:, LEADING:end], np.int16)
        rest, rest_scale = to_integers(vectors[:, end:], np.int8)
        return cls(lead, middle, rest, np.stack([lead_scale, middle_scale, rest_scale], axis=1))

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Quantised:
        """Take up what a file holds.

        Raises:
            ValueError, KeyError: it holds something else.
        """
        return cls(arrays["lead"], arrays["middle"], arrays["rest"], arrays["scale"])  # type: ignore[arg-type]


def to_integers(matrix: FloatArray, kind: type[Kind]) -> tuple[NDArray[Kind], FloatArray]:
    """The rows of `matrix` as whole numbers of `kind`, and what to multiply each row with, shape [len(matrix)]."""
    largest = np.abs(matrix).max(axis=1, initial=0.0)
    step = np.maximum(largest / np.iinfo(kind).max, np.finfo(np.float32).tiny)  # what is smaller is not held exactly
    scale = np.where(largest > 0, step, 1.0).astype(np.float32)
    return np.rint(matrix / scale[:, None]).astype(kind), scale
