"""Load a data set by its name or its path, and tell its format by looking."""

from __future__ import annotations

import sys
from pathlib import Path

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.simulations.datasets.assemble import assemble
from sottovoce.simulations.datasets.columns import interaction_columns
from sottovoce.simulations.datasets.contract import DEFAULTS, Dataset, ReadOptions
from sottovoce.simulations.datasets.download import NAMES, cached, fetch
from sottovoce.simulations.datasets.interactions import Interactions, read_interactions
from sottovoce.simulations.datasets.items import build_catalogue
from sottovoce.simulations.datasets.movielens import read_csv, read_dat, read_u_data
from sottovoce.simulations.datasets.msweb import FILE as MSWEB
from sottovoce.simulations.datasets.msweb import read_visits
from sottovoce.simulations.datasets.parquet import read_table
from sottovoce.simulations.datasets.plain import read_item_file, read_pair
from sottovoce.simulations.datasets.recbole import find_stem, read_atomic
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.synthetic import is_synthetic, synthesise

_MOVIELENS = {
    "u.data": ("u.item", read_u_data),
    "ratings.dat": ("movies.dat", read_dat),
    "ratings.csv": ("movies.csv", read_csv),
}
_TABLES = (".csv", ".tsv", ".parquet")


def load_dataset(source: str, options: ReadOptions = DEFAULTS) -> Dataset:
    """Load what a source names: public data, data made up, or what lies at a path.

    `ml-100k` and `msweb` are fetched where they are not cached; `synthetic[:users=…,items=…,seed=…]` is made.

    Raises:
        DataError: a file cannot be used; says which, where and why.
        ConfigError: an option does not fit the data set.
    """
    if is_synthetic(source):
        _refuse_options(source, options, items=True, columns=True)
        return synthesise(source, options)
    if source in NAMES:
        _refuse_options(source, options, items=True, columns=True)
        folder = cached(source) or fetch(source, lambda line: print(line, file=sys.stderr))
        return _assemble(source, read_source(folder, options), options)
    try:
        read = read_source(Path(source), options)
    except OSError as error:
        raise DataError(source[:200], f"cannot be read: {error.strerror}") from error
    return _assemble(read.name, read, options)


def load_catalogue(source: str, options: ReadOptions = DEFAULTS) -> tuple[Catalogue, tuple[str, ...]]:
    """The items that a source names, and notes on what was repaired: a public data set's name, or a file of items.

    Raises:
        DataError: the file cannot be used.
    """
    if source in NAMES or is_synthetic(source):
        return load_dataset(source, options).catalogue, ()
    return build_catalogue(read_item_file(Path(source), options), options)


def load_interactions(source: str, options: ReadOptions = DEFAULTS) -> Interactions:
    """Who did what, as a source has it, nothing assembled: a public data set's name, or a path.

    Raises:
        DataError: the file cannot be used.
    """
    if source in NAMES:
        return read_source(
            cached(source) or fetch(source, lambda line: print(line, file=sys.stderr)), options
        ).interactions
    path = Path(source)
    try:
        if path.suffix in _TABLES and path.name not in _MOVIELENS and options.items is None and path.is_file():
            table = read_table(path, options.lenient)
            return read_interactions(table, interaction_columns(table, options.columns), options.lenient)
        return read_source(path, options).interactions
    except OSError as error:
        raise DataError(source[:200], f"cannot be read: {error.strerror}") from error


def read_source(path: Path, options: ReadOptions) -> Source:
    """Tell the format of what lies at `path`, and read it."""
    if path.is_dir():
        return _read_folder(path, options)
    if not path.exists():
        if path.with_name(f"{path.name}.inter").is_file():
            return _atomic(path, options)
        raise DataError(path, f"no such file or folder, and no data set's name ({', '.join(NAMES)}, synthetic)")
    if path.suffix in (".inter", ".item"):
        return _atomic(path.with_suffix(""), options)
    if path.name == MSWEB:
        return _visits(path, options)
    if path.name in _MOVIELENS and (path.parent / _MOVIELENS[path.name][0]).exists() and options.items is None:
        return _movielens(path.parent, path.name, options)
    items = options.items or _sibling(path.parent, "items")
    if items is None:
        raise DataError(path, "no items to these interactions; name their file (--items FILE)")
    return read_pair(path.stem, path, items, options)


def _read_folder(folder: Path, options: ReadOptions) -> Source:
    name = next((name for name in _MOVIELENS if (folder / name).exists()), None)
    if name is not None:
        return _movielens(folder, name, options)
    if (folder / MSWEB).exists():
        return _visits(folder / MSWEB, options)
    stem = find_stem(folder)
    if stem is not None:
        return _atomic(stem, options)
    interactions = _sibling(folder, "interactions")
    if interactions is None:
        known = f"u.data, ratings.dat, ratings.csv, *.inter, {MSWEB}, interactions.csv, interactions.parquet"
        raise DataError(folder, f"no data set in this folder; looked for {known}")
    items = options.items or _sibling(folder, "items") or folder / "items.csv"
    return read_pair(folder.resolve().name, interactions, items, options)


def _movielens(folder: Path, name: str, options: ReadOptions) -> Source:
    _refuse_options(name, options, items=True, columns=True)
    read = _MOVIELENS[name][1]
    return read(folder, options.lenient)


def _visits(path: Path, options: ReadOptions) -> Source:
    _refuse_options(path.name, options, items=True, columns=True)
    return read_visits(path, options.lenient)


def _atomic(stem: Path, options: ReadOptions) -> Source:
    _refuse_options(stem.name, options, items=True, columns=False)
    return read_atomic(stem, options)


def _sibling(folder: Path, stem: str) -> Path | None:
    return next((path for suffix in _TABLES if (path := folder / f"{stem}{suffix}").is_file()), None)


def _refuse_options(name: str, options: ReadOptions, items: bool, columns: bool) -> None:
    """An option that would be ignored is a mistake."""
    if items and options.items is not None:
        raise ConfigError("data.items", str(options.items), f"nothing, as {name} brings its own items")
    if columns and options.columns:
        raise ConfigError("data.columns", dict(options.columns), f"nothing, as the columns of {name} are known")


def _assemble(name: str, source: Source, options: ReadOptions) -> Dataset:
    return assemble(name, source.interactions, source.items, options)
