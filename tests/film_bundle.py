"""ML-100K as a device would hold it: a bundle that was made without training, of texts and popularity."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import Bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.simulations.datasets import load_dataset


def film_recommender() -> tuple[Recommender, list[np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """A recommender, and everybody's history."""
    data = load_dataset("ml-100k")
    counts = np.bincount(data.histories.items, minlength=len(data.catalogue))
    prior = np.log(counts + 1.0).astype(np.float32)
    vectors = text_vectors(data.catalogue)
    shape = HeadShape(len(data.catalogue), vectors.shape[1], 0, 0, 4.0)
    model = ScoringModel(vectors, Head.untrained(shape, prior - prior.mean()))
    histories = np.split(data.histories.items.astype(np.int64), np.cumsum(data.histories.lengths)[:-1])
    return Recommender(Bundle(data.catalogue, model, {})), histories


def text_vectors(catalogue: Catalogue, dimension: int = 64) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(catalogue.texts)
    vectors = TruncatedSVD(dimension, random_state=0).fit_transform(words)
    vectors = vectors - vectors.mean(axis=0)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
