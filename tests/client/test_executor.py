"""Few workers serve many nodes, and none is taken for another's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flwr.proto.runtime_pb2 import AcquireTaskResponse
from flwr.proto.task_pb2 import Task

from sottovoce.client import executor as module
from sottovoce.client.executor import Executor, Workers

WORKER = "import sys, time\nfor line in sys.stdin: time.sleep(float(line.split()[1])); print('over', flush=True)"
"""Each task takes as long as its token says."""
DYING = "import sys\nsys.stdin.readline()"


@dataclass
class SuperNode:
    """Has tasks, and notes when each was taken."""

    tokens: list[str]
    taken: list[str] = field(default_factory=list)

    def AcquireTask(self, _: object) -> AcquireTaskResponse:  # noqa: N802 - Flower's name
        if not self.tokens:
            return AcquireTaskResponse()
        self.taken.append(self.tokens.pop(0))
        return AcquireTaskResponse(task=Task(task_id=1), token=self.taken[-1])

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Executor, SuperNode]]]:
    pools: list[Workers] = []

    def made(workers: Workers, *tokens: str, program: str = WORKER) -> tuple[Executor, SuperNode]:
        monkeypatch.setattr(module, "PROGRAM", (sys.executable, "-c", program))
        pools.append(workers)
        executor, node = Executor("127.0.0.1:9", b"secret" * 6, workers), SuperNode(list(tokens))
        executor._client = node  # type: ignore[assignment]
        return executor, node

    yield made
    for pool in pools:
        pool.close()


def until(reached: Callable[[], Any], *executors: Executor) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, "not in time"
        for each in executors:
            each.step()
        time.sleep(0.02)


def test_no_more_tasks_are_taken_than_workers_are_free(make: Callable[..., tuple[Executor, SuperNode]]) -> None:
    workers = Workers(2)
    made = [make(workers, "0.8", "0.8") for _ in range(3)]
    for executor, _ in made:
        executor.step()
    assert [len(node.taken) for _, node in made] == [1, 1, 0], "a task that nobody could begin would lapse"
    until(lambda: all(not node.tokens for _, node in made), *(executor for executor, _ in made))
    assert len(workers._all) == 2


def test_a_worker_that_serves_another_node_is_not_taken_for_ones_own(
    make: Callable[..., tuple[Executor, SuperNode]],
) -> None:
    workers = Workers(1)
    (first, _), (second, its) = make(workers, "0.01"), make(workers, "30")
    first.step()
    until(lambda: its.taken, second)
    assert not first._at_work()
    first.close()
    assert workers._all[0].task == "30", "closing the first ends nothing of the second"
    second.close()
    assert not workers._all


def test_a_worker_that_dies_is_replaced(make: Callable[..., tuple[Executor, SuperNode]]) -> None:
    executor, node = make(Workers(1), "1", "2", program=DYING)
    until(lambda: node.taken == ["1", "2"], executor)


def test_a_worker_that_rested_for_long_is_let_go(
    make: Callable[..., tuple[Executor, SuperNode]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_S", 0.2)
    workers = Workers(1)
    executor, _ = make(workers, "0.01")
    until(lambda: workers._all, executor)
    until(lambda: not workers._all, executor)
