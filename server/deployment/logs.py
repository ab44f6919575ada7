"""Structured logs: one JSON object per line, with a time, a level, who said it, and what.

No private number is ever logged: what is said names nodes, rounds, releases, sizes and reasons, all of them public.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_SIMPLE = (str, int, float, bool)


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; facts given as `extra` become fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": " ".join(record.getMessage().split()),
        }
        facts = {key: value for key, value in vars(record).items() if key not in _OWN and isinstance(value, _SIMPLE)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps({**facts, **line}, ensure_ascii=False)


def log_as_json(file: Path, echo: bool = False) -> None:
    """Let this process write what it says to `file`, and, with `echo`, to its standard error as well.

    Flower and Uvicorn are heard from warnings on.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [RotatingFileHandler(file, maxBytes=10_000_000, backupCount=5, encoding="utf-8")]
    if echo:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(JsonFormatter())
    levels = {"sottovoce": logging.INFO, "flwr": logging.WARNING, "uvicorn": logging.WARNING}
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers = list(handlers)
        logger.setLevel(level)
        logger.propagate = False
