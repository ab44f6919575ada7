"""Made-up files in the format of each domain: small enough to read, and with something to learn in them.

The people, items and interactions are those of `synthetic`, so that a text tells an item's themes and a person likes
few of them.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from sottovoce.common.errors import ConfigError
from sottovoce.simulations.datasets.contract import DEFAULTS, Dataset
from sottovoce.simulations.datasets.synthetic import synthesise

START = datetime(2019, 11, 9, 8, 0, tzinfo=UTC)


def write_example(domain: str, folder: Path, people: int = 200, items: int = 300, seed: int = 0) -> list[Path]:
    """Write a data set of `people` and `items` in the format of `domain`, and give the paths of its files.

    Raises:
        ConfigError: there is no such domain, the folder is not empty, or a number is out of range.
    """
    if domain not in WRITERS:
        raise ConfigError("domain", domain, f"one of {', '.join(WRITERS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("--out", str(folder), "a new or empty folder")
    made = synthesise(f"synthetic:users={people},items={items},seed={seed}", DEFAULTS)
    folder.mkdir(parents=True, exist_ok=True)
    return WRITERS[domain](made, folder, np.random.default_rng(seed))


def write_news(made: Dataset, folder: Path, rng: np.random.Generator) -> list[Path]:
    """`news.tsv` and `behaviors.tsv`: two impressions per reader, the first half of a history clicked before."""
    ids = [f"N{row + 1}" for row in range(len(made.catalogue))]
    news = [[ids[row], *_themes(made, row), made.catalogue.titles[row], made.catalogue.texts[row], "", "[]", "[]"]
            for row in range(len(ids))]  # fmt: skip
    behaviours: list[list[str]] = []
    for user, history in enumerate(made.histories):
        half = len(history) // 2
        for number, clicks in enumerate(np.array_split(history[half:], 2)):
            others = rng.choice(np.setdiff1d(np.arange(len(ids)), history), 8, replace=False)
            shown = [f"{ids[item]}-1" for item in clicks] + [f"{ids[item]}-0" for item in others]
            before = " ".join(ids[item] for item in history[:half])
            time = (START + timedelta(hours=user, days=number)).strftime("%m/%d/%Y %I:%M:%S %p")
            shuffled = " ".join(np.array(shown)[rng.permutation(len(shown))].tolist())
            behaviours.append([str(len(behaviours) + 1), f"U{user + 1}", time, before, shuffled])
    return [_tabs(folder / "news.tsv", news), _tabs(folder / "behaviors.tsv", behaviours)]


def write_shop(made: Dataset, folder: Path, rng: np.random.Generator) -> list[Path]:
    """`reviews.jsonl.gz` and `meta_products.jsonl.gz`, in the layout of 2023; a price is sometimes missing."""
    count = len(made.catalogue)
    prices = [None if rng.random() < 0.1 else round(float(price), 2) for price in rng.lognormal(3, 0.5, count)]
    products = [
        {
            "parent_asin": f"B{row + 1:09d}",
            "title": made.catalogue.titles[row],
            "store": f"{_themes(made, row)[0].capitalize()} & Co",
            "categories": list(_themes(made, row)),
            "features": made.catalogue.texts[row].split(". ", 1)[-1].split(", "),
            "description": [made.catalogue.texts[row]],
            "price": prices[row],
            "average_rating": round(float(rng.uniform(2, 5)), 1),
        }
        for row in range(count)
    ]
    reviews = [
        {
            "user_id": f"A{user + 1}",
            "parent_asin": products[item]["parent_asin"],
            "asin": products[item]["parent_asin"],
            "rating": float(rng.integers(3, 6)),
            "title": "As expected",
            "text": f"Good for {_themes(made, item)[0]}.",
            "timestamp": int((START + timedelta(days=place)).timestamp() * 1000),
        }
        for user, history in enumerate(made.histories)
        for place, item in enumerate(history)
    ]
    return [_json(folder / "reviews.jsonl.gz", reviews), _json(folder / "meta_products.jsonl.gz", products)]


def write_courses(made: Dataset, folder: Path, _: np.random.Generator) -> list[Path]:
    """`course.json` and `user.json`, JSON Lines."""
    ids = [f"C_{row + 1}" for row in range(len(made.catalogue))]
    courses = [
        {
            "id": ids[row],
            "name": made.catalogue.titles[row],
            "about": made.catalogue.texts[row],
            "field": list(_themes(made, row)),
            "school": f"School of {_themes(made, row)[0]}",
        }
        for row in range(len(ids))
    ]
    people = [
        {
            "id": f"U_{user + 1}",
            "course_order": [ids[item] for item in history],
            "enroll_time": [f"{START + timedelta(days=place):%Y-%m-%d %H:%M:%S}" for place in range(len(history))],
        }
        for user, history in enumerate(made.histories)
    ]
    return [_json(folder / "course.json", courses), _json(folder / "user.json", people)]


def write_social(made: Dataset, folder: Path, rng: np.random.Generator) -> list[Path]:
    """People, posts, ties and reactions: who reacts to a post may follow its author, or become friends."""
    names = [f"p{user + 1}" for user in range(len(made.histories))]
    authors = rng.integers(0, len(names), len(made.catalogue))
    likes = [_themes(made, int(history[0]))[0] for history in made.histories]
    people = [[name, f"Person {name[1:]}", f"Likes {liked}", liked] for name, liked in zip(names, likes, strict=True)]
    posts = [[f"s{row + 1}", names[authors[row]], made.catalogue.texts[row], " | ".join(_themes(made, row))]
             for row in range(len(made.catalogue))]  # fmt: skip
    ties: dict[tuple[str, str], list[object]] = {}
    reactions = []
    for name, history in zip(names, made.histories, strict=True):
        for place, item in enumerate(history):
            time = int((START + timedelta(hours=place)).timestamp())
            reactions.append([name, f"s{item + 1}", time])
            other = names[authors[item]]
            if other != name and (name, other) not in ties and (other, name) not in ties and rng.random() < 0.2:
                ties[name, other] = [name, other, time, "friend" if rng.random() < 0.3 else "follow"]
    return [
        _comma(folder / "people.csv", ("id", "name", "about", "topics"), people),
        _comma(folder / "posts.csv", ("id", "author", "text", "topics"), posts),
        _comma(folder / "ties.csv", ("person", "other", "time", "kind"), ties.values()),
        _comma(folder / "reactions.csv", ("person", "post", "time"), reactions),
    ]


WRITERS: Mapping[str, Callable[[Dataset, Path, np.random.Generator], list[Path]]] = {
    "news": write_news,
    "shop": write_shop,
    "courses": write_courses,
    "social": write_social,
}


def _themes(made: Dataset, row: int) -> tuple[str, str]:
    first, second = made.catalogue.attributes["categories"][row].split(" | ")
    return first, second


def _tabs(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _comma(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    return path


def _json(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path
