"""Whatever lies on the server's disk or comes over its wire, it is read whole or refused in one line."""

from __future__ import annotations

import dataclasses
import logging
import resource
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import tomli_w
from federation import (
    ITEMS,
    LocalGrid,
    Reply,
    catalogue,
    honest,
    make_config,
    make_federation,
    random_head,
    random_histories,
    space,
)
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.client.node import Node
from sottovoce.common.bundle import load_bundle, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.config import load_config
from sottovoce.common.errors import DataError, LedgerError, SottovoceError, UpdateRefusedError
from sottovoce.common.messages import Answer
from sottovoce.common.privacy.accounting import ReleaseEvent
from sottovoce.common.privacy.ledger import SERVER, Ledger, Release
from sottovoce.common.runfolder import RunFolder
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.checkpoint import Checkpoint, RoundRecord, Store
from sottovoce.server.strategy import Released

RELEASE = Release("people", "run", 1, "head", SERVER)
EVENT = ReleaseEvent("head", 1.0, 1.0, 1)


@cache
def folder() -> RunFolder:
    """A run folder with one of everything."""
    made = RunFolder(Path(mkdtemp(prefix="sottovoce-hostile-")))
    store = Store(made)
    store.save(Checkpoint("run", 2, random_head(), {"mean.V": np.ones((ITEMS, 4), np.float32)}))
    store.add(RoundRecord("head", 1, 0.5, 2, 10, 20))
    ledger = Ledger(made.ledger)
    ledger.open(RELEASE, EVENT, "hash", "os", 99.0, 1e-5)
    ledger.persist(RELEASE, Released({"V": np.ones((3, 2), np.float32)}, 2, 10, 20).pack())
    make_config().resolve(100).save(made.config_file)
    space().save(made.path / "items.safetensors")
    catalogue().save(made.path / "catalogue.json")
    write_bundle(made.bundle, catalogue(), made.path / "items.safetensors", random_head(), "card", {"state": "items"})
    return made


def read_ledger(path: Path) -> None:
    ledger = Ledger(path)
    ledger.epsilon(1e-5)
    made = ledger.open(RELEASE, EVENT, "hash", "os", 99.0, 1e-5)
    if made is not None:
        assert Released.unpack(made).nodes == 2


def read_bundle(path: Path) -> None:
    load_bundle(path.parent if path.name == "manifest.json" else path)


READERS: dict[str, tuple[Callable[[RunFolder], Path], Callable[[Path], object]]] = {
    "checkpoint": (lambda made: made.checkpoint, lambda path: Store(RunFolder(path.parent.parent)).load()),
    "rounds": (lambda made: made.rounds, lambda path: Store(RunFolder(path.parent)).records()),
    "ledger": (lambda made: made.ledger, read_ledger),
    "config": (lambda made: made.config_file, lambda path: load_config(path).plan()),
    "items": (lambda made: made.path / "items.safetensors", ItemSpace.load),
    "catalogue": (lambda made: made.path / "catalogue.json", Catalogue.load),
    "manifest": (lambda made: made.bundle / "manifest.json", read_bundle),
}


def is_refused_in_one_line(read: Callable[[], object]) -> bool:
    """Whether it is refused; anything but a refusal on purpose is a defect and surfaces."""
    try:
        read()
    except SottovoceError as error:
        assert str(error)
        assert len(str(error)) < 2000
        return True
    return False


@pytest.mark.parametrize("what", READERS)
@settings(max_examples=100)
@given(st.floats(0, 1), st.binary(max_size=40), st.integers(0, 200), st.booleans())
def test_a_damaged_file_is_read_or_refused(what: str, place: float, inserted: bytes, removed: int, cut: bool) -> None:
    find, read = READERS[what]
    path = find(folder())
    whole = path.read_bytes()
    at = int(place * len(whole))
    try:
        path.write_bytes(whole[:at] if cut else whole[:at] + inserted + whole[at + removed :])
        is_refused_in_one_line(lambda: read(path))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("what", [name for name in READERS if name != "ledger"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 5000, b"\xff\xfe", b"[" * 100_000, b"a = " + b"[" * 100_000, b'{"a":' * 50_000, b"nan", b"[{}]"],
    ids=["empty", "zeros", "no text", "deep", "deep toml", "deep object", "nan", "object"],
)
def test_a_file_of_rubbish_is_refused(what: str, content: bytes) -> None:
    find, read = READERS[what]
    path = find(folder())
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        refused = is_refused_in_one_line(lambda: read(path))
        assert refused or what == "config"
    finally:
        path.write_bytes(whole)


NUMBERS = st.sampled_from(
    [0, -1, 1, 10**400, -(10**400), 2**63, float("nan"), float("inf"), 1e308, 5e-324, True, "x", []]
)
PLACES = [
    (section, key)
    for section, values in make_config().resolve(100).model_dump(exclude_none=True).items()
    if isinstance(values, dict)
    for key in values
]


@settings(max_examples=300)
@given(st.sampled_from(PLACES), NUMBERS)
def test_any_value_of_any_setting_makes_a_plan_or_is_refused(place: tuple[str, str], value: Any) -> None:  # noqa: ANN401
    section, key = place
    table = make_config().resolve(100).model_dump(mode="json", exclude_none=True)
    table[section][key] = value
    path = folder().path / "fuzzed.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    is_refused_in_one_line(lambda: load_config(path).resolve(100).plan())


@pytest.mark.parametrize(
    "change",
    [
        lambda head: dataclasses.replace(head, parameters={}),
        lambda head: dataclasses.replace(head, b=head.b[:-1]),
        lambda head: dataclasses.replace(head, b=np.full_like(head.b, np.nan)),
        lambda head: dataclasses.replace(head, b=head.b.astype(np.float64)),
    ],
    ids=["part missing", "short", "NaN", "double"],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    store = Store(RunFolder(tmp_path))
    store.save(Checkpoint("run", 1, change(random_head()), {}))
    with pytest.raises(DataError, match="not a checkpoint"):
        store.load()


def test_released_bytes_that_changed_in_the_ledger_are_not_used(tmp_path: Path) -> None:
    import sqlite3

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.open(RELEASE, EVENT, "hash", "os", 99.0, 1e-5)
    ledger.persist(RELEASE, b"noised")
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("UPDATE release SET payload = x'00'")
    with pytest.raises(LedgerError, match="not those that were written"):
        ledger.open(RELEASE, EVENT, "hash", "os", 99.0, 1e-5)


# --- the wire ------------------------------------------------------------------------------------------------------


def forged(refusal: str = "", name: str = "V", data: bytes | None = None) -> RecordDict:
    answer = Answer(0, "h", "c", "s", {name: np.zeros((2, 2), np.float32)}, refusal)
    record = answer.to_record()
    if data is None:
        return record
    arrays = ArrayRecord({name: Array("float32", (2, 2), "numpy.ndarray", data)})
    return RecordDict({"json": record.config_records["json"], "arrays": arrays})


FORGERIES: dict[str, RecordDict] = {
    "newline in a reason": forged(refusal="no\nERROR server: budget reset"),
    "escape in a reason": forged(refusal="\x1b[2J\x1b[31m"),
    "long reason": forged(refusal="x" * 1_000_000),
    "name with lines": forged(name="V\nWARNING a\nWARNING b"),
    "long name": forged(name="V" * 100_000),
    "many arrays": RecordDict(
        {
            "json": forged().config_records["json"],
            "arrays": ArrayRecord({f"V{n}": Array(np.zeros(1, np.float32)) for n in range(3000)}),
        }
    ),
    "strange key": RecordDict(
        {"json": ConfigRecord({"json": '{"protocol": 1, "a\\nb' + "x" * 10_000 + '": 1}'}), "arrays": ArrayRecord({})}
    ),
    "huge place": RecordDict(
        {"json": ConfigRecord({"json": '{"protocol": 1, "partition": ' + "9" * 5000 + "}"}), "arrays": ArrayRecord({})}
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_answer_leaves_one_short_line_in_the_log(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    def replies(nodes: list[Node]) -> list[Reply]:
        return [honest(nodes[0]), lambda request, _: FORGERIES[what]]

    made = make_federation(tmp_path, random_histories(40), make_config(), replies)
    assert isinstance(made.grid, LocalGrid)
    with caplog.at_level(logging.WARNING):
        made.release("popularity", 0, {})
    [line] = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert line.isprintable()
    assert len(line) < 600
    assert "node 2 refused" in line


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(20)


@pytest.mark.parametrize("shape", ["(300000000,)", "(99999999999,)", "(5, -1)", "(-5, -1)", "(2,)", "(5, 1, 0)"])
def test_a_header_that_promises_more_than_there_is_costs_no_memory(shape: str) -> None:
    tracemalloc.start()
    with pytest.raises(UpdateRefusedError):
        Answer.from_record(forged(data=header(shape)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


def test_refusing_again_and_again_keeps_nothing() -> None:
    """A node that sends rubbish for ever must not fill the server's memory."""

    def refuse(times: int) -> None:
        for _ in range(times):
            for record in (FORGERIES["long name"], FORGERIES["strange key"], forged(data=bytes(1000))):
                with pytest.raises(UpdateRefusedError):
                    Answer.from_record(record)
                    raise UpdateRefusedError("read, and refused later")

    refuse(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refuse(300)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
