"""Options that several verbs share, and how they become settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
from click.core import ParameterSource

from sottovoce.common.errors import ConfigError

if TYPE_CHECKING:
    from sottovoce.common.config import Config

Data = Annotated[str, typer.Option("--data", help="A name (ml-100k, msweb, synthetic:users=1000) or a path to data.")]
Items = Annotated[Path | None, typer.Option("--items", help="The file of items, if the data is one file.")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="Names a column: user=…, item=…, time=…, rating=…, words=…")
]
MinInteractions = Annotated[int, typer.Option("--min-interactions", help="Users with fewer are left out.")]
MinRating = Annotated[float, typer.Option("--min-rating", help="Lower ratings are left out.")]
Lenient = Annotated[bool, typer.Option("--lenient", help="Skip and count broken rows instead of refusing the file.")]
Epsilon = Annotated[str, typer.Option("--epsilon", help="Privacy budget: a number above zero, or inf for no privacy.")]
Delta = Annotated[float, typer.Option("--delta", help="δ of the guarantee, below 1 / population.")]
Trust = Annotated[
    str | None,
    typer.Option("--trust", help="Who adds the noise: server (default), node, aggregate (simulated) or none."),
]
Nodes = Annotated[int, typer.Option("--nodes", help="Number of nodes that share the users.")]
Rounds = Annotated[int | None, typer.Option("--rounds", help="Rounds of the head; the preset's by default.")]
Encoder = Annotated[str, typer.Option("--encoder", help="minilm, a local folder, or an id on the Hugging Face hub.")]
Revision = Annotated[str | None, typer.Option("--encoder-revision", help="Revision of an encoder on the hub.")]
Head = Annotated[str | None, typer.Option("--head", help="Trained parts: none, V, W or VW (else the preset's).")]
State = Annotated[str, typer.Option("--state", help="How a history becomes a state: items or text.")]
Loss = Annotated[str, typer.Option("--loss", help="softmax or sigmoid.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of splits and initial values (not of the noise).")]
Seeded = Annotated[bool, typer.Option("--seeded-noise", help="Repeatable noise: for experiments, protects nobody.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any other setting, as section.key=value.")]
References = Annotated[
    str, typer.Option("--references", help="What stands beside the run: quick, all (takes minutes more), or none.")
]
Out = Annotated[Path, typer.Option("--out", help="The run folder.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier run in the folder.")]

DEFAULT_PARTS = {"none": (0, 0), "V": (16, 0), "W": (0, 32), "VW": (16, 32)}


def settings(given: dict[str, Any]) -> Config:
    """The configuration that the options of a verb describe; `--set` has the last word.

    Raises:
        ConfigError: a value is outside its range.
    """
    from sottovoce.common.config import override, parse

    table: dict[str, Any] = {
        "seed": given["seed"],
        "data": {
            "source": given["data"],
            "min_interactions": given["min_interactions"],
            "min_rating": given["min_rating"],
            "lenient": given["lenient"],
            "columns": dict(_assignment("--column", text) for text in given["column"] or []),
        },
        "encoder": {"name": given["encoder"]},
        "privacy": {
            "epsilon": number("--epsilon", given["epsilon"]),
            "delta": given["delta"],
            "noise": "seeded" if given["seeded_noise"] else "os",
        },
        "head": {"state": given["state"], "loss": given["loss"]},
        "train": {},
        "federation": {"nodes": given["nodes"]},
    }
    optional = {
        ("data", "items"): str(given["items"]) if given["items"] else None,
        ("encoder", "revision"): given["encoder_revision"],
        ("privacy", "trust"): given["trust"],
        ("train", "rounds"): given["rounds"],
    }
    for (section, key), value in optional.items():
        if value is not None:
            table[section][key] = value
    if given["head"] is not None:
        table["head"] |= dict(zip(("rank", "mix"), _parts(given["head"]), strict=True))
    return parse(override(table, given["settings"] or []))


def check_references(references: str) -> None:
    """Refuse what names no set of references.

    Raises:
        ConfigError: it is not `quick`, `all` or `none`.
    """
    if references not in ("quick", "all", "none"):
        raise ConfigError("--references", references, "quick, all or none")


def refuse_beside(option: str, *allowed: str) -> None:
    """Refuse what was typed beside `option` and would be ignored: all but the parameters called `allowed`.

    Raises:
        ConfigError: names the first of them.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in allowed and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ConfigError(
                parameter.opts[0], context.params[name], f"nothing beside {option}, which keeps the settings of its run"
            )


def number(name: str, text: str) -> float:
    """A number, or `inf`.

    Raises:
        ConfigError: it is neither, or NaN.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(name, text, "a number above zero, or inf") from error
    if math.isnan(value) or value <= 0:
        raise ConfigError(name, text, "a number above zero, or inf")
    return value


def _parts(head: str) -> tuple[int, int]:
    if head not in DEFAULT_PARTS:
        raise ConfigError("--head", head, "none, V, W or VW")
    return DEFAULT_PARTS[head]


def _assignment(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(option, text, "role=column")
    return key, value
