"""How properties are searched, and in which order tests run: no example is timed, since the machine may be busy.

`--hypothesis-profile repeatable` draws the same examples at every run, so that a change is judged by what it changed;
without it each run searches on.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("searching", deadline=None)
settings.register_profile("repeatable", settings.get_profile("searching"), derandomize=True)
settings.load_profile("searching")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that waits longest: run two at a time, the files would else end with it alone."""
    items.sort(key=lambda item: item.path.name != "test_faults.py")
