"""The example of a domain as a device would hold it: a bundle of random vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import Bundle
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.common.vectors import unit_rows
from sottovoce.simulations.datasets import load_dataset
from sottovoce.simulations.datasets.examples import write_example


def domain_recommender(domain: str, folder: Path) -> Recommender:
    """A recommender for the example that is written into a folder."""
    write_example(domain, folder / domain, people=60, items=200)
    catalogue = load_dataset(str(folder / domain)).catalogue
    vectors = unit_rows(np.random.default_rng(0).normal(size=(len(catalogue), 8)).astype(np.float32))
    head = Head.untrained(HeadShape(len(catalogue), 8, 0, 0, 4.0))
    return Recommender(Bundle(catalogue, ScoringModel(vectors, head), {}))
