"""`sottovoce data`: fetch public data sets, and write small examples of each format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

data = typer.Typer(help="Public data sets.", no_args_is_help=True)


@data.callback()
def main() -> None:
    """Public data sets."""


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="ml-100k, ml-1m, msweb, goodbooks-10k or mind-small")],
    file: Annotated[
        list[Path] | None, typer.Option("--file", help="A file that was downloaded by hand, once per file.")
    ] = None,
) -> int:
    """Fetch a public data set into the user's cache, check it, and show its terms."""
    from sottovoce.simulations.datasets import fetch as fetch_data

    console = Console()
    folder = fetch_data(name, lambda line: console.print(line, highlight=False, soft_wrap=True), file or [])
    console.print(f"{name} lies in {folder}", highlight=False, soft_wrap=True)
    return 0


@data.command()
def example(
    domain: Annotated[str, typer.Argument(help="news, shop, courses or social")],
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    people: Annotated[int, typer.Option("--people", help="How many people.")] = 200,
    items: Annotated[int, typer.Option("--items", help="How many items.")] = 300,
) -> int:
    """Write made-up files in the format of a domain: to try it, and to see how one's own files have to look."""
    from sottovoce.simulations.datasets.examples import write_example

    for path in write_example(domain, out, people, items):
        Console().print(str(path), highlight=False, soft_wrap=True)
    return 0


@data.command()
def weigh(
    source: Annotated[str, typer.Argument(help="A public data set: a name, or a path.")],
    feature: Annotated[
        list[str] | None, typer.Option("--feature", help="An attribute as a block: categories=tags, year=numeric …")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Any other setting: section.key=value.")] = None,
) -> int:
    """Find the weight of each block of the item vectors on the validation split of a public data set.

    What comes out was chosen on people's histories, outside any budget: use it for other people, not for these.
    """
    from sottovoce.common.config import override, parse
    from sottovoce.simulations.prepare import prepare, read_data
    from sottovoce.simulations.weights import choose_weights

    console = Console()
    table = {
        "data": {"source": source, "held_out": "validation"},
        "privacy": {"epsilon": float("inf")},
        "encoder": {"features": dict(each.partition("=")[::2] for each in feature or [])},
    }
    config = parse(override(table, settings or []))
    dataset = read_data(config)
    names = ["encoder", "words", *{**dataset.features, **config.encoder.features}]
    ones = {**config.encoder.weights, **dict.fromkeys(names, 1.0)}
    config = config.model_copy(update={"encoder": config.encoder.model_copy(update={"weights": ones})})
    config = config.resolve(len(dataset.histories), dataset.name)
    prepared = prepare(dataset, config, lambda line: console.print(line, highlight=False))
    found = choose_weights(prepared, config, lambda line: console.print(line, highlight=False))
    console.print(f"validation NDCG@10 {found.ndcg:.4f}, with every weight at one {found.before:.4f}", highlight=False)
    options = " ".join(f"--set encoder.weights.{name}={weight:g}" for name, weight in found.weights.items())
    console.print(options, highlight=False, soft_wrap=True, markup=False)
    return 0
