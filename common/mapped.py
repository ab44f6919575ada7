"""Read a safetensors file where it lies: arrays are views of the memory-mapped file, and nothing is copied.

The format (https://github.com/huggingface/safetensors): eight bytes with the header's length, a JSON header that names
type, shape and place of each array, then the arrays' bytes. What does not fit the file is refused.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import DataError

_KINDS = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F16": np.float16, "F32": np.float32}
_LONGEST_HEADER = 1_000_000


@dataclass(frozen=True)
class MappedFile:
    """A file in memory as it lies on the disk.

    Attributes:
        path: The file.
        content: Its bytes.
    """

    path: Path
    content: memoryview

    @classmethod
    def open(cls, path: Path) -> MappedFile:
        """Map a file.

        Raises:
            DataError: it cannot be read, or is empty.
        """
        try:
            with path.open("rb") as file:
                return cls(path, memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        except (OSError, ValueError) as error:
            raise DataError(path, f"cannot be read: {error}") from error

    @property
    def sha256(self) -> str:
        """Hash of the very bytes that the arrays are views of."""
        return hashlib.sha256(self.content).hexdigest()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays of a safetensors file, as views that cannot be written to.

        Raises:
            DataError: it is none.
        """
        try:
            length = int.from_bytes(self.content[:8], "little")
            if not 0 < length <= min(_LONGEST_HEADER, len(self.content) - 8):
                raise ValueError("the header's length")
            header = json.loads(bytes(self.content[8 : 8 + length]))
            header.pop("__metadata__", None)
            return {name: self._array(8 + length, entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(self.path, f"not a safetensors file: {error}") from error

    def _array(self, start: int, entry: dict[str, Any]) -> NDArray[np.generic]:
        kind, shape = np.dtype(_KINDS[entry["dtype"]]), tuple(map(int, entry["shape"]))
        first, end = map(int, entry["data_offsets"])
        if min(shape, default=0) < 0 or not 0 <= first <= end <= len(self.content) - start:
            raise ValueError("an array that does not fit the file")
        if end - first != prod(shape) * kind.itemsize:
            raise ValueError("an array that does not fit its shape")
        return np.frombuffer(self.content[start + first : start + end], kind).reshape(shape)
