"""A deployed node trains from its home, declines what its owner does not allow, and takes signed models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import FEDERATION, files_of, joined_home, signed_bundle
from federation import make_request, random_head, space
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.client.app import receive, train
from sottovoce.client.deployed import deployed_node
from sottovoce.client.histories import HistoryStore
from sottovoce.client.home import Home
from sottovoce.client.owner import Conditions, Owner
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.history import Histories
from sottovoce.common.messages import Answer, Publication, Receipt, Request
from sottovoce.common.privacy.ledger import Release
from sottovoce.common.privacy.plan import PrivacyPlan, Trust, make_plan
from sottovoce.common.signature import SigningKey

KEY = SigningKey.generate()


def plan(trust: Trust = Trust.SERVER, **changes: Any) -> PrivacyPlan:  # noqa: ANN401
    given: dict[str, Any] = {"target_epsilon": 8.0, "delta": 1e-5, "population": 50, "clip_norm": 0.1, "rounds": 3}
    return make_plan(trust=trust, **{**given, **changes})


def request(name: str = "head", number: int = 1, made: PrivacyPlan | None = None, **changes: Any) -> Request:  # noqa: ANN401
    asked = make_request(made or plan(), name, number, head=random_head())
    return dataclasses.replace(asked, **{"release": Release(FEDERATION, "run", number, name, "server"), **changes})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = joined_home(tmp_path / "home", KEY)
    made.bundles.install(signed_bundle(tmp_path / "1", KEY, 1))
    for user in ("ann", "bob"):
        for at, item in enumerate(("item 3", "item 14", "item 15", "not in the catalogue")):
            made.histories.record(user, item, float(at))
    return made


def context(home: Home) -> Context:
    return Context(1, 1, {"home": str(home.folder)}, RecordDict(), {})


def message(record: RecordDict, kind: str) -> Message:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    return Message(record, dst_node_id=1, message_type=kind)


def ask(home: Home, asked: Request) -> Answer:
    """Through the app, as Flower does."""
    return Answer.from_record(train(message(asked.to_record(), "train"), context(home)).content)


def offer(home: Home, publication: Publication) -> Receipt:
    return Receipt.from_record(receive(message(publication.to_record(), "query"), context(home)).content)


def test_it_answers_from_its_home_and_charges_first(home: Home) -> None:
    answer = ask(home, request("popularity"))
    assert not answer.refusal
    popularity = answer.sums["popularity"]
    assert set(np.flatnonzero(popularity)) == {3, 14, 15}
    [sent] = home.sent()
    assert sent.release == f"{FEDERATION}/run/1/popularity/server"
    assert home.ledger.epsilon(1e-5) > 0
    assert popularity.tobytes() not in home.ledger.path.read_bytes()


def test_feedback_counts_in_the_next_round(home: Home) -> None:
    made = plan(target_epsilon=1.0)
    first = ask(home, request("popularity", 1, made)).sums["popularity"]
    home.histories.record("ann", "item 40", kind="like")
    home.histories.record("bob", "item 3", kind="dislike")
    second = ask(home, request("popularity", 2, made)).sums["popularity"]
    assert (first[40], second[40] > 0) == (0, True)
    assert 0 < second[3] < first[3]
    home.histories.forget(None)
    assert not ask(home, request("popularity", 3, made)).sums["popularity"].any()


@pytest.mark.parametrize("name", ["popularity", "head"])
def test_what_was_forgotten_is_not_the_difference_between_two_sums(home: Home, name: str) -> None:
    assert not ask(home, request(name)).refusal
    assert not ask(home, request(name)).refusal, "a server that lost the answer may ask again"
    home.forget("ann", "item 3")
    again = ask(home, request(name))
    assert (again.refusal, again.sums) == ("this release was asked for before, and is not made again", {})
    assert not ask(home, request(name, 2)).refusal, "the next release goes on"


def test_a_sum_that_was_being_made_while_something_was_forgotten_does_not_leave(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = HistoryStore.histories

    def meanwhile(store: HistoryStore, catalogue: Catalogue) -> Histories:
        read = made(store, catalogue)
        home.forget("ann", "item 3")
        return read

    monkeypatch.setattr(HistoryStore, "histories", meanwhile)
    answer = ask(home, request("popularity"))
    assert answer.refusal
    assert not answer.sums
    assert not home.sent()


def test_a_noised_sum_comes_again_after_forgetting(home: Home) -> None:
    first = ask(home, request("popularity", made=plan(Trust.NODE))).sums["popularity"]
    home.forget(None)
    again = ask(home, request("popularity", made=plan(Trust.NODE))).sums["popularity"]
    np.testing.assert_array_equal(first, again)


DECLINED: list[tuple[str, Callable[[Home], Request], str]] = [
    (
        "federation",
        lambda _: dataclasses.replace(request(), release=Release("other", "run", 1, "head", "server")),
        "fed",
    ),
    ("catalogue", lambda _: request(catalogue_sha256="x"), "another catalogue"),
    ("space", lambda _: request(space_sha256="x"), "another encoder"),
    ("seeded", lambda _: request(made=plan(noise="seeded")), "seeded"),
    ("aggregate", lambda _: request(made=plan(Trust.AGGREGATE)), "secure aggregation"),
    ("none", lambda _: request(made=plan(Trust.NONE, target_epsilon=math.inf, clip_norm=math.inf)), "trust = none"),
    ("epsilon", lambda _: request(made=plan(target_epsilon=9.0)), "so large an epsilon"),
    ("delta", lambda _: request(made=plan(delta=1e-3)), "so large an epsilon or delta"),
]


@pytest.mark.parametrize(("asked", "reason"), [each[1:] for each in DECLINED], ids=[each[0] for each in DECLINED])
def test_what_its_owner_does_not_allow_is_declined_uncharged(
    home: Home, asked: Callable[[Home], Request], reason: str
) -> None:
    answer = ask(home, asked(home))
    assert reason in answer.refusal
    assert not answer.sums
    assert home.sent() == []


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        (Owner(trust=("node",)), "trust = server"),
        (Owner(max_epsilon=1.0), "so large an epsilon"),
        (Owner(conditions=Conditions(max_load=1e-9)), "conditions"),
    ],
)
def test_owners_settings_hold_from_the_next_message_on(
    home: Home, owner: Owner, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.getloadavg", lambda: (1.0, 0.0, 0.0))
    assert not ask(home, request(number=1)).refusal
    owner.save(home.owner_file)
    assert reason in ask(home, request(number=2)).refusal


def test_past_the_cap_nothing_leaves_whatever_was_there_before(home: Home) -> None:
    made = plan(rounds=3)
    answers = [ask(home, request(number=number, made=made)) for number in range(1, 12)]
    assert answers[-1].refusal == "the owner's budget does not allow this release"
    assert home.ledger.epsilon(1e-5) <= 8.0


def test_the_reason_is_the_same_whatever_the_history(home: Home, tmp_path: Path) -> None:
    empty = joined_home(tmp_path / "empty", KEY)
    empty.bundles.install(signed_bundle(tmp_path / "again", KEY, 1))
    for _, asked, _ in DECLINED:
        assert ask(home, asked(home)).refusal == ask(empty, asked(empty)).refusal


def test_a_broken_database_of_histories_looks_like_an_empty_device(home: Home) -> None:
    home.histories.path.write_bytes(b"secret" * 1000)
    for path in home.folder.glob("histories.sqlite-*"):
        path.unlink()
    answer = ask(home, request("popularity"))
    assert not answer.refusal
    assert not answer.sums["popularity"].any()


@pytest.mark.parametrize("name", ["owner.toml", "ledger.sqlite", "invitation.json"])
def test_a_broken_file_of_the_device_declines_without_a_word_of_it(home: Home, name: str) -> None:
    (home.folder / name).write_bytes(b"private words of the owner, not to be told" * 30)
    answer = ask(home, request())
    assert answer.refusal in ("DataError", "LedgerError")
    assert not answer.sums


def test_a_device_without_a_model_or_with_a_damaged_one_declines(home: Home, tmp_path: Path) -> None:
    fresh = joined_home(tmp_path / "fresh", KEY)
    assert ask(fresh, request()).refusal == "no signed model was received yet"
    current = home.bundles.current()
    assert current is not None
    (current / "items.safetensors").write_bytes(b"x")
    assert ask(home, request()).refusal == "the model on this device is damaged"


def test_an_answer_is_taken_whatever_its_device_is_called(home: Home, tmp_path: Path) -> None:
    places = []
    for name in ("attic", "hall", "home-1"):
        other = joined_home(tmp_path / name, KEY, node=name)
        other.bundles.install(signed_bundle(tmp_path / f"of {name}", KEY, 1))
        answer = ask(other, request("popularity"))
        assert not answer.refusal
        places.append(answer.partition)
    assert max(places) >= 2**31


def test_a_device_keeps_its_place_from_run_to_run(home: Home, tmp_path: Path) -> None:
    other = joined_home(tmp_path / "other", KEY, node="hall")
    other.bundles.install(signed_bundle(tmp_path / "o", KEY, 1))
    first, again, second = (deployed_node(each).data.partition for each in (home, Home(home.folder), other))
    assert first == again != second


def test_a_published_model_is_taken_and_the_receipt_says_so(home: Home, tmp_path: Path) -> None:
    assert offer(home, Publication(FEDERATION, 9)) == Receipt(1)
    bundle = signed_bundle(tmp_path / "2", KEY, 2, items=80)
    assert offer(home, Publication(FEDERATION, 2, files_of(bundle))) == Receipt(2)
    assert home.bundles.version == 2
    answer = ask(home, request())
    assert answer.refusal == "the request is for another catalogue"
    assert deployed_node(home).data.space.sha256 == space(80).sha256


@pytest.mark.parametrize("kind", ["tampered", "older", "foreign key", "other federation", "other federation's name"])
def test_another_bundle_than_the_one_that_is_due_is_refused(home: Home, tmp_path: Path, kind: str) -> None:
    home.bundles.install(signed_bundle(tmp_path / "2", KEY, 2))
    key = SigningKey.generate() if kind == "foreign key" else KEY
    version = 1 if kind == "older" else 3
    made = signed_bundle(tmp_path / "x", key, version, federation="x" if kind == "other federation" else FEDERATION)
    files = files_of(made)
    if kind == "tampered":
        files["head.safetensors"] = files["head.safetensors"][:-1] + b"\x01"
    receipt = offer(home, Publication("y" if kind.endswith("name") else FEDERATION, version, files))
    assert receipt.version == 2
    assert receipt.refusal
    assert str(home.folder) not in receipt.refusal
    assert home.bundles.version == 2


RUBBISH = st.one_of(
    st.text(max_size=40).map(lambda text: RecordDict({"json": ConfigRecord({"json": text})})),
    st.just(RecordDict()),
    st.lists(st.integers() | st.text(max_size=5), max_size=3).map(
        lambda values: RecordDict({"json": ConfigRecord({"json": repr(values)})})
    ),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rubbish=RUBBISH, kind=st.sampled_from(["train", "query"]))
def test_rubbish_is_answered_in_one_line(home: Home, rubbish: RecordDict, kind: str) -> None:
    reply = (train if kind == "train" else receive)(message(rubbish, kind), context(home))
    refusal = (Answer if kind == "train" else Receipt).from_record(reply.content).refusal
    assert refusal and "\n" not in refusal
    assert home.sent() == []
