"""Read MovieLens' own releases: `u.data` (100K), `ratings.dat` (1M, 10M), `ratings.csv` (20M and later).

All are trusted to be what GroupLens made, so their columns are fixed. What is not UTF-8 in the older ones is Latin-1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sottovoce.simulations.datasets.delimited import Layout, read_delimited
from sottovoce.simulations.datasets.films import read_film
from sottovoce.simulations.datasets.interactions import InteractionColumns, Interactions, read_interactions
from sottovoce.simulations.datasets.items import ItemColumns, ItemRows, film_rows, read_films
from sottovoce.simulations.datasets.source import Source
from sottovoce.simulations.datasets.tables import BoolArray, Sieve, Table, require_columns

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip

_RATING_NAMES = ("userId", "movieId", "rating", "timestamp")
_FILM_NAMES = ("movieId", "title", "genres")
_U_ITEM_NAMES = ("movieId", "title", "release date", "video release date", "URL", *GENRES)
_RATINGS = InteractionColumns("userId", "movieId", "timestamp", "rating")
_FILMS = ItemColumns("movieId", "title", "genres")


def read_u_data(folder: Path, lenient: bool) -> Source:
    """MovieLens-100K: `u.data` and `u.item`."""
    ratings = _ratings(folder / "u.data", Layout("\t", _RATING_NAMES), lenient)
    layout = Layout("|", _U_ITEM_NAMES, latin1=True)
    return Source(
        folder.resolve().name, ratings, _flagged_films(read_delimited(folder / "u.item", layout, lenient), lenient)
    )


def read_dat(folder: Path, lenient: bool) -> Source:
    """MovieLens-1M and 10M: `ratings.dat` and `movies.dat`."""
    ratings = _ratings(folder / "ratings.dat", Layout("::", _RATING_NAMES), lenient)
    films = read_delimited(folder / "movies.dat", Layout("::", _FILM_NAMES, latin1=True), lenient)
    return Source(folder.resolve().name, ratings, read_films(films, _FILMS, _split_genres, lenient))


def read_csv(folder: Path, lenient: bool) -> Source:
    """MovieLens-20M and later: `ratings.csv` and `movies.csv`."""
    ratings = _ratings(folder / "ratings.csv", Layout(",", quoted=True), lenient)
    films = read_delimited(folder / "movies.csv", Layout(",", quoted=True), lenient)
    require_columns(films, _FILM_NAMES, "MovieLens")
    return Source(folder.resolve().name, ratings, read_films(films, _FILMS, _split_genres, lenient))


def _ratings(path: Path, layout: Layout, lenient: bool) -> Interactions:
    table = read_delimited(path, layout, lenient)
    require_columns(table, _RATING_NAMES, "MovieLens")
    return read_interactions(table, _RATINGS, lenient)


def _split_genres(value: str) -> list[str]:
    return value.split("|")


def _flagged_films(table: Table, lenient: bool) -> ItemRows:
    """`u.item` has a column of 0 and 1 for each genre."""
    sieve = Sieve(table, lenient)
    ids = sieve.ids("movieId")
    flags = []
    for genre in GENRES:
        cells = np.array(table.columns[genre].to_pylist(), dtype=np.str_)
        sieve.refuse(~np.isin(cells, ("0", "1")), lambda row, genre=genre: _flag_reason(table, genre, row))  # type: ignore[misc]
        flags.append(cells == "1")
    notes = sieve.finish()
    rows = np.flatnonzero(sieve.keep).tolist()
    titles = table.columns["title"].to_pylist()
    films = [read_film(titles[row], _genres(flags, row)) for row in rows]
    return film_rows(table.path, [ids.names[ids.codes[row]] for row in rows], films, notes=notes)


def _genres(flags: list[BoolArray], row: int) -> list[str]:
    return [genre for genre, flag in zip(GENRES, flags, strict=True) if flag[row]]


def _flag_reason(table: Table, genre: str, row: int) -> str:
    return f"the flag of genre {genre!r} is {table.columns[genre][row].as_py()!r}, neither 0 nor 1"
