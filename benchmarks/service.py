"""The page's service under load: many clients at once, each of whom rates, asks, explains and reads the list anew.

    python benchmarks/service.py --clients 50 --seconds 30 --json service.json

A service is started in a process of its own, on a bundle (a generated one of the size of MovieLens-100K, unless one is
given) with a fresh home. The clients share it and the machine. Every answer must be a success, and hold what was asked
for. Beside the load stands what one person alone waits for: from a click on "like", "dislike", "not now" or "undo" to
the changed list, with a usual history and with long ones, each in a home of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from served import Service, make_bundle, service

from sottovoce.client.histories import Event, Kind
from sottovoce.client.home import Home

MOVIELENS = 1_682
CLICKS = ("like", "dislike", "not_now")


@dataclass(frozen=True)
class Past:
    """A history that a person brings along: `length` interactions with `different` items of a catalogue of `items`."""

    length: int
    different: int
    items: int = MOVIELENS

    def record(self, home: Path, ids: list[str]) -> None:
        """Put it into a home; the items of `ids` that come first stay unmet."""
        met = ids[-self.different :]
        home.mkdir(parents=True)
        Home(home).histories.add(
            Event(item=met[row % len(met)], at=1e9 + row, kind=Kind.INTERACTION) for row in range(self.length)
        )


PASTS = (Past(60, 60), Past(100_000, 1_500), Past(100_000, 90_000, 100_000))


@dataclass
class Tally:
    """What was asked, how long each answer took in ms, what went wrong, and what the service computed for clicks."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    async def call(
        self, client: httpx.AsyncClient, name: str, method: str, path: str, **given: object
    ) -> dict[str, object]:
        """One request; its answer."""
        began = time.perf_counter()
        try:
            answer = await client.request(method, path, **given)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.errors.append(f"{name}: {type(error).__name__}")
            return {}
        self.took[name].append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            self.errors.append(f"{name}: {answer.status_code} {answer.text[:80]}")
            return {}
        found: dict[str, object] = answer.json()
        return found

    def quantiles(self, name: str | None = None) -> dict[str, float]:
        """Median, p99 and largest, in ms."""
        taken = self.took[name] if name else [each for times in self.took.values() for each in times]
        middle, high, most = np.quantile(taken, (0.5, 0.99, 1.0)).tolist()
        return {"count": len(taken), "p50_ms": round(middle, 2), "p99_ms": round(high, 2), "max_ms": round(most, 2)}


def opened(running: Service) -> httpx.AsyncClient:
    """A client that carries the token."""
    return httpx.AsyncClient(
        base_url=running.origin, headers={"authorization": f"Bearer {running.token}"}, timeout=30,
        limits=httpx.Limits(max_connections=1),
    )  # fmt: skip


async def person(running: Service, tally: Tally, items: list[str], until: float, seed: int) -> None:
    """Reads, rates, reads again, asks why, searches, and thinks for a moment, until the time is over."""
    choose = random.Random(seed)
    async with opened(running) as client:
        await asyncio.sleep(choose.uniform(0, 1))  # nobody comes at the same moment
        while time.perf_counter() < until:
            listed = await tally.call(client, "list", "GET", "/api/list?n=12")
            if "cards" not in listed:
                tally.errors.append("list: no cards")
            said = {"kind": choose.choice(["like", "dislike", "not_now"]), "subject": choose.choice(items)}
            await tally.call(client, "feedback", "POST", "/api/feedback", json=said)
            await tally.call(client, "list", "GET", "/api/list?n=12")
            await tally.call(client, "explain", "POST", "/api/explain", json={"item": choose.choice(items)})
            await tally.call(client, "search", "GET", "/api/search", params={"text": "film"})
            await asyncio.sleep(choose.uniform(0.5, 1.5))


async def alone(running: Service, times: int) -> Tally:
    """One person's clicks on what is listed: each feedback, and the list that has changed with it; some are undone."""
    tally = Tally()

    async def listed() -> list[str]:
        answer = await tally.call(client, "list", "GET", "/api/list?n=12")
        return [card["item_id"] for card in answer["cards"]]  # type: ignore[attr-defined]

    async with opened(running) as client:
        await tally.call(client, "first list", "GET", "/api/list?n=12")
        shown = await listed()
        for turn in range(times):
            item, before = shown[turn % len(shown)], shown
            said = {"kind": CLICKS[turn % len(CLICKS)], "subject": item}
            began, computed = time.perf_counter(), _cpu_s(running.process.pid)
            await tally.call(client, "feedback", "POST", "/api/feedback", json=said)
            shown = await listed()
            tally.took["click to list"].append(1000 * (time.perf_counter() - began))
            tally.cpu_s += _cpu_s(running.process.pid) - computed
            if item in shown:
                tally.errors.append("the list did not change")
            if turn % 4 == 3:
                began = time.perf_counter()
                await tally.call(client, "undo", "POST", "/api/undo")
                shown = await listed()
                tally.took["undo to list"].append(1000 * (time.perf_counter() - began))
                if shown != before:
                    tally.errors.append("the list did not change back")
    return tally


async def crowd(running: Service, items: list[str], clients: int, seconds: float) -> Tally:
    """Everybody at once."""
    tally = Tally()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(person(running, tally, items, until, seed) for seed in range(clients)))
    return tally


def main() -> int:
    """Measure, and leave with 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    errors: list[str] = []
    people: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        usual = given.bundle or make_bundle(Path(folder) / "bundle", MOVIELENS)
        for number, past in enumerate(PASTS):
            bundle = usual if past.items == MOVIELENS else make_bundle(Path(folder) / f"bundle-{number}", past.items)
            home = Path(folder) / f"home-{number}"
            past.record(home, ids_of(bundle))
            with service(home, bundle) as running:
                single = asyncio.run(alone(running, given.clicks))
                errors += single.errors
                told = {name: single.quantiles(name) for name in ("click to list", "undo to list", "feedback", "list")}
                first = round(single.took["first list"][0], 1)
                resident = _resident_mb(running.process.pid)
                people.append({**asdict(past), **told, "first_list_ms": first, "resident_mb": resident,
                               "server_cpu_ms_per_click": round(1000 * single.cpu_s / given.clicks, 1)})  # fmt: skip
                print(json.dumps(people[-1]), flush=True)
        with service(Path(folder) / "home", usual) as running:
            many = asyncio.run(crowd(running, ids_of(usual), given.clients, given.seconds))
            resident = _resident_mb(running.process.pid)
    errors += many.errors
    result = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "bundle": str(given.bundle or f"generated, {MOVIELENS} items"),
        "alone": people,
        "load": {"clients": given.clients, "seconds": given.seconds, "all": many.quantiles(),
                 **{name: many.quantiles(name) for name in sorted(many.took)}},
        "requests_per_s": round(many.quantiles()["count"] / given.seconds, 1),
        "resident_mb": resident,
        "errors": len(errors),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    for error in sorted(set(errors))[:10]:
        print(error, file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if errors else 0


def ids_of(bundle: Path) -> list[str]:
    """The items of a bundle, in an order of its own."""
    items: list[str] = json.loads((bundle / "catalogue.json").read_text(encoding="utf-8"))["ids"]
    random.Random(0).shuffle(items)
    return items


def _cpu_s(pid: int) -> float:
    """Seconds of a processor that a process used: what others on the machine do does not count; NaN elsewhere."""
    try:
        columns = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(columns[11]) + int(columns[12])) / float(os.sysconf("SC_CLK_TCK"))


def _resident_mb(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return round(int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
