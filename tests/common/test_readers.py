"""A map from an encoder's space brings texts near the items that they are like, and survives being written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sottovoce.common.errors import DataError
from sottovoce.common.readers import Reader, fit_reader, load_readers, save_readers
from sottovoce.common.vectors import unit_rows

FACTS = {"encoder": "usem3", "revision": "", "fingerprint": "0" * 64}
RNG = np.random.default_rng(0)
VECTORS = unit_rows(RNG.normal(size=(300, 12)).astype(np.float32))
ENCODED = (VECTORS @ RNG.normal(size=(12, 40)) + 3 + 0.05 * RNG.normal(size=(300, 40))).astype(np.float32)


def test_an_items_own_text_is_placed_at_the_item() -> None:
    placed = fit_reader(ENCODED, VECTORS, FACTS).place(ENCODED)
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1, atol=1e-5)
    assert ((placed @ VECTORS.T).argmax(axis=1) == np.arange(300)).mean() > 0.99


def test_a_low_rank_keeps_what_matters_most() -> None:
    stretched = unit_rows(VECTORS * np.geomspace(1, 0.01, 12, dtype=np.float32))
    reader = fit_reader(ENCODED, stretched, FACTS, rank=6)
    assert reader.down.shape == (6, 40)
    assert (reader.place(ENCODED) * stretched).sum(axis=1).mean() > 0.95


def test_maps_are_read_as_they_were_written(tmp_path: Path) -> None:
    readers = [fit_reader(ENCODED, VECTORS, FACTS), fit_reader(ENCODED[:, :5], VECTORS, {**FACTS, "encoder": "x"})]
    save_readers(tmp_path / "readers.safetensors", readers)
    read = load_readers(tmp_path / "readers.safetensors")
    assert [reader.facts["encoder"] for reader in read] == ["usem3", "x"]
    for one, other, length in zip(readers, read, (40, 5), strict=True):
        np.testing.assert_array_equal(one.place(ENCODED[:, :length]), other.place(ENCODED[:, :length]))
    assert load_readers(tmp_path / "nothing.safetensors") == ()


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "readers.safetensors"
    save_readers(path, [fit_reader(ENCODED, VECTORS, FACTS)])
    path.with_suffix(".json").write_text("[{}]")
    with pytest.raises(DataError, match="not a file of maps"):
        load_readers(path)
    path.with_suffix(".json").write_text('[{"encoder": "x", "fingerprint": "y"}, {"encoder": "x", "fingerprint": "y"}]')
    with pytest.raises(DataError, match="not a file of maps"):
        load_readers(path)


def test_parts_of_other_types_are_refused() -> None:
    arrays = fit_reader(ENCODED, VECTORS, FACTS).arrays(0)
    with pytest.raises(ValueError, match="other types"):
        Reader.read({**arrays, "reader.0.mean": np.zeros(40)}, 0, FACTS)
    with pytest.raises(ValueError, match="fit together"):
        Reader.read({**arrays, "reader.0.mean": np.zeros(4, np.float32)}, 0, FACTS)
