"""Whatever befalls a federation of real processes, its run ends with a model, whole ledgers and whole histories.

On every device an app records what somebody does, all the time.

One fault of each kind here; `make faults` draws ten, at moments that follow from SOTTOVOCE_FAULT_SEEDS.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from disks import fill_up, small_disk
from processes import USERS, App, Deployment, check_ledgers, fill, published, wait_until

from sottovoce.client.home import Home
from sottovoce.common.runfolder import RunFolder
from sottovoce.server.checkpoint import Store
from sottovoce.server.deployment.settings import ServerSettings
from sottovoce.server.deployment.setup import invite

pytestmark = pytest.mark.slow

SEEDS = range(int(os.environ.get("SOTTOVOCE_FAULT_SEEDS", "1")))
WINDOW_S = 12.0
"""About as long as a run of three rounds takes: a fault falls into it."""


def two_nodes() -> ServerSettings:
    federation = {"nodes": 2, "minimum_nodes": 1, "deadline_s": 20.0}
    return servers.settings(privacy={"delta": 1e-5}, federation=federation)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment.make(tmp_path, 2, two_nodes())
    apps = [App(home) for home in made.homes.values()]
    for app in apps:
        app.start()
    try:
        yield made
    finally:
        made.stop()
        for app in apps:
            app.end()
            assert app.kept
            assert not app.refused


def begin(deployment: Deployment) -> Path:
    """Everything is up, the first model is on both devices, a run begins."""
    deployment.start()
    wait_until("the first model is on every node", lambda: deployment.everybody_has(1))
    return deployment.train()


def finish(deployment: Deployment, run: Path) -> None:
    wait_until("the run is published", lambda: published(run))
    wait_until("the model is on every node", lambda: deployment.everybody_has(2), 330)
    check_ledgers(deployment, run)


def moment(seed: int) -> float:
    return random.Random(seed).uniform(0, WINDOW_S)


def test_nothing_happens(deployment: Deployment) -> None:
    run = begin(deployment)
    deployment.homes["node-0"].histories.record("user 0", "item 7", kind="like")
    finish(deployment, run)
    assert {record.nodes for record in Store(RunFolder(run)).records()} == {2}, "both answered each round"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victims", [("node-0",), ("server",), ("node-0", "server")], ids="-and-".join)
def test_killed(deployment: Deployment, victims: tuple[str, ...], seed: int) -> None:
    run = begin(deployment)
    time.sleep(moment(seed))
    for victim in victims:
        deployment.kill(victim)
    for victim in victims:
        deployment.start_server() if victim == "server" else deployment.start_node(victim)
    finish(deployment, run)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("program", ["flower-superexec", "flwr-serverapp"])
def test_a_process_of_flowers_on_the_server_is_killed(deployment: Deployment, program: str, seed: int) -> None:
    """Nobody starts anything again by hand."""
    run = begin(deployment)
    time.sleep(moment(seed) / 2)  # a ServerApp is there as long as the run
    deployment.kill_flowers(program)
    finish(deployment, run)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_is_away_for_a_while(deployment: Deployment, seed: int) -> None:
    run = begin(deployment)
    time.sleep(moment(seed))
    deployment.kill("node-1")
    wait_until("the run is published", lambda: published(run))
    deployment.start_node("node-1")
    finish(deployment, run)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_full_disk_on_a_node(tmp_path: Path, seed: int) -> None:
    """A small file system of its own, filled at a random moment: the node declines, and the others go on."""
    made = Deployment.make(tmp_path, 1, two_nodes())
    app = None
    with small_disk(tmp_path / "disk", "4m") as disk:
        try:
            made.homes["small"] = Home(disk / "home").join(invite(made.server, "small", USERS, None))
            fill(made.homes["small"], 5)
            app = App(made.homes["small"])
            app.start()
            run = begin(made)
            time.sleep(moment(seed))
            ballast = fill_up(disk)
            wait_until("the run is published", lambda: published(run))
            ballast.unlink()
            kept = len(app.kept)
            finish(made, run)
            assert len(app.kept) > kept, "there is room again"
        finally:
            made.stop()
            if app is not None:
                app.end()


def verb(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sottovoce.cli.main", "server", arguments[0], str(deployment.server.path)]
    return subprocess.run(
        [*command, *arguments[1:]], capture_output=True, text=True, check=False, cwd=deployment.folder
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_full_disk_on_the_server(tmp_path: Path, seed: int) -> None:
    """It says so where it is asked, and goes on when there is room again."""
    with small_disk(tmp_path / "disk", "12m") as disk:
        made = Deployment.make(disk, 2, two_nodes())
        made.folder = tmp_path
        try:
            run = begin(made)
            time.sleep(moment(seed))
            ballast = fill_up(disk)
            with urllib.request.urlopen(f"http://{made.server.settings.status}/metrics", timeout=30) as told:
                assert "sottovoce_superlink_up" in told.read().decode()
            status, refused = verb(made, "status"), verb(made, "invite", "late")
            assert (status.returncode, "budget:" in status.stdout) == (0, True), status.stderr
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
            assert "the disk is full" in refused.stderr or "No space left" in refused.stderr
            time.sleep(5)
            ballast.unlink()
            finish(made, run)
        finally:
            made.stop()


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(id, at);
  if (id == CLOCK_REALTIME) at->tv_sec += OFFSET;
  return status;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
"""


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off(deployment: Deployment, tmp_path: Path, hours: int) -> None:
    """Flower signs calls with the time, and turns such a node down: the others go on, and it loses nothing."""
    library = tmp_path / "clock.so"
    (tmp_path / "clock.c").write_text(CLOCK)
    build = [
        "cc",
        "-shared",
        "-fPIC",
        f"-DOFFSET={3600 * hours}",
        str(tmp_path / "clock.c"),
        "-o",
        str(library),
        "-ldl",
    ]
    try:
        subprocess.run(build, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler")
    deployment.start_server()
    deployment.start_node("node-0")
    deployment.start_node("node-1", LD_PRELOAD=str(library))
    wait_until("the first model is on the good node", lambda: deployment.homes["node-0"].bundles.version >= 1)
    run = deployment.train()
    wait_until("the run is published", lambda: published(run))
    check_ledgers(deployment, run)


def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sottovoce.client.home import Home\n"
        "store = Home(Path(sys.argv[1])).histories\n"
        "for number in range(10**9):\n"
        "    store.record('owner', f'item {number}', float(number)); print(number, flush=True)\n"
    )
    for seed in (*SEEDS, *(100 + each for each in SEEDS)):
        home = Home(tmp_path / f"home-{seed}")
        writer = subprocess.Popen([sys.executable, "-c", code, str(home.folder)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 1))
        writer.kill()
        told = [int(line) for line in writer.communicate()[0].split()]
        kept = len(home.histories.taste().history)
        assert kept >= max(told, default=0) + 1
