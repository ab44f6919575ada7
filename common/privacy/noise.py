"""Randomness that protects: noise and Poisson draws, from the operating system or, in a simulation, from a seed.

Gaussian noise is added in float64 and the sum is rounded to a fixed grid of about a thousandth of the noise's standard
deviation. The grid hides the low bits in which a floating-point sum can tell what it was made of (Mironov 2012);
rounding after the noise is post-processing and costs no privacy.
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GRID_STEPS = 1024
"""Grid points per noise standard deviation, at least."""


class RandomSource(Protocol):
    """Where random bits come from."""

    name: str

    def uint64(self, count: int) -> NDArray[np.uint64]:
        """`count` independent uniform 64-bit words."""


class OsRandom:
    """The operating system's cryptographic generator: the default, and the only one that a deployment accepts."""

    name = "os"

    def uint64(self, count: int) -> NDArray[np.uint64]:
        """`count` independent uniform 64-bit words."""
        return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


class SeededRandom:
    """A repeatable stream for simulations: no protection at all against someone who knows the seed.

    Args:
        seed: The run's seed.
        purpose: Names the stream (release, maker, use), so that no two draws of a run share bits.
    """

    name = "seeded"

    def __init__(self, seed: int, purpose: str) -> None:
        key = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:16]
        self._generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))

    def uint64(self, count: int) -> NDArray[np.uint64]:
        """`count` independent uniform 64-bit words."""
        return self._generator.integers(0, 2**64, size=count, dtype=np.uint64)


def random_source(kind: str, seed: int, purpose: str) -> RandomSource:
    """The source that a plan's `noise` setting names: `os` or `seeded`."""
    return OsRandom() if kind == "os" else SeededRandom(seed, purpose)


def add_gaussian(values: FloatArray, std: float, source: RandomSource) -> FloatArray:
    """`values` plus independent Gaussian noise of standard deviation `std`, on the grid that belongs to `std`.

    With `std` zero (a run without privacy) the values come back as they are.
    """
    if std == 0:
        return values
    step = 2.0 ** math.floor(math.log2(std / GRID_STEPS))
    noised = values + std * standard_normal(values.size, source).reshape(values.shape)
    return np.round(noised / step) * step


def standard_normal(count: int, source: RandomSource) -> FloatArray:
    """`count` independent standard normal values, by Box and Muller (1958)."""
    half = (count + 1) // 2
    radius = np.sqrt(-2 * np.log(_uniform(half, source)))
    angle = 2 * np.pi * _uniform(half, source)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def poisson_sample(count: int, rate: float, source: RandomSource) -> NDArray[np.int64]:
    """The positions of those out of `count` users that take part: each with probability `rate`, independently."""
    if rate == 1:
        return np.arange(count)
    return np.flatnonzero(_uniform(count, source) <= rate)


def _uniform(count: int, source: RandomSource) -> FloatArray:
    """Uniform on (0, 1], in steps of 2^-53."""
    return ((source.uint64(count) >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53
