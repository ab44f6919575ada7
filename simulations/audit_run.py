"""Audit a run: make its federation again with canaries and shadows, attack it, and compare with what it claims.

It is an oracle's work: it reads every history, and is not in anybody's budget. What it finds belongs into a report on a
mechanism, and not beside a model that is published.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.client.store import NodeData
from sottovoce.common.config import Config
from sottovoce.common.errors import DataError
from sottovoce.common.privacy.accounting import require
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.runfolder import RunFolder
from sottovoce.simulations import attacks, audit
from sottovoce.simulations.canaries import (
    CanaryRun,
    Evidence,
    Residual,
    repeat_releases,
    run_with_canaries,
    weigh,
    with_room,
)
from sottovoce.simulations.observed import observed_federation
from sottovoce.simulations.prepare import Prepared, open_prepared
from sottovoce.simulations.sweep.store import replace_file

Say = Callable[[str], None]
Facts = dict[str, Any]

SCHEMA = 1
FALSE_POSITIVE_RATES = (0.001, 0.01)
COORDINATES = 256
"""How much of each release the repeated audit looks at."""

ONE_RUN = "Steinke, Nasr, Jagielski 2023"
REPEATED = "none; error rates by Clopper and Pearson, at most about log(trials / 30) however weak the noise"
REPEATED_GAUSSIAN = "the releases are one Gaussian mechanism (Nasr et al. 2023): shows a wrong size, not a wrong shape"


@dataclass(frozen=True)
class Effort:
    """How hard to look.

    Attributes:
        seed: Of coins, canaries, users and all noise: an audit can be repeated.
        confidence: Of each lower bound and interval on its own.
        canaries: m of the audit in one run.
        guess_share: Share of the canaries that are guessed about; on the others the auditor abstains.
        trials: Of the repeated audit, without and with the canary each.
        shadows: Models of the membership attack; zero leaves it out.
        readers: Users whose updates are read; zero leaves it out.
    """

    seed: int = 0
    confidence: float = 0.999
    canaries: int = 400
    guess_share: float = 0.3
    trials: int = 10_000
    shadows: int = 16
    readers: int = 100

    def __post_init__(self) -> None:
        require("--seed", self.seed, self.seed >= 0, "0 or more")
        require("--confidence", self.confidence, 0.5 <= self.confidence < 1, "[0.5, 1)")
        require("--canaries", self.canaries, self.canaries >= 10, "10 or more")
        require("--guess-share", self.guess_share, 0 < self.guess_share <= 1, "(0, 1]")
        require("--trials", self.trials, self.trials >= 100, "100 or more")
        require("--shadows", self.shadows, self.shadows == 0 or self.shadows >= 4, "0, or 4 or more")
        require("--readers", self.readers, self.readers >= 0, "0 or more")


def audit_run(folder: RunFolder, effort: Effort = Effort(), say: Say = lambda _: None) -> Facts:
    """Audit a run and write `audit.json` into its folder.

    Returns:
        `claimed_epsilon` (`None` for a run without privacy), `delta`, `confidence`, `attacks` by name, `checks` by
        name, and `refuted`: the names of those that contradict the claim.

    Raises:
        DataError: this is not the folder of a run, its data is gone, or `audit.json` cannot be written.
        ConfigError: an effort is outside its range, or the data is too small for canaries.
    """
    config, prepared = _repeatable(folder.config, effort.seed), open_prepared(folder.data)
    plan, claim = config.plan(), claimed(folder)
    private = plan.trust is not Trust.NONE
    found: Facts = {"attacks": {}, "checks": {}}
    with tempfile.TemporaryDirectory(prefix="sottovoce-audit-") as scratch:
        if private:
            found = audit_mechanism(Path(scratch), prepared, config, plan, claim, effort, say)
        if effort.shadows:
            say(f"training {effort.shadows} shadow federations")
            found["attacks"]["membership"] = membership(Path(scratch), prepared, config, plan, effort)
        if effort.readers:
            say("reading interactions from updates")
            found["attacks"]["interactions"] = interactions(Path(scratch), prepared, config, plan, effort)
    result = {
        "schema": SCHEMA,
        "claimed_epsilon": claim["epsilon"],
        "delta": plan.delta,
        "confidence": effort.confidence,
        "trust": plan.trust.value,
        "noise": "seeded",
        "seed": effort.seed,
        **found,
        "refuted": refuted(claim["epsilon"], found),
    }
    replace_file(folder.path / "audit.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def claimed(folder: RunFolder) -> Facts:
    """What the run says of itself: the `privacy` part of its `result.json`.

    Raises:
        DataError: the run has no result.
    """
    try:
        privacy = json.loads(folder.result.read_text(encoding="utf-8"))["privacy"]
        return {
            "epsilon": privacy["epsilon"],
            "releases": {each["name"]: each["count"] for each in privacy["releases"]},
        }
    except FileNotFoundError as error:
        raise DataError(folder.result, "no result to audit: finish the run, or `sottovoce evaluate` it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(folder.result, f"not the result of a run ({type(error).__name__})") from error


def audit_mechanism(
    folder: Path, prepared: Prepared, config: Config, plan: PrivacyPlan, claim: Facts, effort: Effort, say: Say
) -> Facts:
    """The lower bounds on ε, and the checks of sensitivity, noise and number of releases."""
    say(f"running the federation with {effort.canaries} canaries")
    rng = np.random.default_rng([effort.seed, 1])
    run = run_with_canaries(folder / "canaries", prepared, config, plan, effort.canaries, rng)
    say("weighing what was released")
    evidence = weigh(run)
    say(f"making its releases {effort.trials} times without and with one canary")
    strongest = int(np.argmax(np.diag(evidence.gram)))
    out, inside = repeat_releases(run, strongest, effort.trials, COORDINATES, effort.seed)
    bounds = (plan.delta, effort.confidence)
    repeated: Facts = {
        "repeated": {
            "epsilon_lower_bound": audit.repeated_epsilon(out, inside, *bounds),
            "confidence": effort.confidence,
            "trials": 2 * effort.trials,
            "assumes": REPEATED,
        }
    }
    if plan.head.sampling_rate == 1 or not plan.head.count:
        repeated["repeated_gaussian"] = {
            "epsilon_lower_bound": audit.repeated_gaussian_epsilon(out, inside, *bounds),
            "confidence": effort.confidence,
            "trials": 2 * effort.trials,
            "assumes": REPEATED_GAUSSIAN,
        }
    return {
        "attacks": {"one_run": one_run(run, evidence, effort), **repeated},
        "checks": checks(run, evidence, claim, effort.confidence),
    }


def one_run(run: CanaryRun, evidence: Evidence, effort: Effort) -> Facts:
    """Guess coins from one run, and bound ε by how many guesses are right."""
    canaries = len(run.included)
    chosen, guessed = audit.guess_extremes(evidence.scores(), int(effort.guess_share * canaries))
    correct = int(np.sum(run.included[chosen] == guessed))
    bound = audit.one_run_epsilon(correct, len(chosen), canaries, run.plan.delta, effort.confidence)
    return {
        "epsilon_lower_bound": bound,
        "confidence": effort.confidence,
        "canaries": canaries,
        "guesses": len(chosen),
        "correct": correct,
        "most_provable": audit.one_run_epsilon(len(chosen), len(chosen), canaries, run.plan.delta, effort.confidence),
        "assumes": f"none ({ONE_RUN})",
    }


def checks(run: CanaryRun, evidence: Evidence, claim: Facts, confidence: float) -> Facts:
    """What can be compared with the claim directly; each says whether it raises an `alarm`."""
    views = [(view.request.release.name, view.request.release.round) for view in run.views]
    made = {name: len({number for other, number in views if other == name}) for name in dict(views)}
    found: Facts = {
        "sensitivity": {"largest_norm_over_clip": evidence.largest_norm, "alarm": evidence.largest_norm > 1},
        "releases": {
            "claimed": claim["releases"],
            "made": made,
            "alarm": any(count > claim["releases"].get(name, 0) for name, count in made.items()),
        },
    }
    return found | {"noise": noise_check(evidence.residuals, confidence)}


def noise_check(residuals: Sequence[Residual], confidence: float) -> Facts:
    """Whether the noise of any release is smaller than claimed.

    Each release is tested alone, and p-values are multiplied by their number (Bonferroni). What is told is the release
    that raises the alarm most clearly; if none does, the one that is least likely.
    """
    p_values = {each.release: min(1.0, len(residuals) * audit.noise_p_value(each.noise)) for each in residuals}
    differ = [each for each in residuals if p_values[each.release] < 1 - confidence]
    weak = [each for each in differ if each.std < 1]
    told = min(weak or residuals, key=lambda each: (p_values[each.release], each.std))
    found: Facts = {
        "releases": len(residuals),
        "least_likely": told.release,
        "std_over_claimed": told.std,
        "p_value": p_values[told.release],
        "alarm": bool(weak),
    }
    return found | ({"remark": MORE_NOISE} if differ and not weak else {})


def membership(folder: Path, prepared: Prepared, config: Config, plan: PrivacyPlan, effort: Effort) -> Facts:
    """LiRA on the published model, pooled over shadow models and users."""
    rng = np.random.default_rng([effort.seed, 2])
    statistic, member = attacks.shadow_likelihoods(folder / "shadows", prepared, config, plan, effort.shadows, rng)
    ratios = attacks.likelihood_ratios(statistic, member)
    inside, out = ratios[member], ratios[~member]
    return {
        "epsilon_lower_bound": None,
        "why_no_bound": "users of one model share its noise, so that their scores are not independent trials",
        "confidence": effort.confidence,
        "shadows": effort.shadows,
        "auc": audit.area_under_curve(inside, out),
        "true_positive_rate": {
            f"{rate:g}": asdict(audit.true_positive_rate(inside, out, rate, effort.confidence))
            for rate in FALSE_POSITIVE_RATES
        },
    }


def interactions(folder: Path, prepared: Prepared, config: Config, plan: PrivacyPlan, effort: Effort) -> Facts:
    """Read histories from the updates of nodes with one user, with and without differential privacy."""
    rng = np.random.default_rng([effort.seed, 3])
    config = with_room(config, len(prepared.held_out.known))
    federation = observed_federation(folder / "observed", prepared.folder, config, _two_releases(plan))
    federation.train()
    requests = {request.release.name: request for request, _ in federation.exchanges}
    data = NodeData(prepared.folder, 0, 1)
    rows = attacks.users_to_read(data.histories, effort.readers, rng)
    ledgers = folder / "readers"
    ledgers.mkdir()
    private = plan.trust is not Trust.NONE
    sights = {"without_dp": Trust.NONE, **({"server": Trust.SERVER, "node": Trust.NODE} if private else {})}
    found = {
        name: {
            release: asdict(attacks.read_interactions(ledgers, data, rows, request, trust))
            for release, request in requests.items()
        }
        for name, trust in sights.items()
    }
    return {"epsilon_lower_bound": None, "users": len(rows), "seen_by": found, "says": READING}


MORE_NOISE = (
    "more noise than claimed costs utility and no privacy: under `aggregate` every node beyond the minimum adds a"
    " share; but what is summed of others than those who were drawn would show here too"
)

READING = (
    "Under `server` trust the server sees each node's exact clipped sum: from a node with one user it reads the history"
    " as it could without privacy, and the guarantee covers only what it releases. Under `node` trust it sees what"
    " `node` says here."
)


def refuted(claim: float | None, found: Facts) -> list[str]:
    """Names of the attacks whose lower bound is above the claim, and of the checks that raise an alarm."""
    limit = math.inf if claim is None else claim
    bounds = {name: attack["epsilon_lower_bound"] for name, attack in found["attacks"].items()}
    above = [name for name, bound in bounds.items() if bound is not None and bound > limit]
    return above + [name for name, check in found["checks"].items() if check["alarm"]]


def _repeatable(config: Config, seed: int) -> Config:
    """The same settings with noise from a seed: the auditor's, not the run's."""
    privacy = config.privacy.model_copy(update={"noise": "seeded"})
    return config.model_copy(update={"seed": seed, "privacy": privacy})


def _two_releases(plan: PrivacyPlan) -> PrivacyPlan:
    """The plan stopped after its first round of the head."""
    return replace(plan, head=replace(plan.head, count=min(plan.head.count, 1)))
