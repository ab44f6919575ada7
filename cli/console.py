"""What a person sees of a run: progress while it goes on, then a table and one person's list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sottovoce.client.recommender import Recommender
from sottovoce.common.evaluation import Evaluation
from sottovoce.simulations.run import Simulation

COLUMNS = (("sampled", "hr@10"), ("sampled", "ndcg@10"), ("full", "hr@10"), ("full", "ndcg@10"))
SHOWN = (("impressions", "auc"), ("impressions", "mrr"), ("impressions", "ndcg@10"))


class RunProgress(logging.Handler):
    """Turns what the server logs about its rounds into a bar, and what a run says into a line."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._stage = progress.add_task("starting", total=None)
        self._rounds = progress.add_task("rounds", total=None, visible=False)

    def say(self, text: str) -> None:
        """Name the stage that begins."""
        self._progress.update(self._stage, description=escape(text))

    def emit(self, record: logging.LogRecord) -> None:
        """Move the bar of rounds."""
        if hasattr(record, "rounds"):
            description = f"rounds, ε spent {record.epsilon:.2f}"  # type: ignore[attr-defined]
            self._progress.update(
                self._rounds, description=description, total=record.rounds, completed=record.round, visible=True  # type: ignore[attr-defined]
            )  # fmt: skip
        elif record.levelno >= logging.WARNING:
            self._progress.console.print(record.getMessage(), style="yellow", markup=False, highlight=False)


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
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        handler.close()


def comparison(simulation: Simulation, others: dict[str, Evaluation]) -> Table:
    """This run beside its references, in both protocols, with 95 % intervals over users."""
    privacy, data = simulation.result["privacy"], simulation.result["dataset"]
    spent = "no privacy" if privacy["epsilon"] is None else f"ε = {privacy['epsilon']:.3g} at δ = {privacy['delta']:g}"
    trust = privacy["trust"] + (" (simulated)" if "secure_aggregation" in privacy else "")
    table = Table(
        title=f"{escape(data['name'])}: {data['users']} users, {data['items']} items,"
        f" {data['interactions']} interactions",
        caption=f"this run: {spent}, trust {trust}\n"
        "mean over users, below it the 95 % interval\n"
        "sampled: against 99 items that the user never touched\n"
        "full: against the whole catalogue",
        show_lines=True,
    )
    table.add_column("")
    columns = COLUMNS + (SHOWN if "impressions" in simulation.evaluation.per_user else ())
    for protocol, metric in columns:
        table.add_column(f"{protocol}\n{metric.upper()}", justify="right")
    for name, evaluation in {"this run": simulation.evaluation, **others}.items():
        cells = [_cell(evaluation, *column) for column in columns]
        table.add_row(name, *cells, style="bold" if name == "this run" else None)
    return table


def _cell(evaluation: Evaluation, protocol: str, metric: str) -> str:
    """A mean over its interval; nothing where this protocol was not followed."""
    if protocol not in evaluation.per_user:
        return ""
    each = evaluation.estimate(protocol, metric)
    return f"{_share(each.mean)}\n[dim]{_share(each.low)} – {_share(each.high)}[/dim]"


def one_persons_list(simulation: Simulation, user: int, n: int = 10) -> Table:
    """One user's top list, each line with what it rests on; scores are above the average item's popularity."""
    recommender = Recommender(simulation.bundle)
    known, b = simulation.prepared.held_out.known, simulation.bundle.model.head.b
    history, average = known[user], float(b.mean())
    table = Table(
        title=f"For user {known.users[user]}, who has met {len(history)} items",
        caption="a score is the sum of what each item of the history adds, and of popularity",
    )
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("recommended", max_width=26)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("because of")
    table.add_column("popularity", justify="right", no_wrap=True)
    for place, item in enumerate(recommender.recommend(history, n), start=1):
        reasons = recommender.reasons(history, item.item, 2)
        because = escape("\n".join(f"{reason.effect:+.2f} {reason.title}" for reason in reasons))
        popularity = float(b[item.item]) - average
        table.add_row(str(place), escape(item.title), f"{item.score - average:.2f}", because, f"{popularity:+.2f}")
    return table


def _share(value: float) -> str:
    """A number between zero and one, without the zero before the point."""
    return f"{value:.3f}".removeprefix("0")
