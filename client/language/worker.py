"""The writer's process: reads facts from standard input, one JSON line each, and writes pieces of text to its output.

Started by `client.language.writer`; needs torch, which the process that lists and recommends never imports.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.piece import Piece
from sottovoce.common.errors import DataError

NICE = 10
"""Whoever waits for a list comes first."""


def main(model: Path, source: TextIO, sink: TextIO) -> int:
    """Serve until the input ends; 2, if the model cannot be read."""
    import torch

    from sottovoce.client.language.composing import Composer
    from sottovoce.client.language.decoder import Decoder
    from sottovoce.client.language.kept import open_kept

    torch.set_num_threads(1)
    try:
        kept = open_kept(model)
        composer = Composer(Decoder(kept.shape, kept.read), kept.tokenizer)
    except DataError as error:
        _say(sink, {"failed": str(error)})
        return 2
    composer.prepare(Job.CARD)
    _say(sink, {"ready": True})
    for line in source:
        try:
            for piece in composer.compose(Given.read(line)):
                _say(sink, asdict(piece))
        except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            _say(sink, asdict(Piece(done=True, refused=f"the writer failed: {type(error).__name__}")))
    return 0


def _say(sink: TextIO, what: dict[str, object]) -> None:
    print(json.dumps(what), file=sink, flush=True)


if __name__ == "__main__":
    os.nice(NICE)
    sys.exit(main(Path(sys.argv[1]), sys.stdin, sys.stdout))
