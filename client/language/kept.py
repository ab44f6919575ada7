"""The writer's model as it runs, kept in the user's cache: opened by mapping one file, where making it takes seconds.

It is made once of each model, named by the sha256 of the model's files and the format. A kept file that is damaged is
made anew; where none can be written, the model is made at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sottovoce.client.language.decoder import in_eight_bits
from sottovoce.client.language.weights import FOLDER_FILES, Shape, open_model
from sottovoce.common.cache import cache_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

FORMAT = 1
"""Of a kept file; to be raised whenever `in_eight_bits` makes something else."""


@dataclass(frozen=True)
class Kept:
    """A model that is ready to run.

    Attributes:
        shape: Its sizes.
        read: Gives a weight by its name in `in_eight_bits`.
        tokenizer: Its tokenizer.
    """

    shape: Shape
    read: Callable[[str], Tensor]
    tokenizer: Tokenizer


def open_kept(model: Path) -> Kept:
    """Open a GGUF file or a model's folder, from the cache if it was opened before.

    Raises:
        DataError: a file is missing or damaged, or the model is of another architecture.
    """
    file = _place(model)
    found = None if file is None else _read(file)
    if found is not None:
        return found
    with open_model(model) as opened:
        kept = in_eight_bits(opened.shape, opened.read)
        shape, tokenizer = opened.shape, opened.tokenizer
    if file is not None and _write(file, kept, shape, tokenizer) and (found := _read(file)) is not None:
        return found
    return Kept(shape, kept.__getitem__, tokenizer)


def _place(model: Path) -> Path | None:
    """Where a model is kept; nowhere, if a file of it cannot be read, which `open_model` will say."""
    total = hashlib.sha256()
    try:
        for path in [model / name for name in FOLDER_FILES] if model.is_dir() else [model]:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return cache_folder() / "writer" / f"{total.hexdigest()}-{FORMAT}.safetensors"


def _read(file: Path) -> Kept | None:
    """What `_write` wrote; nothing, if it is not there or not whole."""
    from safetensors import SafetensorError, safe_open
    from tokenizers import Tokenizer

    try:
        with safe_open(file, framework="pt") as opened:
            told = opened.metadata() or {}
            kept = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
        if told["sum"] != _sum(told["shape"], told["tokenizer"], kept):
            return None
        return Kept(Shape(**json.loads(told["shape"])), kept.__getitem__, Tokenizer.from_str(told["tokenizer"]))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def _write(file: Path, kept: Mapping[str, Tensor], shape: Shape, tokenizer: Tokenizer) -> bool:
    """Write a file that is whole or not there; whether it is there."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    told = {"shape": json.dumps(asdict(shape)), "tokenizer": tokenizer.to_str()}
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(kept), unfinished, {**told, "sum": _sum(told["shape"], told["tokenizer"], kept)})
        unfinished.replace(file)
        return True
    except (OSError, SafetensorError):
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        return False


def _sum(shape: str, tokenizer: str, kept: Mapping[str, Tensor]) -> str:
    """sha256 over everything that a file holds."""
    total = hashlib.sha256(json.dumps([shape, tokenizer]).encode())
    for name in sorted(kept):
        total.update(f"{name}:{kept[name].dtype}:{tuple(kept[name].shape)}".encode())
        total.update(kept[name].contiguous().numpy().data)
    return total.hexdigest()
