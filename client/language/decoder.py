"""A small decoder of the Llama family, one sequence at a time, on one CPU thread: weights in eight bits, and a cache
that can be wound back, so that a writer may take a word back.

RMSNorm, rotary positions, grouped-query attention and SwiGLU as in Touvron et al. (2023); per-row int8 weights with
activations quantised on the fly (PyTorch's dynamic linear). Needs torch: it is imported in the writer's process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sottovoce.client.language.weights import Shape

Linear = Callable[[Tensor], Tensor]
Read = Callable[[str], Tensor]
"""Gives a weight by its name."""


def in_eight_bits(shape: Shape, read: Read) -> dict[str, Tensor]:
    """A model's weights as `Decoder` takes them.

    Args:
        shape: Its sizes.
        read: Gives its weights in transformers' layout, in float32.
    """
    embedding = read("model.embed_tokens.weight")
    kept = {"embedding": embedding.to(torch.float16), "norm": read("model.norm.weight")}
    kept |= _eight_bits("head", embedding if shape.tied else read("lm_head.weight"))
    for at in range(shape.layers):
        layer, attention, mlp = (f"model.layers.{at}.{part}" for part in ("", "self_attn.", "mlp."))
        kept[f"{at}.norm"] = read(f"{layer}input_layernorm.weight")
        kept[f"{at}.second_norm"] = read(f"{layer}post_attention_layernorm.weight")
        joined = torch.cat([read(f"{attention}{part}_proj.weight") for part in "qkv"])
        kept |= _eight_bits(f"{at}.inward", joined)
        kept |= _eight_bits(f"{at}.outward", read(f"{attention}o_proj.weight"))
        kept |= _eight_bits(f"{at}.up", torch.cat([read(f"{mlp}{part}_proj.weight") for part in ("gate", "up")]))
        kept |= _eight_bits(f"{at}.down", read(f"{mlp}down_proj.weight"))
    return kept


class Decoder:
    """The model and the sequence that it has read.

    Args:
        shape: Its sizes.
        read: Gives its weights, as `in_eight_bits` names them.
        longest: Tokens that a sequence may have.
    """

    def __init__(self, shape: Shape, read: Read, longest: int = 1024) -> None:
        self.shape = shape
        self.longest = longest
        self.length = 0
        self._embedding = read("embedding")
        self._layers = [_Layer(shape, read, at, longest) for at in range(shape.layers)]
        self._norm = read("norm")
        self._head = _linear(read, "head")
        angles = torch.arange(longest)[:, None] / shape.theta ** (torch.arange(0, shape.head, 2) / shape.head)
        self._turns = (angles.cos().repeat(1, 2), angles.sin().repeat(1, 2))

    @torch.inference_mode()
    def read(self, tokens: Sequence[int], each: bool = False) -> Tensor:
        """Take up more tokens; logits of what comes next, shape [vocabulary], or behind `each`, [tokens, vocabulary].

        Raises:
            ValueError: the sequence would be too long.
        """
        end = self.length + len(tokens)
        if not tokens or end > len(self._turns[0]):
            raise ValueError(f"a sequence of {end} tokens: from 1 to {len(self._turns[0])} are expected")
        x = self._embedding[list(tokens)].float()
        turns = (self._turns[0][self.length : end], self._turns[1][self.length : end])
        for layer in self._layers:
            x = layer(x, turns, self.length)
        self.length = end
        logits = self._head(_normed(x if each else x[-1:], self._norm, self.shape.epsilon))
        return logits if each else logits[0]

    def back(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""
        self.length = min(length, self.length)


class _Layer:
    def __init__(self, shape: Shape, read: Read, at: int, longest: int) -> None:
        self.shape = shape
        self.norms = (read(f"{at}.norm"), read(f"{at}.second_norm"))
        self.inward, self.outward = _linear(read, f"{at}.inward"), _linear(read, f"{at}.outward")
        self.up, self.down = _linear(read, f"{at}.up"), _linear(read, f"{at}.down")
        self.cache = torch.zeros(2, shape.key_heads, longest, shape.head)

    def __call__(self, x: Tensor, turns: tuple[Tensor, Tensor], start: int) -> Tensor:
        x = x + self.outward(self._attend(_normed(x, self.norms[0], self.shape.epsilon), turns, start))
        gate, up = self.up(_normed(x, self.norms[1], self.shape.epsilon)).chunk(2, dim=-1)
        return x + self.down(nn.functional.silu(gate) * up)

    def _attend(self, x: Tensor, turns: tuple[Tensor, Tensor], start: int) -> Tensor:
        count, heads, keys = len(x), self.shape.heads, self.shape.key_heads
        end = start + count
        q, k, v = torch.split(self.inward(x).view(count, heads + 2 * keys, -1).transpose(0, 1), [heads, keys, keys])
        self.cache[0, :, start:end] = _turned(k, turns)
        self.cache[1, :, start:end] = v
        seen = None if count == 1 else torch.ones(count, end, dtype=torch.bool).tril(start)
        known = self.cache[:, None, :, :end]
        mixed = nn.functional.scaled_dot_product_attention(
            _turned(q, turns)[None], known[0], known[1], attn_mask=seen, enable_gqa=True
        )
        return mixed[0].transpose(0, 1).reshape(count, -1)


def _eight_bits(name: str, weight: Tensor) -> dict[str, Tensor]:
    """A weight, shape [out, in], as whole numbers with one scale per row."""
    scales = (weight.abs().amax(dim=1) / 127).clamp_min(1e-12).double()
    rows = torch.quantize_per_channel(weight, scales, torch.zeros(len(weight), dtype=torch.int64), 0, torch.qint8)
    return {name: rows.int_repr(), f"{name}.scales": scales}


def _linear(read: Read, name: str) -> Linear:
    """The linear map of a weight in eight bits."""
    rows, scales = read(name), read(f"{name}.scales")
    zeros = torch.zeros(len(rows), dtype=torch.int64)
    packed = torch.ops.quantized.linear_prepack(torch._make_per_channel_quantized_tensor(rows, scales, zeros, 0), None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed)


def _normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + epsilon) * weight


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions: each pair of coordinates (j, j + half) is turned by its position's angle."""
    left, right = x.chunk(2, dim=-1)
    return x * turns[0] + torch.cat([-right, left], dim=-1) * turns[1]
