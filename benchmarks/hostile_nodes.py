"""What hostile nodes can do to a model of MovieLens-100K, and what stands against them: docs/hostile-nodes.md.

The federation is the real one, in this process. Of 100 nodes some are hostile; as they conspire, they are played by one
node of their joint capacity, and the honest ones by another. Figures are about honest people alone: ER@5 of the target
(share of those who have not met it in whose first five items it stands) and HR@10 against 99 sampled items.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from sottovoce.client.node import Node
from sottovoce.client.store import NodeData
from sottovoce.common.config import Config, given, override, parse
from sottovoce.common.evaluation import HeldOut, evaluate
from sottovoce.common.messages import Answer, Request
from sottovoce.common.privacy.ledger import Ledger
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.scoring import Head, IntArray, ScoringModel
from sottovoce.server.checkpoint import Store
from sottovoce.server.exposure import bounded
from sottovoce.server.reclip import Bounds, Sums
from sottovoce.server.strategy import Federation
from sottovoce.simulations.local_grid import LocalGrid
from sottovoce.simulations.poisoning import (
    HostileNode,
    Lie,
    Population,
    Promotion,
    random_noise,
    scaling,
    sign_flip,
)
from sottovoce.simulations.prepare import Prepared, prepare, read_data

NODES = 100
SHARES = (0.01, 0.05)
SERVERS = ("default", "undefended", "re-clipped")
BEYOND = 50.0
"""How far beyond its capacity an attack goes, which only a server that re-clips does not follow."""

COLD = 5
"""A target was met by at most so many."""


class Undefended(Federation):
    """A server that adds up whatever is finite."""

    def _sum(self, answers: list[tuple[int, Answer]], request: Request) -> Sums:
        held = [Bounds(math.inf).reclip(answer.sums, 1) for _, answer in answers]
        return {name: np.sum([part[name] for part in held], axis=0) for name in held[0]}


@dataclass(frozen=True)
class Case:
    """One federation: who attacks how, and what stands against it."""

    attack: str
    share: float
    server: str
    target: int
    seed: int
    known: float = 0.05


@dataclass(frozen=True)
class World:
    """The data, and who is who in it."""

    prepared: Prepared
    config: Config

    def hostile(self, case: Case) -> IntArray:
        """Rows of the people whose nodes are hostile at `case.share`, at most; the same for every attack of a seed."""
        nodes = np.random.default_rng([case.seed, 7]).permutation(NODES)[: round(case.share * NODES)]
        return np.flatnonzero(np.isin(np.arange(len(self.prepared.held_out.known)) % NODES, nodes))


def settings(data: str, held_out: str, seed: int, server: str, more: list[str]) -> Config:
    """The default settings with repeatable noise; without what is a defence, for the other servers."""
    table: dict[str, Any] = {
        "seed": seed,
        "data": {"source": data, "held_out": held_out},
        "privacy": {"noise": "seeded"},
        "federation": {"nodes": 2},
    }
    if server != "default":
        table["federation"]["hostile_share"] = 0.0
        table["train"] = {"row_limit": 1e6}
    return parse(override(table, more))


def run(world: World, case: Case, folder: Path) -> dict[str, float]:
    """Train one federation, and measure what it gives to honest people."""
    prepared, config = world.prepared, world.config
    everyone = prepared.held_out.known
    rogue = world.hostile(case)
    honest = np.setdiff1d(np.arange(len(everyone)), rogue)
    capacity = round(case.share * NODES) * math.ceil(len(everyone) / NODES)
    nodes: list[Any] = []
    for name, rows in (("honest", honest), ("hostile", rogue)):
        place = folder / name
        place.mkdir(parents=True)
        for file in ("catalogue.json", "items.safetensors"):
            (place / file).symlink_to(prepared.folder / file)
        everyone.select(rows).save(place / "histories.npz")
        nodes.append(Node(name, NodeData(place, 0, 1), Ledger(place / "ledger.sqlite"), math.inf, simulated=True))
    if case.attack != "none":
        nodes[1] = HostileNode(nodes[1], lie_of(world, case, honest, rogue, capacity))
    run_folder = RunFolder(folder / "run")
    run_folder.path.mkdir()
    kind = Undefended if case.server == "undefended" else Federation
    federation = kind(
        grid=LocalGrid(nodes),
        config=config,
        plan=config.plan(),
        space=prepared.space,
        ledger=Ledger(run_folder.ledger),
        store=Store(run_folder),
        population="hostile-nodes",
        run="hostile-nodes",
        simulated=True,
        capacity_of=lambda node: len(honest) if node == 1 else capacity,
    )
    head = bounded(federation.train().published, prepared.space.vectors, config, federation.plan)
    return measure(prepared, head, honest, case.target)


def lie_of(world: World, case: Case, honest: IntArray, rogue: IntArray, capacity: int) -> Lie:
    """The attack of a case, as strong as the server lets it be."""
    prepared, config = world.prepared, world.config
    beyond = BEYOND if case.server == "undefended" else 1.0
    clip_norm = given(config.train.clip_norm)
    rng = np.random.default_rng([case.seed, 8])
    simple: dict[str, Callable[[], Lie]] = {
        "sign flip": lambda: sign_flip(BEYOND),
        "scaling": lambda: scaling(BEYOND),
        "random noise": lambda: random_noise(BEYOND * capacity * clip_norm, rng),
    }
    if case.attack in simple:
        return simple[case.attack]()
    public = rng.choice(honest, round(case.known * len(honest)), replace=False)
    watched = prepared.held_out.known.select(np.concatenate([public, rogue]) if case.known < 1 else honest)
    spread, focus = {
        "promotion": (math.inf, 1.0),
        "promotion, spread": (0.5, 1.0),
        "promotion, focused": (math.inf, 0.07),
    }[case.attack]
    rows = capacity * clip_norm * spread / 4
    return Promotion(
        case.target,
        prepared.space.vectors,
        Population.of(watched, len(prepared.catalogue)),
        norm=beyond * capacity * clip_norm,
        entry=beyond * capacity / math.sqrt(given(config.privacy.popularity_length)),
        row_limit=config.train.row_limit or math.inf,
        row_norm=rows,
        focus=focus,
    )


def measure(prepared: Prepared, head: Head, honest: IntArray, target: int) -> dict[str, float]:
    """ER@5 and HR@10 of honest people."""
    held, vectors = prepared.held_out, prepared.space.vectors
    own = HeldOut(held.known.select(honest), held.targets[honest], held.negatives[honest])
    model = ScoringModel(vectors, head)
    states = np.stack([model.state(history) for history in own.known])
    found = evaluate(lambda rows: model.scores(states[rows]), own, len(prepared.catalogue)).means()
    population = Population.of(own.known, len(prepared.catalogue))
    return {
        "er@5": population.exposure(population.scores(head, vectors), target),
        "hr@10": found["sampled"]["hr@10"],
        "full hr@10": found["full"]["hr@10"],
    }


def cases(targets: IntArray, seeds: int, servers: list[str], only: list[str]) -> list[Case]:
    """Every federation of the table."""
    found = []
    plain = ("none", "sign flip", "scaling", "random noise")
    for seed in range(seeds):
        for server in servers:
            for share in reversed(SHARES):
                found += [Case(attack, share, server, int(targets[0]), seed) for attack in plain]
                kinds = ["promotion"]
                if share == max(SHARES) and server == "default":
                    kinds += ["promotion, spread", "promotion, focused"]
                found += [Case(kind, share, server, int(target), seed) for kind in kinds for target in targets]
        found += [
            Case(kind, max(SHARES), server, int(target), seed, known=1.0)
            for server in servers
            if server == "default"
            for kind in ("promotion, spread", "promotion, focused")
            for target in targets
        ]
    return [case for case in found if not only or case.attack in only]


def main() -> None:
    """Run every case, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--held-out", choices=("test", "validation"), default="test")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--targets", type=int, default=3)
    parser.add_argument("--server", nargs="*", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--attack", nargs="*", default=[], help="none but these")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="section.key=value, for a search")
    parser.add_argument("--json", type=Path, help="figures so far, written after every run")
    given_ = parser.parse_args()
    torch.set_num_threads(1)
    plain = settings(given_.data, given_.held_out, 0, "default", given_.settings)
    dataset = read_data(plain)
    prepared = prepare(dataset, plain.resolve(len(dataset.histories), dataset.name))
    counts = np.bincount(prepared.held_out.known.items, minlength=len(prepared.catalogue))
    targets = np.random.default_rng(0).choice(np.flatnonzero(counts <= COLD), given_.targets, replace=False)
    rows: list[dict[str, Any]] = []
    for case in cases(targets, given_.seeds, given_.server, given_.attack):
        chosen = settings(given_.data, given_.held_out, case.seed, case.server, given_.settings)
        world = World(prepared, chosen.resolve(len(dataset.histories), dataset.name))
        with TemporaryDirectory() as folder:
            rows.append({**asdict(case), **run(world, case, Path(folder))})
        if given_.json:
            given_.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the means over targets and seeds, as the docs have them."""
    table = Table(title="means over targets and seeds")
    for heading in ("attack", "hostile", "knows", "server", "runs", "ER@5", "worst", "HR@10", "full HR@10"):
        table.add_column(heading)
    keys = dict.fromkeys((row["attack"], row["share"], row["known"], row["server"]) for row in rows)
    for attack, share, known, server in keys:
        same = [
            row
            for row in rows
            if (row["attack"], row["share"], row["known"], row["server"]) == (attack, share, known, server)
        ]
        mean = {name: float(np.mean([row[name] for row in same])) for name in ("er@5", "hr@10", "full hr@10")}
        worst = max(row["er@5"] for row in same)
        knows = f"{known:.0%}" if attack.startswith("promotion") else ""
        figures = (f"{mean['er@5']:.3f}", f"{worst:.3f}", f"{mean['hr@10']:.3f}", f"{mean['full hr@10']:.3f}")
        table.add_row(attack, f"{share:.0%}", knows, server, str(len(same)), *figures)
    Console(width=140, file=sys.stdout).print(table)


if __name__ == "__main__":
    main()
