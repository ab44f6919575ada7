"""A data set made up: items with text about a few themes, people whose taste for themes drifts.

It stands in where real data may not be had or has to be larger. What can be learned from it: an item's text tells its
themes, a person likes few themes, recent interactions say more than old ones, and popularity follows Zipf's law. It is
a function of its name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sottovoce.common.errors import ConfigError
from sottovoce.simulations.datasets.assemble import assemble
from sottovoce.simulations.datasets.contract import Dataset, ReadOptions
from sottovoce.simulations.datasets.interactions import Interactions
from sottovoce.simulations.datasets.items import ItemRows
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import Coded, FloatArray, IntArray

NAME = "synthetic"
THEMES: Mapping[str, str] = {
    "astronomy": "telescope planet comet galaxy orbit eclipse nebula meteor satellite starlight",
    "sailing": "harbour anchor sail lighthouse tide captain regatta rudder mooring schooner",
    "cooking": "recipe oven spice kitchen saucepan garlic pastry flavour broth whisk",
    "gardening": "soil seedling greenhouse pruning compost orchard tulip hedge watering rosebush",
    "music": "violin melody orchestra rhythm piano concert harmony chorus trumpet quartet",
    "football": "goalkeeper penalty stadium midfield striker league referee kickoff offside derby",
    "medicine": "surgeon vaccine hospital diagnosis nurse clinic therapy patient anatomy pharmacy",
    "law": "courtroom verdict attorney jury statute contract witness appeal judge testimony",
    "trains": "locomotive railway station timetable carriage platform signal conductor tunnel freight",
    "chess": "bishop checkmate gambit endgame knight opening rook stalemate grandmaster pawn",
    "winter": "snowfall glacier skiing avalanche frost sledge icicle blizzard mitten toboggan",
    "history": "empire medieval dynasty archive crusade treaty monarch excavation chronicle legion",
    "programming": "compiler algorithm debugger software database recursion kernel syntax repository script",
    "painting": "canvas portrait watercolour brush easel gallery fresco palette sketch landscape",
    "wildlife": "leopard migration savanna predator habitat elephant rainforest falcon antelope otter",
    "detectives": "murder alibi inspector clue suspect ransom fingerprint burglar informant interrogation",
}
MAX_USERS, MAX_ITEMS = 10_000_000, 1_000_000

_POPULARITY_EXPONENT = 0.8  # of Zipf's law
_SECOND_THEME = 0.2  # how often an item is drawn for its second theme, beside once for its first
_PERSISTENCE = 0.5  # chance that the next interaction stays with the theme of the last
_FAVOURITES = 3
_REDRAWS = 4
_MEAN_LENGTH, _LENGTH_SPREAD, _MIN_LENGTH = 3.2, 0.6, 5  # of a log-normal: 30 interactions on average


@dataclass(frozen=True)
class Recipe:
    """What `synthetic:users=1000,items=500,seed=0` says."""

    users: int = 1000
    items: int = 500
    seed: int = 0


@dataclass(frozen=True)
class _Items:
    """Items by theme: an item is in the list of both its themes, with a weight."""

    first: IntArray
    second: IntArray
    item: IntArray
    weight: FloatArray
    bounds: IntArray


def is_synthetic(source: str) -> bool:
    """Whether a source names data that is made up."""
    return source == NAME or source.startswith(f"{NAME}:")


def parse_recipe(source: str) -> Recipe:
    """Read `synthetic` or `synthetic:users=…,items=…,seed=…`.

    Raises:
        ConfigError: an unknown setting, or one outside its range.
    """
    ranges = {"users": (1, MAX_USERS), "items": (2 * len(THEMES), MAX_ITEMS), "seed": (0, 2**63 - 1)}
    values: dict[str, int] = {}
    for part in filter(None, source.removeprefix(NAME).removeprefix(":").split(",")):
        name, _, value = part.strip().partition("=")
        if name not in ranges:
            raise ConfigError(f"{NAME}.{name}", value, f"one of the settings {', '.join(ranges)}")
        low, high = ranges[name]
        if not (value.isascii() and value.isdigit() and len(value) < 20 and low <= int(value) <= high):
            raise ConfigError(f"{NAME}.{name}", value, f"a whole number from {low} to {high}")
        values[name] = int(value)
    return Recipe(**values)


def synthesise(source: str, options: ReadOptions) -> Dataset:
    """Make the data set that `source` names; `options` leave out users as they do for any other."""
    recipe = parse_recipe(source)
    rng = np.random.default_rng(recipe.seed)
    items = _draw_items(recipe.items, rng)
    lengths = np.clip(rng.lognormal(_MEAN_LENGTH, _LENGTH_SPREAD, recipe.users), _MIN_LENGTH, recipe.items / 6)
    users = np.repeat(np.arange(recipe.users), lengths.astype(np.int64))
    drawn, once = _draw_distinct(items, users, _draw_themes(users, recipe.users, rng), rng)
    rows = _write_items(items, rng)
    interactions = Interactions(
        Path(NAME),
        Coded(users[once], _numbered("u", recipe.users)),
        Coded(drawn[once], list(rows.ids)),
        np.arange(len(once), dtype=np.float64),
    )
    return assemble(Source(NAME, interactions, rows), options)


def _draw_items(count: int, rng: np.random.Generator) -> _Items:
    themes = len(THEMES)
    first = rng.permutation(np.arange(count) % themes)
    second = (first + rng.integers(1, themes, count)) % themes
    popularity = rng.permutation(np.arange(1, count + 1) ** -_POPULARITY_EXPONENT)
    theme = np.concatenate([first, second])
    order = np.argsort(theme, kind="stable")
    weight = np.concatenate([popularity, _SECOND_THEME * popularity])[order]
    bounds = np.searchsorted(theme[order], np.arange(themes + 1)).astype(np.int64)
    return _Items(first, second, (order % count).astype(np.int64), weight, bounds)


def _draw_themes(users: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """The theme of each interaction: a favourite of its user, the first giving way to the second over time."""
    favourites = rng.random((count, len(THEMES)), dtype=np.float32).argpartition(_FAVOURITES, axis=1)[:, :_FAVOURITES]
    starts = np.searchsorted(users, np.arange(count))
    rank = np.arange(len(users)) - starts[users]
    age = rank / np.maximum(np.bincount(users, minlength=count)[users] - 1, 1)
    draw = rng.random(len(users))
    slot = (draw > 0.8 - 0.6 * age).astype(np.int64) + (draw > 0.9)
    theme = favourites[users, slot]
    stray = rng.random(len(users)) < 0.05
    theme[stray] = rng.integers(0, len(THEMES), int(stray.sum()))
    fresh = (rng.random(len(users)) > _PERSISTENCE) | (rank == 0)
    last_fresh = np.maximum.accumulate(np.where(fresh, np.arange(len(users)), 0))
    return theme[last_fresh].astype(np.int64)


def _draw_from_themes(items: _Items, themes: IntArray, rng: np.random.Generator) -> IntArray:
    """An item of each theme, in proportion to the weights."""
    mass = np.concatenate([[0.0], np.cumsum(items.weight)])
    low, high = mass[items.bounds[themes]], mass[items.bounds[themes + 1]]
    place = np.searchsorted(mass, low + rng.random(len(themes)) * (high - low), side="right") - 1
    drawn: IntArray = items.item[np.clip(place, items.bounds[themes], items.bounds[themes + 1] - 1)]
    return drawn


def _draw_distinct(
    items: _Items, users: IntArray, themes: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Items, and the rows to keep: what a user would meet again is drawn anew, in the end from any theme."""
    drawn = _draw_from_themes(items, themes, rng)
    for left in reversed(range(_REDRAWS)):
        again = np.ones(len(users), dtype=bool)
        again[_first_rows(users, drawn)] = False
        anew = themes[again] if left else rng.integers(0, len(THEMES), int(again.sum()))
        drawn[again] = _draw_from_themes(items, anew, rng)
    return drawn, np.sort(_first_rows(users, drawn))


def _first_rows(users: IntArray, drawn: IntArray) -> IntArray:
    return np.unique(users * (drawn.max() + 1) + drawn, return_index=True)[1]


def _write_items(items: _Items, rng: np.random.Generator) -> ItemRows:
    """A title of two words and a text of seven, five of the first theme and two of the second."""
    names = list(THEMES)
    words = np.array([THEMES[name].split() for name in names])
    picks = rng.random((len(items.first), words.shape[1])).argsort(axis=1)
    own, other = words[items.first[:, None], picks[:, :5]], words[items.second[:, None], picks[:, 5:7]]
    ids = _numbered("i", len(items.first))
    titles = [f"{pair[0].capitalize()} and {pair[1]}, {number}" for number, pair in enumerate(own.tolist(), 1)]
    texts = [f"{title}. {', '.join(more)}, {', '.join(rest)}"
             for title, more, rest in zip(titles, own[:, 2:].tolist(), other.tolist(), strict=True)]  # fmt: skip
    categories = [f"{names[one]} | {names[two]}" for one, two in zip(items.first, items.second, strict=True)]
    return ItemRows(Path(NAME), ids, titles, texts, {"categories": categories})


def _numbered(letter: str, count: int) -> list[str]:
    width = len(str(count))
    return [f"{letter}{number:0{width}d}" for number in range(1, count + 1)]
