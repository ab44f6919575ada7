"""Mapped arrays are what safetensors wrote, cannot be changed, and a file that lies about itself is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sottovoce.common.errors import DataError
from sottovoce.common.mapped import MappedFile
from sottovoce.common.scoring import save_arrays

ARRAYS: dict[str, NDArray[np.generic]] = {
    "a": np.arange(6, dtype=np.int8).reshape(2, 3),
    "b": np.linspace(0, 1, 5, dtype=np.float32),
    "none": np.zeros((4, 0), np.int16),
}


def test_arrays_are_what_was_saved(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", ARRAYS)
    file = MappedFile.open(tmp_path / "file")
    found = file.arrays()
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable
    assert file.sha256 == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


def with_header(path: Path, header: object, data: bytes = bytes(16)) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "I8", "shape": [4, 4], "data_offsets": [0, 16], **changes}}


@pytest.mark.parametrize(
    "header",
    [
        [],
        None,
        7,
        {"a": 3},
        entry(dtype="F64"),
        entry(dtype=None),
        entry(shape=[4, 5]),
        entry(shape=[-4, -4]),
        entry(shape=[2**40, 2**40]),
        entry(shape="16"),
        entry(data_offsets=[0, 17], shape=[17]),
        entry(data_offsets=[-1, 15]),
        entry(data_offsets=[16, 0]),
        entry(data_offsets=[0]),
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object) -> None:
    with pytest.raises(DataError, match="not a safetensors file"):
        MappedFile.open(with_header(tmp_path / "file", header)).arrays()


@pytest.mark.parametrize("content", [b"\x00" * 8, b"\xff" * 64, b"abc", (2**62).to_bytes(8, "little") + b"{}"])
def test_what_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="not a safetensors file"):
        MappedFile.open(tmp_path / "file").arrays()


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(DataError, match="cannot be read"):
            MappedFile.open(tmp_path / name)
