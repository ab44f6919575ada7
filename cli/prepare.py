"""`sottovoce prepare`: lay out a run folder for `flwr run`, without running anything."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from sottovoce.cli import options


def prepare(
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
    out: options.Out = Path("runs/flower"),
    force: options.Force = False,
) -> int:
    """Prepare data and settings of a run, so that `flwr run .` can make it."""
    given = dict(locals())
    from sottovoce.simulations.run import make_run

    console = Console()
    folder = make_run(options.settings(given), out, lambda text: console.print(text, highlight=False), force)
    nodes = folder.config.federation.nodes
    console.print(
        f"prepared {out}. Run it with\n"
        f"  flwr run . --stream --run-config \"run='{folder.path}'\""
        f' --federation-config "num-supernodes={nodes} client-resources-num-cpus=1"\n'
        f"then see what it is worth with\n  sottovoce evaluate {out}",
        highlight=False,
        soft_wrap=True,
    )
    return 0
