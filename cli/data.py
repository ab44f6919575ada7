"""`sottovoce data`: fetch public data sets."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

data = typer.Typer(help="Public data sets.", no_args_is_help=True)


@data.callback()
def main() -> None:
    """Public data sets."""


@data.command()
def fetch(name: Annotated[str, typer.Argument(help="ml-100k or msweb")]) -> int:
    """Fetch a public data set into the user's cache, check it, and show its terms."""
    from sottovoce.simulations.datasets import fetch as fetch_data

    console = Console()
    folder = fetch_data(name, lambda line: console.print(line, highlight=False))
    console.print(f"{name} lies in {folder}", highlight=False, soft_wrap=True)
    return 0
