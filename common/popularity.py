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
    return np.asarray(weight * np.log(np.maximum(noised, 0) + _floor(noise_std)), dtype=np.float32)


def counts_of(prior: NDArray[np.float32], noise_std: float, weight: float) -> NDArray[np.float64]:
    """The counts, shape [I], that `log_popularity` made a prior of; negative ones come back as zero."""
    return np.asarray(np.exp(prior.astype(np.float64) / weight) - _floor(noise_std))


def _floor(noise_std: float) -> float:
    return 2 * noise_std if noise_std > 0 else 0.3
