"""The conversation and the texts of cards over the page's interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import USER, access, make_bundle, make_device
from starlette.testclient import TestClient

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
