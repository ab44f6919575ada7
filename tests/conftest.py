"""How properties are searched: no example is timed, since the machine may be busy.

`--hypothesis-profile repeatable` draws the same examples at every run, so that a change is judged by what it changed;
without it each run searches on.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("searching", deadline=None)
settings.register_profile("repeatable", settings.get_profile("searching"), derandomize=True)
settings.load_profile("searching")
