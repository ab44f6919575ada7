"""`sottovoce client serve`: the page of this device, and gRPC for an app on it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sottovoce.common.errors import ConfigError

PORT, GRPC_PORT = 8765, 8766
SHOWN = 10
"""Users that an error names."""


def serve(
    home: Annotated[Path | None, typer.Option(help="The device's folder.", show_default="~/.sottovoce")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Look at this model instead of a federation's; with a home of its own beside it."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Who you are, where this device has several users.", show_default="its only user")
    ] = None,
    new_user: Annotated[
        bool, typer.Option("--new-user", help="Let --user be somebody of whom this device knows nothing yet.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes any free one.")] = PORT,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Of gRPC; 0 takes any free one.")] = GRPC_PORT,
) -> int:
    """Serve the page of this device, on this machine alone, until Ctrl-C."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: many small answers at once, not one large one
    from sottovoce.client.home import Home, find_home
    from sottovoce.client.service.serve import Addresses, serve

    tried = None if bundle is None else bundle.absolute()
    if home is None and tried is not None:
        home = tried.parent / f"{tried.name}-home"
    found: Home = find_home(home)

    person = _person(found.histories.users(), user, new_user)

    def ready(addresses: Addresses) -> None:
        console = Console(soft_wrap=True, highlight=False)
        console.print(f"The page of {person!r}.", markup=False)
        console.print("Open this address in a browser on this machine; it lets whoever has it in:\n")
        console.print(f"  {addresses.page}\n", style="bold", markup=False)
        console.print(f"gRPC: {addresses.grpc}. Home: {found.folder}. End with Ctrl-C.", style="dim", markup=False)

    with contextlib.suppress(KeyboardInterrupt):
        serve(found, person, tried, port, grpc_port, ready)
    return 0


def _person(known: list[str], named: str | None, new: bool) -> str:
    """Whose page it is: nobody is made up beside those whom the device knows."""
    from sottovoce.client.histories import OWNER

    listed = ", ".join(map(repr, known[:SHOWN])) + (", …" if len(known) > SHOWN else "")
    if named is None:
        if len(known) > 1:
            raise ConfigError("--user", None, f"one of the {len(known)} users of this device: --user NAME ({listed})")
        return known[0] if known else OWNER
    if known and named not in known and not new:
        raise ConfigError("--user", named, f"one of {listed}; for somebody new add --new-user")
    return named
