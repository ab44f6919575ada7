"""What a person sees of a run: progress while it goes on, then a table and one person's list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sottovoce.client.recommender import Recommender
from sottovoce.common.evaluation import Evaluation
from sottovoce.simulations.run import Simulation

COLUMNS = (("sampled", "hr@10"), ("sampled", "ndcg@10"), ("full", "hr@10"), ("full", "ndcg@10"))


class RunProgress(logging.Handler):
    """Turns what the server logs about its rounds into a bar, and what a run says into a line."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._stage = progress.add_task("starting", total=None)
        self._rounds = progress.add_task("rounds", total=None, visible=False)

    def say(self, text: str) -> None:
        """Name the stage that begins."""
        self._progress.update(self._stage, description=text)

    def emit(self, record: logging.LogRecord) -> None:
        """Move the bar of rounds."""
        if hasattr(record, "rounds"):
            description = f"rounds, ε spent {record.epsilon:.2f}"  # type: ignore[attr-defined]
            self._progress.update(
                self._rounds, description=description, total=record.rounds, completed=record.round, visible=True  # type: ignore[attr-defined]
            )  # fmt: skip
        elif record.levelno >= logging.WARNING:
            self._progress.console.print(f"[yellow]{record.getMessage()}", highlight=False)


@contextmanager
def run_progress(console: Console) -> Iterator[RunProgress]:
    """Shows a run's progress until it is over."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        handler = RunProgress(progress)
        logger = logging.getLogger("sottovoce")
        logger.addHandler(handler)
        try:
            yield handler
        finally:
            logger.removeHandler(handler)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Keeps what is said during a run in its folder, and off the screen."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("sottovoce")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def comparison(simulation: Simulation, others: dict[str, Evaluation]) -> Table:
    """This run beside its references, in both protocols, with 95 % intervals over users."""
    privacy, data = simulation.result["privacy"], simulation.result["dataset"]
    spent = "no privacy" if privacy["epsilon"] is None else f"ε = {privacy['epsilon']:.3g}, δ = {privacy['delta']:g}"
    table = Table(
        title=f"{data['name']}: {data['users']} users, {data['items']} items, {data['interactions']} interactions",
        caption=f"mean over users [95 % interval]; this run: {spent}, trust {privacy['trust']}",
    )
    table.add_column("")
    for heading in ("99 negatives\nHR@10", "\nNDCG@10", "full ranking\nHR@10", "\nNDCG@10"):
        table.add_column(heading, justify="right")
    for name, evaluation in {"this run": simulation.evaluation, **others}.items():
        estimates = [evaluation.estimate(*column) for column in COLUMNS]
        cells = [
            f"{each.mean:.3f} [dim][{each.low:.3f}, {each.high:.3f}][/dim]".replace("0.", ".") for each in estimates
        ]
        style = "bold" if name == "this run" else None
        table.add_row(name, *cells, style=style)
    return table


def one_persons_list(simulation: Simulation, user: int, n: int = 10) -> Table:
    """One user's top list, each line with what it rests on."""
    recommender = Recommender(simulation.bundle)
    history = simulation.prepared.held_out.known[user]
    name = simulation.prepared.held_out.known.users[user]
    table = Table(title=f"For user {name}, who has met {len(history)} items", show_lines=False)
    for heading in ("", "recommended", "score", "because of (what each adds)", "popularity adds"):
        table.add_column(heading, justify="right" if heading in ("", "score", "popularity adds") else "left")
    base = float(simulation.bundle.model.head.b.mean())
    for place, item in enumerate(recommender.recommend(history, n), start=1):
        reasons = recommender.reasons(history, item.item, 2)
        because = "; ".join(f"{reason.title} {reason.effect:+.2f}" for reason in reasons) or "popularity alone"
        popularity = float(simulation.bundle.model.head.b[item.item]) - base
        table.add_row(str(place), item.title, f"{item.score - base:.2f}", because, f"{popularity:+.2f}")
    return table
