"""Read news in MIND's format (Wu et al. 2020): `news.tsv`, and `behaviors.tsv` with what was shown and clicked.

A folder holds both files, or two folders that do, of which one is named `…train` and the other `…dev`. A line of
`behaviors.tsv` is one impression: its id, the reader, the time, what the reader had clicked before, and what was shown
(`N1-1` for what was clicked, `N2-0` for what was not), separated by tabs.

A reader's history is what they had clicked before, then what they clicked in the impressions, by time. Impressions are
kept for evaluation and then no part of any history: those of the `dev` folder, or else the last one of each reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from sottovoce.common.domains import DOMAINS
from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import ReadOptions
from sottovoce.simulations.datasets.delimited import Layout, read_delimited
from sottovoce.simulations.datasets.fields import domain_rows
from sottovoce.simulations.datasets.interactions import InteractionColumns, Interactions, read_interactions
from sottovoce.simulations.datasets.items import ItemRows
from sottovoce.simulations.datasets.source import Shown, Source
from sottovoce.simulations.datasets.tables import Sieve, Table

BEHAVIOURS, NEWS = "behaviors.tsv", "news.tsv"
_BEHAVIOUR_NAMES = ("impression", "user", "time", "history", "shown")
_NEWS_NAMES = ("id", "category", "subcategory", "title", "abstract", "url", "title entities", "abstract entities")
_TIME = "%m/%d/%Y %I:%M:%S %p"


@dataclass(frozen=True)
class _Impression:
    """One line of `behaviors.tsv`."""

    line: int
    user: str
    time: float
    before: list[str]
    shown: list[str]
    clicked: list[bool]

    @property
    def clicks(self) -> list[str]:
        return [item for item, hit in zip(self.shown, self.clicked, strict=True) if hit]


def is_mind(folder: Path) -> bool:
    """Whether a folder holds news in this format."""
    return (folder / BEHAVIOURS).is_file() or _part(folder, "train") is not None


def read_mind(folder: Path, options: ReadOptions) -> Source:
    """News as items, clicks as interactions, and the impressions that evaluation is to rank.

    Raises:
        DataError: a line cannot be used (unless `options.lenient`), or a file is missing.
    """
    train = folder if (folder / BEHAVIOURS).is_file() else _part(folder, "train") or folder
    dev = None if train == folder else _part(folder, "dev")
    items = _read_news(train / NEWS, options.lenient)
    impressions, table, notes = _read_behaviours(train / BEHAVIOURS, options.lenient)
    if dev is None:
        known, kept = _last_of_each(impressions)
    else:
        items = _joined(items, _read_news(dev / NEWS, options.lenient))
        known, (kept, _, more) = impressions, _read_behaviours(dev / BEHAVIOURS, options.lenient)
        notes += more
    interactions = _interactions(table, impressions, known, notes, options.lenient)
    before = [[*each.before, *earlier] for each, earlier in _with_earlier_clicks(kept, known if dev is None else [])]
    shown = Shown(before, [each.shown for each in kept], [each.clicked for each in kept])
    return Source(folder.resolve().name, interactions, items, "news", shown)


def _part(folder: Path, name: str) -> Path | None:
    return next((path.parent for path in sorted(folder.glob(f"*{name}/{BEHAVIOURS}"))), None)


def _read_news(path: Path, lenient: bool) -> ItemRows:
    table = read_delimited(path, Layout("\t", _NEWS_NAMES), lenient)
    sieve = Sieve(table, lenient)
    ids = sieve.ids("id")
    notes = sieve.finish()
    mask = pa.array(sieve.keep)
    names = ("title", "category", "subcategory", "abstract")
    cells = {name: [" ".join(value.split()) for value in table.strings(name).filter(mask).to_pylist()]
             for name in names}  # fmt: skip
    cells["categories"] = [" | ".join(dict.fromkeys(filter(None, pair)))
                           for pair in zip(cells["category"], cells["subcategory"], strict=True)]  # fmt: skip
    return domain_rows(table, DOMAINS["news"], [ids.names[code] for code in ids.codes[sieve.keep]], cells, notes, {})


def _joined(first: ItemRows, second: ItemRows) -> ItemRows:
    """Both lists of news; the same story stands in both folders, which is no repetition."""
    known = set(first.ids)
    fresh = [row for row, item in enumerate(second.ids) if item not in known]

    def both(one: Sequence[str], other: Sequence[str]) -> list[str]:
        return [*one, *(other[row] for row in fresh)]

    attributes = {name: both(values, second.attributes.get(name, [""] * len(second.ids)))
                  for name, values in first.attributes.items()}  # fmt: skip
    return ItemRows(
        first.path,
        both(first.ids, second.ids),
        both(first.titles, second.titles),
        both(first.texts, second.texts),
        attributes,
        first.notes + second.notes,
    )


def _read_behaviours(path: Path, lenient: bool) -> tuple[list[_Impression], Table, tuple[str, ...]]:
    """Every impression by time, then by its place in the file."""
    table = read_delimited(path, Layout("\t", _BEHAVIOUR_NAMES), lenient)
    sieve = Sieve(table, lenient)
    users = sieve.ids("user")
    times = [_seconds(value) for value in table.strings("time").to_pylist()]
    shown = table.strings("shown").to_pylist()
    wrong = [_reason_against(value) for value in shown]
    given = table.columns["time"]
    sieve.refuse(
        np.array([value is None for value in times], dtype=bool),
        lambda row: f"time {given[row].as_py()[:40]!r} is not like 11/15/2019 10:22:32 AM",
    )
    sieve.refuse(np.array([bool(reason) for reason in wrong], dtype=bool), wrong.__getitem__)
    notes = sieve.finish()
    before = table.strings("history").to_pylist()
    impressions = []
    for row in np.flatnonzero(sieve.keep).tolist():
        pairs = [value.rpartition("-") for value in shown[row].split()]
        impressions.append(
            _Impression(
                table.line(row),
                users.names[users.codes[row]],
                times[row] or 0.0,
                before[row].split(),
                [item for item, _, _ in pairs],
                [mark == "1" for _, _, mark in pairs],
            )
        )
    if not impressions:
        raise DataError(path, "no impression in this file" + (f"; {notes[0]}" if notes else ""))
    return sorted(impressions, key=lambda each: each.time), table, notes


def _last_of_each(impressions: list[_Impression]) -> tuple[list[_Impression], list[_Impression]]:
    """All impressions but the last of each reader, and those."""
    last = {each.user: place for place, each in enumerate(impressions)}
    places = set(last.values())
    kept = [each for place, each in enumerate(impressions) if place in places]
    return [each for place, each in enumerate(impressions) if place not in places], kept


def _with_earlier_clicks(
    kept: list[_Impression], known: list[_Impression]
) -> list[tuple[_Impression, list[str]]]:  # fmt: skip
    """Each kept impression with what its reader clicked in the known ones, all of which were earlier."""
    clicks: dict[str, list[str]] = {}
    for each in known:
        clicks.setdefault(each.user, []).extend(each.clicks)
    return [(each, clicks.get(each.user, [])) for each in kept]


def _interactions(
    table: Table, impressions: list[_Impression], known: list[_Impression], notes: tuple[str, ...], lenient: bool
) -> Interactions:
    """What was clicked before the first impression of each reader, then the clicks of the known ones, by time."""
    first = {each.user: each for each in reversed(impressions)}
    events = [(each.user, item, each.line) for each in first.values() for item in each.before]
    events += [(each.user, item, each.line) for each in known for item in each.clicks]
    if not events:
        raise DataError(table.path, "no click in this file that is not kept for evaluation")
    users, items, lines = zip(*events, strict=True)
    columns = {
        "user": pa.chunked_array([pa.array(users, pa.string())]),
        "item": pa.chunked_array([pa.array(items, pa.string())]),
        "order": pa.chunked_array([pa.array(np.arange(len(events), dtype=np.float64))]),
    }
    read = read_interactions(
        Table(table.path, columns, lines.__getitem__), InteractionColumns("user", "item", "order"), lenient
    )
    return Interactions(read.path, read.users, read.items, read.times, notes=notes + read.notes)


def _seconds(value: str) -> float | None:
    try:
        return datetime.strptime(value.strip(), _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _reason_against(shown: str) -> str:
    """Why a list of what was shown cannot be read, or nothing."""
    values = shown.split()
    if not values:
        return "no item was shown"
    wrong = next((value for value in values if value[-2:] not in ("-0", "-1") or len(value) < 3), None)
    return "" if wrong is None else f"{wrong[:40]!r} is not like N1-0 or N1-1"
