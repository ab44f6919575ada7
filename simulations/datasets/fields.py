"""Items of a domain from columns of text: which fields make the text, and which can be filtered by, is the domain's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from sottovoce.common.domains import Domain
from sottovoce.simulations.datasets.items import ItemRows, sentences, split_categories
from sottovoce.simulations.datasets.tables import Sieve, Table

SEVERAL = ("categories", "features", "prerequisites")
"""Fields with several values in one cell."""


def read_domain_items(
    table: Table,
    domain: Domain,
    lenient: bool,
    split: Callable[[str], list[str]] = split_categories,
    features: Mapping[str, str] | None = None,
) -> ItemRows:
    """Items with the texts and attributes that `domain` asks for.

    Args:
        table: Columns `id`, `title`, and any that the domain knows.
        domain: Whose preset.
        lenient: Skip broken rows instead of refusing the file.
        split: How several values stand in one cell.
        features: Kinds of attributes that are no texts, by name (see `common.features`).

    Raises:
        DataError: an id cannot be used (unless `lenient`).
    """
    sieve = Sieve(table, lenient)
    ids = sieve.ids("id")
    notes = sieve.finish()
    mask = pa.array(sieve.keep)
    wanted = [name for name in table.columns if name != "id"]
    cells = {name: [" ".join(value.split()) for value in table.strings(name).filter(mask).to_pylist()]
             for name in wanted}  # fmt: skip
    for name in set(SEVERAL) & set(cells):
        cells[name] = [" | ".join(split(value)) for value in cells[name]]
    names = [ids.names[code] for code in ids.codes[sieve.keep]]
    return domain_rows(table, domain, names, cells, notes, features or {})


def domain_rows(
    table: Table,
    domain: Domain,
    ids: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    notes: tuple[str, ...],
    features: Mapping[str, str],
) -> ItemRows:
    """Rows of a catalogue: the domain's fields as text, its keywords and the features as attributes."""
    parts = [[value.replace(" | ", ", ") for value in cells[name]] for name in domain.texts if name in cells]
    texts = [sentences(row) for row in zip(*parts, strict=True)]
    kept = dict.fromkeys((*domain.keywords, *features))
    attributes = {name: list(cells[name]) for name in kept if name in cells and any(cells[name])}
    used = {name: kind for name, kind in features.items() if name in attributes}
    return ItemRows(table.path, ids, cells["title"], texts, attributes, notes, used)
