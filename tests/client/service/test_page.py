"""What the page asks for: lists, feedback, forgetting, and a clear word for whatever goes wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import DIMENSION, USER, access, make_bundle, make_device
from starlette.testclient import TestClient

from sottovoce.client.database import Database
from sottovoce.client.histories import Event
from sottovoce.client.recommender import Recommender
from sottovoce.client.service.access import CSRF_HEADER
from sottovoce.client.service.device import Device
from sottovoce.client.service.guard import MAX_BODY_BYTES
from sottovoce.client.service.page import make_page
from sottovoce.common.domains import LANGUAGES
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.ledger import Release

ACCESS = access()
ORIGIN = "http://127.0.0.1:8765"
PAGE = {CSRF_HEADER: ACCESS.page_secret}


def browser(device: Device) -> TestClient:
    """A browser that has opened the printed address."""
    client = TestClient(make_page(device, ACCESS), base_url=ORIGIN, raise_server_exceptions=False)
    assert client.get(f"/?token={ACCESS.token}").status_code == 200
    client.headers.update(PAGE)
    return client


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = make_device(tmp_path, make_bundle(tmp_path / "bundle"))
    yield made
    made.close()


@pytest.fixture
def page(device: Device) -> TestClient:
    return browser(device)


def ids(answer: dict[str, Any]) -> list[str]:
    return [card["item_id"] for card in answer["cards"]]


def listed(page: TestClient, **query: Any) -> dict[str, Any]:  # noqa: ANN401
    answer = page.get("/api/list", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def say(page: TestClient, kind: str, subject: str) -> None:
    answer = page.post("/api/feedback", json={"kind": kind, "subject": subject})
    assert answer.status_code == 200, answer.text


# Access


def test_the_first_visit_leaves_a_cookie_and_the_token_behind(device: Device) -> None:
    client = TestClient(make_page(device, ACCESS), base_url=ORIGIN)
    first = client.get(f"/?token={ACCESS.token}", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert "HttpOnly" in first.headers["set-cookie"] and "SameSite=Strict" in first.headers["set-cookie"]
    shown = client.get("/")
    assert shown.status_code == 200
    assert ACCESS.token not in shown.text and ACCESS.page_secret in shown.text
    assert client.get("/api/list").status_code == 403
    assert client.get("/api/list", headers=PAGE).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/static/style.css", "/static/js/main.js", "/?token=wrong", "/api/unknown")),
        *(("GET", f"/api/{name}") for name in ("status", "list", "search?text=a", "history")),
        *(("GET", f"/api/{name}") for name in ("export", "profile", "privacy", "model")),
        *(("POST", f"/api/{name}") for name in ("ask", "explain", "feedback", "undo", "forget", "impressions/clear")),
    ],
)
def test_nothing_is_told_or_done_without_the_token(device: Device, method: str, path: str) -> None:
    stranger = TestClient(make_page(device, ACCESS), base_url=ORIGIN)
    refused = stranger.request(method, path, headers=PAGE)
    assert refused.status_code == 401
    assert set(refused.json()) == {"code", "message"}
    elsewhere = {"host": "evil.example", "authorization": f"Bearer {ACCESS.token}"}
    assert stranger.request(method, path, headers=elsewhere).status_code == 421
    foreign = {"origin": "http://evil.example", "authorization": f"Bearer {ACCESS.token}"}
    assert stranger.request(method, path, headers=foreign).status_code == 403


def test_a_stolen_cookie_alone_changes_nothing(device: Device) -> None:
    thief = TestClient(make_page(device, ACCESS), base_url=ORIGIN, cookies={ACCESS.cookie_name: ACCESS.session})
    assert thief.post("/api/feedback", json={"kind": "like", "subject": "i1"}).status_code == 403
    assert device.log.page(0, 10).total == 0


def test_another_user_of_the_machine_is_refused(page: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sottovoce.client.service.guard.is_foreign", lambda *_: True)
    assert page.get("/api/list").status_code == 403
    assert page.get(f"/?token={ACCESS.token}").status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/list", "/static/style.css", "/api/unknown", "/nothing"])
def test_every_answer_forbids_what_is_foreign(page: TestClient, path: str) -> None:
    headers = page.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "access-control-allow-origin" not in headers


def test_the_files_of_the_page_name_no_other_host() -> None:
    static = Path(make_page.__code__.co_filename).parent / "static"
    for path in static.rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text, path
        assert "innerHTML" not in text, path


@pytest.mark.parametrize("path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static//etc/passwd"])
def test_nothing_but_the_page_is_served(page: TestClient, path: str) -> None:
    assert page.get(path).status_code in (404, 405)


# Lists and feedback


def test_who_is_unknown_sees_what_is_popular(page: TestClient, device: Device) -> None:
    answer = listed(page, n=5)
    b = device.models.current().recommender.model.index.b
    assert answer["basis"] == "popularity" and answer["history"] == 0
    assert ids(answer) == [f"i{row}" for row in np.argsort(-b)[:5]]
    assert all(card["reasons"] == [] for card in answer["cards"])


def test_a_card_says_what_it_is_and_its_parts_sum_to_its_score(page: TestClient) -> None:
    say(page, "like", "i7")
    for card in listed(page, n=20)["cards"]:
        assert card["title"] and card["year"].isdigit() and card["categories"]
        why = page.post("/api/explain", json={"item": card["item_id"]}).json()
        assert why["score"] == pytest.approx(card["score"], abs=1e-4)
        assert why["popularity"] + sum(term["effect"] for term in why["history"]) == pytest.approx(
            why["score"], abs=1e-4
        )


def test_the_page_has_the_words_of_the_catalogue_s_domain(tmp_path: Path) -> None:
    for domain, heading in (("shop", "Picked for you"), ("weather", "For you")):
        device = make_device(tmp_path / domain, make_bundle(tmp_path / domain / "bundle", domain=domain))
        status = browser(device).get("/api/status").json()
        assert status["domain"] == ("shop" if domain == "shop" else "items")
        assert set(status["wording"]) == set(LANGUAGES)
        assert status["wording"]["en"]["heading"] == heading
        device.close()


def test_an_explanation_tells_what_each_block_adds(page: TestClient, tmp_path: Path) -> None:
    say(page, "like", "i7")
    assert page.post("/api/explain", json={"item": "i9"}).json()["blocks"] == []
    sizes = [["encoder", 6], ["words", 4], ["price", DIMENSION - 10]]
    make_bundle(tmp_path / "bundle", blocks=sizes)
    why = page.post("/api/explain", json={"item": "i9"}).json()
    assert [part["name"] for part in why["blocks"]] == ["encoder", "words", "price"]
    assert sum(part["effect"] for part in why["blocks"]) == pytest.approx(why["content"], abs=1e-4)
    assert why["content"] + why["correction"] == pytest.approx(sum(term["effect"] for term in why["history"]), abs=1e-4)


@pytest.mark.parametrize("basis", ["wish", "item"])
def test_a_list_s_own_wish_is_part_of_the_explanation(
    page: TestClient, monkeypatch: pytest.MonkeyPatch, basis: str
) -> None:
    place = np.eye(DIMENSION, dtype=np.float32)[0]
    monkeypatch.setattr(Recommender, "encode_wish", lambda *_: place)
    say(page, "like", "i7")
    if basis == "wish":
        asked: dict[str, Any] = {"text": "something", "weight": 0.6}
        answer = page.post("/api/ask", json=asked).json()
    else:
        asked = {"like": "i9"}
        answer = listed(page, **asked)
    assert answer["basis"] == basis
    for card in answer["cards"]:
        why = page.post("/api/explain", json={"item": card["item_id"], **asked}).json()
        assert why["wish"] == pytest.approx(card["wish"]) != 0
        terms = why["popularity"] + why["wish"] + sum(term["effect"] for term in why["history"])
        assert terms == pytest.approx(why["score"], abs=1e-4)
        assert why["score"] == pytest.approx(card["score"], abs=1e-4)


def test_what_is_disliked_is_no_reason_though_it_lifts_an_item(page: TestClient) -> None:
    say(page, "dislike", "i7")
    lifted = 0
    for card in listed(page, n=60)["cards"]:
        (term,) = page.post("/api/explain", json={"item": card["item_id"]}).json()["history"]
        assert (term["item_id"], term["kind"]) == ("i7", "disliked")
        lifted += term["effect"] > 0
        assert card["reasons"] == []
    assert lifted > 0
    say(page, "like", "i9")
    assert {term["kind"] for card in listed(page)["cards"] for term in card["reasons"]} == {"history"}


@pytest.mark.parametrize("like", ["", "i5", "i20"])
def test_the_rank_that_is_told_is_the_place_in_the_list(page: TestClient, like: str) -> None:
    say(page, "like", "i7")
    for place, card in enumerate(listed(page, like=like, n=20)["cards"], start=1):
        why = page.post("/api/explain", json={"item": card["item_id"], "like": like}).json()
        assert (why["rank"], why["items"]) == (place, 58 if like else 59)


def test_feedback_counts_from_the_next_list_on_and_can_be_undone(page: TestClient) -> None:
    before = ids(listed(page))
    first, second, third = before[:3]
    say(page, "like", first)
    after = listed(page)
    assert after["basis"] == "history" and first not in ids(after) and ids(after) != before[1:]
    assert any(card["reasons"] for card in after["cards"])
    say(page, "dislike", second)
    say(page, "not_now", third)
    assert not {first, second, third} & set(ids(listed(page, n=60)))
    for undone in (third, second, first):
        assert page.post("/api/undo").json()["subject"] == undone
    assert ids(listed(page)) == before
    assert page.post("/api/undo").status_code == 404


def test_undo_takes_back_what_it_names_and_not_what_an_app_told_since(page: TestClient, device: Device) -> None:
    liked = page.post("/api/feedback", json={"kind": "like", "subject": "i7"}).json()["id"]
    device.log.feedback("interaction", "i9")
    undone = page.post("/api/undo", json={"id": liked}).json()
    assert (undone["subject"], undone["kind"]) == ("i7", "like")
    assert [entry["subject"] for entry in page.get("/api/history").json()["entries"]] == ["i9"]
    assert page.post("/api/undo", json={"id": liked}).status_code == 404
    say(page, "dislike", "i3")
    device.log.feedback("interaction", "i4")
    assert page.post("/api/undo").json()["subject"] == "i3"
    assert page.post("/api/undo").status_code == 404, "what was done is not what was said"
    assert page.post("/api/undo", json={"id": 0}).status_code == 422


def test_a_hidden_category_is_gone_until_it_is_shown_again(page: TestClient) -> None:
    say(page, "hide_category", "Horror")
    assert not any("Horror" in card["categories"] for card in listed(page, n=60)["cards"])
    assert page.get("/api/profile").json()["hidden"] == ["Horror"]
    assert page.post("/api/forget", json={"subject": "Horror"}).json() == {"forgotten": 1}
    assert any("Horror" in card["categories"] for card in listed(page, n=60)["cards"])


def test_lists_follow_category_mode_and_likeness(page: TestClient) -> None:
    assert all("Comedy" in card["categories"] for card in listed(page, category=["Comedy"])["cards"])
    for mode in ("for_you", "varied", "gems"):
        assert len(listed(page, mode=mode, n=7)["cards"]) == 7
    alike = listed(page, like="i5")
    assert alike["basis"] == "item" and "i5" not in ids(alike)


def test_forgetting_leaves_nothing(page: TestClient, device: Device) -> None:
    before = ids(listed(page))
    for item in before[:3]:
        say(page, "like", item)
    assert page.post("/api/forget", json={"subject": before[0]}).json() == {"forgotten": 1}
    assert page.get("/api/history").json()["total"] == 2
    listed(page)
    assert page.get("/api/privacy").json()["impressions"] > 0
    assert page.post("/api/forget", json={"everything": True}).json() == {"forgotten": 2}
    assert page.get("/api/privacy").json()["impressions"] == 0
    assert ids(listed(page)) == before
    assert device.log.export() == []


def test_to_forget_says_what(page: TestClient) -> None:
    assert page.post("/api/forget", json={}).status_code == 404
    assert page.post("/api/forget", json={"subject": "i1", "everything": True}).status_code == 404


def test_the_history_is_paged_and_exported_whole(page: TestClient) -> None:
    for row in range(7):
        say(page, "interaction", f"i{row}")
    answer = page.get("/api/history", params={"offset": 2, "limit": 3}).json()
    assert (answer["total"], [entry["subject"] for entry in answer["entries"]]) == (7, ["i4", "i3", "i2"])
    assert answer["entries"][0]["title"].startswith("Film 4") and answer["entries"][0]["at"].endswith("Z")
    assert len(page.get("/api/export").json()["events"]) == 7


def test_the_privacy_view_of_a_device_that_sent_nothing(page: TestClient) -> None:
    privacy = page.get("/api/privacy").json()
    assert (privacy["epsilon"], privacy["updates"], privacy["seen"], privacy["federation"]) == (0.0, [], [], "")
    assert privacy["cap"] > 0


@pytest.mark.parametrize(("maker", "seen"), [("server", ["server"]), ("node-1", ["node"])])
def test_the_privacy_view_lists_all_that_left(page: TestClient, device: Device, maker: str, seen: list[str]) -> None:
    ledger, events = device.home.ledger, []
    for number, payload in enumerate((b"first sum", b"second sum")):
        release = Release("films", "run", number, "head", maker)
        events.append(ReleaseEvent("head", 2.0, 1.0, 1))
        ledger.open(release, events[-1], "request", "os", 8.0, 1e-5)
        (ledger.record_sent if maker == "server" else ledger.persist)(release, payload)
    ledger.open(Release("films", "run", 2, "head", maker), events[-1], "request", "os", 8.0, 1e-5)  # never sent
    privacy = page.get("/api/privacy").json()
    assert privacy["epsilon"] == pytest.approx(epsilon([ReleaseEvent("head", 2.0, 1.0, 3)], 1e-5))
    assert [update["release"] for update in privacy["updates"]] == [f"films/run/{n}/head/{maker}" for n in (1, 0)]
    assert [(update["bytes"], update["sha256"]) for update in privacy["updates"]] == [
        (len(payload), hashlib.sha256(payload).hexdigest()) for payload in (b"second sum", b"first sum")
    ]
    assert all(update["at"].endswith("Z") for update in privacy["updates"]) and privacy["seen"] == seen


def test_profile_and_model_card(page: TestClient) -> None:
    say(page, "like", "i3")
    profile = page.get("/api/profile").json()
    assert sum(share["probability"] for share in profile["shares"]) == pytest.approx(1)
    model = page.get("/api/model").json()
    assert "Model card" in model["card"] and model["privacy"]["epsilon"] == 8.0 and not model["signed"]
    assert model["wishes"] == ""


# Bad input


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("feedback", {"kind": "adore", "subject": "i1"}),
        ("feedback", {"kind": "undo", "subject": "i1"}),
        ("feedback", {"kind": "like"}),
        ("feedback", {"kind": "like", "subject": ""}),
        ("feedback", {"kind": "like", "subject": "i1", "user": "somebody else"}),
        ("ask", {"text": "   "}),
        ("ask", {"text": "a", "weight": 2}),
        ("ask", {"text": "a", "n": 1000}),
        ("ask", {"text": "a", "mode": "worst"}),
        ("ask", ["a"]),
        ("list?n=0", None),
        ("list?n=101", None),
        ("list?mode=worst", None),
        ("history?limit=100000", None),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(page: TestClient, path: str, body: Any) -> None:  # noqa: ANN401
    answer = page.get(f"/api/{path}") if body is None else page.post(f"/api/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid" and len(answer.json()["message"].splitlines()) == 1
    assert "somebody else" not in answer.text
    assert page.get("/api/history").json()["total"] == 0


def test_what_is_not_there_is_not_found(page: TestClient) -> None:
    for kind, subject in (("like", "i999"), ("hide_category", "Opera"), ("like", "Horror")):
        assert page.post("/api/feedback", json={"kind": kind, "subject": subject}).status_code == 404
    assert page.post("/api/explain", json={"item": "i999"}).status_code == 404
    assert page.get("/api/list", params={"like": "i999"}).status_code == 404


def test_a_body_that_is_no_json_changes_nothing(page: TestClient) -> None:
    for content in (b"", b"{", b"\xff\xfe", b"null", b"[" * 5000):
        answer = page.post("/api/feedback", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422, content
    assert listed(page)["history"] == 0


@pytest.mark.parametrize("size", [4_001, MAX_BODY_BYTES, 1_000_000])
def test_a_wish_of_a_megabyte_is_too_long(page: TestClient, size: int) -> None:
    answer = page.post("/api/ask", json={"text": "x" * size})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert listed(page)["cards"]


def test_a_body_without_a_length_is_bounded_too(page: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1000

    assert page.post("/api/ask", content=endless()).status_code == 413


@pytest.mark.parametrize(
    "text",
    ["🚀👽", "رحلة إلى القمر", "太空恐怖", "\u202etxet desrever", "a\u0000b", "<script>alert(1)</script>", "\ud800"],
)
def test_a_wish_may_be_in_any_script(page: TestClient, text: str) -> None:
    answer = page.post("/api/ask", content=json.dumps({"text": text}), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 422), answer.text
    assert page.get("/api/search", params={"text": text.encode(errors="replace").decode()}).status_code == 200


def test_titles_in_any_script_come_through_whole(page: TestClient) -> None:
    titles = {card["item_id"]: card["title"] for card in listed(page, n=60)["cards"]}
    assert titles["i1"] == "🎬 Émoji & <b>Bold</b> (1995)" and titles["i2"] == "رحلة إلى القمر (1996)"
    assert page.get("/api/search", params={"text": "القمر"}).json()["items"][0]["item_id"] == "i2"
    assert page.get("/api/search", params={"text": "🎬"}).json()["items"][0]["item_id"] == "i1"


def test_personal_data_in_a_wish_is_masked(page: TestClient) -> None:
    assert page.post("/api/ask", json={"text": "write to ann@example.org"}).json()["masked"]
    assert not page.post("/api/ask", json={"text": "space"}).json()["masked"]


def test_without_a_model_the_page_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    device = make_device(tmp_path, None)
    device.home.histories.record(USER, "i1")
    page = browser(device)
    assert page.get("/").status_code == 200
    status = page.get("/api/status").json()
    assert (status["model"]["present"], status["model"]["problem"]) == (False, "")
    for path in ("list", "profile", "search?text=a"):
        answer = page.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_model")
    assert page.post("/api/feedback", json={"kind": "like", "subject": "i1"}).status_code == 409
    history = page.get("/api/history").json()
    assert history["entries"][0] == {**history["entries"][0], "subject": "i1", "title": None}
    assert page.get("/api/privacy").json()["history"] == 1
    device.close()


@pytest.mark.parametrize("damage", ["manifest.json", "head.safetensors", "catalogue.json", "all"])
def test_a_broken_bundle_is_told_and_the_page_stays_up(tmp_path: Path, damage: str) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    if damage == "all":
        shutil.rmtree(bundle)
    else:
        (bundle / damage).write_bytes(b"broken")
    device = make_device(tmp_path, bundle)
    device.home.histories.record(USER, "i1")
    page = browser(device)
    problem = page.get("/api/status").json()["model"]["problem"]
    assert problem and len(problem.splitlines()) == 1
    assert page.get("/api/list").json() == {"code": "no_model", "message": problem}
    assert page.get("/api/history").json()["total"] == 1
    assert page.get("/api/model").json()["problem"] == problem
    shutil.rmtree(bundle, ignore_errors=True)
    make_bundle(bundle)
    assert listed(page)["history"] == 1
    device.close()


def test_a_new_model_is_used_at_once_and_a_broken_one_not_at_all(page: TestClient, tmp_path: Path) -> None:
    first = page.get("/api/status").json()["model"]
    make_bundle(tmp_path / "bundle", seed=1)
    second = page.get("/api/status").json()["model"]
    assert second["digest"] != first["digest"] and second["problem"] == ""
    (tmp_path / "bundle" / "manifest.json").write_text("broken")
    third = page.get("/api/status").json()["model"]
    assert third["digest"] == second["digest"] and third["problem"]
    assert listed(page)["cards"]


def test_a_full_disk_at_feedback_loses_nothing(
    page: TestClient, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own limit on a file's pages ends a write as a full disk does."""
    say(page, "like", "i1")
    connect = Database._connect

    def full(database: Database) -> sqlite3.Connection:
        connection = connect(database)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    kept = 1
    with monkeypatch.context() as context:
        context.setattr(Database, "_connect", full)
        for row in range(2, 500):
            answer = page.post("/api/feedback", json={"kind": "interaction", "subject": f"i{row % 60}"})
            if answer.status_code != 200:
                break
            kept += 1
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        assert page.get("/").status_code == 200
        assert page.get("/api/history").json()["total"] == kept
    assert page.post("/api/feedback", json={"kind": "interaction", "subject": "i1"}).status_code == 200
    assert page.get("/api/history").json()["total"] == kept + 1


@pytest.mark.slow
def test_a_history_of_100000_interactions_is_served(device: Device, page: TestClient) -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(0, 80, 100_000)  # some of them unknown to the model
    device.home.histories.add(Event(user=USER, item=f"i{item}", at=float(at)) for at, item in enumerate(items.tolist()))
    answer = page.get("/api/history", params={"offset": 99_990, "limit": 50}).json()
    assert (answer["total"], len(answer["entries"])) == (100_000, 10)
    assert any(entry["title"] is None for entry in page.get("/api/history", params={"limit": 200}).json()["entries"])
    assert listed(page)["cards"] == []  # everything was met
    assert page.get("/api/profile").json()["history"] == 80
    assert page.post("/api/forget", json={"subject": "i5"}).status_code == 200
    assert ids(listed(page)) == ["i5"]


def test_a_defect_of_ours_leaves_the_page_up_and_the_person_out_of_the_log(
    page: TestClient, device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("ann likes i1")

    monkeypatch.setattr(device, "profile", fail)
    answer = page.get("/api/profile")
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert "RuntimeError" in caplog.text and "ann likes" not in caplog.text + answer.text
    assert listed(page)["cards"]
