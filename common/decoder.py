"""A decoder language model, read from the inside: what its hidden states say of a text, and how likely it finds one.

An encoder of texts from a model that was made to write (`NAME#POOLING`): its last layer's hidden states, pooled

    mean    over the text's tokens
    last    at the last token, which has seen all the others
    word    at the end of a prompt that asks for the text in one word (Jiang et al. 2024)

Its vectors point nearly all the same way (Ethayarajh 2019), so that they are of use only centred and whitened, which
`common.vectors` does.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.common.errors import EncoderError

FloatArray = NDArray[np.float32]

POOLINGS = ("mean", "last", "word")
MAX_TOKENS = 256
MAX_CHARACTERS = 4_000
"""Of a text before it is cut into tokens: an endless one costs no endless time."""

_PROMPT = 'This text: "{}" means in one word: "'


def encode_texts(folder: str, pooling: str, texts: Sequence[str], batch_size: int = 32) -> FloatArray:
    """Hidden states of `texts`, shape [len(texts), D].

    Raises:
        EncoderError: the folder holds no decoder that can be loaded.
    """
    import torch

    model, tokenizer = load(folder)
    asked = [_PROMPT.format(text[:MAX_CHARACTERS]) if pooling == "word" else text[:MAX_CHARACTERS] for text in texts]
    order = sorted(range(len(asked)), key=lambda row: len(asked[row]))  # neighbours in length share their padding
    vectors = np.zeros((len(asked), int(model.config.hidden_size)), np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        read = tokenizer([asked[row].strip() or tokenizer.eos_token for row in rows], return_tensors="pt", padding=True)
        ids, mask = read["input_ids"][:, -MAX_TOKENS:], read["attention_mask"][:, -MAX_TOKENS:]
        with torch.inference_mode():
            states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if pooling == "mean":
            share = mask[:, :, None] / mask.sum(dim=1)[:, None, None]
            pooled = (states * share).sum(dim=1)
        else:
            pooled = states[:, -1]  # padded in front
        vectors[rows] = pooled.numpy()
    return vectors


def log_likelihoods(model: Any, tokenizer: Any, context: str, texts: Sequence[str]) -> FloatArray:  # noqa: ANN401
    """Logarithms of the probability of each of `texts` behind `context`, shape [len(texts)].

    The context is read once; only its last `MAX_TOKENS` tokens are.
    """
    import torch

    read = tokenizer(context, return_tensors="pt")["input_ids"][:, -MAX_TOKENS:]
    pieces = [tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_TOKENS] for text in texts]
    longest = max(map(len, pieces))
    ids = torch.tensor([piece + [0] * (longest - len(piece)) for piece in pieces])
    known = torch.tensor([[1] * len(piece) + [0] * (longest - len(piece)) for piece in pieces])
    with torch.inference_mode():
        first = model(input_ids=read, use_cache=True)
        past = first.past_key_values
        past.batch_repeat_interleave(len(pieces))
        mask = torch.cat([torch.ones(len(pieces), read.shape[1], dtype=known.dtype), known], dim=1)
        rest = model(input_ids=ids, attention_mask=mask, past_key_values=past).logits[:, :-1]
        logits = torch.cat([first.logits[:, -1:].expand(len(pieces), -1, -1), rest], dim=1).float()
        told = torch.log_softmax(logits, dim=2).gather(2, ids[:, :, None])[:, :, 0]
    return np.asarray((told * known).sum(dim=1).numpy(), dtype=np.float32)


@lru_cache(maxsize=1)
def load(folder: str) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, padding in front; loaded once per process.

    Raises:
        EncoderError: a file is missing or damaged, or the architecture is another.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    packed = sorted(Path(folder).glob("*.gguf"))
    named = {"gguf_file": packed[0].name} if packed else {}
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # unpacking four bits a weight draws a bar
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left", **named)
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="float32", **named)
        model.eval()  # type: ignore[no-untyped-call]
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return model, tokenizer
    except Exception as error:  # whatever a damaged or foreign model folder makes these libraries raise
        line = " ".join(str(error).split())[:300]
        raise EncoderError(f"{folder}: cannot be loaded as a decoder language model: {line}") from error
