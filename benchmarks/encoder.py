"""What the packaged encoder costs on one thread, as it is and in other forms, and how far those agree with it.

    python -m benchmarks.encoder --json encoder.json

Every form encodes the texts of MovieLens-100K in a process of its own. Beside seconds (of the clock, and of the
process itself) and peak memory stand the share of each item's ten nearest items that it has in common with float32
(by cosine), and HR@10 of 99 on the validation split of the prior that is made of its vectors: popularity, and encoder
and TF-IDF half-whitened in 32 directions each, α = 5, nothing trained.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from sottovoce.common.encoder import find_encoder
from sottovoce.common.evaluation import evaluate, hold_out
from sottovoce.common.scoring import FloatArray, Head, HeadShape, ScoringModel
from sottovoce.common.vectors import fit_item_space, unit_rows
from sottovoce.simulations.datasets import Dataset, load_dataset

Encode = Callable[[list[str], int], FloatArray]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
LONGEST = 256
"""Tokens that the packaged encoder reads."""
NEAREST = 10


def torch_float32(folder: Path, graph: Path) -> Encode:
    """As it is today."""
    model = _opened(folder)
    return lambda texts, batch: np.asarray(model.encode(texts, batch_size=batch, show_progress_bar=False))


def torch_int8(folder: Path, graph: Path) -> Encode:
    """Linear maps with weights in eight bits, activations rounded on the fly."""
    model = _opened(folder)
    torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)  # type: ignore[no-untyped-call]
    return lambda texts, batch: np.asarray(model.encode(texts, batch_size=batch, show_progress_bar=False))


def onnx_float32(folder: Path, graph: Path) -> Encode:
    """The same graph in ONNX Runtime."""
    return _session(folder, graph / "float32.onnx")


def onnx_int8(folder: Path, graph: Path) -> Encode:
    """ONNX Runtime with weights in eight bits, activations rounded on the fly."""
    return _session(folder, graph / "int8.onnx")


FORMS = {form.__name__: form for form in (torch_float32, torch_int8, onnx_float32, onnx_int8)}


def main() -> None:
    """Measure every form at every batch size, and print one line for each."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", default="ml-100k")
    options.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    options.add_argument("--json", type=Path)
    options.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        encode_alone(*asked.child)
        return
    data = load_dataset(asked.data)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as name:
        work = Path(name)
        (work / "texts.json").write_text(json.dumps(data.catalogue.texts))
        export(find_encoder().folder, work)
        reference: FloatArray | None = None
        for form in FORMS:
            for batch in asked.batches:
                out = work / f"{form}-{batch}.npz"
                command = [sys.executable, "-m", "benchmarks.encoder", "--child", form, str(batch), str(work)]
                subprocess.run([*command, str(work / "texts.json"), str(out)], check=True, env=os.environ | ONE_THREAD)
                with np.load(out) as told:
                    vectors, figures = told["vectors"], json.loads(str(told["figures"]))
                reference = vectors if reference is None else reference
                worth = {"same_nearest": shared_nearest(reference, vectors), "hr@10": prior(data, vectors)}
                rows.append({"form": form, "batch": batch, **figures, **worth})
                print(json.dumps(rows[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def encode_alone(form: str, batch: str, work: str, texts: str, out: str) -> None:
    """In a process of its own: open, warm up, encode everything once."""
    torch.set_num_threads(1)
    told = json.loads(Path(texts).read_text())
    began = time.perf_counter()
    encode = FORMS[form](find_encoder().folder, Path(work))
    encode(told[: int(batch)], int(batch))
    opened, start, own = time.perf_counter() - began, time.perf_counter(), time.process_time()
    vectors = encode(told, int(batch))
    figures = {"opened_s": opened, "wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - own}
    status = Path("/proc/self/status").read_text(encoding="ascii")
    figures["peak_mib"] = int(status.split("VmHWM:")[1].split()[0]) / 1024
    np.savez(out, vectors=vectors, figures=json.dumps(figures))


def shared_nearest(one: FloatArray, other: FloatArray) -> float:
    """The mean share of each item's nearest items that both have in common."""
    lists = []
    for vectors in map(unit_rows, (one, other)):
        products = vectors @ vectors.T
        np.fill_diagonal(products, -np.inf)
        lists.append(np.argsort(-products, axis=1, kind="stable")[:, :NEAREST])
    return float(np.mean([len(np.intersect1d(*pair)) / NEAREST for pair in zip(*lists, strict=True)]))


def prior(data: Dataset, vectors: FloatArray) -> float:
    """HR@10 of 99 of popularity and content alone, on the validation split."""
    items, texts = len(data.catalogue), data.catalogue.texts
    held_out = hold_out(data.histories, items, "validation")
    space = fit_item_space(texts, vectors, find_encoder(), None, "", 32, 32, whitening=0.5)
    counts = np.bincount(held_out.known.items, minlength=items)
    shape = HeadShape(items, space.dimension, 0, 0, 5.0)
    model = ScoringModel(space.vectors, Head.untrained(shape, np.log(counts + 1.0).astype(np.float32)))
    found = evaluate(
        lambda rows: model.scores(np.stack([model.state(held_out.known[user]) for user in rows])), held_out, items
    )
    return found.means()["sampled"]["hr@10"]


def export(folder: Path, work: Path) -> None:
    """Write the encoder as ONNX, in float32 and with weights in eight bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = Plain(_opened(folder)[0].auto_model).eval()
    ids, mask = torch.zeros(3, 9, dtype=torch.int64), torch.ones(3, 9, dtype=torch.int64)
    texts, tokens = torch.export.Dim("texts"), torch.export.Dim("tokens", max=LONGEST)
    torch.onnx.export(
        model, (ids, mask), work / "float32.onnx", input_names=["ids", "mask"], output_names=["states"],
        dynamic_shapes=({0: texts, 1: tokens}, {0: texts, 1: tokens}), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    source, target = work / "float32.onnx", work / "int8.onnx"
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


class Plain(torch.nn.Module):
    """The encoder's layers, from tokens to their states."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States, shape [texts, tokens, D]."""
        return self.body(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]


def _session(folder: Path, graph: Path) -> Encode:
    import onnxruntime
    from tokenizers import Tokenizer

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()

    def encode(texts: Sequence[str], batch: int) -> FloatArray:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts = []
        for start in range(0, len(order), batch):
            read = tokenizer.encode_batch([texts[row] for row in order[start : start + batch]])
            ids, mask = (np.array([getattr(each, name) for each in read]) for name in ("ids", "attention_mask"))
            (states,) = session.run(None, {"ids": ids, "mask": mask})
            parts.append((states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))
        return unit_rows(np.concatenate(parts)[np.argsort(order)].astype(np.float32))

    return encode


def _opened(folder: Path) -> Any:  # noqa: ANN401 (sentence-transformers has no types)
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), local_files_only=True, device="cpu")


if __name__ == "__main__":
    main()
