"""Texts that need no model: what is shown where a model is absent, slow, or said something that it was not given."""

from __future__ import annotations

from collections.abc import Sequence

from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.sentences import quotable


def template(given: Given) -> str:
    """One sentence of the given facts alone; empty if there are none."""
    match given.job:
        case Job.CARD:
            return _card(given)
        case Job.TASTE:
            return (
                f"You mostly like {_listed([name.lower() for name in given.categories[:3]])}."
                if given.categories
                else ""
            )
        case Job.DIGEST:
            return next(iter(quotable(given.source)), "")


def _card(given: Given) -> str:
    kind = _listed([name.lower() for name in given.categories[:3]])
    because = _listed([f"“{title}”" for title in given.reasons[:2]])
    if because:
        return f"Because you met {because}" + (f": {kind}." if kind else ".")
    return f"Popular here: {kind}." if kind else "Popular here."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
