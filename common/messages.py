"""What crosses the wire between the server and a node, and nothing else.

A request carries public numbers only: the release's name, the plan, the objective, the model. An answer carries one sum
(exact under `trust = server`, noised under `node` and `aggregate`) and the public facts that say what it belongs to.
A publication carries a signed bundle to a node (message type `query`), and a receipt says which one the node holds.
Everything is JSON or plain arrays; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sottovoce.common.errors import RequestRefusedError, SottovoceError, UpdateRefusedError
from sottovoce.common.privacy.ledger import Release
from sottovoce.common.privacy.plan import PrivacyPlan, check_plan
from sottovoce.common.scoring import HeadShape
from sottovoce.common.signature import SIGNED_FILES

PROTOCOL = 1
"""Refused if it differs."""

Arrays = dict[str, NDArray[np.float32]]
AtLeastOne = Annotated[int, Field(ge=1)]
LONGEST = 300
"""Characters of what a stranger sent that a text of ours repeats, or of a text that it may send."""

ShortText = Annotated[str, Field(max_length=LONGEST)]


@dataclass(frozen=True)
class Objective:
    """The loss that a node differentiates. Its numbers are bounded: no server may exhaust a node's memory by them.

    Attributes:
        loss: `softmax` or `sigmoid`.
        state: `items` (weighted item vectors) or `text` (the history rendered and encoded on the node).
        window: m, the last interactions of a user that the loss averages over.
        negatives: Sampled negatives per position of the sigmoid loss.
        candidates: Items that a round ranks; a smaller catalogue is ranked whole.
        popularity_length: k of the cap 1/√k on each entry of a user's histogram.
    """

    loss: Literal["softmax", "sigmoid"]
    state: Literal["items", "text"]
    window: Annotated[int, Field(ge=1, le=2_000)]
    negatives: Annotated[int, Field(ge=1, le=10_000)]
    candidates: Annotated[int, Field(ge=1, le=10**7)]
    popularity_length: Annotated[int, Field(ge=1, le=10**6)]


@dataclass(frozen=True)
class Request:
    """Asks a node for its part of one release.

    Attributes:
        release: Which release; its maker is whoever adds the noise.
        plan: The privacy plan.
        shape: Sizes of the head.
        objective: The loss.
        catalogue_sha256: The catalogue that the node must hold.
        space_sha256: Names encoder and projection, which the node must share.
        arrays: The head: `b` and the trained parameters; empty for the popularity release.
    """

    release: Release
    plan: PrivacyPlan
    shape: HeadShape
    objective: Objective
    catalogue_sha256: str
    space_sha256: str
    arrays: Arrays = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Binds a release to the plan and the model it was asked with."""
        return hashlib.sha256(self._json().encode() + pack(self.arrays)).hexdigest()

    def to_record(self) -> RecordDict:
        """The request as a Flower message's content."""
        return _record(self._json(), self.arrays)

    @classmethod
    def from_record(cls, record: RecordDict) -> Request:
        """Read and check a request.

        Raises:
            RequestRefusedError: it is malformed, or of another protocol.
        """
        try:
            text, arrays = _parts(record)
            body = _RequestBody.model_validate_json(text)
            check_plan(body.plan)
        except (SottovoceError, ValueError) as error:
            raise RequestRefusedError(f"malformed request: {_first_line(error)}") from error
        return cls(
            **{name: getattr(body, name) for name in _RequestBody.model_fields if name != "protocol"}, arrays=arrays
        )

    def _json(self) -> str:
        table = {
            "protocol": PROTOCOL,
            "release": asdict(self.release),
            "plan": self.plan.public(),
            "shape": asdict(self.shape),
            "objective": asdict(self.objective),
            "catalogue_sha256": self.catalogue_sha256,
            "space_sha256": self.space_sha256,
        }
        return json.dumps(table, sort_keys=True)


@dataclass(frozen=True)
class Answer:
    """A node's part of one release, or the public reason why there is none.

    Attributes:
        partition: The node's public place in the federation, which orders the sum.
        request_sha256: Hash of the request that it answers.
        catalogue_sha256: The catalogue that the node holds.
        space_sha256: Encoder and projection that the node holds.
        sums: The node's sums, by parameter.
        refusal: Why the node declines, from public input only; empty if it does not.
    """

    partition: int
    request_sha256: str
    catalogue_sha256: str
    space_sha256: str
    sums: Arrays = field(default_factory=dict)
    refusal: str = ""

    def to_record(self) -> RecordDict:
        """The answer as a Flower message's content."""
        table = {key: value for key, value in vars(self).items() if key != "sums"}
        return _record(json.dumps({"protocol": PROTOCOL, **table}, sort_keys=True), self.sums)

    @classmethod
    def from_record(cls, record: RecordDict) -> Answer:
        """Read an answer; what it says is checked against its request by `check_answer`.

        Raises:
            UpdateRefusedError: it is malformed, or of another protocol.
        """
        try:
            text, sums = _parts(record)
            body = _AnswerBody.model_validate_json(text)
        except ValueError as error:
            raise UpdateRefusedError(f"malformed answer: {_first_line(error)}") from error
        return cls(**{name: getattr(body, name) for name in _AnswerBody.model_fields if name != "protocol"}, sums=sums)


@dataclass(frozen=True)
class Publication:
    """A signed bundle on its way to a node; without files, the question which version the node holds.

    Attributes:
        federation: Whose bundle it is.
        version: Of the bundle, or the newest one that there is.
        files: Each file of a signed bundle by name; empty to ask only. What they say is for `verify_bundle` to check.
    """

    federation: str
    version: int
    files: dict[str, bytes] = field(default_factory=dict)

    def to_record(self) -> RecordDict:
        """The publication as a Flower message's content; files travel as arrays of bytes, in parts of Flower's size."""
        table = {"protocol": PROTOCOL, "federation": self.federation, "version": self.version}
        files = {name: np.frombuffer(content, np.uint8) for name, content in self.files.items()}
        return _record(json.dumps(table, sort_keys=True), files)

    @classmethod
    def from_record(cls, record: RecordDict) -> Publication:
        """Read a publication.

        Raises:
            RequestRefusedError: it is malformed, or of another protocol.
        """
        try:
            text, arrays = _parts(record, "uint8")
            body = _PublicationBody.model_validate_json(text)
            if arrays and set(arrays) != set(SIGNED_FILES):
                raise ValueError("not the files of a signed bundle")
        except ValueError as error:
            raise RequestRefusedError(f"malformed publication: {_first_line(error)}") from error
        return cls(body.federation, body.version, {name: array.tobytes() for name, array in arrays.items()})


@dataclass(frozen=True)
class Receipt:
    """What a node says to a publication.

    Attributes:
        version: The newest bundle that the node holds after it; zero if it holds none.
        refusal: Why the node did not take what it was sent, from public input only; empty if it did or was asked only.
    """

    version: int
    refusal: str = ""

    def to_record(self) -> RecordDict:
        """The receipt as a Flower message's content."""
        return _record(json.dumps({"protocol": PROTOCOL, **vars(self)}, sort_keys=True), {})

    @classmethod
    def from_record(cls, record: RecordDict) -> Receipt:
        """Read a receipt.

        Raises:
            UpdateRefusedError: it is malformed, or of another protocol.
        """
        try:
            body = _ReceiptBody.model_validate_json(_parts(record)[0])
        except ValueError as error:
            raise UpdateRefusedError(f"malformed receipt: {_first_line(error)}") from error
        return cls(body.version, body.refusal)


class _RequestBody(BaseModel):
    """The form of a request's JSON: other keys, types and ranges are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    protocol: Literal[1]
    release: Release
    plan: PrivacyPlan
    shape: HeadShape
    objective: Objective
    catalogue_sha256: str
    space_sha256: str


class _AnswerBody(BaseModel):
    """The form of an answer's JSON; what it says may end in a log, and is as short as that."""

    model_config = ConfigDict(strict=True, extra="forbid")

    protocol: Literal[1]
    partition: Annotated[int, Field(ge=0, lt=2**32)]
    request_sha256: ShortText
    catalogue_sha256: ShortText
    space_sha256: ShortText
    refusal: ShortText


class _PublicationBody(BaseModel):
    """The form of a publication's JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")

    protocol: Literal[1]
    federation: str
    version: AtLeastOne


class _ReceiptBody(BaseModel):
    """The form of a receipt's JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")

    protocol: Literal[1]
    version: Annotated[int, Field(ge=0)]
    refusal: Annotated[str, Field(max_length=200)]


def check_answer(answer: Answer, request: Request, shapes: dict[str, tuple[int, ...]]) -> Answer:
    """Refuse an answer that is not a finite sum of the right shapes for this very request.

    Raises:
        UpdateRefusedError: says what differs.
    """
    if answer.refusal:
        raise UpdateRefusedError(f"declined: {quoted(answer.refusal)}")
    if answer.catalogue_sha256 != request.catalogue_sha256:
        raise UpdateRefusedError("holds another catalogue")
    if answer.space_sha256 != request.space_sha256:
        raise UpdateRefusedError("holds another encoder or projection")
    if answer.request_sha256 != request.sha256:
        raise UpdateRefusedError("answers another request")
    given = {name: array.shape for name, array in answer.sums.items()}
    if given != shapes:
        raise UpdateRefusedError(f"wrong shape: {quoted(str(given))} instead of {shapes}")
    if not all(np.isfinite(array).all() for array in answer.sums.values()):
        raise UpdateRefusedError("a value is NaN or infinite")
    return answer


def sum_shapes(shape: HeadShape, objective: Objective, name: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the sums that a release called `name` consists of."""
    if name == "popularity":
        return {"popularity": (shape.items,)}
    block = min(objective.candidates, shape.items)
    return {part: (block, size[1]) if part == "V" else size for part, size in shape.trained.items()}


def round_candidates(release: Release, items: int, count: int) -> NDArray[np.int64]:
    """The public block of items that a round ranks: the whole catalogue, or a random part that the release names."""
    if count >= items:
        return np.arange(items)
    named = f"{release.population}/{release.run}/{release.round}"
    seed = int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "little")
    return np.sort(np.random.default_rng(seed).choice(items, count, replace=False))


def wire_bytes(record: RecordDict) -> int:
    """How many bytes of content a message carries."""
    arrays = sum(len(array.data) for part in record.array_records.values() for array in part.values())
    return arrays + sum(len(str(value)) for part in record.config_records.values() for value in part.values())


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Arrays as bytes, in one defined order: what is persisted, hashed and counted."""
    return bytes(save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}))


def unpack(payload: bytes) -> Arrays:
    """Read what `pack` wrote.

    Raises:
        UpdateRefusedError: the bytes are damaged.
    """
    try:
        return cast(Arrays, load(payload))
    except (SafetensorError, ValueError) as error:
        raise UpdateRefusedError(f"damaged arrays: {error}") from error


def _record(text: str, arrays: Mapping[str, NDArray[np.generic]]) -> RecordDict:
    record = ArrayRecord({name: Array(np.ascontiguousarray(array)) for name, array in arrays.items()})
    return RecordDict({"json": ConfigRecord({"json": text}), "arrays": record})


def _parts(record: RecordDict, dtype: str = "float32") -> tuple[str, dict[str, Any]]:
    """The JSON text and the arrays of a message.

    Raises:
        ValueError: a part is missing, or an array is not of `dtype`.
    """
    try:
        text = str(record.config_records["json"]["json"])
        return text, {name: _values(array, dtype) for name, array in record.array_records["arrays"].items()}
    except Exception as error:  # on hostile bytes NumPy raises a dozen kinds, MemoryError and SyntaxError among them
        raise ValueError(f"its parts cannot be read ({type(error).__name__})") from error


def _values(array: Array, dtype: str) -> NDArray[np.generic]:
    """The values, in the bytes that came: what a header promises and the bytes do not hold is never allocated."""
    file = io.BytesIO(array.data)
    if (array.stype, array.dtype) != ("numpy.ndarray", dtype) or np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"arrays travel as {dtype}")
    shape, by_column, found = np.lib.format.read_array_header_1_0(file)
    start = file.tell()
    if found != dtype or min(shape, default=0) < 0 or found.itemsize * math.prod(shape) != len(array.data) - start:
        raise ValueError(f"arrays travel as {dtype}")
    values: NDArray[np.generic] = np.frombuffer(array.data, dtype, offset=start)
    return values.reshape(shape, order="F" if by_column else "C")


def quoted(text: str) -> str:
    """A stranger's text as it may stand in one line of a log: short, and without a control character."""
    kept = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:LONGEST])
    return kept + "…" * (len(text) > LONGEST)


def _first_line(error: Exception) -> str:
    """What went wrong, in one line; Pydantic tells of the first of several faults by its place."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"speaks another protocol than {PROTOCOL}" if place == "protocol" else quoted(f"{place}: {first['msg']}")
    return quoted(str(error))
