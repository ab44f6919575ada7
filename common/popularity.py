"""From a noised sum of histograms to a popularity prior: post-processing with public constants only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_popularity(noised: NDArray[np.float32], noise_std: float) -> NDArray[np.float32]:
    """Log popularity of every item, shape [I].

    Counts are floored at twice the noise, below which an item's count says nothing; the slope makes up for what the
    floor flattens.

    Args:
        noised: Noised sum of the users' histograms, shape [I].
        noise_std: Standard deviation of the noise in it: public.
    """
    floor, slope = (2 * noise_std, 1.3) if noise_std > 0 else (0.3, 1.0)
    return np.asarray(slope * np.log(np.maximum(noised, 0) + floor), dtype=np.float32)
