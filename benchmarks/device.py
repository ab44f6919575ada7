"""What recommending costs on a device: one thread, catalogues of three sizes, beside brute force and a library's index.

The smallest catalogue is a published bundle itself. The larger ones are made of it: each item lies between two real
ones, with a little noise, so that spectrum and popularity are those of real data. A list is the top 10 without what the
person met and without one category; every contender gets the same histories and has the same things to leave out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from sottovoce.client.recommender import Recommender
from sottovoce.client.taste import Feedback
from sottovoce.common.bundle import load_bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.scoring import FloatArray, Head, HeadShape, IntArray, save_arrays, state_of
from sottovoce.common.vectors import unit_rows

FLOORS_MS = {1_682: 1.0, 100_000: 5.0, 1_000_000: 40.0}
HIDDEN = "Horror"
TOP = 10

Listed = Callable[[IntArray], IntArray]


def main() -> None:
    """Measure every size, print one line each, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a published bundle of MovieLens-100K")
    parser.add_argument("--items", type=int, nargs="+", default=list(FLOORS_MS))
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, Any] = {"bundle_bytes": sum(path.stat().st_size for path in given.bundle.iterdir())}
    for items in given.items:
        with threadpool_limits(1):
            figures[str(items)] = measure(given.bundle, items, given.people)
        print(items, json.dumps(figures[str(items)], indent=1), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(source: Path, items: int, people: int) -> dict[str, Any]:
    """Times, agreement, start-up and memory at one size."""
    real = load_bundle(source)
    if items == len(real.catalogue):
        vectors, head, catalogue = real.model.vectors, real.model.head, real.catalogue
    else:
        vectors, head, catalogue = larger(real.model.vectors, real.model.head, real.catalogue, items)
    exact = head.item_vectors(vectors)
    with TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "items.safetensors", {"vectors": vectors})
        write_bundle(Path(folder) / "bundle", catalogue, Path(folder) / "items.safetensors", head, "# Card", {})
        del vectors, real
        recommender = Recommender.load(Path(folder) / "bundle")
        histories = draw_histories(exact, people)
        hidden = np.flatnonzero([HIDDEN in text for text in catalogue.attributes["categories"]])
        feedback = Feedback(hidden=frozenset([HIDDEN]))
        contenders: dict[str, Listed] = {
            "sottovoce": lambda met: positions(recommender, met, feedback),
            "sottovoce, after feedback": lambda met: positions(
                recommender,
                met[:-2],
                Feedback(liked=(int(met[-1]),), disliked=(int(met[-2]),), hidden=frozenset([HIDDEN])),
            ),
            "NumPy float32": brute_force(exact, head, hidden),
            **libraries(exact, head, hidden),
        }
        times, lists = {}, {}
        for name, listed in contenders.items():
            lists[name], times[name] = timed(listed, histories)
        del lists["sottovoce, after feedback"]  # another list, and so it should be
        right = lists["NumPy float32"]
        return {
            "floor_ms": FLOORS_MS.get(items),
            "milliseconds": times,
            "same_item_at_the_place": {name: agreement(found, right) for name, found in lists.items()},
            "same_items": {name: overlap(found, right) for name, found in lists.items()},
            "start": start_up(Path(folder) / "bundle"),
        }


def larger(vectors: FloatArray, head: Head, catalogue: Catalogue, items: int) -> tuple[FloatArray, Head, Catalogue]:
    """A catalogue of `items` items between those of a real one, with corrections and popularity of the same kind."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(vectors), (2, items))
    share = rng.beta(0.5, 0.5, (items, 1)).astype(np.float32)
    made = np.empty((items, vectors.shape[1]), np.float32)
    spread = vectors.std(axis=0)
    for rows in np.array_split(np.arange(items), max(1, items // 50_000)):
        mixed = share[rows] * vectors[first[rows]] + (1 - share[rows]) * vectors[second[rows]]
        noise = 0.25 * spread * rng.standard_normal((len(rows), len(spread)), dtype=np.float32)
        made[rows] = unit_rows(mixed + noise)
    shape = HeadShape(items, head.shape.dimension, head.shape.rank, 0, head.shape.content_weight)
    b = (head.b[first] + 0.1 * rng.standard_normal(items)).astype(np.float32)
    names = [f"{catalogue.titles[row]} no. {number}" for number, row in enumerate(first.tolist())]
    columns = {key: tuple(column[row] for row in first.tolist()) for key, column in catalogue.attributes.items()}
    texts = tuple(
        f"{name}. {categories.replace(' | ', ', ')}"
        for name, categories in zip(names, columns["categories"], strict=True)
    )
    parts = {"V": head.parameters["V"][first]} if "V" in head.parameters else {}
    ids = tuple(map(str, range(items)))
    return made, Head(shape, b, parts), Catalogue(ids, tuple(names), texts, columns)


def draw_histories(vectors: FloatArray, people: int) -> list[IntArray]:
    """Histories of people with a taste: 20 to 60 of the items nearest to the middle of three."""
    rng = np.random.default_rng(1)
    histories = []
    for _ in range(people):
        taste = vectors[rng.integers(0, len(vectors), 3)].mean(axis=0)
        near = vectors @ taste + 0.3 * rng.standard_normal(len(vectors), dtype=np.float32)
        count = int(rng.integers(20, 60))
        histories.append(rng.permutation(np.argpartition(-near, count)[:count]).astype(np.int64))
    return histories


def positions(recommender: Recommender, met: IntArray, feedback: Feedback) -> IntArray:
    """The list as positions."""
    return np.array([each.item for each in recommender.recommend(met, TOP, feedback=feedback)], dtype=np.int64)


def brute_force(vectors: FloatArray, head: Head, hidden: IntArray) -> Listed:
    """All scores in float32, then a partition."""

    def listed(met: IntArray) -> IntArray:
        state = head.shape.content_weight * state_of(met, vectors)
        scores = vectors @ state + head.b
        scores[hidden] = -np.inf
        scores[met] = -np.inf
        best = np.argpartition(-scores, TOP)[:TOP]
        return np.asarray(best[np.argsort(-scores[best])])

    return listed


def libraries(vectors: FloatArray, head: Head, hidden: IntArray) -> dict[str, Listed]:
    """The flat index of faiss in float32, with b as one more coordinate; it is told what to leave out."""
    faiss: Any = import_module("faiss")  # its types do not know its own Python layer

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1] + 1)
    for rows in np.array_split(np.arange(len(vectors)), max(1, len(vectors) // 50_000)):
        index.add(np.concatenate([vectors[rows], head.b[rows, None]], axis=1))
    hidden_too = np.ones(len(vectors), bool)
    hidden_too[hidden] = False

    def listed(met: IntArray) -> IntArray:
        state = np.append(head.shape.content_weight * state_of(met, vectors), np.float32(1))
        allowed = hidden_too.copy()
        allowed[met] = False
        only = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        found = index.search(state[None], TOP, params=faiss.SearchParameters(sel=only))[1][0]
        return np.asarray(found, dtype=np.int64)

    return {"faiss flat": listed}


def timed(listed: Listed, histories: list[IntArray]) -> tuple[list[IntArray], dict[str, float]]:
    """The lists, and percentiles of the time that one takes, in milliseconds; a first list each is not counted."""
    listed(histories[0])
    lists, seconds, busy = [], [], []
    for met in histories:
        started, computed = time.perf_counter(), time.thread_time()
        lists.append(listed(met))
        busy.append(time.thread_time() - computed)
        seconds.append(time.perf_counter() - started)
        time.sleep(0.001 + 0.1 * seconds[-1])  # a scheduler takes the processor from who never rests
    figures = {"p50": (seconds, 50), "p99": (seconds, 99), "p99 of processor time": (busy, 99)}
    return lists, {
        name: round(1000 * float(np.percentile(sample, share)), 3) for name, (sample, share) in figures.items()
    }


def agreement(found: list[IntArray], right: list[IntArray]) -> float:
    """At how many of all places the same item stands."""
    return float(np.mean([each[: len(best)] == best for each, best in zip(found, right, strict=True)]))


def overlap(found: list[IntArray], right: list[IntArray]) -> float:
    """How many of the items are the same, wherever they stand."""
    return float(np.mean([len(set(each) & set(best)) / TOP for each, best in zip(found, right, strict=True)]))


_FIRST_LIST = """
import json, sys, time
import numpy as np
from pathlib import Path
from sottovoce.client.recommender import Recommender
listed = Recommender.load(Path(sys.argv[1])).recommend(np.array([1, 2, 3]))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([len(listed), time.time(), int(status["VmRSS"].split()[0]) / 1024, "torch" in sys.modules]))
"""


def start_up(bundle: Path, tries: int = 5) -> dict[str, float]:
    """Seconds from the start of a process to its first list, the median of some tries, and its resident memory."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    seconds, resident = [], []
    for _ in range(tries):
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_LIST, str(bundle)], capture_output=True, text=True, check=True, env=one_thread
        )
        _, ended, mib, _ = json.loads(done.stdout)
        seconds.append(ended - started)
        resident.append(mib)
    return {"seconds": round(float(np.median(seconds)), 3), "resident_mib": round(float(np.median(resident)), 1)}


if __name__ == "__main__":
    main()
