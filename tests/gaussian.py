"""Whether values are Gaussian noise of a given size: accepts σ, rejects 2σ/3 and 3σ/2 with some hundred values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

P_VALUE = 1e-6


def has_std(values: NDArray[np.floating[Any]], std: float) -> bool:
    """Whether `values` may be centred Gaussian of standard deviation `std`: chi-square and Kolmogorov-Smirnov."""
    square = float(np.sum((values / std) ** 2))
    two_sided = 2 * min(stats.chi2.cdf(square, values.size), stats.chi2.sf(square, values.size))
    return bool(two_sided > P_VALUE and stats.kstest(values / std, "norm").pvalue > P_VALUE)
