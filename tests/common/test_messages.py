"""What crosses the wire comes back as it was sent; whatever else arrives is refused, and nothing is unpickled."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sottovoce.common.errors import RequestRefusedError, UpdateRefusedError
from sottovoce.common.messages import (
    PROTOCOL,
    Answer,
    Arrays,
    Objective,
    Publication,
    Receipt,
    Request,
    check_answer,
    pack,
    round_candidates,
    sum_shapes,
    unpack,
    wire_bytes,
)
from sottovoce.common.privacy.ledger import Release
from sottovoce.common.privacy.plan import Trust, make_plan
from sottovoce.common.scoring import HeadShape
from sottovoce.common.signature import SIGNED_FILES

SHAPE = HeadShape(items=5, dimension=3, rank=2, mix=2, content_weight=4.0)
OBJECTIVE = Objective("softmax", "items", 20, 32, 4, 20)
HEAD: Arrays = {
    "b": np.linspace(-1, 1, 5, dtype=np.float32),
    "V": np.arange(10, dtype=np.float32).reshape(5, 2),
    "W": np.array([[0, 1e-30], [np.float32(1) / 3, -7]], dtype=np.float32),
}
REQUEST = Request(
    Release("readers", "run-1", 3, "head", "server"),
    make_plan(trust=Trust.SERVER, target_epsilon=8.0, delta=1e-5, population=943, clip_norm=0.1, rounds=8),
    SHAPE,
    OBJECTIVE,
    "catalogue",
    "space",
    HEAD,
)
ANSWER = Answer(2, REQUEST.sha256, "catalogue", "space", {"V": np.ones((4, 2), np.float32), "W": HEAD["W"]})
READERS = [
    pytest.param(Request.from_record, REQUEST, RequestRefusedError, id="request"),
    pytest.param(Answer.from_record, ANSWER, UpdateRefusedError, id="answer"),
]
Reader = Callable[[RecordDict], Request | Answer]
Refusal = type[RequestRefusedError] | type[UpdateRefusedError]


def table_of(message: Request | Answer) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(str(message.to_record().config_records["json"]["json"]))
    return table


def record(table: object, arrays: dict[str, Array]) -> RecordDict:
    text = table if isinstance(table, str | bytes | int | list) else json.dumps(table)
    return RecordDict({"json": ConfigRecord({"json": text}), "arrays": ArrayRecord(arrays)})


def arrays_of(message: Request | Answer) -> dict[str, Array]:
    return dict(message.to_record().array_records["arrays"].items())


def npy(array: NDArray[Any], pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def npz(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(20)


def same_arrays(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_request_comes_back_as_it_was_sent() -> None:
    read = Request.from_record(REQUEST.to_record())
    assert dataclasses.replace(read, arrays={}) == dataclasses.replace(REQUEST, arrays={})
    assert same_arrays(read.arrays, REQUEST.arrays)
    assert read.sha256 == REQUEST.sha256
    assert read.plan.sha256 == REQUEST.plan.sha256


def test_a_request_without_privacy_comes_back_too() -> None:
    """Its budget and its clip norm are infinite, which JSON proper has no word for."""
    plan = make_plan(
        trust=Trust.NONE, target_epsilon=np.inf, delta=1e-5, population=943, clip_norm=np.inf, rounds=8, seed=3
    )
    sent = dataclasses.replace(REQUEST, plan=plan)
    read = Request.from_record(sent.to_record())
    assert read.plan == plan
    assert read.sha256 == sent.sha256


def test_an_answer_comes_back_as_it_was_sent() -> None:
    read = Answer.from_record(ANSWER.to_record())
    assert dataclasses.replace(read, sums={}) == dataclasses.replace(ANSWER, sums={})
    assert same_arrays(read.sums, ANSWER.sums)
    refused = Answer(0, "", "c", "s", refusal="no such release")
    assert Answer.from_record(refused.to_record()) == refused


def test_a_strided_array_travels_too() -> None:
    sums = {"V": np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::3]}
    read = Answer.from_record(dataclasses.replace(ANSWER, sums=sums).to_record())
    np.testing.assert_array_equal(read.sums["V"], sums["V"])


CHANGES: dict[str, Request] = {
    "release": dataclasses.replace(REQUEST, release=dataclasses.replace(REQUEST.release, round=4)),
    "plan": dataclasses.replace(
        REQUEST,
        plan=make_plan(trust=Trust.NODE, target_epsilon=8.0, delta=1e-5, population=943, clip_norm=0.1, rounds=8),
    ),
    "shape": dataclasses.replace(REQUEST, shape=dataclasses.replace(SHAPE, content_weight=4.5)),
    "objective": dataclasses.replace(REQUEST, objective=dataclasses.replace(OBJECTIVE, window=19)),
    "catalogue": dataclasses.replace(REQUEST, catalogue_sha256="other"),
    "space": dataclasses.replace(REQUEST, space_sha256="other"),
    "value": dataclasses.replace(REQUEST, arrays={**HEAD, "b": np.nextafter(HEAD["b"], np.float32(9))}),
    "name": dataclasses.replace(REQUEST, arrays={"b": HEAD["b"], "V": HEAD["V"], "X": HEAD["W"]}),
    "form": dataclasses.replace(REQUEST, arrays={**HEAD, "V": HEAD["V"].reshape(2, 5)}),
    "less": dataclasses.replace(REQUEST, arrays={"b": HEAD["b"]}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_hash_binds_plan_and_model(what: str) -> None:
    others = {name: request.sha256 for name, request in CHANGES.items() if name != what}
    assert CHANGES[what].sha256 not in {REQUEST.sha256, *others.values()}


def test_the_hash_knows_no_order_of_arrays() -> None:
    turned = dataclasses.replace(REQUEST, arrays=dict(reversed(HEAD.items())))
    assert turned.sha256 == REQUEST.sha256
    assert pack(turned.arrays) == pack(HEAD)


@pytest.mark.parametrize(("read", "message", "refusal"), READERS)
@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"text"', "{}", "NaN", b"{}", 7, [1, 2], "[" * 100_000],
    ids=lambda text: str(text)[:8],
)
def test_what_is_no_json_object_is_refused(read: Reader, message: Request, refusal: Refusal, text: object) -> None:
    with pytest.raises(refusal):
        read(record(text, arrays_of(message)))


@pytest.mark.parametrize(("read", "message", "refusal"), READERS)
def test_a_record_without_its_parts_is_refused(read: Reader, message: Request, refusal: Refusal) -> None:
    whole = message.to_record()
    for keys in ([], ["json"], ["arrays"]):
        with pytest.raises(refusal):
            read(RecordDict({key: whole[key] for key in keys}))
    with pytest.raises(refusal):
        read(RecordDict({"json": ConfigRecord({}), "arrays": whole["arrays"]}))
    with pytest.raises(refusal):
        read(RecordDict({"json": whole["arrays"], "arrays": whole["json"]}))


@pytest.mark.parametrize(("read", "message", "refusal"), READERS)
def test_a_missing_key_is_refused(read: Reader, message: Request, refusal: Refusal) -> None:
    table = table_of(message)
    for key in table:
        with pytest.raises(refusal):
            read(record({name: value for name, value in table.items() if name != key}, arrays_of(message)))


@pytest.mark.parametrize(("read", "message", "refusal"), READERS)
@pytest.mark.parametrize("protocol", [PROTOCOL + 1, 0, None, "1", [PROTOCOL]])
def test_another_protocol_is_refused(read: Reader, message: Request, refusal: Refusal, protocol: object) -> None:
    with pytest.raises(refusal, match="another protocol"):
        read(record({**table_of(message), "protocol": protocol}, arrays_of(message)))


BROKEN: dict[str, Array] = {
    "double": Array(np.zeros(5)),
    "integer": Array(np.zeros(5, np.int32)),
    "double said to be single": Array("float32", (5,), "numpy.ndarray", npy(np.zeros(5))),
    "single said to be double": Array("float64", (5,), "numpy.ndarray", npy(np.zeros(5, np.float32))),
    "pickled": Array("float32", (1,), "numpy.ndarray", npy(np.array([{}], dtype=object), pickled=True)),
    "raw pickle": Array("float32", (1,), "numpy.ndarray", b"\x80\x04]."),
    "another serialisation": Array("float32", (5,), "torch.Tensor", npy(np.zeros(5, np.float32))),
    "truncated": Array("float32", (5,), "numpy.ndarray", npy(np.zeros(5, np.float32))[:-1]),
    "header alone": Array("float32", (5,), "numpy.ndarray", npy(np.zeros(5, np.float32))[:40]),
    "empty": Array("float32", (5,), "numpy.ndarray", b""),
    "zip's first bytes": Array("float32", (5,), "numpy.ndarray", b"PK\x03\x04 and no more"),
    "zip": Array("float32", (5,), "numpy.ndarray", npz(np.zeros(5, np.float32))),
    "larger than any memory": Array("float32", (5,), "numpy.ndarray", header("(99999999999999,)")),
    "larger than any integer": Array("float32", (5,), "numpy.ndarray", header("(99999999999999999999999999,)")),
    "negative": Array("float32", (5,), "numpy.ndarray", header("(-5,)")),
    "code": Array("float32", (5,), "numpy.ndarray", header("(exit(),)")),
    "object descriptor": Array("float32", (5,), "numpy.ndarray", header("(5,)", "'|O'")),
}


@pytest.mark.parametrize(("read", "message", "refusal"), READERS)
@pytest.mark.parametrize("what", BROKEN)
def test_another_array_is_refused(read: Reader, message: Request, refusal: Refusal, what: str) -> None:
    name, *_ = arrays_of(message)
    with pytest.raises(refusal):
        read(record(table_of(message), {**arrays_of(message), name: BROKEN[what]}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("release", "round"), "3"),
        (("release", "population"), [1]),
        (("shape", "items"), "5"),
        (("shape", "items"), -5),
        (("shape", "rank"), 1.5),
        (("shape", "content_weight"), float("nan")),
        (("objective", "window"), None),
        (("objective", "window"), 0),
        (("objective", "loss"), "hinge"),
        (("plan", "seed"), "0"),
        (("plan", "head", "clip_norm"), 10**400),
        (("plan", "head", "count"), 1.5),
        (("plan", "target_epsilon"), 10**400),
        (("catalogue_sha256",), None),
    ],
    ids=lambda part: str(part)[:40],
)
def test_a_request_of_other_types_is_refused(path: tuple[str, ...], value: object) -> None:
    """Refused here, in one place: else it comes out of a node as a fault of its own."""
    table = table_of(REQUEST)
    with pytest.raises(RequestRefusedError):
        Request.from_record(record(_with(table, path, value), arrays_of(REQUEST)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("plan", "popularity", "clip_norm"), 1e-3),
        (("plan", "popularity", "name"), "head"),
        (("plan", "head", "name"), "popularity"),
    ],
    ids=str,
)
def test_a_plan_cannot_lie_about_a_histograms_norm(path: tuple[str, ...], value: object) -> None:
    """A user's histogram has a norm of up to one, whatever the plan says: noise of σ × 0.001 would protect nobody."""
    plan = make_plan(trust=Trust.NODE, target_epsilon=8.0, delta=1e-5, population=943, clip_norm=0.1, rounds=8)
    table = table_of(dataclasses.replace(REQUEST, plan=plan))
    Request.from_record(record(table, arrays_of(REQUEST)))
    with pytest.raises(RequestRefusedError):
        Request.from_record(record(_with(table, path, value), arrays_of(REQUEST)))


@pytest.mark.parametrize("partition", [None, "x", [], float("nan"), float("inf"), -1])
def test_an_answer_from_no_place_is_refused(partition: object) -> None:
    with pytest.raises(UpdateRefusedError):
        Answer.from_record(record({**table_of(ANSWER), "partition": partition}, arrays_of(ANSWER)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def _paths(tree: object) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return [()]
    return [(key, *path) for key, branch in tree.items() for path in [(), *_paths(branch)]]


def _with(tree: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    key, *rest = path
    return {**tree, key: _with(tree[key], tuple(rest), value) if rest else value}


@settings(max_examples=250)
@given(st.sampled_from(_paths(table_of(REQUEST))), JSON)
def test_any_request_is_read_whole_or_refused(path: tuple[str, ...], value: object) -> None:
    try:
        read = Request.from_record(record(_with(table_of(REQUEST), path, value), arrays_of(REQUEST)))
    except RequestRefusedError:
        return
    assert Request.from_record(read.to_record()).sha256 == read.sha256


@settings(max_examples=100)
@given(st.sampled_from(_paths(table_of(ANSWER))), JSON)
def test_any_answer_is_read_whole_or_refused(path: tuple[str, ...], value: object) -> None:
    try:
        read = Answer.from_record(record(_with(table_of(ANSWER), path, value), arrays_of(ANSWER)))
    except UpdateRefusedError:
        return
    assert all(isinstance(getattr(read, key), str) for key in ("request_sha256", "catalogue_sha256", "space_sha256"))


@settings(max_examples=250)
@given(st.integers(0, 147), st.binary(max_size=12), st.integers(0, 12))
def test_any_bytes_are_float32_or_refused(place: int, inserted: bytes, removed: int) -> None:
    whole = npy(HEAD["b"])
    damaged = Array("float32", (5,), "numpy.ndarray", whole[:place] + inserted + whole[place + removed :])
    for read, message, refusal in ((Request.from_record, REQUEST, RequestRefusedError),
                                   (Answer.from_record, ANSWER, UpdateRefusedError)):  # fmt: skip
        name, *_ = arrays_of(message)
        try:
            taken = read(record(table_of(message), {**arrays_of(message), name: damaged}))
        except refusal:
            continue
        arrays = taken.arrays if isinstance(taken, Request) else taken.sums
        assert arrays[name].dtype == np.float32


SHAPES = sum_shapes(SHAPE, OBJECTIVE, "head")


def test_an_answer_to_this_very_request_is_taken() -> None:
    assert check_answer(ANSWER, REQUEST, SHAPES) is ANSWER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refusal": "the owner's budget does not allow this release"}, "declined: the owner's budget"),
        ({"catalogue_sha256": "other"}, "another catalogue"),
        ({"space_sha256": "other"}, "another encoder or projection"),
        ({"request_sha256": CHANGES["plan"].sha256}, "another request"),
        ({"sums": {}}, "wrong shape"),
        ({"sums": {"V": ANSWER.sums["V"]}}, "wrong shape"),
        ({"sums": {**ANSWER.sums, "X": HEAD["b"]}}, "wrong shape"),
        ({"sums": {**ANSWER.sums, "V": np.zeros((5, 2), np.float32)}}, "wrong shape"),
        ({"sums": {**ANSWER.sums, "V": np.zeros(8, np.float32)}}, "wrong shape"),
        ({"sums": {**ANSWER.sums, "W": np.full((2, 2), np.nan, np.float32)}}, "NaN or infinite"),
        ({"sums": {**ANSWER.sums, "W": np.array([[0, 0], [0, -np.inf]], np.float32)}}, "NaN or infinite"),
    ],
)
def test_another_answer_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UpdateRefusedError, match=reason):
        check_answer(dataclasses.replace(ANSWER, **changes), REQUEST, SHAPES)


@pytest.mark.parametrize(
    ("shape", "candidates", "name", "expected"),
    [
        (SHAPE, 4, "popularity", {"popularity": (5,)}),
        (SHAPE, 4, "head", {"V": (4, 2), "W": (2, 2)}),
        (SHAPE, 9, "head", {"V": (5, 2), "W": (2, 2)}),
        (dataclasses.replace(SHAPE, rank=0), 9, "head", {"W": (2, 2)}),
        (dataclasses.replace(SHAPE, rank=0, mix=0), 9, "head", {}),
    ],
)
def test_shapes_of_sums(shape: HeadShape, candidates: int, name: str, expected: dict[str, tuple[int, ...]]) -> None:
    assert sum_shapes(shape, dataclasses.replace(OBJECTIVE, candidates=candidates), name) == expected


def test_a_rounds_candidates_are_public_and_the_same_for_everybody() -> None:
    release = Release("readers", "run-1", 3, "head", "server")
    block = round_candidates(release, 1000, 50)
    assert (np.diff(block) > 0).all()
    assert len(block) == 50
    assert block[0] >= 0
    assert block[-1] < 1000
    np.testing.assert_array_equal(block, round_candidates(dataclasses.replace(release, maker="node-7"), 1000, 50))
    for other in ({"round": 4}, {"run": "run-2"}, {"population": "viewers"}):
        changed = round_candidates(dataclasses.replace(release, **other), 1000, 50)
        assert not np.array_equal(block, changed)


def test_every_item_has_its_rounds() -> None:
    rounds = [round_candidates(Release("p", "r", number, "head", "server"), 100, 20) for number in range(200)]
    counts = np.bincount(np.concatenate(rounds), minlength=100)
    assert (np.abs(counts - 40) < 5 * np.sqrt(40 * 0.8)).all()


@pytest.mark.parametrize("count", [5, 6, 20_000])
def test_a_small_catalogue_is_ranked_whole(count: int) -> None:
    np.testing.assert_array_equal(round_candidates(REQUEST.release, 5, count), np.arange(5))


def test_packed_arrays_come_back_and_damaged_ones_are_refused() -> None:
    assert same_arrays(unpack(pack(HEAD)), HEAD)
    assert unpack(pack({})) == {}
    for payload in (b"", b"\x00" * 8, pack(HEAD)[:-1], b"\xff" * 200, pack(HEAD) + b"\x00"):
        with pytest.raises(UpdateRefusedError, match="damaged arrays"):
            unpack(payload)


def test_bytes_on_the_wire_are_those_of_the_content() -> None:
    sent = REQUEST.to_record()
    text = len(str(sent.config_records["json"]["json"]))
    values = sum(array.nbytes for array in HEAD.values())
    assert text + values < wire_bytes(sent) <= text + values + 3 * 128


FILES = {name: f"content of {name}".encode() for name in SIGNED_FILES}


@pytest.mark.parametrize("files", [{}, FILES, {**FILES, "MODEL_CARD.md": b""}])
def test_a_publication_comes_back_as_it_was_sent(files: dict[str, bytes]) -> None:
    sent = Publication("readers", 7, files)
    assert Publication.from_record(sent.to_record()) == sent


@pytest.mark.parametrize("receipt", [Receipt(0), Receipt(7), Receipt(6, "not signed by this federation")])
def test_a_receipt_comes_back_as_it_was_sent(receipt: Receipt) -> None:
    assert Receipt.from_record(receipt.to_record()) == receipt


@pytest.mark.parametrize("name", ["../manifest.json", "model.pkl", "/etc/passwd"])
def test_a_publication_with_another_file_is_refused(name: str) -> None:
    for files in ({name: b"x"}, {**FILES, name: b"x"}):
        with pytest.raises(RequestRefusedError, match="not the files of a signed bundle"):
            Publication.from_record(Publication("readers", 7, files).to_record())


@pytest.mark.parametrize(
    "table",
    [
        {"protocol": 2, "federation": "readers", "version": 1},
        {"protocol": 1, "federation": "readers", "version": 0},
        {"protocol": 1, "federation": "readers", "version": "1"},
        {"protocol": 1, "version": 1},
        {"protocol": 1, "federation": "readers", "version": 1, "more": 1},
    ],
)
def test_a_malformed_publication_is_refused(table: dict[str, Any]) -> None:
    record = RecordDict({"json": ConfigRecord({"json": json.dumps(table)}), "arrays": ArrayRecord()})
    with pytest.raises(RequestRefusedError, match="malformed publication"):
        Publication.from_record(record)


@pytest.mark.parametrize("table", [{"protocol": 1, "version": -1, "refusal": ""}, {"protocol": 1}, {}, []])
def test_a_malformed_receipt_is_refused(table: Any) -> None:  # noqa: ANN401
    record = RecordDict({"json": ConfigRecord({"json": json.dumps(table)}), "arrays": ArrayRecord()})
    with pytest.raises(UpdateRefusedError, match="malformed receipt"):
        Receipt.from_record(record)


def test_a_file_travels_as_bytes_and_nothing_else() -> None:
    record = Publication("readers", 7, FILES).to_record()
    record.array_records["arrays"]["manifest.json"] = Array(np.ones(3, np.float32))
    with pytest.raises(RequestRefusedError, match="malformed publication"):
        Publication.from_record(record)
