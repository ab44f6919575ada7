"""A published model in the form that a device asks it: item vectors by position, and an index that ranks.

Small catalogues are scored as a whole in float32; large ones stay quantised in the memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sottovoce.client.ranking import Index, TwoStageIndex, WholeIndex
from sottovoce.common.bundle import Bundle, Published
from sottovoce.common.item_table import ItemTable
from sottovoce.common.scoring import FloatArray, IntArray

WHOLE = 20_000
"""Catalogues up to this size are scored as a whole: ten million bytes, a third of a millisecond."""

Rows = Callable[[IntArray], FloatArray]
"""Vectors of items by position, shape [n, d]."""


@dataclass(frozen=True)
class DeviceModel:
    """What a device ranks with.

    Attributes:
        table: The items.
        index: Ranks them.
        content_rows: E: what an item's text says.
        history_rows: What an item adds to a state.
        content_weight: α.
        dimension: Length d of a vector.
    """

    table: ItemTable
    index: Index
    content_rows: Rows
    history_rows: Rows
    content_weight: float
    dimension: int


def device_model(bundle: Bundle | Published) -> DeviceModel:
    """The form that fits a bundle's size."""
    table = bundle.catalogue if isinstance(bundle.catalogue, ItemTable) else ItemTable.of(bundle.catalogue)
    if isinstance(bundle, Published) and len(table) > WHOLE and not bundle.shape.mix:
        index = TwoStageIndex(bundle.vectors, np.asarray(bundle.b), bundle.shape.content_weight)
        history_rows = bundle.vectors.rows if bundle.shape.tied else bundle.content_rows
        return DeviceModel(
            table, index, bundle.content_rows, history_rows, bundle.shape.content_weight, bundle.shape.dimension
        )
    model, shape = bundle.model, bundle.model.head.shape
    whole = WholeIndex(model.directions, model.head.b)
    return DeviceModel(
        table,
        whole,
        model.vectors.__getitem__,
        model.history_vectors.__getitem__,
        shape.content_weight,
        shape.dimension,
    )
