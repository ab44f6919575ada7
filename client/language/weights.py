"""Open a language model of the Llama family: a GGUF file, or a folder as model hubs have them.

Only what is needed is read, one weight at a time. Nothing of it is code: GGUF, safetensors and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sottovoce.common.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

MOST_WEIGHTS = 2_000_000_000
"""Larger models are refused: this writer is for one thread of a small machine."""

FOLDER_FILES = ("config.json", "tokenizer.json", "model.safetensors")
"""What a model's folder has to hold."""

_GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Sizes of a model.

    Attributes:
        layers: How many.
        heads: Of queries, per layer.
        key_heads: Of keys and values, per layer.
        head: Length of one head.
        theta: Base of the rotary angles.
        epsilon: Of the norms.
        tied: Whether the output reads the embedding.
    """

    layers: int
    heads: int
    key_heads: int
    head: int
    theta: float
    epsilon: float
    tied: bool


@dataclass(frozen=True)
class Model:
    """An open model.

    Attributes:
        shape: Its sizes.
        read: Gives a weight by its name in transformers' layout, in float32.
        tokenizer: Its tokenizer.
    """

    shape: Shape
    read: Callable[[str], Tensor]
    tokenizer: Tokenizer


@contextmanager
def open_model(path: Path) -> Iterator[Model]:
    """Open a GGUF file, or a folder with `config.json`, `tokenizer.json` and `model.safetensors`.

    Raises:
        DataError: a file is missing or damaged, or the model is of another architecture.
    """
    try:
        if path.is_dir():
            with _folder(path) as model:
                yield model
        else:
            yield _gguf(path)
    except DataError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OSError) as error:
        told = " ".join(str(error).split())[:120]
        raise DataError(path, f"not a language model that can be read: {told}") from error


@contextmanager
def _folder(folder: Path) -> Iterator[Model]:
    from safetensors import SafetensorError, safe_open
    from tokenizers import Tokenizer

    for name in FOLDER_FILES:
        if not (folder / name).is_file():
            raise DataError(folder / name, "this file of the language model is missing")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = _shape_of(folder, config)
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            yield Model(shape, lambda name: file.get_tensor(name).float(), tokenizer)
    except SafetensorError as error:
        raise DataError(folder / "model.safetensors", f"not a language model that can be read: {error}") from error


def _shape_of(folder: Path, config: dict[str, Any]) -> Shape:
    if config.get("model_type") != "llama" or config.get("attention_bias") or config.get("mlp_bias"):
        raise DataError(folder, f"a model of type {config.get('model_type')!r}: only plain `llama` can be read")
    rope = config.get("rope_parameters") or {}
    if config.get("rope_scaling") or rope.get("rope_type", "default") != "default":
        raise DataError(folder, "a model with scaled rotary positions: they cannot be read")
    heads = int(config["num_attention_heads"])
    return Shape(
        int(config["num_hidden_layers"]), heads, int(config.get("num_key_value_heads") or heads),
        int(config.get("head_dim") or config["hidden_size"] // heads),
        float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0), float(config["rms_norm_eps"]),
        bool(config.get("tie_word_embeddings")),
    )  # fmt: skip


def _gguf(path: Path) -> Model:
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize

    if not path.is_file():
        raise DataError(path, "no language model here")
    reader = GGUFReader(path)
    fields = dict(reader.fields)
    kind = str(fields["general.architecture"].contents())
    if kind != "llama":
        raise DataError(path, f"a model of architecture {kind!r}: only `llama` can be read")

    def value(name: str, otherwise: Any = None) -> Any:  # noqa: ANN401 (as the file has it)
        field = fields.get(f"llama.{name}")
        return otherwise if field is None else field.contents()

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if sum(int(tensor.n_elements) for tensor in reader.tensors) > MOST_WEIGHTS:
        raise DataError(path, f"more than {MOST_WEIGHTS:,} weights")
    heads = int(value("attention.head_count"))
    shape = Shape(
        int(value("block_count")), heads, int(value("attention.head_count_kv", heads)),
        int(value("attention.key_length", value("embedding_length") // heads)),
        float(value("rope.freq_base", 10_000.0)), float(value("attention.layer_norm_rms_epsilon")),
        "output.weight" not in tensors,
    )  # fmt: skip

    def read(name: str) -> Tensor:
        tensor = tensors[_gguf_name(name)]
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        turned = {"q_proj": shape.heads, "k_proj": shape.key_heads}
        count = next((count for part, count in turned.items() if part in name), 0)
        return _unpermuted(weight, count) if count else weight

    return Model(shape, read, _gguf_tokenizer(fields))


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{_GGUF_NAMES[stem]}.weight"
    _, _, at, part = stem.split(".", 3)
    return f"blk.{at}.{_GGUF_NAMES[part]}.weight"


def _unpermuted(weight: Tensor, heads: int) -> Tensor:
    """GGUF keeps the two coordinates that are turned together side by side; transformers half a head apart."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _gguf_tokenizer(fields: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE, as GGUF files of this family carry it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    if fields["tokenizer.ggml.model"].contents() != "gpt2":
        raise ValueError("its tokenizer is no byte-level BPE")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t, kind in zip(tokens, kinds, strict=True) if kind == 3]
    )
    return tokenizer
