"""Settings that were chosen on the validation split of MovieLens-100K, by privacy budget.

They tune the mechanism and were chosen on private data outside the budget, which the model card of every run says.
`benchmarks/quality.py --held-out validation --set section.key=value` shows what another value is worth there.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[float, dict[str, dict[str, Any]]] = {
    0.0: {
        "privacy": {"popularity_share": 0.5},
        "head": {"content_weight": 2.5, "rank": 0, "mix": 0, "history": False, "window": 100},
        "train": {
            "rounds": 1,
            "clip_norm": 0.1,
            "learning_rate": 600.0,
            "optimiser": "sgd",
            "weight_decay": 0.0,
            "averaging": 0.0,
        },
    },
    2.0: {
        "privacy": {"popularity_share": 0.5},
        "head": {"content_weight": 3.0, "rank": 8, "mix": 0, "history": False, "window": 100},
        "train": {
            "rounds": 2,
            "clip_norm": 0.1,
            "learning_rate": 600.0,
            "optimiser": "sgd",
            "weight_decay": 0.0,
            "averaging": 0.0,
        },
    },
    4.0: {
        "privacy": {"popularity_share": 0.3},
        "head": {"content_weight": 3.5, "rank": 16, "mix": 0, "history": False, "window": 100},
        "train": {
            "rounds": 4,
            "clip_norm": 0.1,
            "learning_rate": 700.0,
            "optimiser": "sgd",
            "weight_decay": 0.0,
            "averaging": 0.0,
        },
    },
    8.0: {
        "privacy": {"popularity_share": 0.2},
        "head": {"content_weight": 3.5, "rank": 16, "mix": 0, "history": False, "window": 100},
        "train": {
            "rounds": 8,
            "clip_norm": 0.1,
            "learning_rate": 600.0,
            "optimiser": "sgd",
            "weight_decay": 0.0,
            "averaging": 0.0,
        },
    },
    float("inf"): {
        "privacy": {"popularity_share": 0.5},
        "head": {"content_weight": 2.0, "rank": 64, "mix": 32, "history": True, "window": 20},
        "train": {
            "rounds": 30,
            "clip_norm": 1.0,
            "learning_rate": 0.015,
            "optimiser": "adam",
            "weight_decay": 3e-4,
            "averaging": 0.9,
        },
    },
}
"""By the smallest ε that a preset is meant for."""


def preset_for(epsilon: float) -> dict[str, dict[str, Any]]:
    """The preset of the largest budget that is not above `epsilon`."""
    return PRESETS[max(budget for budget in PRESETS if budget <= epsilon)]
