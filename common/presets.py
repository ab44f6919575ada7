"""Settings that were chosen on the validation split of MovieLens-100K, by privacy budget.

They tune the mechanism and were chosen on private data outside the budget, which the model card of every run says.
`benchmarks/quality.py --held-out validation --set section.key=value` shows what another value is worth there.
"""

from __future__ import annotations

from typing import Any

Preset = dict[str, dict[str, Any]]


def _private(rank: int, rounds: int, learning_rate: float, popularity_share: float, popularity_weight: float) -> Preset:
    """Plain steps along the noised gradient: with so few of them, moments and decay have nothing to work on."""
    return {
        "privacy": {"popularity_share": popularity_share},
        "head": {
            "content_weight": 4.0,
            "popularity_weight": popularity_weight,
            "rank": rank,
            "mix": 0,
            "window": 100,
        },
        "train": {
            "rounds": rounds,
            "clip_norm": 0.4,
            "learning_rate": learning_rate,
            "optimiser": "sgd",
            "weight_decay": 0.0,
            "averaging": 0.0,
        },
    }


PRESETS: dict[float, Preset] = {
    0.0: _private(rank=8, rounds=1, learning_rate=5.0, popularity_share=0.9, popularity_weight=2.0),
    1.0: _private(rank=8, rounds=1, learning_rate=20.0, popularity_share=0.7, popularity_weight=2.0),
    2.0: _private(rank=8, rounds=4, learning_rate=20.0, popularity_share=0.4, popularity_weight=1.6),
    4.0: _private(rank=16, rounds=7, learning_rate=37.0, popularity_share=0.2, popularity_weight=1.3),
    8.0: _private(rank=16, rounds=9, learning_rate=40.0, popularity_share=0.15, popularity_weight=1.3),
    float("inf"): {
        "privacy": {"popularity_share": 0.5},
        "head": {"content_weight": 4.0, "popularity_weight": 1.0, "rank": 128, "mix": 0, "window": 100},
        "train": {
            "rounds": 32,
            "clip_norm": 1.0,
            "learning_rate": 0.005,
            "optimiser": "adam",
            "weight_decay": 3e-4,
            "averaging": 0.0,
        },
    },
}
"""By the smallest ε that a preset is meant for."""


def preset_for(epsilon: float) -> Preset:
    """The preset of the largest budget that is not above `epsilon`."""
    return PRESETS[max(budget for budget in PRESETS if budget <= epsilon)]
