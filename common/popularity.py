"""From a noised sum of histograms to a popularity prior: post-processing with public constants only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_popularity(noised: NDArray[np.float32], noise_std: float, weight: float) -> NDArray[np.float32]:
    """The popularity prior of every item, shape [I].

    Counts are floored at twice the noise, below which an item's count says nothing.

    Args:
        noised: Noised sum of the users' histograms, shape [I].
        noise_std: Standard deviation of the noise in it: public.
        weight: Slope of the prior over log popularity; above one it makes up for what the floor flattens.
    """
    floor = 2 * noise_std if noise_std > 0 else 0.3
    return np.asarray(weight * np.log(np.maximum(noised, 0) + floor), dtype=np.float32)
