"""The item space: public vectors in which items, histories and new texts can be compared.

An item vector is blocks side by side: what the encoder makes of the text, TF-IDF of its words, and, where the catalogue
has them, attributes that are no texts and pictures. Each block is centred over the catalogue, cut to its leading
principal directions, whitened as far as asked, and scaled to the same mean norm times the root of its weight; all
together are scaled to unit norm and rotated so that the leading coordinates carry most. A rotation changes no product
of two vectors, so that such a product is the sum of what each block says.
All of it is a function of public data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.scoring import Blocks, save_arrays

if TYPE_CHECKING:
    from sottovoce.common.bundle import Published
    from sottovoce.common.encoder import Encoder

FloatArray = NDArray[np.float32]

TOKEN = r"(?u)\b\w[\w']*\b"  # noqa: S105 - a pattern for words
"""What counts as a word of the lexical block."""


DEFAULT_WEIGHT = 0.25
"""Of a block that is no text, where none is given."""


@dataclass(frozen=True)
class Block:
    """A part of item vectors that is made of no text.

    Attributes:
        name: Of the attribute, or `image`.
        values: Shape [I, D].
        known: Which items have a value, shape [I]; the others say nothing in this block.
    """

    name: str
    values: FloatArray
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class ItemSpace:
    """Item vectors, and the map that brings a new text into the same space.

    Attributes:
        vectors: Shape [I, d], unit norm (zero for a text that tells nothing).
        facts: `encoder`, `revision`, `encoder_sha256`, `catalogue_sha256`, the lexical block's `vocabulary`, and
            `blocks`: names and sizes, in the order in which they were put together.
        maps: Arrays of the projection: mean and components of each block, idf, rotation.
        name: The hash of a space that came in a bundle, without its maps: there are vectors, but no new texts.
    """

    vectors: FloatArray
    facts: dict[str, str]
    maps: dict[str, FloatArray]
    name: str = ""

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        return int(self.vectors.shape[1])

    @property
    def encoder(self) -> str:
        """The name by which `find_encoder` finds the encoder."""
        return self.facts["encoder"]

    @property
    def revision(self) -> str | None:
        """The encoder's revision on its hub, if one was given."""
        return self.facts["revision"] or None

    @property
    def blocks(self) -> Blocks:
        """Which coordinates come from where."""
        return Blocks(
            tuple((str(name), int(size)) for name, size in json.loads(self.facts["blocks"])), self.maps["rotation"]
        )

    @cached_property
    def sha256(self) -> str:
        """Names encoder and projection: equal on two nodes exactly if both are."""
        if self.name:
            return self.name
        total = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name in sorted(self.maps):
            total.update(name.encode() + np.ascontiguousarray(self.maps[name]).tobytes())
        return total.hexdigest()

    @property
    def published(self) -> dict[str, str]:
        """What a bundle's manifest says of the space that its vectors are of."""
        return {key: fact for key, fact in self.facts.items() if key != "vocabulary"} | {"sha256": self.sha256}

    @classmethod
    def of_bundle(cls, bundle: Published) -> ItemSpace:
        """The space of a bundle's vectors, as a node trains in it.

        Raises:
            DataError: its manifest names none.
        """
        try:
            told = {str(key): str(fact) for key, fact in bundle.manifest["space"].items()}
            return cls(bundle.model.vectors, told, {}, told.pop("sha256"))
        except (KeyError, AttributeError, TypeError) as error:
            raise DataError("manifest.json", "names no item space: publish the bundle again") from error

    def project(self, texts: Sequence[str], encoded: FloatArray) -> FloatArray:
        """Vectors of new texts, shape [len(texts), d].

        Args:
            texts: What to place in the space.
            encoded: The encoder's vectors of the same texts, shape [len(texts), D].

        Raises:
            DataError: the space came in a bundle.
        """
        if not self.maps:
            raise DataError("items.safetensors", "a bundle has no map for new texts: set head.state = items")
        blocks = [
            (encoded - self.maps["encoder.mean"]) @ self.maps["encoder.components"],
            self._words(texts) @ self.maps["words.components"] - self.maps["words.offset"],
        ]
        others = len(self.maps["rotation"]) - sum(block.shape[1] for block in blocks)
        blocks.append(np.zeros((len(texts), others), np.float32))
        return unit_rows(np.concatenate(blocks, axis=1)) @ self.maps["rotation"]

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        save_arrays(path, {"vectors": self.vectors, **self.maps}, self.facts)

    @classmethod
    def load(cls, path: Path) -> ItemSpace:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            with safe_open(path, "numpy") as file:
                facts = dict(file.metadata() or {})
            arrays = cast(dict[str, Any], load_file(path))
            vectors, maps = arrays["vectors"], {name: arrays[name] for name in _MAPS}
            return cls(vectors, {key: facts[key] for key in _FACTS}, maps)
        except Exception as error:
            raise DataError(path, f"not an item space: {error}") from error

    def _words(self, texts: Sequence[str]) -> FloatArray:
        vectoriser = _vectoriser(json.loads(self.facts["vocabulary"]))
        vectoriser.idf_ = self.maps["words.idf"].astype(np.float64)
        return np.asarray(vectoriser.transform(texts).toarray(), dtype=np.float32)


_MAPS = ("encoder.mean", "encoder.components", "words.components", "words.offset", "words.idf", "rotation")
_FACTS = ("encoder", "revision", "encoder_sha256", "catalogue_sha256", "vocabulary", "blocks")


def fit_item_space(
    texts: Sequence[str],
    encoded: FloatArray,
    encoder: Encoder,
    revision: str | None,
    catalogue_sha256: str,
    encoder_dimensions: int,
    word_dimensions: int,
    whitening: float = 0.0,
    weights: Mapping[str, float] | None = None,
    more: Sequence[Block] = (),
) -> ItemSpace:
    """The item space of a catalogue.

    Args:
        texts: One per item.
        encoded: The encoder's vectors of them, shape [I, D].
        encoder: Which encoder made them.
        revision: Its revision on the hub.
        catalogue_sha256: Which catalogue.
        encoder_dimensions: Leading directions kept of the encoder's block.
        word_dimensions: Leading directions kept of the lexical block.
        whitening: How far the directions of a block are made equally long: not at all (0), as the fourth root of their
            variance (½), or altogether (1).
        weights: How much the product of two items' parts counts, by block; one for `encoder` and `words`, and
            `DEFAULT_WEIGHT` for others that are not named.
        more: Blocks that are made of no text.

    Raises:
        ConfigError: a weight is given for a block that is not there.
        DataError: the texts share no words.
    """
    asked = {"encoder": 1.0, "words": 1.0, **{block.name: DEFAULT_WEIGHT for block in more}}
    for name, weight in (weights or {}).items():
        if name not in asked:
            raise ConfigError(f"encoder.weights.{name}", weight, f"one of the blocks {', '.join(asked)}")
        asked[name] = weight
    vectoriser = _vectoriser(None, minimum_items=2 if len(texts) >= 100 else 1)
    try:
        words = vectoriser.fit_transform(texts)
    except ValueError as error:
        raise DataError("catalogue", "its texts share no words at all") from error
    mean = encoded.mean(axis=0)
    first, components = principal_coordinates(encoded - mean, encoder_dimensions, whitening)
    second, word_components, offset = _word_block(words, word_dimensions, whitening)
    roots = {name: np.float32(np.sqrt(weight)) for name, weight in asked.items()}
    parts = {"encoder": first, "words": second, **{each.name: _other_block(each, whitening) for each in more}}
    vectors = unit_rows(np.concatenate([roots[name] * part for name, part in parts.items()], axis=1))
    rotation = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)[1][:, ::-1].astype(np.float32)
    facts = {
        "encoder": encoder.name,
        "revision": revision or "",
        "encoder_sha256": encoder.fingerprint,
        "catalogue_sha256": catalogue_sha256,
        "blocks": json.dumps([[name, part.shape[1]] for name, part in parts.items()], ensure_ascii=False),
        "vocabulary": json.dumps(vectoriser.get_feature_names_out().tolist(), ensure_ascii=False),
    }
    maps = {
        "encoder.mean": mean,
        "encoder.components": roots["encoder"] * components,
        "words.components": roots["words"] * word_components,
        "words.offset": roots["words"] * offset,
        "words.idf": vectoriser.idf_.astype(np.float32),
        "rotation": np.ascontiguousarray(rotation),
    }
    return ItemSpace(np.ascontiguousarray(vectors @ rotation), facts, maps)


def principal_coordinates(
    centred: FloatArray, dimensions: int, whitening: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Leading principal coordinates, scaled to a mean squared norm of one, and the map to them.

    Args:
        centred: Rows with zero mean, shape [I, D].
        dimensions: How many directions to keep.
        whitening: Power of the variance by which a direction is divided, twice: one makes all equally long.

    Returns:
        Coordinates, shape [I, d], and components, shape [D, d]: `centred @ components` are the coordinates.
    """
    variances, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    order = np.argsort(variances)[::-1][:dimensions]
    order = order[variances[order] > 1e-9 * variances.max(initial=1e-9)]
    components = directions[:, order] * variances[order] ** (-whitening / 2)
    coordinates = centred @ components
    scale = np.sqrt(np.mean(np.sum(coordinates**2, axis=1)))
    components = components / max(scale, 1e-12)
    return (centred @ components).astype(np.float32), components.astype(np.float32)


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Rows scaled to unit norm; a zero row stays zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(norms, 1e-9), dtype=np.float32)


def _other_block(block: Block, whitening: float, dimensions: int = 32) -> FloatArray:
    """Coordinates of a block that is no text; zero, which says nothing, where an item has no value."""
    if not block.known.any():
        return np.zeros((len(block.known), 0), np.float32)
    centred = np.where(block.known[:, None], block.values - block.values[block.known].mean(axis=0), 0.0)
    return principal_coordinates(centred.astype(np.float32), dimensions, whitening)[0]


def _word_block(words: Any, dimensions: int, whitening: float) -> tuple[FloatArray, FloatArray, FloatArray]:  # noqa: ANN401 - a sparse matrix
    """The lexical block of a sparse TF-IDF matrix: coordinates, components, and the offset that centres them."""
    from sklearn.decomposition import TruncatedSVD

    kept = min(4 * dimensions, min(words.shape) - 1)
    if kept < 1:
        return (
            np.zeros((words.shape[0], 0), np.float32),
            np.zeros((words.shape[1], 0), np.float32),
            np.zeros(0, np.float32),
        )
    # Sparse texts are first cut to their leading directions, then centred: the same as PCA but for what the cut leaves.
    cut = TruncatedSVD(kept, random_state=0).fit(words)
    rough = cut.transform(words).astype(np.float32)
    mean = rough.mean(axis=0)
    coordinates, components = principal_coordinates(rough - mean, dimensions, whitening)
    return coordinates, (cut.components_.T @ components).astype(np.float32), (mean @ components).astype(np.float32)


def _vectoriser(vocabulary: list[str] | None, minimum_items: int = 1) -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=TOKEN, vocabulary=vocabulary, min_df=minimum_items, sublinear_tf=True)
