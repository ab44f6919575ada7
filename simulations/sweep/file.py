"""The file of an experiment: settings that all its runs share, and lists of settings that they differ in.

    schema = 1
    runtime = "local"                       # or "flower": what carries the messages
    references = "all"                      # or "quick", "popularity", "none": rows beside the runs
    optional = true                         # leave the experiment out where its data cannot be had

    [base]                                  # as in a run's config.toml
    data.source = "ml-100k"

    [grid]                                  # the product of these lists
    "privacy.epsilon" = [1, 8, "inf"]
    "seed" = [0, 1, 2]

    [[also]]                                # more runs over `base`: values, or lists for a product of their own
    name = "from zero"
    "head.content_weight" = 0.0

A mistake is named with the file and the key before anything is run.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce.common.config import Config, Settings, parse
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.run import Runtime

SCHEMA = 1
"""Raised when a file means something else than before."""

MAX_RUNS = 100_000
REFERENCES = ("all", "quick", "popularity", "none")
KEYS = ("schema", "name", "runtime", "references", "optional", "base", "grid", "also")

Point = dict[str, Any]
"""The value of each setting that a grid names, by dotted name."""


@dataclass(frozen=True)
class Variant:
    """One point of an experiment.

    Attributes:
        name: Of the grid that it stands in.
        point: The settings that this grid gives.
        config: All settings, as they were given.
    """

    name: str
    point: Point
    config: Config


@dataclass(frozen=True)
class Experiment:
    """What an experiment's file says.

    Attributes:
        path: The file.
        runtime: What carries messages.
        references: Which stand beside the runs.
        optional: Whether it is left out where its data cannot be had.
        variants: Its runs.
    """

    path: Path
    runtime: Runtime
    references: str
    optional: bool
    variants: tuple[Variant, ...]


def read_experiment(path: Path, source: str | None = None) -> Experiment:
    """Read and check an experiment's file.

    Args:
        path: The file.
        source: Where the data lies, instead of what `[base]` says.

    Raises:
        DataError: it is no TOML, of another schema, or a key or value does not fit; names the file and the key.
    """
    table = _toml(path)
    if table.get("schema") != SCHEMA:
        raise DataError(path, f"schema = {table.get('schema')!r}: this program reads schema = {SCHEMA}")
    for key in table:
        if key not in KEYS:
            raise DataError(path, f"{key}: no such key; known are {', '.join(KEYS)}")
    base = _flat(_table(path, "base", table.get("base", {})))
    if source is not None:
        base["data.source"] = source
    also = table.get("also", [])
    if not isinstance(also, list):
        raise DataError(path, f"also = {also!r}: expected [[also]] tables")
    variants: list[Variant] = []
    if "grid" in table or not also:
        grid = _flat(_table(path, "grid", table.get("grid", {})))
        variants += _variants(path, "grid", _text(path, table, "name", path.stem), base, grid)
    for place, each in enumerate(also, start=1):
        where = f"also[{place}]"
        given = dict(_table(path, where, each))
        name = _text(path, given, "name", f"{path.stem} {where}")
        given.pop("name", None)
        lists = {key: value if isinstance(value, list) else [value] for key, value in _flat(given).items()}
        variants += _variants(path, where, name, base, lists)
    return Experiment(
        path,
        Runtime(_choice(path, table, "runtime", tuple(Runtime), Runtime.LOCAL)),
        _choice(path, table, "references", REFERENCES, "all"),
        _flag(path, table, "optional"),
        tuple(variants),
    )


def product(lists: Mapping[str, list[Any]]) -> Iterator[Point]:
    """Every choice of one value of each list, the last list running fastest."""
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name as a table of tables.

    Raises:
        ConfigError: a name is both a setting and a section.
    """
    table: dict[str, Any] = {}
    for name, value in settings.items():
        *sections, key = name.split(".")
        branch = table
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise ConfigError(name, value, f"`{section}` to be a section")
        branch[key] = value
    return table


def _variants(path: Path, where: str, name: str, base: Point, grid: Mapping[str, Any]) -> list[Variant]:
    """The runs of one grid, each checked as far as it can be without its data."""
    if not grid:
        raise DataError(path, f"{where}: an empty grid; name a setting and its values")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise DataError(path, f"{where}.{key} = {values!r}: expected a list of at least one value")
        if not _is_setting(key):
            raise DataError(path, f"{where}.{key}: no such setting")
    for key in base:
        if not _is_setting(key):
            raise DataError(path, f"base.{key}: no such setting")
    count = math.prod(len(values) for values in grid.values())
    if count > MAX_RUNS:
        raise DataError(path, f"{where}: {count} runs; at most {MAX_RUNS}")
    return [Variant(name, point, _config(path, where, base, point)) for point in product(grid)]


def _config(path: Path, where: str, base: Point, point: Point) -> Config:
    try:
        return parse(nested({**base, **point}))
    except ConfigError as error:
        raise DataError(path, f"{where}, {described(point)}: {error}") from error


def described(point: Point) -> str:
    """A point in one line."""
    return ", ".join(f"{name} = {value}" for name, value in point.items())


def _is_setting(name: str) -> bool:
    """Whether a dotted name leads to a leaf of the tree of settings."""
    branch: type[Settings] = Config
    *sections, key = name.split(".")
    for section in sections:
        field = branch.model_fields.get(section)
        if field is None:
            return False
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, Settings)):
            return section in ("columns", "weights", "features")
        branch = field.annotation
    field = branch.model_fields.get(key)
    return field is not None and not (isinstance(field.annotation, type) and issubclass(field.annotation, Settings))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Point:
    """A table of tables by dotted names, quoted or not."""
    flat: Point = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(path, f"not TOML: {error}") from error


def _table(path: Path, where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(path, f"{where} = {value!r}: expected a table of settings")
    return value


def _text(path: Path, table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise DataError(path, f"{key} = {value!r}: expected a text")
    return value


def _choice(path: Path, table: Mapping[str, Any], key: str, choices: tuple[str, ...], default: str) -> str:
    value = table.get(key, default)
    if value not in choices:
        raise DataError(path, f"{key} = {value!r}: expected one of {', '.join(choices)}")
    return str(value)


def _flag(path: Path, table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise DataError(path, f"{key} = {value!r}: expected true or false")
    return value
