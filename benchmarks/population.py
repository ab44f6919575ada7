"""The users of a benchmark's round as plain arrays, the same for every contender.

They are prepared once and memory-mapped: nobody is charged for preparing data, and worker processes share the pages.
NumPy only, since each contender runs in an environment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Population:
    """U users with m positions each, over a catalogue of I items.

    Attributes:
        vectors: Item vectors, shape [I, d].
        popularity: Popularity prior, shape [I].
        states: State before each position, of item vectors alone, shape [U, m, d].
        history: Items of which the states are made, shape [U, N]; padded at the end with -1.
        mixing: How much each of them counts in each state, shape [U, m, N]; zero where padded.
        targets: Item at each position, shape [U, m]; 0 where padded.
        weights: Share of each position in its user's mean, shape [U, m]; 0 where padded.
        met: Items that are not ranked at a position, since the user met them before, shape [U, m, I].
    """

    vectors: NDArray[np.float32]
    popularity: NDArray[np.float32]
    states: NDArray[np.float32]
    history: NDArray[np.int64]
    mixing: NDArray[np.float32]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    met: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.targets)

    def user(self, row: int) -> tuple[NDArray[Any], ...]:
        """States, history, mixing, targets, weights and met items of one user, as a batch of one without padding."""
        known = int((self.history[row] >= 0).sum())
        history, mixing = self.history[row : row + 1, :known], self.mixing[row : row + 1, :, :known]
        rest = (self.targets, self.weights, self.met)
        return self.states[row : row + 1], history, mixing, *(part[row : row + 1] for part in rest)

    def save(self, folder: Path) -> None:
        """Write one `.npy` file per field."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    @classmethod
    def load(cls, folder: Path) -> Population:
        """Map what `save` wrote into memory (copy-on-write, which PyTorch takes without a warning)."""
        return cls(*(np.load(folder / f"{field.name}.npy", mmap_mode="c") for field in fields(cls)))
