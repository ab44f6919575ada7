"""Who computes cells: processes of this machine, one thread each, or the tasks of a Ray cluster.

A worker whose process dies (out of memory, a fault in native code) breaks the one cell that it had, and is replaced.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from sottovoce.simulations.runtime import QUIET
from sottovoce.simulations.sweep.cell import Cell, Outcome, broken, run_cell

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


Compute = Callable[[Cell, Path], Outcome]


def compute_in_processes(
    cells: Sequence[Cell], workers: int, work: Path, compute: Compute = run_cell
) -> Iterator[Outcome]:
    """Compute cells in up to `workers` processes; outcomes come in the order in which they are ready."""
    os.environ.update(QUIET | ONE_THREAD)  # read by libraries when a worker imports them
    waiting = list(reversed(cells))
    team: list[_Worker] = []
    try:
        team += [_Worker(compute, work, waiting.pop()) for _ in range(min(workers, len(cells)))]
        while busy := [worker for worker in team if worker.cell is not None]:
            for ready in connection.wait([worker.connection for worker in busy]):
                worker = next(each for each in busy if each.connection is ready)
                yield worker.outcome()
                if waiting:
                    team[team.index(worker)] = worker.next(waiting.pop())
    finally:
        for worker in team:
            worker.stop()


def compute_on_ray(
    cells: Sequence[Cell], address: str, compute: Callable[[Cell], Outcome] = run_cell
) -> Iterator[Outcome]:
    """Compute cells as tasks of one CPU each on the Ray cluster at `address`, where this package must be installed."""
    import ray

    os.environ.update(QUIET)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        task = ray.remote(num_cpus=1)(compute)
        pending = {task.remote(cell): cell for cell in cells}
        while pending:
            [ready], _ = ray.wait(list(pending), num_returns=1)
            cell = pending.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                yield broken(cell, f"Ray: {type(error).__name__}")
    finally:
        ray.shutdown()


class _Worker:
    """A process, and the cell that it computes."""

    def __init__(self, compute: Compute, work: Path, cell: Cell) -> None:
        context = get_context("spawn")
        self._compute = compute
        self._work = work
        self.cell: Cell | None = None
        self.connection, theirs = context.Pipe()
        # Not a daemon: encoding a catalogue starts processes of its own.
        self._process = context.Process(target=_serve, args=(theirs, compute, work))
        self._process.start()
        theirs.close()
        self._send(cell)

    def outcome(self) -> Outcome:
        """What became of the cell; it is broken if the process died."""
        if self.cell is None:
            raise RuntimeError("nothing was asked")
        cell, self.cell = self.cell, None
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return broken(cell, f"the worker process died (exit code {self._process.exitcode}): out of memory?")
        return outcome

    def next(self, cell: Cell) -> _Worker:
        """A worker that computes `cell`: this one if it is alive, else another."""
        if not self._process.is_alive():
            self.stop()
            return _Worker(self._compute, self._work, cell)
        self._send(cell)
        return self

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self._process.terminate()
        self._process.join()

    def _send(self, cell: Cell) -> None:
        self.cell = cell
        try:
            self.connection.send(cell)
        except OSError:
            return  # it died: `outcome` will find that out


def _serve(driver: Connection, compute: Compute, work: Path) -> None:
    """The life of a worker process: it ends with its driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_driver, daemon=True).start()
    while True:
        try:
            cell = driver.recv()
        except EOFError:
            return
        driver.send(compute(cell, work))


def end_with_driver() -> None:
    """Leave this worker process when the process that started it is gone."""
    driver = parent_process()
    if driver is not None:
        driver.join()
    os._exit(1)
