"""An environment for Apple's pfl, made when it is first needed: its pins do not go with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".venv-pfl"
PACKAGES = ("pfl==0.6.0", "torch==2.13.0")


def pfl_python() -> Path:
    """The interpreter of the environment; installs it, or finishes an installation that was cut short."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / ".installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8").split() != list(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *PACKAGES], check=True)
        stamp.write_text("\n".join(PACKAGES), encoding="utf-8")
    return python
