"""`sottovoce language`: the model that writes the texts of cards."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

language = typer.Typer(help="The language model of a device.", no_args_is_help=True)

MODEL = "smollm2-135m-instruct, a GGUF file, a folder, or a hub's id"


@language.callback()
def main() -> None:
    """The language model of a device."""


@language.command()
def fetch(name: Annotated[str, typer.Argument(help=MODEL)] = "smollm2-135m-instruct") -> int:
    """Fetch a language model into the user's cache, check it, and show its terms."""
    from sottovoce.client.language.models import fetch_model

    console = Console()
    path = fetch_model(name, lambda line: console.print(line, highlight=False))
    console.print(f"{name} lies in {path}", highlight=False, soft_wrap=True)
    return 0
