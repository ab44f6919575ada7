"""The server's step: turns a released sum, divided by the public cohort, into a change of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.messages import Arrays


@dataclass(frozen=True)
class Optimiser:
    """Gradient descent, or Adam (Kingma & Ba 2015), on the server.

    Attributes:
        name: `sgd` or `adam`.
        learning_rate: Step size.
        weight_decay: L2 penalty, added to the gradient.
        averaging: Decay of the exponential average of the iterates that is published instead of the last one; zero
            publishes the last. Like all that happens here it is post-processing of released sums.
        row_limit: The rows of V are kept within this L2 norm, so that no item moves without end, whoever pushes it.
    """

    name: Literal["sgd", "adam"]
    learning_rate: float
    weight_decay: float = 0.0
    averaging: float = 0.0
    row_limit: float = math.inf
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-8

    def step(self, parameters: Arrays, gradient: Arrays, state: Arrays, step: int) -> tuple[Arrays, Arrays]:
        """Parameters and optimiser state after one step.

        Args:
            parameters: By name.
            gradient: By name, of the same shapes.
            state: What the previous step returned; empty before the first. `average.…` are the averages.
            step: Number of this step, counted from one.
        """
        gradient = {name: gradient[name] + self.weight_decay * part for name, part in parameters.items()}
        moved, kept = self._moved(parameters, gradient, state, step)
        if "V" in moved:
            moved = {**moved, "V": rows_within(moved["V"], self.row_limit)}
        if self.averaging:
            decay = min(self.averaging, step / (step + 9))
            for name, part in moved.items():
                before = state.get(f"average.{name}", part)
                kept[f"average.{name}"] = (decay * before + (1 - decay) * part).astype(np.float32)
        return moved, kept

    def _moved(self, parameters: Arrays, gradient: Arrays, state: Arrays, step: int) -> tuple[Arrays, Arrays]:
        if self.name == "sgd":
            return {name: part - self.learning_rate * gradient[name] for name, part in parameters.items()}, {}
        moved: Arrays = {}
        kept: Arrays = {}
        first, second = self.betas
        for name, part in parameters.items():
            mean = first * state.get(f"mean.{name}", np.zeros_like(part)) + (1 - first) * gradient[name]
            square = second * state.get(f"square.{name}", np.zeros_like(part)) + (1 - second) * gradient[name] ** 2
            kept |= {f"mean.{name}": mean, f"square.{name}": square}
            scale = np.sqrt(square / (1 - second**step)) + self.epsilon
            moved[name] = (part - self.learning_rate * mean / (1 - first**step) / scale).astype(np.float32)
        return moved, kept


def rows_within(matrix: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    """`matrix` with each row scaled down to an L2 norm of at most `limit`."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix * np.minimum(1, limit / np.maximum(norms, 1e-12)), np.float32)
