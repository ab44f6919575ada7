"""What a round of a real federation costs: SuperLink, SuperNodes, TLS and node authentication, all on this machine.

The people of MovieLens-100K are dealt out to the nodes. Each node is a SuperNode with a key, a home and a ledger of its
own; all are kept up by one `sottovoce client run`, which answers two messages at a time. What a round costs beyond
training is its time less what the same sums take in one process, over two workers.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from flwr.serverapp import Grid

from benchmarks.memory import Peak
from sottovoce.client.deployed import HomeHoldings
from sottovoce.client.histories import Event
from sottovoce.client.home import Home
from sottovoce.client.node import exact_sums
from sottovoce.common.messages import Request
from sottovoce.common.privacy.ledger import SERVER, Release
from sottovoce.common.privacy.noise import poisson_sample, random_source
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import RoundRecord, Store
from sottovoce.server.deployment.folder import ServerFolder
from sottovoce.server.deployment.setup import invite
from sottovoce.server.strategy import Federation
from sottovoce.simulations.datasets import ReadOptions, load_interactions
from sottovoce.simulations.loopback import SERVER as SERVER_PROCESS
from sottovoce.simulations.loopback import Loopback, loopback

HUB = "hub"


def main() -> None:
    """Measure every size, print one line each, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    people = read_people()
    figures: dict[str, Any] = {}
    for nodes in given.nodes:
        with TemporaryDirectory() as folder, loopback(Path(folder) / "federation") as federation:
            figures[str(nodes)] = measure(federation, people, nodes, given.rounds, given.workers)
        print(nodes, json.dumps(figures[str(nodes)], indent=1), flush=True)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def read_people() -> list[list[Event]]:
    """What each person of MovieLens-100K did."""
    read = load_interactions("ml-100k", ReadOptions())
    times = np.arange(len(read.users.codes)) if read.times is None else read.times
    people: list[list[Event]] = [[] for _ in read.users.names]
    for user, item, at in zip(read.users.codes.tolist(), read.items.codes.tolist(), times.tolist(), strict=True):
        people[user].append(Event(user=read.users.names[user], item=read.items.names[item], at=float(at)))
    return people


def measure(
    federation: Loopback, people: Sequence[Sequence[Event]], nodes: int, rounds: int, workers: int
) -> dict[str, Any]:
    """One run over `nodes` nodes: seconds of its rounds, and MiB (PSS) of both sides."""
    names = list(set_up(federation, people, nodes, rounds))
    started = time.monotonic()
    federation.start_server()
    federation.start_hub(HUB, names, workers)
    with Peak(federation.pid(SERVER_PROCESS)) as server, Peak(federation.pid(HUB), 5) as hub:
        federation.wait(
            "nodes are there", lambda facts: all(node["standing"] == "online" for node in facts["nodes"]), 900
        )
        federation.wait("and hold a model", lambda facts: all(node["bundle"] == 1 for node in facts["nodes"]), 900)
        joined = time.monotonic() - started
        federation.command("server", "start-run", str(federation.server))
        done = federation.wait("the run ends", lambda facts: facts["runs"][-1]["outcome"] == "published", 3600)
        federation.wait("every node holds it", lambda facts: all(node["bundle"] == 2 for node in facts["nodes"]), 900)
    run = RunFolder(federation.server / "runs" / done["runs"][-1]["run"])
    popularity, *heads = Store(run).records()
    training = {name: spent_on_training(federation, names, run, name) / workers for name in ("popularity", "head")}
    head_s = statistics.median(each.seconds for each in heads)
    return {
        "people_per_node": math.ceil(len(people) / nodes),
        "joined_s": round(joined, 1),
        "answers": _answers([popularity, *heads]),
        "popularity_s": round(popularity.seconds, 2),
        "popularity_beyond_training_s": round(popularity.seconds - training["popularity"], 2),
        "head_s": round(head_s, 2),
        "head_beyond_training_s": round(head_s - training["head"], 2),
        "server_mib": round(server.mib),
        "nodes_mib": round(hub.mib),
        "nodes_mib_each": round(hub.mib / nodes),
    }


def set_up(federation: Loopback, people: Sequence[Sequence[Event]], nodes: int, rounds: int) -> Iterator[str]:
    """A server, and nodes that joined and hold every `nodes`-th person; their names."""
    federation.make_server(
        *("--items", "ml-100k", "--population", str(len(people)), "--federation", "films", "--epsilon", "8"),
        *("--rounds", str(rounds), "--nodes", str(nodes), "--minimum-nodes", str(nodes), "--deadline", "600"),
    )
    server = ServerFolder(federation.server)
    for place in range(nodes):
        name = f"home-{place}"
        home = Home(federation.home(name)).join(invite(server, name, None, None))
        home.histories.add(event for person in people[place::nodes] for event in person)
        yield name


def spent_on_training(federation: Loopback, names: Sequence[str], run: RunFolder, release: str) -> float:
    """Seconds that the sums of all nodes take in one process and thread, with histories read from the homes."""
    state = Store(run).load()
    if state is None:
        raise RuntimeError("the run left no model")
    server = ServerFolder(federation.server)
    space = ItemSpace.load(run.data / "items.safetensors")
    plan, population = run.config.plan(), server.settings.federation
    made = Federation(
        grid=cast(Grid, None),
        config=run.config,
        plan=plan,
        space=space,
        ledger=server.ledger,
        store=Store(run),
        population=population,
        run=state.run,
    )
    request = Request(
        Release(population, state.run, state.round, release, SERVER),
        *(plan, made.shape, made.objective, space.facts["catalogue_sha256"], space.sha256),
        {"b": state.head.b, **state.head.parameters} if release == "head" else {},
    )
    torch.set_num_threads(1)
    rate, seconds = plan.mechanism(release).sampling_rate, []
    for place, name in enumerate(names):
        home = Home(federation.home(name))
        bundle = home.bundles.current()
        if bundle is None:
            raise RuntimeError(f"{name} holds no model")
        data = HomeHoldings(home, bundle, place)
        _ = data.space  # read once by a worker's parent or not: no part of training
        started = time.perf_counter()
        exact_sums(data, request, poisson_sample(len(data.histories), rate, random_source("os", 0, "")))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * len(names)  # the first one also warms PyTorch up


def _answers(records: Sequence[RoundRecord]) -> int:
    """The fewest answers that a round had."""
    return min(each.nodes for each in records)


if __name__ == "__main__":
    main()
