"""The round that is timed, and what is reported about it: the same numbers for every contender."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

DIMENSION = 64
WINDOW = 20
RANK = 16
CONTENT_WEIGHT = 4.0

CLIP_NORM = 0.1
NOISE_MULTIPLIER = 2.0
LEARNING_RATE = 1600.0

WARM_UP = 1
"""Rounds that are run and not counted: imports, caches and first calls are start-up, and left out for everybody."""


class Figures(TypedDict, total=False):
    """What is known of one contender."""

    user_updates_per_s: float
    peak_pss_mib: float
    workers: int
    rounds: int
    users: int


def report(path: Path, seconds: Sequence[float], users: int, workers: int) -> None:
    """Write the figures of the rounds that took `seconds` each, as the server saw them, the warm-up included."""
    timed = seconds[WARM_UP:]
    figures = Figures(
        user_updates_per_s=users / statistics.median(timed), workers=workers, rounds=len(timed), users=users
    )
    path.write_text(json.dumps(figures), encoding="utf-8")
