"""Which column plays which role: as the user said, else by the names that such columns commonly have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.contract import FEATURES
from sottovoce.simulations.datasets.interactions import InteractionColumns
from sottovoce.simulations.datasets.items import ItemColumns, text_columns
from sottovoce.simulations.datasets.tables import Table

_ITEM_NAMES = "item itemid iid movieid productid asin parentasin articleid bookid trackid songid newsid businessid"
COMMON_NAMES: Mapping[str, str] = {
    "user": "user userid uid reviewerid customerid visitorid personid memberid",
    "item": _ITEM_NAMES,
    "time": "time timestamp ts unixtime unixreviewtime datetime date",
    "rating": "rating ratings stars overall score",
    "words": "words reviewtext review comment text",
    "item_id": f"{_ITEM_NAMES} id",
    "title": "title name movietitle itemtitle productname headline",
    "categories": "categories category genres genre class",
    "year": "year releaseyear",
}


def interaction_columns(table: Table, chosen: Mapping[str, str]) -> InteractionColumns:
    """The roles in a table of interactions; a user and an item there must be."""
    user, item = _required(table, "user", chosen), _required(table, "item", chosen)
    time, rating, words = (_find(table, role, chosen) for role in ("time", "rating", "words"))
    unread = tuple(name for name in table.columns if name not in (user, item, time, rating, words))
    return InteractionColumns(user, item, time, rating, words, unread)


def item_columns(table: Table, chosen: Mapping[str, str]) -> ItemColumns:
    """The roles in a table of items; unless the user says which are text, every column that holds text is."""
    item = _required(table, "item_id", chosen)
    title, categories, year = (_find(table, role, chosen) for role in ("title", "categories", "year"))
    features = {name: role for role in FEATURES for name in _several(table, role, chosen)}
    image = _named(table, "image", chosen["image"]) if "image" in chosen else ""
    known = (item, title, categories, year, image, *features)
    if "text" in chosen:
        texts = _several(table, "text", chosen)
        unread = tuple(name for name in table.columns if name not in (*known, *texts))
    else:
        texts, unread = text_columns(table, known)
    return ItemColumns(item, title, categories, year, texts, features, image, unread)


def _several(table: Table, role: str, chosen: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of a role that may have several."""
    return tuple(_named(table, role, name.strip()) for name in chosen.get(role, "").split(",") if name.strip())


def _required(table: Table, role: str, chosen: Mapping[str, str]) -> str:
    name = _find(table, role, chosen)
    if not name:
        there = ", ".join(table.columns)
        raise DataError(table.path, f"no column is known to be the {role}; say which ({role}=COLUMN) of: {there}", 1)
    return name


def _find(table: Table, role: str, chosen: Mapping[str, str]) -> str:
    if role in chosen:
        return _named(table, role, chosen[role])
    plain = {re.sub(r"[^a-z]", "", bare_name(name).lower()): name for name in reversed(list(table.columns))}
    return next((plain[name] for name in COMMON_NAMES[role].split() if name in plain), "")


def _named(table: Table, role: str, name: str) -> str:
    for column in table.columns:
        if name in (column, bare_name(column)):
            return column
    raise DataError(table.path, f"no column {name!r} for the {role}; there are: {', '.join(table.columns)}", 1)


def bare_name(column: str) -> str:
    """A column's name without the type that RecBole writes behind it."""
    return column.split(":", 1)[0]
