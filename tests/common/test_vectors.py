"""The item space: unit vectors that the saved map gives back, for large catalogues, small ones and strange texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sottovoce.common.encoder import Encoder
from sottovoce.common.errors import DataError
from sottovoce.common.scoring import FloatArray
from sottovoce.common.vectors import ItemSpace, fit_item_space, principal_coordinates, unit_rows

ENCODER = Encoder("minilm", Path("model"), "f" * 64)
WORDS = [
    f"{first}{second}" for first in ("sea", "sun", "war", "love", "cat") for second in ("man", "ship", "storm", "'s")
]


def random_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 9))) + f" {row}" for row in range(count)]


def encode(texts: Sequence[str], dimensions: int = 24) -> FloatArray:
    """Stands in for a text model: each word has a random direction."""
    vectors = np.zeros((len(texts), dimensions), np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            seed = int.from_bytes(word.encode()[:8].ljust(8), "little")
            vectors[row] += np.random.default_rng(seed).normal(size=dimensions)
    return unit_rows(vectors)


def fit(texts: list[str], encoder_dimensions: int = 8, word_dimensions: int = 6) -> ItemSpace:
    return fit_item_space(texts, encode(texts), ENCODER, None, "c" * 64, encoder_dimensions, word_dimensions)


STRANGE = {
    "hundreds": random_texts(300),
    "five": random_texts(5),
    "two": ["sun man", "sea ship"],
    "one": ["sun man"],
    "no word in common": ["alpha", "beta", "gamma", "delta", "epsilon"],
    "the same text": ["sun man"] * 4 + ["sea ship"],
    "a text without words": ["sun man", "...", "sea ship", "sun ship", "sea man"],
    "foreign letters": [
        "Das Boot 1981",
        "千と千尋の神隠し",
        "L'Écume des jours",
        "Das Leben der Anderen",
        "naïve café",
    ],
}


@pytest.mark.parametrize("name", STRANGE)
def test_vectors_have_unit_norm_and_the_map_gives_them_back(name: str) -> None:
    texts = STRANGE[name]
    space = fit(texts)
    norms = np.linalg.norm(space.vectors, axis=1)
    assert space.vectors.dtype == np.float32
    assert np.isfinite(space.vectors).all()
    assert ((np.abs(norms - 1) < 1e-4) | (norms == 0)).all()
    if name not in ("one",):
        assert (norms > 0).all()
    np.testing.assert_allclose(space.project(texts, encode(texts)), space.vectors, atol=1e-4)
    assert space.dimension == space.vectors.shape[1] == space.maps["rotation"].shape[0]


def test_each_block_has_at_most_the_dimensions_that_were_asked_for() -> None:
    assert fit(random_texts(300), 8, 6).dimension == 14
    assert fit(random_texts(300), 8, 0).dimension == 8
    assert fit(random_texts(300), 500, 6).dimension == 24 + 6
    assert fit(random_texts(3), 8, 6).dimension <= 4


def test_both_blocks_tell_items_apart() -> None:
    """Blocks of equal weight: items of the same words, or of the same meaning, are closer than others."""
    texts = random_texts(300)
    full, encoder_alone = fit(texts), fit(texts, 8, 0)
    assert not np.allclose(full.vectors[:, :8], encoder_alone.vectors, atol=1e-2)
    blind = fit_item_space(texts, np.zeros((300, 24), np.float32), ENCODER, None, "c", 8, 6)
    assert blind.dimension == 6
    twin = [*texts, "catstorm catstorm seaship unheard", "catstorm seaship catstorm words"]
    alike = fit_item_space(twin, np.zeros((302, 24), np.float32), ENCODER, None, "c", 8, 6).vectors
    assert alike[300] @ alike[301] > 0.99
    assert np.median(alike[:300] @ alike[300]) < 0.5


def test_leading_coordinates_carry_most() -> None:
    carried = (fit(random_texts(300)).vectors.astype(np.float64) ** 2).sum(axis=0)
    assert (np.diff(carried) <= 1e-6 * carried[0]).all()
    assert carried[0] > 2 * carried[-1]


def test_coordinates_are_those_of_a_singular_value_decomposition() -> None:
    """Of the leading four directions, each up to its sign and its scale."""
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32) * np.arange(1, 8, dtype=np.float32)
    rows = (rows - rows.mean(axis=0)).astype(np.float32)
    coordinates, components = principal_coordinates(rows, 4)
    left = np.linalg.svd(rows.astype(np.float64), full_matrices=False)[0][:, :4]
    scaled = coordinates / np.linalg.norm(coordinates, axis=0)
    np.testing.assert_allclose(np.abs(scaled.T @ left), np.eye(4), atol=1e-4)
    np.testing.assert_allclose(rows @ components, coordinates, atol=1e-4)
    assert np.mean(np.sum(coordinates**2, axis=1)) == pytest.approx(1, rel=1e-4)


def test_no_direction_is_kept_in_which_nothing_differs() -> None:
    rows = np.zeros((20, 5), np.float32)
    rows[:, 2] = np.linspace(-1, 1, 20)
    assert principal_coordinates(rows, 4)[0].shape == (20, 1)
    assert principal_coordinates(np.zeros((20, 5), np.float32), 4)[0].shape == (20, 0)


def test_unit_rows_leave_a_zero_row_at_zero() -> None:
    scaled = unit_rows(np.array([[3, 4], [0, 0], [1e-3, 0]], np.float32))
    np.testing.assert_allclose(scaled, np.array([[0.6, 0.8], [0, 0], [1, 0]]), atol=1e-6)


def test_the_same_texts_make_the_same_space() -> None:
    texts = random_texts(120)
    one, other = fit(texts), fit(texts)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.sha256 == other.sha256
    assert one.facts == other.facts


def test_a_randomised_decomposition_is_the_same_each_time() -> None:
    """Of many words that are all alike, no leading directions stand out: what is found depends on where it starts."""
    rng = np.random.default_rng(2)
    texts = [" ".join(f"w{word}" for word in rng.integers(0, 400, 6)) for _ in range(300)]
    np.testing.assert_array_equal(fit(texts).vectors, fit(texts).vectors)


def test_another_text_encoder_or_catalogue_makes_another_name() -> None:
    texts = random_texts(20)
    encoded = encode(texts)
    names = {
        fit_item_space(texts, encoded, ENCODER, None, "c", 8, 6).sha256,
        fit_item_space(texts, encoded, ENCODER, None, "d", 8, 6).sha256,
        fit_item_space(texts, encoded, ENCODER, "v2", "c", 8, 6).sha256,
        fit_item_space(texts, encoded, Encoder("minilm", Path("model"), "e" * 64), None, "c", 8, 6).sha256,
        fit_item_space(texts, encoded, ENCODER, None, "c", 7, 6).sha256,
        fit_item_space([*texts[:-1], "sun"], encoded, ENCODER, None, "c", 8, 6).sha256,
        fit_item_space(texts, encoded + np.eye(20, 24, dtype=np.float32), ENCODER, None, "c", 8, 6).sha256,
    }
    assert len(names) == 7


def test_a_new_text_lies_beside_what_it_resembles() -> None:
    texts = random_texts(300)
    space = fit(texts)
    new = ["warship warstorm warman unheard-of", "xyzzy plugh"]
    placed = space.project(new, encode(new))
    assert placed.shape == (2, space.dimension)
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1, atol=1e-4)
    of_war = np.array([sum(word in text for word in ("warship", "warstorm", "warman")) for text in texts])
    closeness = space.vectors @ placed[0]
    assert closeness[of_war >= 2].mean() > closeness[of_war == 0].mean() + 0.2
    np.testing.assert_allclose(space.project(new[1:], encode(new[1:]))[0], placed[1], atol=1e-5)


@pytest.mark.parametrize("texts", [["...", "!", "?"], [f"only{row}" for row in range(150)]])
def test_a_catalogue_without_words_to_share_is_refused(texts: list[str]) -> None:
    with pytest.raises(DataError, match="catalogue: its texts share no words at all"):
        fit(texts)


@pytest.mark.parametrize("name", ["hundreds", "five", "one", "foreign letters"])
def test_what_is_saved_is_read_again(tmp_path: Path, name: str) -> None:
    space = fit(STRANGE[name])
    space.save(tmp_path / "items.safetensors")
    read = ItemSpace.load(tmp_path / "items.safetensors")
    np.testing.assert_array_equal(read.vectors, space.vectors)
    assert read.sha256 == space.sha256
    assert read.facts == space.facts
    assert (read.encoder, read.revision) == ("minilm", None)
    new = ["seaman Das sunship"]
    np.testing.assert_allclose(read.project(new, encode(new)), space.project(new, encode(new)), atol=1e-6)


def test_a_revision_is_kept() -> None:
    texts = random_texts(5)
    assert fit_item_space(texts, encode(texts), ENCODER, "v2", "c", 8, 6).revision == "v2"


@pytest.mark.parametrize("lacking", ["vectors", "rotation", "encoder.mean", "words.idf", "the facts"])
def test_a_file_that_lacks_something_is_refused(tmp_path: Path, lacking: str) -> None:
    path = tmp_path / "items.safetensors"
    space = fit(random_texts(20))
    space.save(path)
    arrays = {name: array for name, array in load_file(path).items() if name != lacking}
    save_file(arrays, path, None if lacking == "the facts" else space.facts)
    with pytest.raises(DataError, match=r"items\.safetensors: not an item space"):
        ItemSpace.load(path)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.safetensors"
    fit(random_texts(20)).save(path)
    whole = path.read_bytes()
    for content in (b"", whole[:7], whole[:100], whole[:-1], b"\xff" + whole[1:], b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not an item space"):
            ItemSpace.load(path)
    with pytest.raises(DataError, match="nothing"):
        ItemSpace.load(tmp_path / "nothing")
