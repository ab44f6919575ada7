"""The conversation and the texts of cards over the page's interface."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from served import USER, Writes, access, make_bundle, make_device, writing
from starlette.testclient import TestClient

from sottovoce.client.language.cards import CardTexts
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.piece import Piece
from sottovoce.client.service.access import CSRF_HEADER
from sottovoce.client.service.device import Device
from sottovoce.client.service.page import make_page

ACCESS = access()


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("SOTTOVOCE_WRITER", "none")
    made = make_device(tmp_path, make_bundle(tmp_path / "bundle"))
    yield made
    made.close()


@pytest.fixture
def page(device: Device) -> TestClient:
    return opened(device)


def opened(device: Device) -> TestClient:
    client = TestClient(make_page(device, ACCESS), base_url="http://127.0.0.1:8765", raise_server_exceptions=False)
    assert client.get(f"/?token={ACCESS.token}").status_code == 200
    client.headers.update({CSRF_HEADER: ACCESS.page_secret})
    return client


def test_a_sentence_refines_the_list_and_a_chip_takes_it_back(device: Device, page: TestClient) -> None:
    category = device.models.current().categories[0]
    told = page.post("/api/say", json={"sentence": f"no {category}", "n": 5}).json()
    assert [chip["label"] for chip in told["chips"]] == [f"no {category}"]
    assert told["listing"]["cards"]
    assert all(category not in card["categories"] for card in told["listing"]["cards"])
    again = page.post("/api/unsay", json={"place": 0, "n": 5}).json()
    assert again["chips"] == []


def test_what_explains_a_card_of_the_conversation_is_its_own_score(device: Device, page: TestClient) -> None:
    category = device.models.current().categories[0]
    page.post("/api/say", json={"sentence": f"no {category}", "n": 5})
    told = page.post("/api/say", json={"sentence": "more like the second", "n": 5}).json()
    for rank, card in enumerate(told["listing"]["cards"], start=1):
        why = page.post("/api/explain", json={"item": card["item_id"], "talk": True}).json()
        assert why["score"] == pytest.approx(card["score"], abs=1e-4)
        assert why["wish"] == pytest.approx(card["wish"], abs=1e-4)
        assert why["wish"] != 0
        assert why["rank"] == rank
        assert why["items"] < len(device.models.current().recommender.model.table)


def test_forgetting_everything_forgets_what_was_said(device: Device, page: TestClient) -> None:
    page.post("/api/say", json={"sentence": "something about the sea"})
    assert device.talks.kept.turns(USER)
    assert page.post("/api/forget", json={"everything": True}).status_code == 200
    assert device.talks.kept.turns(USER) == []


@pytest.mark.parametrize("body", [{"sentence": ""}, {"sentence": "x" * 5_000}, {}, {"sentence": "a", "n": 0}])
def test_what_is_no_sentence_is_refused(page: TestClient, body: dict[str, object]) -> None:
    assert page.post("/api/say", json=body).status_code in (413, 422)


def test_a_card_has_a_text_at_once_without_a_model(page: TestClient) -> None:
    item = page.get("/api/list").json()["cards"][0]["item_id"]
    text = page.get("/api/text", params={"item": [item]}).json()["texts"][item]
    assert text["done"]
    assert not text["by_model"]
    assert page.get("/api/text", params={"item": ["nothing"]}).status_code == 404


def whole(page: TestClient, what: str, **query: str | bool) -> dict[str, object]:
    """A text, once it is whole."""
    for _ in range(200):
        told: dict[str, object] = page.get("/api/text", params=query).json()[what]
        if told["done"]:
            return told
        time.sleep(0.02)
    raise AssertionError("no text came")


LONG = ". " + "The library on Mill Street opens again after repairs to its roof, and readers can borrow books. " * 4


def test_a_model_tells_a_taste_and_what_a_long_text_says(tmp_path: Path) -> None:
    writer = Writes()
    device = writing(make_device(tmp_path, make_bundle(tmp_path / "bundle", said=LONG)), writer)
    client = opened(device)
    nothing = {"text": "", "by_model": False, "done": True}
    assert client.get("/api/text", params={"taste": True}).json() == {"texts": {}, "taste": nothing}  # unknown so far
    device.log.feedback("like", "i5")
    assert whole(client, "taste", taste=True) == {"text": "It is a taste.", "by_model": True, "done": True}
    assert whole(client, "digest", digest="i7")["text"] == "It is a digest."
    assert client.get("/api/text", params={"digest": "nothing"}).status_code == 404
    assert client.get("/api/status").json()["writes"]
    assert writer.jobs == [Job.TASTE, Job.DIGEST]
    device.close()


def test_of_a_short_text_and_without_a_model_nothing_is_written(tmp_path: Path, page: TestClient) -> None:
    assert page.get("/api/text", params={"digest": "i7"}).json()["digest"]["text"] == ""
    assert not page.get("/api/status").json()["writes"]
    page.post("/api/feedback", json={"kind": "like", "subject": "i5"})
    assert not page.get("/api/text", params={"taste": True}).json()["taste"]["by_model"]


def test_what_is_asked_for_by_hand_is_written_before_what_waits() -> None:
    going, writer = threading.Event(), Writes()

    def slowly(given: Given) -> Iterator[Piece]:
        writer.jobs.append(given.job)
        going.wait(10)
        yield Piece("It is.", done=True)

    with mock.patch.object(writer, "write", slowly):
        texts = CardTexts(writer)
        for title in "abc":
            texts.ask(Given(Job.CARD, title))
        digest = Given(Job.DIGEST, source="long")
        texts.ask(digest, soon=True)
        going.set()
        for _ in range(200):
            if texts.ask(digest).done and len(writer.jobs) > 2:
                break
            time.sleep(0.02)
        texts.close()
    assert writer.jobs.index(Job.DIGEST) <= 1  # behind what was being written already


def test_more_like_a_card_names_the_item_and_not_its_title(page: TestClient) -> None:
    told = page.post("/api/say", json={"like": "i7", "n": 5}).json()
    assert [(chip["kind"], chip["label"]) for chip in told["chips"]] == [("like", "like Film 7 (1997)")]
    assert page.post("/api/say", json={"like": "i999"}).status_code == 404


def test_what_was_said_is_told_copied_and_deleted(page: TestClient) -> None:
    for sentence in ("no Horror", "my mail is ann@example.org"):
        assert page.post("/api/say", json={"sentence": sentence}).status_code == 200
    page.post("/api/unsay", json={"place": 0})  # a chip that is taken away is no sentence
    assert page.get("/api/privacy").json()["sentences"] == 2
    copied = page.get("/api/export").json()["conversation"]
    assert [each["said"] for each in copied] == ["no Horror", "my mail is [mail]"]
    assert copied[0]["at"].endswith("Z")
    assert page.post("/api/conversation/clear").status_code == 200
    assert page.get("/api/privacy").json()["sentences"] == 0
    assert page.post("/api/unsay", json={}).json()["chips"] == []
