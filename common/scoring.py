"""The score of an item for a user, with NumPy: a state computed from a history, and a small trained head.

    s(x, i) = α·x·F[i] + b[i] + (x' W)·z[i]        F = E + V        x = Σ_j a_j F[h_j]

`E` are the public item vectors, and the trained V corrects their first r coordinates: on both sides of a score, as what
is recommended and as what a state is made of. x' and z[i] are the first k coordinates of x and E[i]. So every score is
exactly a sum of one term per item of the history, one for popularity, and nothing else: an explanation leaves nothing
out. That an item's two roles share one correction is what SASRec (Kang & McAuley, 2018) does with its item embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sottovoce.common.errors import DataError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

RECENCY = (1.0, 3.0, 10.0, 50.0)
"""Time constants τ, in interactions, over which a state averages: from the mood of the moment to lasting taste."""


@dataclass(frozen=True)
class HeadShape:
    """Which trained parts a head has, and how large they are.

    Attributes:
        items: Catalogue size I.
        dimension: Length d of the item vectors.
        rank: Columns r of the item corrections V; zero leaves them out.
        mix: Side k of the bilinear mix W; zero leaves it out.
        content_weight: α, the weight of the content prior.
        tied: Whether states are made of corrected items; not where they are made of texts.
    """

    items: int
    dimension: int
    rank: int
    mix: int
    content_weight: float
    tied: bool = True

    def __post_init__(self) -> None:
        sizes = (self.items, self.dimension, self.rank, self.mix)
        if not all(type(size) is int for size in sizes) or min(self.items, self.dimension) < 1:
            raise ValueError(f"sizes {sizes}: whole numbers are expected, items and dimension above zero")
        if not (0 <= self.rank <= self.dimension and 0 <= self.mix <= self.dimension):
            raise ValueError(f"rank {self.rank} and mix {self.mix}: expected from 0 to the dimension {self.dimension}")
        if not np.isfinite(self.content_weight):
            raise ValueError(f"content weight {self.content_weight}: a finite number is expected")

    @property
    def trained(self) -> dict[str, tuple[int, int]]:
        """Shapes of the parameters that the federation trains, by name."""
        shapes = {"V": (self.items, self.rank), "W": (self.mix, self.mix)}
        return {name: shape for name, shape in shapes.items() if shape[1]}


@dataclass(frozen=True)
class Head:
    """A scoring head: the public prior, and what was trained.

    Attributes:
        shape: Sizes of the parts.
        b: Popularity prior, shape [I].
        parameters: `V` [I, r] and `W` [k, k], as far as the shape has them.
    """

    shape: HeadShape
    b: FloatArray
    parameters: dict[str, FloatArray]

    @classmethod
    def untrained(cls, shape: HeadShape, b: FloatArray | None = None) -> Head:
        """Content and popularity alone: every trained part is zero."""
        prior = np.zeros(shape.items, np.float32) if b is None else b
        return cls(shape, prior, {name: np.zeros(size, np.float32) for name, size in shape.trained.items()})

    def item_vectors(self, vectors: FloatArray) -> FloatArray:
        """F, shape [I, d]: the item vectors with their correction."""
        corrected = vectors.copy()
        if "V" in self.parameters:
            corrected[:, : self.shape.rank] += self.parameters["V"]
        return corrected

    def history_vectors(self, vectors: FloatArray) -> FloatArray:
        """What an item adds to a state, shape [I, d]."""
        return self.item_vectors(vectors) if self.shape.tied else vectors

    def item_directions(self, vectors: FloatArray) -> FloatArray:
        """The K, shape [I, d], for which s(x, i) = x·K[i] + b[i]."""
        directions = self.shape.content_weight * self.item_vectors(vectors)
        if "W" in self.parameters:
            k = self.shape.mix
            directions[:, :k] += vectors[:, :k] @ self.parameters["W"].T
        return directions


@dataclass(frozen=True)
class Blocks:
    """What item vectors were put together from, before they were rotated (`common.vectors`).

    Attributes:
        sizes: Name and number of coordinates of each block, in their order.
        rotation: Shape [D, d]: blocks side by side, times this, are the vectors.
    """

    sizes: tuple[tuple[str, int], ...]
    rotation: FloatArray

    def __post_init__(self) -> None:
        if self.rotation.ndim != 2 or sum(size for _, size in self.sizes) != len(self.rotation):
            raise ValueError(f"blocks of {dict(self.sizes)} do not fit a rotation of shape {self.rotation.shape}")

    def parts(self, vectors: FloatArray) -> dict[str, FloatArray]:
        """The coordinates of each block, shape [..., size], of vectors of shape [..., d]."""
        whole = vectors @ self.rotation.T
        ends = np.cumsum([size for _, size in self.sizes])[:-1]
        return dict(zip((name for name, _ in self.sizes), np.split(whole, ends, axis=-1), strict=True))


@dataclass(frozen=True)
class Explanation:
    """One score, taken apart. `sum(history) + popularity` is the score.

    Attributes:
        item: Catalogue position of the scored item.
        score: The score.
        popularity: What the popularity prior adds.
        history: What each item of the history adds, shape [n], in the history's order.
        content: The part of `history` that similarity of the items explains, shape [n].
        correction: The part of `history` that the trained head adds, shape [n].
        blocks: What each block of the item vectors (texts, words, price, picture …) adds to `content`, shape [n] each;
            empty where a model does not say what its vectors are made of.
    """

    item: int
    score: float
    popularity: float
    content: FloatArray
    correction: FloatArray
    blocks: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def history(self) -> FloatArray:
        """What each item of the history adds, shape [n]."""
        return self.content + self.correction


@dataclass(frozen=True)
class ScoringModel:
    """Item vectors and a head: everything that is needed to score a history; `blocks` say more of an explanation."""

    vectors: FloatArray
    head: Head
    blocks: Blocks | None = None

    @cached_property
    def directions(self) -> FloatArray:
        """K of `Head.item_directions`, computed once."""
        return self.head.item_directions(self.vectors)

    @cached_property
    def history_vectors(self) -> FloatArray:
        """Of `Head.history_vectors`, computed once."""
        return self.head.history_vectors(self.vectors)

    def scores(self, states: FloatArray) -> FloatArray:
        """Scores of all items, shape [..., I], for states of shape [..., d]."""
        return np.asarray(states @ self.directions.T + self.head.b, dtype=np.float32)

    def state(self, history: IntArray) -> FloatArray:
        """The state after `history`, shape [d]."""
        return state_of(history, self.history_vectors)

    def explain(self, history: IntArray, item: int) -> Explanation:
        """Take the score of `item` apart into one term per item of `history` and one for popularity."""
        weights = recency_weights(len(history), 1)[0] if len(history) else np.zeros(0, np.float32)
        content = weights * (self.vectors[history] @ (self.head.shape.content_weight * self.vectors[item]))
        total = weights * (self.history_vectors[history] @ self.directions[item])
        popularity = float(self.head.b[item])
        score = float(total.sum()) + popularity
        return Explanation(item, score, popularity, content, total - content, self._by_block(history, item, weights))

    def _by_block(self, history: IntArray, item: int, weights: FloatArray) -> dict[str, FloatArray]:
        """The content of a score by block: a rotation leaves products as they are, so their sums are exact."""
        if self.blocks is None:
            return {}
        own, met = self.blocks.parts(self.vectors[item]), self.blocks.parts(self.vectors[history])
        alpha = self.head.shape.content_weight
        return {name: weights * (met[name] @ (alpha * part)) for name, part in own.items()}


def recency_weights(length: int, positions: int) -> FloatArray:
    """How much each item of a history counts in the state before each of the last `positions` places.

    Row p belongs to the prefix of `length - (positions - 1 - p)` items, so that the last row is the state after the
    whole history. With a_j = exp(-(t - j) / τ) over the prefix h_1..h_t, an item's weight is the mean over τ of
    a_j / sqrt(Σ a): one interaction has weight one, and a longer history a longer state.

    Returns:
        Shape [positions, length]; zero behind each prefix.
    """
    ends = np.arange(length - positions + 1, length + 1)[:, None]
    age = ends - 1 - np.arange(length)[None, :]
    known = age >= 0
    weights = np.zeros((positions, length))
    for tau in RECENCY:
        decay = np.where(known, np.exp(-np.maximum(age, 0) / tau), 0.0)
        weights += decay / np.sqrt(np.maximum(decay.sum(axis=1, keepdims=True), 1e-12))
    return (weights / len(RECENCY)).astype(np.float32)


def state_of(history: IntArray, vectors: FloatArray) -> FloatArray:
    """The state after a whole history, shape [d]; zero for an empty one."""
    if len(history) == 0:
        return np.zeros(vectors.shape[1], np.float32)
    return np.asarray(recency_weights(len(history), 1)[0] @ vectors[history], dtype=np.float32)


def save_arrays(path: Path, arrays: dict[str, NDArray[np.generic]], metadata: dict[str, str] | None = None) -> None:
    """Write arrays as one safetensors file that is either whole or not there."""
    unfinished = path.with_suffix(path.suffix + ".part")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, unfinished, metadata)
    unfinished.replace(path)


def load_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a safetensors file.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return dict(load_file(path))
    except FileNotFoundError as error:
        raise DataError(path, "no such file") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(path, f"not a safetensors file: {error}") from error
