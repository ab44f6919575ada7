"""Who is tuned: each contender's settings, the ranges that are searched, and how one choice of values is measured.

Ranges are the same wherever contenders share a setting, so that a search of as many trials is the same effort. Settings
of a run are called by their dotted names, those of a reference by the field of its settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sottovoce.common.config import Config, given, parse
from sottovoce.common.errors import ConfigError
from sottovoce.common.evaluation import Scorer, evaluate
from sottovoce.simulations.prepare import Prepared, prepare
from sottovoce.simulations.reference_settings import FromZero, Ials, LocalDp, reference_settings
from sottovoce.simulations.references import ease, from_zero, ials, item_knn, local_dp, of_model
from sottovoce.simulations.run import Runtime
from sottovoce.simulations.sasrec import SasRecSettings, sasrec
from sottovoce.simulations.sweep.cell import Cell, Kind, Row, measures, read_once, run_cell, settings
from sottovoce.simulations.sweep.file import nested

Values = dict[str, Any]
"""A choice: the value of each searched setting, by name."""

Space = Mapping[str, BaseDistribution]
"""What is searched: the range of each setting, by name."""


def _log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def noised_rounds(population: int) -> Space:
    """Of every contender that trains in noised rounds: more people pay for more of them."""
    most = 20 if population < 5_000 else 60
    return {
        "rounds": IntDistribution(1, most, log=True),
        "clip_norm": _log(0.1, 1.0),
        "learning_rate": _log(2.0, 200.0),
    }


EXACT_ROUNDS: Space = {"train.rounds": IntDistribution(8, 40, log=True), "train.learning_rate": _log(1e-3, 0.1),
                       "train.weight_decay": _log(1e-5, 1e-2)}  # fmt: skip
PRIORS: Space = {"head.content_weight": _log(2.0, 8.0), "head.popularity_weight": _log(0.5, 3.0)}
SPLIT: Space = {"privacy.popularity_share": FloatDistribution(0.05, 0.95)}
RANK: Space = {"head.rank": CategoricalDistribution((4, 8, 16, 32))}
MIX: Space = {"head.mix": CategoricalDistribution((8, 16, 32))}


@dataclass(frozen=True)
class Contender:
    """One that is tuned.

    Attributes:
        name: As the report calls it.
        space: What is searched at the budget and the population of these settings; `None` where it does not exist.
        measure: What values are worth: resolved settings of a run, and values → the metrics of one run.
        committed: The values that the project has at present.
        noisy: Whether two runs differ by more than their settings.
    """

    name: str
    space: Callable[[Config], Space | None]
    measure: Callable[[Config, Values], Row]
    committed: Callable[[Config], Values]
    noisy: bool = True


def contender(name: str) -> Contender:
    """The contender called `name`.

    Raises:
        ConfigError: there is none.
    """
    for each in CONTENDERS:
        if each.name == name:
            return each
    raise ConfigError("--contender", name, "one of " + ", ".join(each.name for each in CONTENDERS))


def _own(name: str, parts: Space, fixed: Values, trained: bool = True) -> Contender:
    """A head of ours: `parts` are searched beside what all share, `fixed` are not."""

    def space(config: Config) -> Space:
        if not trained:
            return PRIORS
        if math.isinf(config.privacy.epsilon):
            return {**PRIORS, **EXACT_ROUNDS, **parts}
        rounds = noised_rounds(given(config.privacy.population))
        return {**PRIORS, **SPLIT, **{f"train.{name}": values for name, values in rounds.items()}, **parts}

    def measure(config: Config, values: Values) -> Row:
        outcome = run_cell(Cell(Kind.RUN, Runtime.LOCAL, _updated(config, {**fixed, **values}), ""))
        if outcome.error is not None:
            raise RuntimeError(outcome.error)
        return outcome.rows[0]

    def committed(config: Config) -> Values:
        known = settings(_updated(config, fixed))
        return {name: known[name] for name in space(config)}

    return Contender(name, space, measure, committed)


def _updated(config: Config, values: Values) -> Config:
    table = config.model_dump()
    for section, changed in nested(values).items():
        table[section] |= changed
    return parse(table)


def _reference(
    name: str,
    space: Space | Callable[[Config], Space],
    scorer: Callable[[Prepared, Config, Values], Scorer],
    committed: Callable[[Config], Values],
    private: bool = False,
) -> Contender:
    """A reference; a private one has a budget, another none."""

    def measure(config: Config, values: Values) -> Row:
        prepared = prepare(read_once(config), config)
        return measures(evaluate(scorer(prepared, config, values), prepared.held_out, len(prepared.catalogue)))

    def at(config: Config) -> Space | None:
        if private == math.isinf(config.privacy.epsilon):
            return None
        return space(config) if callable(space) else space

    return Contender(name, at, measure, committed, private)


def _fields(settings: Any, space: Space) -> Values:  # noqa: ANN401 - the settings of any reference
    return {each.name: getattr(settings, each.name) for each in fields(settings) if each.name in space}


def _from_zero_space(config: Config) -> Space:
    sizes: Space = {
        "size": CategoricalDistribution((4, 8, 16, 32)),
        "spread": _log(0.1, 2.0),
        "weight": _log(1.0, 16.0),
    }
    return {**noised_rounds(given(config.privacy.population)), **sizes}


LOCAL_DP: Space = {"content_weight": _log(2.0, 8.0), "popularity_weight": _log(0.05, 3.0)}
IALS: Space = {"size": CategoricalDistribution((16, 32, 64, 128)), "weight": _log(1.0, 100.0),
               "regularization": _log(0.01, 10.0)}  # fmt: skip
SASREC: Space = {"size": CategoricalDistribution((32, 64, 128)), "dropout": FloatDistribution(0.1, 0.6),
                 "learning_rate": _log(5e-4, 5e-3), "epochs": IntDistribution(5, 30)}  # fmt: skip


def _chosen(config: Config) -> Any:  # noqa: ANN401
    return reference_settings(config.preset)


CONTENDERS = (
    _own("content + popularity", {}, {"head.rank": 0, "head.mix": 0}, trained=False),
    _own("+ V", RANK, {"head.mix": 0}),
    _own("+ W", MIX, {"head.rank": 0}),
    _own("+ V + W", {**RANK, **MIX}, {}),
    _own("full item delta", {}, {"head.rank": 128, "head.mix": 0}),
    _reference(
        "from zero",
        _from_zero_space,
        lambda prepared, config, values: of_model(
            from_zero(prepared.held_out.known, len(prepared.catalogue), config.plan(), FromZero(**values)),
            prepared.held_out.known,
        ),
        lambda config: _fields(_chosen(config).from_zero_at(config.privacy.epsilon), _from_zero_space(config)),
        private=True,
    ),
    _reference(
        "local DP",
        LOCAL_DP,
        lambda prepared, config, values: of_model(
            local_dp(prepared.held_out.known, prepared.space.vectors, config, LocalDp(**values)),
            prepared.held_out.known,
        ),
        lambda config: _fields(_chosen(config).local_dp_at(config.privacy.epsilon), LOCAL_DP),
        private=True,
    ),
    _reference(
        "item-kNN",
        {"neighbours": IntDistribution(1, 500, log=True)},
        lambda prepared, _, values: item_knn(prepared.held_out.known, len(prepared.catalogue), values["neighbours"]),
        lambda config: {"neighbours": _chosen(config).neighbours},
    ),
    _reference(
        "EASE",
        {"regularization": _log(10.0, 10_000.0)},
        lambda prepared, _, values: ease(prepared.held_out.known, len(prepared.catalogue), values["regularization"]),
        lambda config: {"regularization": _chosen(config).ease_regularization},
    ),
    _reference(
        "iALS",
        IALS,
        lambda prepared, _, values: ials(prepared.held_out.known, len(prepared.catalogue), Ials(**values)),
        lambda config: _fields(_chosen(config).ials, IALS),
    ),
    _reference(
        "SASRec",
        SASREC,
        lambda prepared, _, values: sasrec(prepared.held_out.known, len(prepared.catalogue), SasRecSettings(**values)),
        lambda config: _fields(_chosen(config).sasrec, SASREC),
    ),
)
"""Everyone that can be tuned. DP popularity has nothing to tune: any increasing weight ranks alike."""
