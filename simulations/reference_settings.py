"""What the references are set to, by data set: values that `sottovoce tune` found on the validation split.

`experiments/README.md` says with how many trials. Like presets they were chosen on private data, outside any budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sottovoce.common.presets import DEFAULT
from sottovoce.simulations.sasrec import SasRecSettings


@dataclass(frozen=True)
class FromZero:
    """Settings of DP-FedSGD without priors.

    Attributes:
        size: Length of an item's vector.
        spread: Norm of an item's vector before training.
        weight: What a product of a state and an item's vector is multiplied by.
        rounds: Releases of the gradient sum.
        clip_norm: Bound on one user's gradient.
        learning_rate: Of plain steps.
        window: A user's loss is the mean over this many last interactions.
    """

    size: int = 16
    spread: float = 0.5
    weight: float = 4.0
    rounds: int = 10
    clip_norm: float = 0.4
    learning_rate: float = 30.0
    window: int = 100


@dataclass(frozen=True)
class LocalDp:
    """Settings of the priors alone, where every person is a node.

    Attributes:
        content_weight: α.
        popularity_weight: Slope of the popularity prior over log popularity.
    """

    content_weight: float = 4.0
    popularity_weight: float = 1.0


@dataclass(frozen=True)
class Ials:
    """Settings of matrix factorisation: length of a vector, weight of what was met, ridge."""

    size: int = 32
    weight: float = 5.0
    regularization: float = 0.1


@dataclass(frozen=True)
class ReferenceSettings:
    """Of every reference that has any.

    Attributes:
        neighbours: Item-kNN's.
        ease_regularization: EASE's ridge.
        ials: Matrix factorisation's.
        sasrec: SASRec's.
        from_zero: DP-FedSGD's without priors, by the smallest ε that they are meant for.
        local_dp: Those of local DP, likewise.
    """

    neighbours: int = 50
    ease_regularization: float = 500.0
    ials: Ials = Ials()
    sasrec: SasRecSettings = field(default_factory=SasRecSettings)
    from_zero: Mapping[float, FromZero] = field(default_factory=lambda: {0.0: FromZero()})
    local_dp: Mapping[float, LocalDp] = field(default_factory=lambda: {0.0: LocalDp()})

    def from_zero_at(self, epsilon: float) -> FromZero:
        """The settings of the largest budget that is not above `epsilon`."""
        return self.from_zero[max(budget for budget in self.from_zero if budget <= epsilon)]

    def local_dp_at(self, epsilon: float) -> LocalDp:
        """Likewise."""
        return self.local_dp[max(budget for budget in self.local_dp if budget <= epsilon)]


CHOSEN = {
    "ml-100k": ReferenceSettings(
        neighbours=4,
        ease_regularization=108.0,
        ials=Ials(size=64, weight=4.78, regularization=0.0194),
        sasrec=SasRecSettings(size=128, dropout=0.365, learning_rate=4.97e-3, epochs=27),
        from_zero={
            0.0: FromZero(size=16, spread=0.17, weight=13.8, rounds=13, clip_norm=0.207, learning_rate=10.4),
            8.0: FromZero(size=32, spread=0.403, weight=4.17, rounds=13, clip_norm=0.746, learning_rate=16.3),
        },
        local_dp={0.0: LocalDp(content_weight=4.37, popularity_weight=0.068), 8.0: LocalDp()},
    ),
    "msweb": ReferenceSettings(
        neighbours=149,
        ease_regularization=55.3,
        ials=Ials(size=16, weight=56.6, regularization=0.0554),
        from_zero={
            0.0: FromZero(size=16, spread=0.116, weight=9.9, rounds=29, clip_norm=0.107, learning_rate=30.1),
        },
        local_dp={0.0: LocalDp(content_weight=2.49, popularity_weight=2.89)},
    ),
}


def reference_settings(preset: str | None) -> ReferenceSettings:
    """Those of the data set whose presets a resolved configuration has."""
    return CHOSEN[preset or DEFAULT]
