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
"""Gives a weight by its name in transformers' layout, in float32."""


class Decoder:
    """The model and the sequence that it has read.

    Args:
        shape: Its sizes.
        read: Gives its weights, each once.
        longest: Tokens that a sequence may have.
    """

    def __init__(self, shape: Shape, read: Read, longest: int = 1024) -> None:
        self.shape = shape
        self.length = 0
        self._embedding = read("model.embed_tokens.weight").to(torch.float16)
        self._layers = [_Layer(shape, read, f"model.layers.{at}.", longest) for at in range(shape.layers)]
        self._norm = read("model.norm.weight")
        self._head = _int8(read("model.embed_tokens.weight" if shape.tied else "lm_head.weight"))
        angles = torch.arange(longest)[:, None] / shape.theta ** (torch.arange(0, shape.head, 2) / shape.head)
        self._turns = (angles.cos().repeat(1, 2), angles.sin().repeat(1, 2))

    @torch.inference_mode()
    def read(self, tokens: Sequence[int]) -> Tensor:
        """Take up more tokens; logits of what comes next, shape [vocabulary].

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
        return self._head(_normed(x[-1:], self._norm, self.shape.epsilon))[0]

    def back(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""
        self.length = min(length, self.length)


class _Layer:
    def __init__(self, shape: Shape, read: Read, name: str, longest: int) -> None:
        self.shape = shape
        self.norms = (read(f"{name}input_layernorm.weight"), read(f"{name}post_attention_layernorm.weight"))
        attention, mlp = f"{name}self_attn.", f"{name}mlp."
        self.inward = _int8(torch.cat([read(f"{attention}{part}_proj.weight") for part in "qkv"]))
        self.outward = _int8(read(f"{attention}o_proj.weight"))
        self.up = _int8(torch.cat([read(f"{mlp}{part}_proj.weight") for part in ("gate", "up")]))
        self.down = _int8(read(f"{mlp}down_proj.weight"))
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


def _int8(weight: Tensor) -> Linear:
    """A linear map whose weight, shape [out, in], is kept in eight bits, one scale per row."""
    scales = (weight.abs().amax(dim=1) / 127).clamp_min(1e-12).double()
    rows = torch.quantize_per_channel(weight, scales, torch.zeros(len(weight), dtype=torch.int64), 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(rows, None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed)


def _normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + epsilon) * weight


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions: each pair of coordinates (j, j + half) is turned by its position's angle."""
    left, right = x.chunk(2, dim=-1)
    return x * turns[0] + torch.cat([-right, left], dim=-1) * turns[1]
