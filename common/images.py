"""Pictures as a block of item vectors, by the image side of a CLIP-like model (Radford et al. 2021).

A picture that is none, that would unpack to more than `MAX_PIXELS`, or that is a mere strip, is refused by name before
it is unpacked; its item says nothing in this block, and the rest goes on. What is read is shrunk at once.
"""

from __future__ import annotations

import hashlib
import io
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from sottovoce.common.cache import cache_folder
from sottovoce.common.encoder import fingerprint, model_folder
from sottovoce.common.errors import EncoderError
from sottovoce.common.vectors import Block, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000
MAX_BYTES = 50_000_000
MAX_ASPECT = 10
"""Long side to short side. A model scales the short side up to its own size, and the long one with it."""
SHORT_SIDE = 512
"""What a short side is shrunk to on opening: more than any model of this kind looks at."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Nothing that another program would be started for, as for EPS."""
NAMED = 3

Picture = Path | bytes | None


@dataclass(frozen=True)
class ImageEncoder:
    """A model of pictures on disk.

    Attributes:
        name: What was asked for.
        folder: Where its files lie.
        fingerprint: sha256 over its weights and settings.
    """

    name: str
    folder: Path
    fingerprint: str

    def encode(self, pictures: Sequence[Picture]) -> tuple[FloatArray, dict[int, str]]:
        """Vectors of pictures, shape [I, D], zero where there is none; and why some were refused, by place."""
        return _encode_here(str(self.folder), list(pictures))

    def encode_cached(self, pictures: Sequence[Picture]) -> tuple[FloatArray, dict[int, str]]:
        """The same from the machine's cache, or computed in a child process that then goes away.

        Raises:
            EncoderError: the model cannot be loaded, or the child was killed.
        """
        digest = sha256_of(pictures)
        folder = cache_folder() / "vectors"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.fingerprint[:32]}-{digest[:32]}.npz"
        with FileLock(file.with_suffix(".lock")):
            try:
                with np.load(file, allow_pickle=False) as kept:
                    places, reasons = kept["places"].tolist(), kept["reasons"].tolist()
                    return kept["vectors"], dict(zip(places, reasons, strict=True))
            except Exception:  # not there, or damaged in one of a dozen ways: it can always be made again
                vectors, refused = self._encode_in_child(pictures)
            unfinished = file.with_suffix(".part.npz")
            np.savez(
                unfinished,
                vectors=vectors,
                places=np.array(list(refused), np.int64),
                reasons=np.array(list(refused.values()), np.str_),
            )
            unfinished.replace(file)
            return vectors, refused

    def _encode_in_child(self, pictures: Sequence[Picture]) -> tuple[FloatArray, dict[int, str]]:
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
                return child.submit(_encode_here, str(self.folder), list(pictures)).result()
        except BrokenProcessPool as error:
            reason = "the process that reads pictures was killed, perhaps for its memory"
            raise EncoderError(f"{self.name}: {reason}") from error


def find_image_encoder(name: str, revision: str | None = None) -> ImageEncoder:
    """A CLIP-like model: a local folder, or an id on the Hugging Face hub.

    Raises:
        EncoderError: it cannot be had; the message says what to do.
    """
    folder = model_folder(name, revision)
    return ImageEncoder(name, folder, fingerprint(folder))


def image_block(encoder: ImageEncoder, pictures: Sequence[Picture], ids: Sequence[str]) -> tuple[Block, list[str]]:
    """The block `image`, and a note on the pictures that were refused.

    Raises:
        EncoderError: the model cannot be loaded.
    """
    vectors, refused = encoder.encode_cached(pictures)
    known = np.array([picture is not None for picture in pictures], dtype=bool)
    known[list(refused)] = False
    told = [f"{ids[place]}: {reason}" for place, reason in list(refused.items())[:NAMED]]
    notes = [f"image: {len(refused)} of {len(pictures)} pictures refused ({'; '.join(told)})"] if refused else []
    return Block("image", vectors, known), notes


def sha256_of(pictures: Sequence[Picture]) -> str:
    """Names pictures by what is in them."""
    total = hashlib.sha256()
    for picture in pictures:
        content = b"" if picture is None else picture if isinstance(picture, bytes) else _content(picture)
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def open_picture(picture: Path | bytes) -> Image:
    """A picture in colours, its short side at most `SHORT_SIDE` pixels.

    Raises:
        ValueError: it is none, too large, or a strip; says which.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(picture, Path):
        if not picture.is_file():
            raise ValueError(f"no file {picture.name}")
        if picture.stat().st_size > MAX_BYTES:
            raise ValueError(f"{picture.name} has more than {MAX_BYTES} bytes")
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS) as opened:
            size = _shrunk_size(*opened.size)
            opened.draft("RGB", size)  # a JPEG is unpacked to no more than it has to be
            shrunk = opened.convert("RGB")
            shrunk.thumbnail(size)
            return shrunk
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise ValueError("not a picture") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"a damaged picture: {str(error)[:80]}") from error


def _shrunk_size(width: int, height: int) -> tuple[int, int]:
    short, long = sorted((width, height))
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} × {height} pixels, more than {MAX_PIXELS}")
    if long > MAX_ASPECT * short:
        raise ValueError(f"{width} × {height} pixels: a strip, more than {MAX_ASPECT} times as long as it is wide")
    shrink = min(1.0, SHORT_SIDE / short)
    return math.ceil(width * shrink), math.ceil(height * shrink)


def _content(path: Path) -> bytes:
    """What a file holds; nothing where it cannot be read or will be refused for its size."""
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_BYTES else str(path).encode()
    except OSError:
        return b""


def _encode_here(folder: str, pictures: list[Picture], batch: int = 32) -> tuple[FloatArray, dict[int, str]]:
    import torch

    model, processor = _load(folder)
    width = int(model.config.projection_dim)
    vectors, refused = np.zeros((len(pictures), width), np.float32), dict[int, str]()
    for start in range(0, len(pictures), batch):
        places, opened = [], []
        for place in range(start, min(start + batch, len(pictures))):
            picture = pictures[place]
            if picture is None:
                continue
            try:
                opened.append(open_picture(picture))
                places.append(place)
            except ValueError as error:
                refused[place] = str(error)
        if opened:
            with torch.inference_mode():
                found = model.get_image_features(**processor(images=opened, return_tensors="pt"))
            vectors[places] = _pooled(found).float().numpy()
    return vectors, refused


def _pooled(found: Any) -> Any:  # noqa: ANN401 - transformers gives a tensor, or an output that holds it
    return getattr(found, "pooler_output", found)


def _load(folder: str) -> tuple[Any, Any]:
    try:
        from transformers import AutoImageProcessor, AutoModel

        model = AutoModel.from_pretrained(folder, local_files_only=True)
        if not hasattr(model, "get_image_features"):
            raise TypeError(f"{type(model).__name__} reads no pictures")
        return model.eval(), AutoImageProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a damaged or foreign model folder makes these libraries raise
        line = " ".join(str(error).split())[:300]
        raise EncoderError(f"{folder}: cannot be loaded as an image encoder: {line}") from error
