"""Pictures by a tiny CLIP that is made here: what is none, or too large, is refused by name, and the rest goes on."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from sottovoce.common import images
from sottovoce.common.errors import EncoderError
from sottovoce.common.images import Picture, find_image_encoder, image_block, sha256_of
from sottovoce.simulations.datasets import ReadOptions, load_dataset


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLIP of a few thousand random weights."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    small: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = CLIPTextConfig(vocab_size=20, max_position_embeddings=8, eos_token_id=1, bos_token_id=0, **small)
    vision = CLIPVisionConfig(image_size=32, patch_size=16, **small)
    CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)).save_pretrained(
        folder
    )
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))


def picture(colour: str, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(content, form)
    return content.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    return picture("red")[:8] + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4) + picture("red")[33:]


def pictures(folder: Path) -> list[Picture]:
    (folder / "there.jpg").write_bytes(picture("blue", "JPEG"))
    return [picture("red"), folder / "there.jpg", None, b"no picture", claiming(20_000, 20_000), claiming(9_000, 9_000),
            picture("red")[:60], folder / "gone.png", picture("red")]  # fmt: skip


def test_pictures_become_vectors_and_those_that_are_none_are_named(model: Path, tmp_path: Path) -> None:
    vectors, refused = find_image_encoder(str(model)).encode(pictures(tmp_path))

    assert vectors.shape == (9, 8)
    assert (np.linalg.norm(vectors, axis=1) > 0).tolist() == [True, True, *[False] * 6, True]
    np.testing.assert_allclose(vectors[0], vectors[8], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1])
    assert set(refused) == {3, 4, 5, 6, 7}
    assert refused[3] == "not a picture"
    assert "more than 50000000" in refused[4]
    assert refused[5] == "9000 × 9000 pixels, more than 50000000"
    assert refused[7] == "no file gone.png"


@pytest.mark.slow
def test_a_block_of_pictures_is_computed_once_and_names_what_was_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, ids = find_image_encoder(str(model)), [f"i{row}" for row in range(9)]
    block, notes = image_block(encoder, pictures(tmp_path), ids)
    monkeypatch.setattr(images, "ProcessPoolExecutor", None)
    again, more = image_block(encoder, pictures(tmp_path), ids)

    assert block.known.tolist() == [True, True, *[False] * 6, True]
    np.testing.assert_array_equal(block.values, again.values)
    assert notes == more
    assert notes[0].startswith("image: 5 of 9 pictures refused (i3: not a picture; i4: ")


@pytest.mark.parametrize(("width", "height"), [(1, 3_000), (100_000, 1), (500, 40)])
def test_a_strip_is_refused_before_it_is_unpacked(model: Path, width: int, height: int) -> None:
    vectors, refused = find_image_encoder(str(model)).encode([claiming(width, height), picture("red")])
    assert refused == {0: f"{width} × {height} pixels: a strip, more than 10 times as long as it is wide"}
    assert vectors[1].any()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
def test_a_large_picture_is_shrunk_on_opening_and_a_small_one_stays(form: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (3_000, 1_500), "red").save(content, form)
    assert images.open_picture(content.getvalue()).size == (1_024, 512)
    assert images.open_picture(picture("red", form)).size == (40, 30)


def test_no_other_program_is_started_for_a_picture() -> None:
    with pytest.raises(ValueError, match="not a picture"):
        images.open_picture(picture("red", "EPS"))


def dies(folder: str, pictures: list[Picture]) -> None:
    os._exit(9)


@pytest.mark.slow
def test_a_killed_child_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_encode_here", dies)
    with pytest.raises(EncoderError, match="the process that reads pictures was killed"):
        find_image_encoder(str(model)).encode_cached([picture("red")])


def test_an_endless_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    (tmp_path / "large.png").write_bytes(picture("red"))
    with pytest.raises(ValueError, match=r"large\.png has more than 10 bytes"):
        images.open_picture(tmp_path / "large.png")
    assert sha256_of([tmp_path / "large.png"]) != sha256_of([None])


def test_a_folder_that_lacks_a_file_or_reads_no_pictures_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no text model here"):
        find_image_encoder(str(tmp_path))
    for path in model.iterdir():
        if path.name != "preprocessor_config.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EncoderError, match="cannot be loaded as an image encoder"):
        find_image_encoder(str(tmp_path)).encode([picture("red")])
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(EncoderError, match="cannot be loaded as an image encoder"):
        find_image_encoder(str(tmp_path)).encode([picture("red")])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_of_pictures_and_numbers_are_read(tmp_path: Path, ending: str) -> None:
    (tmp_path / "interactions.csv").write_text("user,item\nu,a\nu,b\n")
    cells: list[object] = [b"bytes", None] if ending == "parquet" else ["cover.png", ""]
    table = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "price": ["1", "2"], "maker": ["x", "y"],
                          "cover": cells})  # fmt: skip
    if ending == "csv":
        table.to_csv(tmp_path / "items.csv", index=False)
    else:
        table.to_parquet(tmp_path / "items.parquet")
    columns = {"numeric": "price", "categorical": "maker", "image": "cover"}

    dataset = load_dataset(str(tmp_path), ReadOptions(min_interactions=1, columns=columns))

    assert dataset.features == {"price": "numeric", "maker": "categorical"}
    assert dataset.catalogue.attributes == {"price": ("1", "2"), "maker": ("x", "y")}
    assert dataset.catalogue.texts == ("A", "B")
    assert dataset.images == ((b"bytes" if ending == "parquet" else tmp_path / "cover.png"), None)
