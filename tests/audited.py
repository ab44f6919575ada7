"""A small run to be audited, and its audit: real server and node code over random histories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from federation import catalogue, make_config, random_histories, space, write_data

from sottovoce.common.config import Config
from sottovoce.common.evaluation import HeldOut
from sottovoce.common.privacy.plan import PrivacyPlan
from sottovoce.common.runfolder import RunFolder
from sottovoce.simulations.audit_run import Effort, audit_mechanism
from sottovoce.simulations.prepare import Prepared

ITEMS, USERS, LENGTH = 300, 40, 5


@dataclass(frozen=True)
class Small:
    """A prepared data set with resolved settings, and what a run of it would claim."""

    prepared: Prepared
    config: Config
    plan: PrivacyPlan

    @property
    def claim(self) -> dict[str, Any]:
        return {"epsilon": self.plan.epsilon, "releases": {kind.name: kind.count for kind in self.plan.mechanisms}}


def small(folder: Path, users: int = USERS, items: int = ITEMS, **sections: dict[str, Any]) -> Small:
    """Three rounds at ε = 1 with seeded noise, unless told otherwise."""
    privacy = {"epsilon": 1.0, "delta": 1e-5, "noise": "seeded", "popularity_share": 0.2, "popularity_length": LENGTH}
    table = {
        "privacy": privacy | sections.get("privacy", {}),
        "head": {"mix": 0} | sections.get("head", {}),
        "train": {"rounds": 3} | sections.get("train", {}),
        "federation": sections.get("federation", {}),
    }
    config = make_config(**table).resolve(users)
    known = random_histories(users, items)
    data = write_data(folder, known, items)
    held_out = HeldOut(known, np.zeros(users, np.int64), np.zeros((users, 1), np.int64))
    facts: dict[str, Any] = {"name": "small", "users": users, "items": items, "interactions": len(known.items)}
    return Small(Prepared(data, catalogue(items), space(items), held_out, facts), config, config.plan())


def audit_of(tmp_path: Path, run: Small, claim: dict[str, Any] | None = None, **effort: Any) -> dict[str, Any]:  # noqa: ANN401
    """The lower bounds and the checks."""
    chosen = Effort(**{"canaries": 100, "guess_share": 0.3, "trials": 6000, **effort})
    return audit_mechanism(tmp_path, run.prepared, run.config, run.plan, claim or run.claim, chosen, lambda _: None)


def run_folder(folder: Path, run: Small, epsilon: float | None) -> RunFolder:
    """A finished run of these settings that claims `epsilon`, as it lies on a disk."""
    folder.mkdir()
    prepared = run.prepared
    np.savez(prepared.folder / "held_out.npz", targets=prepared.held_out.targets, negatives=prepared.held_out.negatives)
    (prepared.folder / "facts.json").write_text(json.dumps({**prepared.facts, "notes": []}))
    data = run.config.data.model_copy(update={"prepared": str(prepared.folder)})
    made = RunFolder(folder)
    run.config.model_copy(update={"data": data}).save(made.config_file)
    releases = [{**kind.event().public()} for kind in run.plan.mechanisms]
    made.result.write_text(json.dumps({"privacy": {"epsilon": epsilon, "releases": releases}}))
    return made
