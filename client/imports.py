"""Read what an app wrote about its user: JSON lines, one event each."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from sottovoce.client.histories import Event
from sottovoce.common.errors import DataError

MAX_LINE = 1_000_000


def read_json_lines(path: Path, lenient: bool = False) -> tuple[list[Event], list[str]]:
    """Events of a file like `{"item": "tt0079470", "at": "2024-05-01T20:15:00Z", "kind": "like"}`, one on each line.

    `item` and `at` (seconds since 1970, or ISO 8601) must be there; `user`, `kind`, `rating` and `words` may be.

    Args:
        path: The file, in UTF-8.
        lenient: Leave out a line that cannot be used, and say so.

    Returns:
        The events, and a note for each line that was left out.

    Raises:
        DataError: names the first line that cannot be used, and why; or the file cannot be read.
    """
    events, notes = [], []
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if not line.strip():
                    continue
                try:
                    events.append(_event(path, line, number))
                except DataError as error:
                    if not lenient or len(line) > MAX_LINE:
                        raise
                    notes.append(f"left out: {error}")
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    return events, notes


def _event(path: Path, line: bytes, number: int) -> Event:
    if len(line) > MAX_LINE:
        raise DataError(path, f"longer than {MAX_LINE} bytes", number)
    try:
        return Event.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(path, f"{place}: {first['msg']}" if place else first["msg"], number) from error
