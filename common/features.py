"""Attributes that are no texts as blocks of item vectors: numbers, dates, categories, and several values at a time.

A number becomes its place among the catalogue's numbers, told by a few overlapping triangles: so near numbers have
near vectors, and an outlier moves nothing. A date is a number. A category is one of as many directions as there are
categories, several values weigh less the more common they are; of very many categories the leading directions are kept.
An item without a value says nothing in that block. All of it is a function of the public catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError
from sottovoce.common.vectors import Block, FloatArray

KINDS = ("numeric", "date", "categorical", "tags")
SEPARATOR = " | "

MOST_CATEGORIES = 512
"""Of an attribute, up to which each has a column of its own: what follows costs the cube of the columns."""

_KNOTS, _DIRECTIONS = 5, 128
_AMOUNT = re.compile(r"[$€£¥]?\s*(-?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*[$€£¥]?")
_YEAR = re.compile(r"\d{4}")


def feature_blocks(catalogue: Catalogue, kinds: Mapping[str, str]) -> tuple[list[Block], list[str]]:
    """One block per attribute, and a note on the values that could not be read.

    Args:
        catalogue: The items.
        kinds: One of `KINDS` by the name of an attribute.

    Raises:
        ConfigError: an attribute is not there, or its kind is none.
    """
    blocks, notes = [], []
    for name, kind in kinds.items():
        if name not in catalogue.attributes:
            there = ", ".join(catalogue.attributes) or "none"
            raise ConfigError(f"encoder.features.{name}", kind, f"an attribute of the catalogue, which has {there}")
        if kind not in KINDS:
            raise ConfigError(f"encoder.features.{name}", kind, f"one of {', '.join(KINDS)}")
        cells = [value.strip() for value in catalogue.attributes[name]]
        if kind in ("numeric", "date"):
            values = np.array([_READ[kind](cell) for cell in cells], dtype=np.float64)
            wrong = [row for row, cell in enumerate(cells) if cell and np.isnan(values[row])]
            if wrong:
                first = f"{catalogue.ids[wrong[0]]}: {cells[wrong[0]][:40]!r}"
                notes.append(f"{name}: {len(wrong)} of {len(cells)} values are no {_CALLED[kind]} (first: {first})")
            blocks.append(Block(name, _triangles(values), ~np.isnan(values)))
        else:
            known = np.array([bool(cell) for cell in cells], dtype=bool)
            blocks.append(Block(name, _ENCODE[kind](cells), known))
    return blocks, notes


def _triangles(values: NDArray[np.float64]) -> FloatArray:
    """Hat functions over the places of the values, shape [I, knots]; without columns where all are alike."""
    from sklearn.preprocessing import QuantileTransformer, SplineTransformer

    known = ~np.isnan(values)
    if len(np.unique(values[known])) < 2:
        return np.zeros((len(values), 0), np.float32)
    ranks = QuantileTransformer(n_quantiles=min(1000, int(known.sum())), subsample=None).fit_transform(
        values[known, None]
    )
    hats = SplineTransformer(n_knots=_KNOTS, degree=1).fit_transform(ranks)
    told = np.zeros((len(values), hats.shape[1]), np.float32)
    told[known] = hats
    return told


def _one_of(cells: Sequence[str]) -> FloatArray:
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(min_frequency=2, handle_unknown="ignore", dtype=np.float32)
    told = encoder.fit_transform(np.array(cells, dtype=object)[:, None])
    return _dense(told)


def _several(cells: Sequence[str]) -> FloatArray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    minimum = 2 if len(cells) >= 100 else 1
    vectoriser = TfidfVectorizer(analyzer=_split, min_df=minimum, dtype=np.float32)
    try:
        return _dense(vectoriser.fit_transform(cells))
    except ValueError:  # no value occurs often enough
        return np.zeros((len(cells), 0), np.float32)


def _dense(told: Any) -> FloatArray:  # noqa: ANN401 - a sparse matrix
    """A column for each category; where they are many, the leading directions of these, as for words."""
    from sklearn.decomposition import TruncatedSVD

    if told.shape[1] > MOST_CATEGORIES:
        return np.asarray(TruncatedSVD(_DIRECTIONS, random_state=0).fit_transform(told), dtype=np.float32)
    return np.asarray(told.toarray(), dtype=np.float32)


def _split(cell: str) -> list[str]:
    return [value.strip() for value in cell.split(SEPARATOR) if value.strip()]


def _amount(cell: str) -> float:
    """A number, perhaps with a sign of a currency; NaN where it is none."""
    found = _AMOUNT.fullmatch(cell)
    value = float(found[1].replace(",", "")) if found else np.nan
    return value if np.isfinite(value) else np.nan


def _day(cell: str) -> float:
    """Seconds since 1970 of a date as ISO 8601 writes it, or of a year; NaN where it is none."""
    try:
        moment = datetime(int(cell), 1, 1, tzinfo=UTC) if _YEAR.fullmatch(cell) else datetime.fromisoformat(cell)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return np.nan


_READ: Mapping[str, Callable[[str], float]] = {"numeric": _amount, "date": _day}
_CALLED = {"numeric": "number", "date": "date"}
_ENCODE: Mapping[str, Callable[[Sequence[str]], FloatArray]] = {"categorical": _one_of, "tags": _several}
