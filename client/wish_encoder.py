"""The child process of `client.wishes`: reads texts, a list per line, writes their vectors, and keeps neither."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import EncoderError, SottovoceError

Encode = Callable[[list[str]], NDArray[np.float32]]


def main(encoder: str, revision: str, fingerprint: str) -> None:
    """Answer until the parent closes the pipe; an error is answered as a text."""
    encode: Encode | None = None
    for line in sys.stdin.buffer:
        try:
            if encode is None:
                encode = load(encoder, revision, fingerprint)
            answer: str | list[list[float]] = np.asarray(encode(json.loads(line)), dtype=np.float64).tolist()
        except SottovoceError as error:
            answer = str(error)
        except Exception as error:
            answer = f"encoder {encoder} failed: {type(error).__name__}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def load(encoder: str, revision: str, fingerprint: str) -> Encode:
    """The encoder, if it is the one that the map was made for.

    Raises:
        EncoderError: it cannot be had, or is another.
    """
    if encoder == "usem3":
        from sottovoce.common import multilingual

        present, encode = multilingual.fingerprint(), multilingual.encode
    else:
        from sottovoce.common.encoder import find_encoder

        chosen = find_encoder(encoder, revision or None)
        present, encode = chosen.fingerprint, chosen.encode
    if present != fingerprint:
        raise EncoderError(f"encoder {encoder} is another than the one that this model's map was made for")
    return encode


if __name__ == "__main__":
    main(*sys.argv[1:4])
