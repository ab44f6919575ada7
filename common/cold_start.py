"""New items beside a trained model: recommended at once through their text, without training.

What was learned of the items that people met says something of items with similar texts, too: popularity and correction
of a new item are what ridge regression on the item vectors predicts for them. Popularity is predicted as a logarithm,
and some items become far more popular than their texts tell: the smearing estimate (Duan, 1983) makes the prediction
right on average where it counts, in exp(b). All of it is a function of what was published, and costs no privacy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sottovoce.common.scoring import FloatArray, Head, HeadShape

RIDGE = 2.0
"""Penalty on the squared coefficients, in items of unit norm."""


def with_new_items(head: Head, vectors: FloatArray, new: FloatArray) -> Head:
    """`head` with rows for new items behind those that it has.

    Args:
        head: Trained on items with `vectors`.
        vectors: Shape [I, d].
        new: Vectors of the new items in the same space, shape [N, d].
    """
    old = head.shape
    shape = HeadShape(old.items + len(new), old.dimension, old.rank, old.mix, old.content_weight, old.tied)
    parameters = dict(head.parameters)
    if "V" in parameters:
        correction = _Prediction.fit(vectors, parameters["V"])
        parameters["V"] = np.concatenate([parameters["V"], correction.of(new)])
    popularity = _Prediction.fit(vectors, head.b[:, None])
    missed = head.b - popularity.of(vectors)[:, 0]
    smearing = np.log(np.exp(missed, dtype=np.float64).mean())
    b = np.concatenate([head.b, popularity.of(new)[:, 0] + np.float32(smearing)])
    return Head(shape, b, parameters)


@dataclass(frozen=True)
class _Prediction:
    """The mean of what is known, and what vectors tell beyond it."""

    mean: FloatArray
    slope: FloatArray

    @classmethod
    def fit(cls, vectors: FloatArray, known: FloatArray) -> _Prediction:
        mean = known.mean(axis=0)
        gram = vectors.T.astype(np.float64) @ vectors + RIDGE * np.eye(vectors.shape[1])
        slope = np.linalg.solve(gram, vectors.T.astype(np.float64) @ (known - mean))
        return cls(mean, slope.astype(np.float32))

    def of(self, vectors: FloatArray) -> FloatArray:
        return vectors @ self.slope + self.mean
