"""The scoring path of a bundle as ONNX: from a history to the score of every item, for any runtime on any device.

Input `history` (int64, shape [n], catalogue positions, oldest first), output `scores` (float32, shape [I]). Recency
weights, state and scores are all within the graph, and item vectors stay quantised in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sottovoce.common.bundle import Published
from sottovoce.common.scoring import RECENCY

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPSET, IR_VERSION = 17, 8
"""Old enough for the runtimes of phones and browsers."""


def export_onnx(bundle: Published, path: Path) -> None:
    """Write the scoring path as one ONNX file that is either whole or not there."""
    import onnx

    model = scoring_graph(bundle)
    onnx.checker.check_model(model)
    unfinished = path.with_name(path.name + ".part")
    onnx.save(model, unfinished)
    unfinished.replace(path)


def scoring_graph(bundle: Published) -> ModelProto:
    """The graph s = K (Σ_j a_j F[h_j]) + b."""
    from onnx import TensorProto, helper, numpy_helper

    items, dimension = bundle.shape.items, bundle.shape.dimension
    constants, nodes = _constants(bundle), [*_weights(), *_vectors(bundle), *_scores()]
    graph = helper.make_graph(
        nodes,
        "sottovoce",
        [helper.make_tensor_value_info("history", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [items])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="sottovoce")
    facts = {"run": str(bundle.manifest.get("run", "")), "items": str(items), "dimension": str(dimension)}
    helper.set_model_props(model, facts)
    return model


def _constants(bundle: Published) -> dict[str, np.ndarray[Any, Any]]:
    constants: dict[str, np.ndarray[Any, Any]] = {
        **bundle.vectors.arrays,
        "b": bundle.b,
        "tau": np.array(RECENCY, np.float32)[:, None],
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "first_axis": np.array([0], np.int64),
        "last_axis": np.array([1], np.int64),
        "columns": np.array([1, 1, 1], np.int64),
        "alpha": np.array(bundle.shape.content_weight, np.float32),
    }
    if bundle.shape.mix:
        constants["directions"] = bundle.model.directions
    if not bundle.shape.tied:
        constants["content"] = bundle.model.vectors
    return constants


def _node(operation: str, inputs: str, output: str, **attributes: Any) -> NodeProto:  # noqa: ANN401 - as ONNX has them
    from onnx import helper

    return helper.make_node(operation, inputs.split(), output.split(), **attributes)


def _weights() -> list[NodeProto]:
    """The mean over τ of exp(-age / τ) / sqrt(Σ exp(-age / τ)), shape [1, n]."""
    return [
        _node("Shape", "history", "length"),
        _node("Squeeze", "length", "n"),
        _node("Sub", "zero n", "oldest"),
        _node("Range", "oldest zero one", "place"),
        _node("Add", "place one", "minus_age"),
        _node("Cast", "minus_age", "minus_age_f", to=1),
        _node("Div", "minus_age_f tau", "exponent"),
        _node("Exp", "exponent", "decay"),
        _node("ReduceSum", "decay last_axis", "total", keepdims=1),
        _node("Sqrt", "total", "length_of_state"),
        _node("Div", "decay length_of_state", "by_tau"),
        _node("ReduceMean", "by_tau", "weights", axes=[0], keepdims=1),
    ]


def _vectors(bundle: Published) -> list[NodeProto]:
    """F in float32, `vectors`; K, `k`; and what an item adds to a state, `rows`."""
    nodes = [
        _node("Split", "scale columns", "scale_lead scale_middle scale_rest", axis=1),
        *(
            node
            for part in ("lead", "middle", "rest")
            for node in (
                _node("Cast", part, f"{part}_f", to=1),
                _node("Mul", f"{part}_f scale_{part}", f"{part}_scaled"),
            )
        ),
        _node("Concat", "lead_scaled middle_scaled rest_scaled", "vectors", axis=1),
        _node("Gather", "vectors history" if bundle.shape.tied else "content history", "rows", axis=0),
    ]
    if bundle.shape.mix:
        return [*nodes, _node("Identity", "directions", "k")]
    return [*nodes, _node("Mul", "vectors alpha", "k")]


def _scores() -> list[NodeProto]:
    return [
        _node("MatMul", "weights rows", "state"),
        _node("Transpose", "k", "k_t", perm=[1, 0]),
        _node("MatMul", "state k_t", "liking"),
        _node("Squeeze", "liking first_axis", "liking_1d"),
        _node("Add", "liking_1d b", "scores"),
    ]
