"""The item space: public vectors in which items, histories and new texts can be compared.

An item vector is two blocks side by side: what the encoder makes of the text, and TF-IDF of its words. Each block is
centred over the catalogue, cut to its leading principal directions and scaled to the same mean norm; the pair is scaled
to unit norm and rotated so that the leading coordinates carry most.
All of it is a function of public data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from sottovoce.common.errors import DataError
from sottovoce.common.scoring import save_arrays

if TYPE_CHECKING:
    from sottovoce.common.bundle import Published
    from sottovoce.common.encoder import Encoder

FloatArray = NDArray[np.float32]

TOKEN = r"(?u)\b\w[\w']*\b"  # noqa: S105 - a pattern for words
"""What counts as a word of the lexical block."""


@dataclass(frozen=True)
class ItemSpace:
    """Item vectors, and the map that brings a new text into the same space.

    Attributes:
        vectors: Shape [I, d], unit norm (zero for a text that tells nothing).
        facts: `encoder`, `revision`, `encoder_sha256`, `catalogue_sha256`, and the lexical block's `vocabulary`.
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
_FACTS = ("encoder", "revision", "encoder_sha256", "catalogue_sha256", "vocabulary")


def fit_item_space(
    texts: Sequence[str],
    encoded: FloatArray,
    encoder: Encoder,
    revision: str | None,
    catalogue_sha256: str,
    encoder_dimensions: int,
    word_dimensions: int,
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
    """
    vectoriser = _vectoriser(None, minimum_items=2 if len(texts) >= 100 else 1)
    try:
        words = vectoriser.fit_transform(texts)
    except ValueError as error:
        raise DataError("catalogue", "its texts share no words at all") from error
    mean = encoded.mean(axis=0)
    first, components = principal_coordinates(encoded - mean, encoder_dimensions)
    second, word_components, offset = _word_block(words, word_dimensions)
    vectors = unit_rows(np.concatenate([first, second], axis=1))
    rotation = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)[1][:, ::-1].astype(np.float32)
    facts = {
        "encoder": encoder.name,
        "revision": revision or "",
        "encoder_sha256": encoder.fingerprint,
        "catalogue_sha256": catalogue_sha256,
        "vocabulary": json.dumps(vectoriser.get_feature_names_out().tolist(), ensure_ascii=False),
    }
    maps = {
        "encoder.mean": mean,
        "encoder.components": components,
        "words.components": word_components,
        "words.offset": offset,
        "words.idf": vectoriser.idf_.astype(np.float32),
        "rotation": np.ascontiguousarray(rotation),
    }
    return ItemSpace(np.ascontiguousarray(vectors @ rotation), facts, maps)


def principal_coordinates(centred: FloatArray, dimensions: int) -> tuple[FloatArray, FloatArray]:
    """Leading principal coordinates, scaled to a mean squared norm of one, and the map to them.

    Args:
        centred: Rows with zero mean, shape [I, D].
        dimensions: How many directions to keep.

    Returns:
        Coordinates, shape [I, d], and components, shape [D, d]: `centred @ components` are the coordinates.
    """
    variances, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    order = np.argsort(variances)[::-1][:dimensions]
    order = order[variances[order] > 1e-9 * variances.max(initial=1e-9)]
    components = directions[:, order]
    coordinates = centred @ components
    scale = np.sqrt(np.mean(np.sum(coordinates**2, axis=1)))
    components = components / max(scale, 1e-12)
    return (centred @ components).astype(np.float32), components.astype(np.float32)


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Rows scaled to unit norm; a zero row stays zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(norms, 1e-9), dtype=np.float32)


def _word_block(words: Any, dimensions: int) -> tuple[FloatArray, FloatArray, FloatArray]:  # noqa: ANN401 - a sparse matrix
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
    coordinates, components = principal_coordinates(rough - mean, dimensions)
    return coordinates, (cut.components_.T @ components).astype(np.float32), (mean @ components).astype(np.float32)


def _vectoriser(vocabulary: list[str] | None, minimum_items: int = 1) -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=TOKEN, vocabulary=vocabulary, min_df=minimum_items, sublinear_tf=True)
