"""New items beside a trained model: recommended at once through their text, without training.

What was learned of the items that people met says something of items with similar texts, too: popularity and correction
of a new item are what ridge regression on the item vectors predicts for them. Popularity is predicted as a logarithm,
and some items become far more popular than their texts tell: the smearing estimate (Duan, 1983) makes the prediction
right on average where it counts, in exp(b). All of it is a function of what was published, and costs no privacy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sottovoce.common.scoring import FloatArray, Head, IntArray

RIDGE = 2.0
"""Penalty on the squared coefficients, in items of unit norm."""


def with_new_items(head: Head, vectors: FloatArray, new: FloatArray) -> Head:
    """`head` with rows for new items behind those that it has.

    Args:
        head: Trained on items with `vectors`.
        vectors: Shape [I, d].
        new: Vectors of the new items in the same space, shape [N, d].
    """
    rows = np.concatenate([np.arange(len(vectors)), np.full(len(new), -1)])
    return moved_head(head, vectors, rows, np.concatenate([vectors, new]))


def moved_head(head: Head, vectors: FloatArray, rows: IntArray, new: FloatArray) -> Head:
    """`head` over another catalogue.

    Args:
        head: Trained on items with `vectors`.
        vectors: Shape [I, d].
        rows: For each item of the other catalogue its row in `head`, or -1 where it is new; shape [J].
        new: Vectors of the other catalogue in the same space, shape [J, d].
    """
    shape, known, parameters = replace(head.shape, items=len(rows)), rows >= 0, dict(head.parameters)
    if "V" in parameters:
        correction = _Prediction.fit(vectors, parameters["V"]).of(new)
        parameters["V"] = np.where(known[:, None], parameters["V"][rows], correction)
    popularity = _Prediction.fit(vectors, head.b[:, None])
    missed = head.b - popularity.of(vectors)[:, 0]
    smearing = np.float32(np.log(np.exp(missed, dtype=np.float64).mean()))
    return Head(shape, np.where(known, head.b[rows], popularity.of(new)[:, 0] + smearing), parameters)


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
