"""What a new item is worth before anybody met it: a tenth of MovieLens-100K is held out of training altogether.

The item space is fitted on the other items alone, the model is trained without privacy on what people did with them,
and the new items join by their texts. Then, for every interaction with a new item, the person's state before it (new
items left out) ranks that item among 99 others, warm and cold, that the person never touched. Ties count half; random
order reaches .10. Each figure is the mean over people of the mean over their interactions, with a 95 % interval over
people (bootstrap of their means over seeds), and the deviation between seeds beside it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.common.cold_start import with_new_items
from sottovoce.common.config import Config, given, parse
from sottovoce.common.encoder import find_encoder
from sottovoce.common.evaluation import bootstrap
from sottovoce.common.history import Histories
from sottovoce.common.scoring import FloatArray, Head, HeadShape, IntArray, ScoringModel
from sottovoce.common.vectors import fit_item_space
from sottovoce.server.optimiser import Optimiser
from sottovoce.simulations.datasets import Dataset
from sottovoce.simulations.in_process import InProcess
from sottovoce.simulations.prepare import read_data

HELD_OUT = 0.1
NEGATIVES = 99
TOP = 10


@dataclass(frozen=True)
class Split:
    """Warm items first, then cold ones; histories in the new positions.

    Attributes:
        warm: How many items are warm.
        order: The data set's position of each item.
        histories: Every person's history, in new positions.
    """

    warm: int
    order: IntArray
    histories: list[IntArray]

    @classmethod
    def of(cls, dataset: Dataset, rng: np.random.Generator) -> Split:
        """Hold a tenth of the items out."""
        items = len(dataset.catalogue)
        order = rng.permutation(items)
        place = np.argsort(order)
        return cls(items - round(HELD_OUT * items), order, [place[history] for history in dataset.histories])


def main() -> None:
    """Every seed, one table, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="section.key=value")
    parser.add_argument("--json", type=Path)
    given_options = parser.parse_args()
    from sottovoce.common.config import override

    table: dict[str, Any] = {"data": {"source": given_options.data}, "privacy": {"epsilon": float("inf")}}
    config = parse(override(table, given_options.settings))
    dataset = read_data(config)
    config = config.resolve(len(dataset.histories), dataset.name)
    runs = [
        one_seed(dataset, config, seed)
        for seed in range(given_options.first, given_options.first + given_options.seeds)
    ]
    figures = {name: summary([run[name] for run in runs]) for name in runs[0]}
    for name, cell in figures.items():
        print(f"{name:55s} {cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}] ± {cell['seeds']:.3f}")
    if given_options.json:
        given_options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def one_seed(dataset: Dataset, config: Config, seed: int) -> dict[str, FloatArray]:
    """HR@10 of every person (NaN for who met no new item), by contender."""
    split = Split.of(dataset, np.random.default_rng(seed))
    vectors = item_vectors(dataset, config, split)
    trained = train(split, vectors[: split.warm], config)
    new, unseen = vectors[split.warm :], len(split.order) - split.warm
    joined = with_new_items(trained.head, trained.vectors, new)
    model = ScoringModel(vectors, joined)
    shape = replace(joined.shape, rank=0)
    mean = np.concatenate([trained.head.b, np.full(unseen, trained.head.b.mean(), np.float32)])
    plain = {name: part.copy() for name, part in joined.parameters.items()}
    for part in plain.values():
        part[split.warm :] = 0
    contenders = {
        "sottovoce": model,
        "without a predicted correction": ScoringModel(vectors, Head(joined.shape, joined.b, plain)),
        "without either prediction: mean popularity, V = 0": ScoringModel(vectors, Head(joined.shape, mean, plain)),
        "content and mean popularity alone": ScoringModel(vectors, Head(shape, mean, {})),
        "popularity, as predicted from texts": ScoringModel(0 * vectors, Head(shape, joined.b, {})),
        "popularity, the mean for new items": ScoringModel(0 * vectors, Head(shape, mean, {})),
    }
    cases = [
        (user, met[place], np.array([item for item in met[:place] if item < split.warm], dtype=np.int64))
        for user, met in enumerate(split.histories)
        for place in np.flatnonzero(met >= split.warm)
    ]
    negatives = draw_negatives(split, len(split.order), np.random.default_rng(1000 + seed))
    return {name: hit_rates(contender, cases, negatives) for name, contender in contenders.items()}


def item_vectors(dataset: Dataset, config: Config, split: Split) -> FloatArray:
    """Vectors of all items in a space that was fitted on the warm ones alone."""
    texts = [dataset.catalogue.texts[row] for row in split.order]
    encoder = find_encoder(config.encoder.name, config.encoder.revision)
    encoded = encoder.encode_cached(dataset.catalogue.texts)[split.order]
    sizes = config.encoder.dimensions, config.encoder.word_dimensions
    space = fit_item_space(texts[: split.warm], encoded[: split.warm], encoder, None, "", *sizes)
    return np.concatenate([space.vectors, space.project(texts[split.warm :], encoded[split.warm :])])


def train(split: Split, vectors: FloatArray, config: Config) -> ScoringModel:
    """The preset without privacy, on warm items."""
    warm = [history[history < split.warm] for history in split.histories]
    kept = [history for history in warm if len(history) > 1]
    known = Histories.from_lists([str(row) for row in range(len(kept))], kept)
    head, steps = config.head, config.train
    rank = min(given(head.rank), vectors.shape[1])
    shape = HeadShape(len(vectors), vectors.shape[1], rank, 0, given(head.content_weight))
    optimiser = Optimiser(
        given(steps.optimiser), given(steps.learning_rate), given(steps.weight_decay), given(steps.averaging)
    )
    federation = InProcess(config.plan(), 1, known, vectors, shape, optimiser, given(head.window))
    b = federation.popularity(given(config.privacy.popularity_length), given(head.popularity_weight))
    return federation.train(Head.untrained(shape, b))


def draw_negatives(split: Split, items: int, rng: np.random.Generator) -> list[IntArray]:
    """Items that each person never touched."""
    every = np.arange(items)
    return [rng.choice(np.setdiff1d(every, met), NEGATIVES, replace=False) for met in split.histories]


def hit_rates(model: ScoringModel, cases: list[tuple[int, int, IntArray]], negatives: list[IntArray]) -> FloatArray:
    """Each person's share of interactions whose item is among the first ten of a hundred; NaN for who has none."""
    hits: list[list[float]] = [[] for _ in negatives]
    for user, item, history in cases:
        rivals = negatives[user]
        state = model.state(history)
        scores = model.directions[np.append(item, rivals)] @ state + model.head.b[np.append(item, rivals)]
        before, ties = int((scores[1:] > scores[0]).sum()), int((scores[1:] == scores[0]).sum())
        places = np.arange(before, before + ties + 1)
        hits[user].append(float((places < TOP).mean()))
    return np.array([np.mean(each) if each else np.nan for each in hits], dtype=np.float32)


def summary(runs: list[FloatArray]) -> dict[str, float]:
    """The mean over people and seeds, its interval over people, and the deviation between seeds."""
    table = np.stack(runs)
    people = np.nanmean(table[:, ~np.isnan(table).all(axis=0)], axis=0)
    estimate = bootstrap(people.astype(np.float64))
    deviation = float(np.nanmean(table, axis=1).std(ddof=1)) if len(runs) > 1 else 0.0
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "seeds": deviation}


if __name__ == "__main__":
    main()
