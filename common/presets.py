"""Settings that were chosen on the validation split of MovieLens-100K, by privacy budget.

They tune the mechanism and were chosen on private data outside the budget, which the model card of every run says.
"""

from __future__ import annotations

from typing import Any

_SPACE = {"dimensions": 16, "word_dimensions": 32}

PRESETS: dict[float, dict[str, dict[str, Any]]] = {
    0.0: {
        "encoder": _SPACE,
        "privacy": {"popularity_share": 0.99},
        "head": {"content_weight": 2.0, "rank": 0, "mix": 0, "window": 100},
        "train": {"rounds": 1, "clip_norm": 0.1, "learning_rate": 600.0, "optimiser": "sgd"},
    },
    8.0: {
        "encoder": _SPACE,
        "privacy": {"popularity_share": 0.2},
        "head": {"content_weight": 3.0, "rank": 16, "mix": 0, "window": 100},
        "train": {"rounds": 8, "clip_norm": 0.1, "learning_rate": 600.0, "optimiser": "sgd"},
    },
    float("inf"): {
        "encoder": {"dimensions": 64, "word_dimensions": 64},
        "privacy": {"popularity_share": 0.5},
        "head": {"content_weight": 4.0, "rank": 128, "mix": 32, "window": 40},
        "train": {"rounds": 20, "clip_norm": 1.0, "learning_rate": 0.05, "optimiser": "adam"},
    },
}
"""By the smallest ε that a preset is meant for."""


def preset_for(epsilon: float) -> dict[str, dict[str, Any]]:
    """The preset of the largest budget that is not above `epsilon`."""
    return PRESETS[max(budget for budget in PRESETS if budget <= epsilon)]
