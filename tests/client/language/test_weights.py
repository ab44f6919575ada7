"""Models that can be read, and folders that cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sottovoce.client.language.weights import open_model
from sottovoce.common.errors import DataError

torch = pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_decodes_as_transformers_does(folder: Path) -> None:
    from transformers import LlamaForCausalLM

    from sottovoce.client.language.decoder import Decoder, in_eight_bits

    with open_model(folder) as model:
        decoder = Decoder(model.shape, in_eight_bits(model.shape, model.read).__getitem__, longest=64)
    tokens = [3, 14, 15, 9, 26, 5]
    with torch.inference_mode():
        expected = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.tensor([tokens])).logits[0]
    decoder.read(tokens[:3])
    for token, row in zip(tokens[3:], expected[3:], strict=True):
        found = decoder.read([token])
        assert torch.corrcoef(torch.stack([found, row]))[0, 1] > 0.999
    decoder.back(3)
    again = decoder.read(tokens[3:])
    assert torch.allclose(again, found, atol=2e-2)
    with pytest.raises(ValueError, match="sequence"):
        decoder.read(list(range(60)))


def copied(folder: Path, target: Path, without: str = "", **changed: object) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        if path.name != without:
            (target / path.name).write_bytes(path.read_bytes())
    if changed:
        config = json.loads((target / "config.json").read_text())
        (target / "config.json").write_text(json.dumps({**config, **changed}))
    return target


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: this file of the language model is missing"):
        open_model(copied(folder, tmp_path / "copy", without=name)).__enter__()


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"model_type": "gpt2"}, "only plain `llama`"), ({"attention_bias": True}, "only plain `llama`")],
)
def test_another_architecture_is_refused(folder: Path, tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        open_model(copied(folder, tmp_path / "copy", **changed)).__enter__()


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(200), b"no model at all" * 10])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.gguf"):
        open_model(path).__enter__()


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"\x00" * 50)
    with pytest.raises(DataError, match="model"):
        open_model(copy).__enter__()
