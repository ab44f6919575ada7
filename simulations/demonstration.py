"""`make federation`: a server and four nodes on this machine, three rounds, a model on every node, one person's list.

Run as `python -m sottovoce.simulations.demonstration [FOLDER]`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from sottovoce.client.home import Home
from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import load_bundle
from sottovoce.common.errors import DataError, FederationError, SottovoceError
from sottovoce.simulations.loopback import Loopback, left_over, loopback

NODES, ROUNDS = 4, 3
PEOPLE = 943
INIT = (
    *("--items", "ml-100k", "--population", str(PEOPLE), "--federation", "films", "--epsilon", "8"),
    *("--rounds", str(ROUNDS), "--nodes", str(NODES), "--minimum-nodes", "2", "--deadline", "120"),
)


def demonstrate(folder: Path) -> None:
    """Show a whole federation, and stop it.

    Raises:
        SottovoceError: something did not go as it should.
    """
    with loopback(folder) as federation:
        names = set_up(federation)
        version = train(federation, names)
        for name in names:
            say(f"{name}: {_told(federation, name)}")
        recommend(federation.home(names[0]), version)
    left = left_over(folder)
    if left:
        raise FederationError(f"processes {left} are left")
    say("everything is stopped")


def set_up(federation: Loopback) -> list[str]:
    """A server, and four nodes that joined and hold real histories; their names."""
    federation.make_server(*INIT)
    say(f"server made in {federation.server}, at {federation.address} (TLS, nodes authenticated)")
    names = [f"home-{place}" for place in range(NODES)]
    for place, name in enumerate(names):
        federation.add_node(name)
        federation.command("client", "budget", "--max-epsilon", "8", "--home", str(federation.home(name)))
        read = federation.command(
            "client", "import", "ml-100k", "--shard", f"{place}/{NODES}", "--home", str(federation.home(name))
        )
        say(f"{name} joined: {read.strip().splitlines()[-1]}")
    return names


def train(federation: Loopback, names: list[str]) -> int:
    """One run; the version of the model that every node holds after it."""
    federation.start_server()
    for name in names:
        federation.start_node(name)
    federation.wait(
        "nodes are there", lambda facts: sum(node["standing"] == "online" for node in facts["nodes"]) == NODES, 180
    )
    say(f"{NODES} nodes are there")
    started = time.monotonic()
    federation.command("server", "start-run", str(federation.server))
    done = federation.wait("the run ends", lambda facts: facts["runs"][-1]["outcome"] != "unfinished", 900)
    run = done["runs"][-1]
    if run["outcome"] != "published":
        raise FederationError(f"the run ended as {run['outcome']}: {run['error']}")
    version = int(run["version"])
    federation.wait("every node holds it", lambda facts: all(n["bundle"] == version for n in facts["nodes"]), 180)
    say(f"{ROUNDS} rounds, a signed model (version {version}) on every node: {time.monotonic() - started:.0f} s")
    rounds = json.loads((federation.server / "runs" / run["run"] / "rounds.json").read_text(encoding="utf-8"))
    for each in rounds:
        say(f"  {each['name']} {each['round']}: {each['seconds']:.1f} s, {each['nodes']} nodes,"
            f" {each['upload_bytes'] / 1e3:.0f} kB up, {each['download_bytes'] / 1e3:.0f} kB down")  # fmt: skip
    budget = done["budget"]
    say(f"spent ε = {budget['epsilon_spent']:.3f} of {budget['epsilon_total']:g} at δ = {budget['delta']:g}")
    return version


def recommend(folder: Path, version: int) -> None:
    """One person's list, made on their node from the model that it received."""
    home = Home(folder)
    place = home.bundles.current()
    if place is None or home.bundles.version != version:
        raise FederationError(f"{folder} holds version {home.bundles.version}, not {version}")
    bundle = load_bundle(place)
    histories = home.histories.histories(bundle.catalogue)
    say(f"for {histories.users[0]}, who has met {len(histories[0])} films, on {folder.name}:")
    for item in Recommender(bundle).recommend(histories[0], 5):
        say(f"  {item.title}")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def _told(federation: Loopback, name: str) -> str:
    facts = json.loads(federation.command("client", "status", "--json", "--home", str(federation.home(name))))
    return f"ε = {facts['epsilon_spent']:.3f} in its ledger, {len(facts['sent'])} sums left it, model {facts['model']}"


def main() -> int:
    """Show it in a folder, which an earlier demonstration may have left."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/federation").absolute()
    try:
        if folder.exists():
            if not (folder / "server" / "server.toml").exists():
                raise DataError(folder, "not a federation of an earlier demonstration: remove it by hand")
            shutil.rmtree(folder)
        demonstrate(folder)
    except SottovoceError as error:
        print(f"sottovoce: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
