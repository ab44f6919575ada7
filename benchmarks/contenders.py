"""How each contender is started, and what is read from it.

Each gets the settings that suit it: every contender is run with each of its variants, and its fastest counts.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory import run_measured
from benchmarks.pfl_environment import pfl_python
from benchmarks.rounds import DIMENSION, RANK, WARM_UP, WINDOW, Figures

ROOT = Path(__file__).resolve().parent.parent
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

INLINE = {"RAY_max_direct_call_object_size": str(2**20)}
"""Lets Ray carry a head in the call itself; by default it puts what exceeds 100 kB into its object store."""


@dataclass(frozen=True)
class Variant:
    """One way to run a contender.

    Attributes:
        label: What is special about it.
        command: The program and its arguments, less the common ones.
        environment: What it needs beside the common variables.
    """

    label: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def flower_variants(workers: Sequence[int], inline: bool) -> list[Variant]:
    """Flower and Opacus with Ray as it comes, or with Ray's limit for inline arguments raised."""
    command = [sys.executable, "-m", "benchmarks.flower_opacus", "--workers"]
    return [Variant(f"{count} workers", [*command, str(count)], INLINE if inline else {}) for count in workers]


def pfl_variants(workers: Sequence[int]) -> list[Variant]:
    """Apple's pfl in one process, or in several that `torchrun` starts."""
    python, module = str(pfl_python()), ["-m", "benchmarks.pfl_rounds"]
    spread = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return [
        Variant(f"{count} workers", [python, *([*spread, str(count)] if count > 1 else []), *module])
        for count in workers
    ]


def fastest(variants: Sequence[Variant], population: Path, rounds: int) -> tuple[Figures, dict[str, float]]:
    """Run every variant; the figures of the fastest, and the updates per second of each by label."""
    tried = {variant.label: _run(variant, population, rounds) for variant in variants}
    best = max(tried.values(), key=lambda figures: figures["user_updates_per_s"])
    return best, {label: figures["user_updates_per_s"] for label, figures in tried.items()}


def _run(variant: Variant, population: Path, rounds: int) -> Figures:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        arguments = ["--population", str(population), "--rounds", str(rounds), "--out", str(out)]
        environment = {**os.environ, **QUIET, **ONE_THREAD, **variant.environment, "PYTHONPATH": str(ROOT)}
        peak = run_measured([*variant.command, *arguments], environment, ROOT)
        figures: Figures = json.loads(out.read_text(encoding="utf-8"))
    figures["peak_pss_mib"] = peak
    return figures


def sottovoce(source: str, rounds: int, nodes: int = 2) -> Figures:
    """This project, as its users run it: the whole command. It leaves its first round out of its figure too."""
    program = shutil.which("sottovoce", path=str(Path(sys.executable).parent)) or shutil.which("sottovoce")
    if program is None:
        raise RuntimeError("the command `sottovoce` is not installed; run `make setup`")
    settings = {
        "encoder.dimensions": DIMENSION // 2,
        "encoder.word_dimensions": DIMENSION // 2,
        "head.rank": RANK,
        "head.mix": 0,
        "head.window": WINDOW,
        "train.rounds": WARM_UP + rounds,
    }
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [program, "simulate", "--data", source, "--epsilon", "8", "--nodes", str(nodes), "--seed", "0"]
        command += ["--out", str(out), "--json"]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        peak = run_measured(command, {**os.environ, **QUIET}, ROOT)
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return Figures(
        user_updates_per_s=result["timing"]["user_updates_per_s"],
        peak_pss_mib=peak,
        workers=nodes,
        rounds=rounds,
        users=result["dataset"]["users"],
    )
