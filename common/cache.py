"""Where this machine keeps what it can fetch or compute again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The user's cache folder for this program; the variable `SOTTOVOCE_CACHE` moves it."""
    chosen = os.environ.get("SOTTOVOCE_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("sottovoce", appauthor=False)
