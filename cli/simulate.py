"""`sottovoce simulate`: a federation on this machine, what it is worth, and one person's list."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sottovoce.cli import options
from sottovoce.common.errors import ConfigError


def simulate(
    data: options.Data = "ml-100k",
    items: options.Items = None,
    column: options.Columns = None,
    min_interactions: options.MinInteractions = 3,
    min_rating: options.MinRating = 0.0,
    lenient: options.Lenient = False,
    epsilon: options.Epsilon = "8",
    delta: options.Delta = 1e-5,
    trust: options.Trust = None,
    nodes: options.Nodes = 4,
    rounds: options.Rounds = None,
    encoder: options.Encoder = "minilm",
    encoder_revision: options.Revision = None,
    head: options.Head = None,
    state: options.State = "items",
    loss: options.Loss = "softmax",
    seed: options.Seed = 0,
    seeded_noise: options.Seeded = False,
    settings: options.Set = None,
    out: options.Out = Path("runs/simulation"),
    force: options.Force = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json and nothing else.")] = False,
    references: options.References = "quick",
    user: Annotated[int, typer.Option("--user", help="Whose list is shown: the row of a user.")] = 0,
) -> int:
    """Train a recommender over simulated nodes under differential privacy, and say what it is worth."""
    given = dict(locals())
    options.check_references(references)
    if resume:
        options.refuse_beside("--resume", "resume", "out", "as_json", "references", "user")
    from sottovoce.cli.console import comparison, log_to, one_persons_list, run_progress
    from sottovoce.common.runfolder import RunFolder
    from sottovoce.simulations import run
    from sottovoce.simulations.prepare import open_prepared

    def there_is(users: int) -> None:
        if not 0 <= user < users:
            raise ConfigError("--user", user, f"a row from 0 to {users - 1}")

    console = Console(stderr=as_json)
    started = time.perf_counter()
    with run_progress(console) as progress:
        if resume:
            folder = RunFolder(out.absolute())
            there_is(len(open_prepared(folder.data).held_out.known))
        else:
            folder = run.make_run(options.settings(given), out, progress.say, force, check=there_is)
        with log_to(folder.log):
            finished = run.simulate(folder, progress.say, time.perf_counter() - started)
        others = {}
        if not as_json and references != "none":
            progress.say("references")
            others = run.references(finished, slow=references == "all")
    if as_json:
        print(json.dumps(finished.result, indent=2, allow_nan=False))
    else:
        for note in finished.prepared.facts["notes"]:  # type: ignore[union-attr]
            console.print(note, style="dim", markup=False, highlight=False)
        console.print(comparison(finished, others))
        console.print(one_persons_list(finished, user))
        console.print(f"written to {out}: result.json, bundle/, ledger.sqlite, config.toml", highlight=False)
    if finished.stopped is not None:
        raise finished.stopped
    return 0
