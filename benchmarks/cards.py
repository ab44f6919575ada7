"""What texts for cards cost and give: how many a model writes, how soon and how fast, and in how much memory.

    python -m benchmarks.cards --cards 60 --json cards.json --texts cards.jsonl

Each card is a recommendation of a model without training to another person of MovieLens-100K, with the items that lift
it most. One writer process on one thread; the first words count from the moment of asking, the process being ready.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.models import DEFAULT, find_model
from sottovoce.client.language.piece import Piece
from sottovoce.client.language.prompts import closings, openings
from sottovoce.client.language.template import template
from sottovoce.client.language.writer import Writer
from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import Bundle
from sottovoce.common.history import IntArray
from sottovoce.common.scoring import Head, HeadShape, ScoringModel
from sottovoce.common.vectors import unit_rows
from sottovoce.simulations.datasets import load_dataset

GIB = 2.0**30


def cards(count: int, first: int = 0) -> tuple[Iterator[Given], list[str]]:
    """Facts of `count` cards of people from the place `first` on, and all titles of the catalogue."""
    recommender, histories = film_recommender()
    catalogue = recommender.bundle.catalogue
    vocabulary = tuple(
        sorted({name for text in catalogue.attributes["categories"] for name in text.split(" | ") if name})
    )

    def made() -> Iterator[Given]:
        for user in range(first, first + count):
            history = histories[user % len(histories)]
            item = recommender.recommend(history, 10)[user % 10]
            yield Given(
                Job.CARD, item.title, catalogue.attributes["year"][item.item],
                tuple(filter(None, catalogue.attributes["categories"][item.item].split(" | "))),
                tuple(each.title for each in recommender.reasons(history, item.item, 2)), vocabulary=vocabulary,
            )  # fmt: skip

    return made(), list(catalogue.titles)


def film_recommender() -> tuple[Recommender, list[IntArray]]:
    """A model of MovieLens-100K without training, of texts and popularity, and everybody's history."""
    data = load_dataset("ml-100k")
    catalogue = data.catalogue
    counts = np.bincount(data.histories.items, minlength=len(catalogue))
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(catalogue.texts)
    vectors = unit_rows(TruncatedSVD(64, random_state=0).fit_transform(words).astype(np.float32))
    shape = HeadShape(len(catalogue), vectors.shape[1], 0, 0, 4.0)
    head = Head.untrained(shape, np.log(counts + 1.0).astype(np.float32))
    histories = np.split(data.histories.items.astype(np.int64), np.cumsum(data.histories.lengths)[:-1])
    return Recommender(Bundle(catalogue, ScoringModel(vectors, head), {})), histories


def main() -> None:
    """Measure, and print one line per figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cards", type=int, default=60)
    options.add_argument("--first", type=int, default=0, help="the place of the first person")
    options.add_argument("--seconds", type=float, default=float("inf"), help="stop with what there is by then")
    options.add_argument("--model", default=DEFAULT)
    options.add_argument("--json", type=Path)
    options.add_argument("--texts", type=Path)
    asked = options.parse_args()
    facts, titles = cards(asked.cards, asked.first)
    writer = Writer(find_model(asked.model))
    records: list[dict[str, Any]] = []
    firsts: list[float] = []
    tokens, wall, own, given_end = 0, 0.0, 0, 0
    began = time.perf_counter()
    _ = list(writer.write(Given(Job.CARD, "A Day", categories=("Drama",), vocabulary=("Drama",))))
    ready = time.perf_counter() - began
    process = psutil.Process(writer.pid)
    before = sum(process.cpu_times()[:2])
    for given in facts:
        start = time.perf_counter()
        if start - began > asked.seconds:
            break
        first, piece = 0.0, Piece()
        for each in writer.write(given):
            piece, first = each, first or time.perf_counter() - start
        if writer.pid is None:
            raise SystemExit(f"the writer was lost at card {len(records)}: {writer.problem}")
        firsts.append(first)
        wall += time.perf_counter() - start
        tokens += piece.tokens
        text = template(given) if piece.refused else piece.text
        own += not piece.refused and not text.startswith(openings(given)[1].strip())
        given_end += not piece.refused and text.endswith(closings(given))
        records.append({
            "text": text, "by_model": not piece.refused, "refused": piece.refused, "title": given.title,
            "reasons": list(given.reasons), "categories": list(given.categories),
        })  # fmt: skip
    cpu = sum(process.cpu_times()[:2]) - before
    soon = {"median": float(np.median(firsts)), "p95": float(np.quantile(firsts, 0.95)), "max": max(firsts)}
    status = Path(f"/proc/{writer.pid}/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / GIB
    writer.close()
    result = {
        "cards": len(records), "by_model": sum(each["by_model"] for each in records) / len(records),
        "in_own_words_from_the_start": own / len(records), "with_a_given_end": given_end / len(records),
        "ready_s": ready, "first_words_s": soon,
        "tokens_per_s": tokens / wall, "tokens_per_cpu_s": tokens / cpu, "tokens_per_card": tokens / len(records),
        "peak_gib": peak,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if asked.texts:
        asked.texts.write_text(
            "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8"
        )
        asked.texts.with_suffix(".titles.json").write_text(json.dumps(titles, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
