"""From checked tables to a data set: who did what, in which order, and what was left out on the way.

The order of the steps is part of the contract:
    1. leave out interactions with items that the catalogue lacks,
    2. order by user and time; what happened at the same time stays in the order of the file,
    3. of several interactions of one user with one item keep the latest,
    4. leave out what was rated below `min_rating` (the latest rating counts, so this comes after 3),
    5. leave out users with fewer than `min_interactions`.
Without times there is nothing to order by: each history is shuffled by a public constant and the ids alone. So the
order of one history depends neither on the order of the file nor on who else is in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.history import Histories
from sottovoce.common.impressions import Impressions
from sottovoce.simulations.datasets.contract import Dataset, ReadOptions
from sottovoce.simulations.datasets.interactions import Interactions
from sottovoce.simulations.datasets.items import ItemRows, build_catalogue
from sottovoce.simulations.datasets.source import Shown, Source
from sottovoce.simulations.datasets.tables import FloatArray, IntArray, counted, tolerate

SHUFFLE_SEED = 20240229


@dataclass(frozen=True)
class _Rows:
    """Interactions in the course of being ordered: rows of the file, with user and item as positions."""

    row: IntArray
    user: IntArray
    item: IntArray

    def __getitem__(self, chosen: NDArray[np.bool_] | IntArray) -> _Rows:
        return _Rows(self.row[chosen], self.user[chosen], self.item[chosen])

    def __len__(self) -> int:
        return len(self.row)


def assemble(source: Source, options: ReadOptions) -> Dataset:
    """Build the data set in the steps told above; lists that were shown are kept for evaluation as they are.

    Raises:
        DataError: too many interactions are with unknown items, or no user is left.
    """
    interactions, items = source.interactions, source.items
    catalogue, kept, notes = build_catalogue(items, options)
    said = [*interactions.notes, *notes]
    users, user = _order_users(interactions)
    rows = _Rows(np.arange(len(user)), user, _positions(interactions, catalogue))
    rows = _known_items(rows, interactions, said, options)
    rows = rows[_order(rows, interactions, users, catalogue)]
    rows = _latest(rows, len(catalogue), interactions, said)
    rows = _well_rated(rows, interactions, said, options)
    rows = _busy_users(rows, len(users), interactions, said, options)
    histories = _histories(rows, users, interactions)
    impressions = None if source.shown is None else _impressions(source.shown, catalogue, items, said)
    return Dataset(
        source.name,
        catalogue,
        histories,
        interactions.times is not None,
        tuple(said),
        source.domain,
        impressions,
        items.features,
        None if items.images is None else tuple(items.images[row] for row in kept),
    )


def _impressions(shown: Shown, catalogue: Catalogue, items: ItemRows, said: list[str]) -> Impressions:
    """Lists as catalogue positions; what the catalogue lacks is left out, and lists without a choice are."""
    place = catalogue.position
    before = [[place[item] for item in each if item in place] for each in shown.before]
    pairs = [[(place[item], hit) for item, hit in zip(each, hits, strict=True) if item in place]
             for each, hits in zip(shown.items, shown.clicked, strict=True)]  # fmt: skip
    missing = sum(map(len, shown.items)) - sum(map(len, pairs))
    if missing:
        said.append(f"{items.path.name}: {counted(missing, 'shown item')} left out that the catalogue lacks")
    chosen = [row for row, each in enumerate(pairs) if 0 < sum(hit for _, hit in each) < len(each)]
    if len(chosen) < len(pairs):
        gone = counted(len(pairs) - len(chosen), "impression")
        said.append(f"{items.path.name}: {gone} left out of evaluation, with nothing or everything clicked")
    return Impressions.from_lists(
        [before[row] for row in chosen],
        [[item for item, _ in pairs[row]] for row in chosen],
        [[hit for _, hit in pairs[row]] for row in chosen],
    )


def _order_users(interactions: Interactions) -> tuple[NDArray[np.str_], IntArray]:
    """The ids of the users in order, and each interaction's user as a position in it."""
    names = np.array(interactions.users.names, dtype=np.str_)
    numeric = all(name.isascii() and name.isdigit() and len(name) <= 18 for name in interactions.users.names)
    order = np.lexsort((names, names.astype(np.int64))) if numeric else np.argsort(names, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return names[order], rank[interactions.users.codes]


def _positions(interactions: Interactions, catalogue: Catalogue) -> IntArray:
    """Each interaction's item as a row of the catalogue; -1 where it lacks it."""
    of_name = np.array([catalogue.position.get(name, -1) for name in interactions.items.names], dtype=np.int64)
    return of_name[interactions.items.codes]


def _known_items(rows: _Rows, interactions: Interactions, said: list[str], options: ReadOptions) -> _Rows:
    unknown = rows.item < 0
    if not unknown.any():
        return rows
    names = [interactions.items.names[code] for code in np.unique(interactions.items.codes[unknown])]
    problem = f"interactions left out, with {counted(len(names), 'item')} that the catalogue lacks"
    said.append(tolerate(interactions.path, problem, int(unknown.sum()), names, len(rows), options))
    return rows[~unknown]


def _order(rows: _Rows, interactions: Interactions, users: NDArray[np.str_], catalogue: Catalogue) -> IntArray:
    """Rows by user, then by time and file, or by a fixed shuffle (in which a repetition does not count as later)."""
    if interactions.times is not None:
        return order_by_user_and_time(rows.user, interactions.times[rows.row])
    user_key, item_key = _keys(users.tolist()), _keys(catalogue.ids)
    return np.lexsort((_mix(user_key[rows.user] ^ _mix(item_key[rows.item])), rows.user))


def order_by_user_and_time(user: IntArray, time: FloatArray) -> IntArray:
    """Like `np.lexsort((time, user))`, and several times faster where both fit into one whole number."""
    span = time.max(initial=0) + 1
    if span * (user.max(initial=0) + 1) < 2**53 and not np.any(time % 1):
        return np.argsort(user * np.int64(span) + time.astype(np.int64), kind="stable")
    return np.lexsort((time, user))


def _keys(names: list[str] | tuple[str, ...]) -> NDArray[np.uint64]:
    """A number for each id, the same on every machine."""
    salt = SHUFFLE_SEED.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): near keys become far ones."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _latest(rows: _Rows, width: int, interactions: Interactions, said: list[str]) -> _Rows:
    """Of each user's interactions with one item, the last in the present order."""
    pair = rows.user * width + rows.item
    by_pair = np.argsort(pair, kind="stable")
    last = np.ones(len(rows), dtype=bool)
    last[by_pair[:-1]] = np.diff(pair[by_pair]) != 0
    if not last.all():
        again = counted(int((~last).sum()), "interaction")
        said.append(
            f"{interactions.path.name}: {again} left out, as a later one of the same user with the same item counts"
        )
    return rows[last]


def _well_rated(rows: _Rows, interactions: Interactions, said: list[str], options: ReadOptions) -> _Rows:
    if options.min_rating <= 0:
        return rows
    if interactions.ratings is None:
        raise ConfigError("data.min_rating", options.min_rating, f"0, as {interactions.path.name} has no ratings")
    good = interactions.ratings[rows.row] >= options.min_rating
    if not good.all():
        low = counted(int((~good).sum()), "interaction")
        said.append(f"{interactions.path.name}: {low} left out, rated below {options.min_rating:g}")
    return rows[good]


def _busy_users(rows: _Rows, count: int, interactions: Interactions, said: list[str], options: ReadOptions) -> _Rows:
    """The users with enough interactions; those with none left count as left out too."""
    lengths = np.bincount(rows.user, minlength=count)
    few = lengths < options.min_interactions
    if few.all():
        raise DataError(interactions.path, f"no user has {options.min_interactions} interactions or more")
    if few.any():
        gone, lost = counted(int(few.sum()), "user"), counted(int(lengths[few].sum()), "interaction")
        told = f"{gone} left out with fewer than {options.min_interactions} interactions ({lost} in all)"
        said.append(f"{interactions.path.name}: {told}")
    return rows[~few[rows.user]]


def _histories(rows: _Rows, users: NDArray[np.str_], interactions: Interactions) -> Histories:
    lengths = np.bincount(rows.user, minlength=len(users))
    kept = lengths > 0
    offsets = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    words = None if interactions.words is None else interactions.words[rows.row]
    return Histories(users[kept], offsets, rows.item, words)
