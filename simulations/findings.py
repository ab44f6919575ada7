"""Read back what audits and searches wrote, whole: what is damaged is refused before a report begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sottovoce.common.errors import DataError
from sottovoce.simulations import audit_run, tune

Facts = dict[str, Any]


class _Form(BaseModel):
    """What a report reads of a file; there may be more in it."""

    model_config = ConfigDict(strict=True)


class _Attack(_Form):
    epsilon_lower_bound: float | None = None


class _Audit(_Form):
    claimed_epsilon: float | None
    confidence: float
    attacks: dict[str, _Attack]


class _Measured(_Form):
    values: dict[str, Any]
    mean: float
    low: float
    high: float
    runs: int


class _Failed(_Form):
    values: dict[str, Any]
    error: str


class _Search(_Form):
    contender: str
    epsilon: float | None
    trials: int
    committed: _Measured | _Failed
    best: _Measured | _Failed


class _Tuning(_Form):
    dataset: str
    metric: str
    says: str
    trials: int
    seeds: int
    finalists: int
    confirm: int
    searches: list[_Search]


def read_audit(path: Path) -> Facts:
    """What `sottovoce audit` wrote.

    Raises:
        DataError: it is no such file, or of another version.
    """
    return _read(path, "audit", audit_run.SCHEMA, _Audit)


def read_tuning(path: Path) -> Facts:
    """What `sottovoce tune` wrote.

    Raises:
        DataError: it is no such file, or of another version.
    """
    return _read(path, "tune", tune.SCHEMA, _Tuning)


def _read(path: Path, verb: str, schema: int, form: type[_Form]) -> Facts:
    try:
        facts: Facts = json.loads(path.read_text(encoding="utf-8"))
        written = facts["schema"]
        if written == schema:
            form.model_validate(facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"not what `sottovoce {verb}` writes") from error
    if written != schema:
        raise DataError(path, f"schema = {written!r}: this program reads {schema}: run `sottovoce {verb}` again")
    return facts
