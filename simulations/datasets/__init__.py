"""Data sets for simulations: MovieLens, UCI's msweb, RecBole's atomic files, CSV and Parquet, and one made up.

`load_dataset` tells the format by looking, checks every row, and says in `Dataset.notes` whatever it left out.
"""

from sottovoce.simulations.datasets.assemble import SHUFFLE_SEED
from sottovoce.simulations.datasets.contract import DEFAULTS, ROLES, Dataset, ReadOptions
from sottovoce.simulations.datasets.download import NAMES, fetch
from sottovoce.simulations.datasets.load import load_catalogue, load_dataset, load_interactions

__all__ = [
    "DEFAULTS",
    "NAMES",
    "ROLES",
    "SHUFFLE_SEED",
    "Dataset",
    "ReadOptions",
    "fetch",
    "load_catalogue",
    "load_dataset",
    "load_interactions",
]
