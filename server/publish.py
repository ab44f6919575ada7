"""Publish a model: the bundle with its model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sottovoce.common.bundle import open_bundle, replace_card, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.config import Config
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.readers import READERS, load_readers
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Checkpoint
from sottovoce.server.exposure import bounded

TEXT_BLOCKS = ("encoder", "words")
"""What every item space is made of. What each of these adds to a score is told by no page."""

UNKNOWN_DATA = "the histories of the federation's nodes, which nobody sees who publishes"
NO_METRICS = "none: a federation releases none"


def privacy_facts(plan: PrivacyPlan, ledger: Ledger) -> dict[str, Any]:
    """What was spent, as result file and manifest say it; ε can be computed again from `releases` and δ alone."""
    spent = ledger.epsilon(plan.delta)
    simulated = {"secure_aggregation": "simulated"} if plan.trust is Trust.AGGREGATE else {}
    return {
        "unit": "user",
        "relation": "add-or-remove-one",
        "trust": plan.trust.value,
        **simulated,
        "epsilon": spent if math.isfinite(spent) else None,
        "delta": plan.delta,
        "accountant": "pld",
        "noise": plan.noise,
        "releases": [event.public() for event in ledger.worst_events(plan.delta)],
    }


def publish(folder: RunFolder, plan: PrivacyPlan, ledger: Ledger, state: Checkpoint) -> None:
    """Write the bundle of a run's last checkpoint."""
    facts = {
        "run": state.run,
        "round": state.round,
        "state": folder.config.head.state,
        "domain": folder.config.data.domain or "items",
        "privacy": privacy_facts(plan, ledger),
    }
    catalogue = Catalogue.load(folder.data / "catalogue.json")
    items = folder.data / "items.safetensors"
    space = ItemSpace.load(items)
    if len(space.blocks.sizes) > len(TEXT_BLOCKS):  # 65 kB, which a bundle of texts alone does without
        facts["blocks"] = [list(each) for each in space.blocks.sizes]
    facts["space"] = space.published
    head = bounded(state.published, space.vectors, folder.config, plan)
    card = model_card(folder.config, plan, facts, len(catalogue))
    readers = load_readers(folder.data / READERS)
    write_bundle(folder.bundle, catalogue, items, head, card, facts, readers)


def describe(folder: RunFolder, data: str, metrics: str) -> None:
    """Say in a bundle's model card what only a simulation knows: the data, and what the model is worth on it.

    Raises:
        DataError: there is no whole bundle, or it was signed.
    """
    manifest = open_bundle(folder.bundle).manifest
    card = model_card(folder.config, folder.config.plan(), manifest, manifest["shape"]["items"], data, metrics)
    replace_card(folder.bundle, card)


def model_card(
    config: Config,
    plan: PrivacyPlan,
    facts: Mapping[str, Any],
    items: int,
    data: str = UNKNOWN_DATA,
    metrics: str = NO_METRICS,
) -> str:
    """The model card in Markdown: what the model is, what it cost in privacy, and what is not promised."""
    privacy = facts["privacy"]
    parts = (("V", config.head.rank), ("W", config.head.mix))
    trained = ", ".join(name for name, used in parts if used) or "nothing"
    spent = "none: this model was trained without differential privacy" if plan.trust is Trust.NONE else (
        f"ε = {privacy['epsilon']:.4g} at δ = {plan.delta:g}, for adding or removing one user's whole history"
    )  # fmt: skip
    lines = [
        "# Model card",
        "",
        f"- **Recommends** {items} items; trained beside content and popularity: {trained}.",
        f"- **Encoder** {config.encoder.name}, frozen.",
        f"- **Privacy** {spent}.",
        f"- **Trust** `{plan.trust.value}`"
        + (" (simulated: no secure aggregation took place)" if plan.trust is Trust.AGGREGATE else "")
        + f"; noise from `{plan.noise}`"
        + (", repeatable: a simulation, no protection." if plan.noise == "seeded" else "."),
        f"- **Accountant** {privacy['accountant']}, over the releases in `manifest.json`.",
        f"- **Data** {data}.",
        f"- **Metrics** {metrics}.",
        f"- **Population** {plan.population} people (configured, public).",
        "- **Chosen on private data, outside the budget**: popularity share, rounds, clip norm, learning rate, rank,"
        f" content and popularity weight of the presets were found on the validation split of {config.preset}.",
        "- **Limits** People with few interactions, and tastes that the catalogue's texts do not tell of, are served"
        " mostly by popularity. The guarantee is per user and node: who has histories on k nodes is covered k-fold.",
    ]
    return "\n".join(lines) + "\n"
