"""`sottovoce evaluate`: what the model in a run folder is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json and nothing else.")] = False,
) -> int:
    """Evaluate the published model of a run, and write its result.json."""
    from sottovoce.cli.console import comparison
    from sottovoce.common.runfolder import RunFolder
    from sottovoce.simulations.evaluate import Timing
    from sottovoce.simulations.run import evaluate_run, references

    finished = evaluate_run(RunFolder(run.absolute()), Timing(0.0, 0.0, 0.0))
    if as_json:
        print(json.dumps(finished.result, indent=2, allow_nan=False))
    else:
        Console().print(comparison(finished, references(finished)))
    return 0
