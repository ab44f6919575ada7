"""What passes between the writer's process and the one that shows its texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """What there is of a text.

    Attributes:
        text: From its beginning; checked.
        done: Whether it is whole.
        refused: Why there is none.
        tokens: How many the model wrote, those that were taken back included.
    """

    text: str = ""
    done: bool = False
    refused: str = ""
    tokens: int = 0
