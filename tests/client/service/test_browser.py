"""The page in a real browser: what a person does there, in both languages, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import DIMENSION, Service, Writes, make_bundle, make_device, page_of, service, writing

from sottovoce.client.histories import Event
from sottovoce.client.home import Home

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: install it, or name it in CHROMIUM"),
]
SECTIONS = ("", "talk", "taste", "history", "privacy", "model")
expect.set_options(timeout=15_000)  # a busy machine is no fault of the page
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("device")
    with service(folder / "home", make_bundle(folder / "bundle")) as started:
        yield started


class Visit:
    """One browser session; remembers what it asked for and what went wrong."""

    def __init__(self, context: BrowserContext, running: Service) -> None:
        self.running = running
        self.hosts: set[str] = set()
        self.wrong: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.goto(running.page)
        expect(self.page.locator("main h1")).to_be_visible()

    def go(self, section: str) -> None:
        self.page.goto(f"{self.running.origin}/#/{section}")
        expect(self.page.locator("nav a[aria-current]")).to_have_attribute("href", f"#/{section}")
        expect(self.page.locator("main:not([aria-busy]) h1")).to_be_visible()

    def items(self) -> list[str]:
        return [card.get_attribute("data-item") or "" for card in self.page.locator(".card").all()]

    def act(self, name: str, place: int = 1) -> str:
        """Press a button of a card; the item's id, once the list has changed."""
        card = self.page.locator(".card").nth(place - 1)
        item = card.get_attribute("data-item") or ""
        card.locator(f".act.{name}").click()
        expect(self.page.locator(f".card[data-item='{item}']")).to_have_count(0)
        expect(self.page.locator("#toast.shown")).to_be_visible()
        return item


@pytest.fixture
def visit(browser: Browser, running: Service, request: pytest.FixtureRequest) -> Iterator[Visit]:
    Home(running.home).histories.forget(None)
    context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **getattr(request, "param", {})})
    context.set_default_timeout(15_000)
    began = Visit(context, running)
    yield began
    context.close()
    assert began.hosts <= {urlsplit(running.origin).netloc}, "the page asked another host"
    assert began.wrong == []


def test_the_token_is_gone_from_the_address_and_out_of_reach_for_scripts(visit: Visit) -> None:
    assert "token" not in visit.page.url
    assert visit.page.evaluate("document.cookie") == ""
    cookie = visit.page.context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_who_is_new_is_welcomed_and_can_look_something_up(visit: Visit) -> None:
    expect(visit.page.locator(".welcome h1")).to_contain_text("Nothing is known about you")
    expect(visit.page.locator(".card")).to_have_count(12)
    visit.page.get_by_label("Look up items that you know").fill("film 4")
    visit.page.get_by_role("button", name=re.compile("^Like: Film 4 ")).click()
    expect(visit.page.locator("main h1")).to_have_text("For you")
    expect(visit.page.locator(".head")).to_contain_text("From one item")


def test_like_gives_reasons_and_undo_takes_it_back(visit: Visit) -> None:
    before = visit.items()
    liked = visit.act("like")
    assert liked == before[0]
    expect(visit.page.locator(".reasons").first).to_contain_text("Space Ghosts")
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.page.locator(f".card[data-item='{liked}']")).to_have_count(1)
    assert visit.items() == before


def test_dislike_not_now_and_hide(visit: Visit) -> None:
    visit.act("dislike")
    visit.act("not_now", 2)
    card = visit.page.locator(".card").first
    category = card.locator(".chip").first.inner_text()
    card.locator("summary").click()
    card.get_by_role("button", name=f"Hide {category}").first.click()
    expect(visit.page.locator("#toast")).to_contain_text(f"{category} is hidden")
    assert category not in visit.page.locator(".cards .chip").all_inner_texts()
    visit.go("taste")
    visit.page.get_by_role("button", name=f"Show {category} again").click()
    expect(visit.page.locator("#toast")).to_contain_text("shown again")


def test_why_takes_a_score_apart_to_the_last_term(visit: Visit) -> None:
    visit.act("like")
    visit.act("like")
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="Why exactly?").first.click()
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_contain_text("place 1 of")
    terms = [float(text.replace("−", "-")) for text in dialog.locator("tbody td").all_inner_texts()]
    assert sum(terms) == pytest.approx(float(dialog.locator("tfoot td").inner_text().replace("−", "-")), abs=0.03)
    visit.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_more_like_this_modes_and_categories(visit: Visit) -> None:
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="More like this").first.click()
    expect(visit.page.locator("main h1")).to_contain_text("More like")
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="Why exactly?").first.click()
    expect(visit.page.get_by_role("dialog")).to_contain_text("Likeness to what you chose")
    visit.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    visit.page.get_by_role("button", name="Back to your list").click()
    visit.page.get_by_text("More varied").click()
    expect(visit.page.get_by_role("radio", name="More varied")).to_be_checked()
    visit.page.get_by_text("All categories").click()
    visit.page.locator(".tick label", has_text="Horror").click()
    expect(visit.page.locator(".card").first.locator(".meta")).to_contain_text("Horror")
    assert all("Horror" in text for text in visit.page.locator(".card .meta").all_inner_texts())


def test_ask_in_words_and_move_the_slider(visit: Visit) -> None:
    visit.act("like")
    visit.page.get_by_label("What are you looking for?").fill("space ghosts horror, ann@example.org")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("main h1")).to_contain_text("“space ghosts horror")
    expect(visit.page.locator(".masked")).to_contain_text("masked")
    visit.page.get_by_label("How much your words count").fill("100")
    expect(visit.page.locator("main h1")).to_contain_text("space ghosts")
    visit.page.get_by_role("button", name="Back to your list").click()
    expect(visit.page.locator("main h1")).to_have_text("For you")


def test_history_forgets_one_thing_and_everything(visit: Visit) -> None:
    visit.act("like")
    visit.act("dislike")
    visit.go("history")
    rows = visit.page.locator(".entries tbody tr")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name=re.compile("^Forget ")).click()
    expect(rows).to_have_count(1)
    with visit.page.expect_download() as saved:
        visit.page.get_by_role("button", name="Save a copy").click()
    assert saved.value.suggested_filename == "sottovoce-history.json"
    visit.page.get_by_role("button", name="Forget everything").click()
    visit.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(rows).to_have_count(1)
    visit.page.get_by_role("button", name="Forget everything").click()
    visit.page.get_by_role("dialog").get_by_role("button", name="Forget everything").click()
    expect(visit.page.locator(".history .state")).to_be_visible()
    assert list(Home(visit.running.home).histories.export()) == []


def test_the_privacy_view_says_that_nothing_left(visit: Visit) -> None:
    visit.go("privacy")
    expect(visit.page.locator("main")).to_contain_text("Nothing was ever sent from here")
    expect(visit.page.locator("main")).to_contain_text("ε = 0 of at most")
    visit.page.get_by_role("button", name="Delete what I was shown").click()
    expect(visit.page.locator("main")).to_contain_text("Things that you were shown: 0")


def test_what_was_said_in_talk_is_told_and_deleted(visit: Visit) -> None:
    visit.go("talk")
    visit.page.locator("#sentence").fill("no horror")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator(".asked-for li")).to_have_count(1)
    visit.go("privacy")
    expect(visit.page.locator("main")).to_contain_text("Sentences that you said in Talk: 1")
    visit.page.get_by_role("button", name="Delete what I said").click()
    expect(visit.page.locator("main")).to_contain_text("Sentences that you said in Talk: 0")


def test_more_like_this_in_talk_is_one_chip(visit: Visit) -> None:
    visit.go("talk")
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="More like this").first.click()
    expect(visit.page.locator(".asked-for li")).to_have_count(1)
    expect(visit.page.locator(".asked-for li")).to_contain_text("like Space Ghosts (1994)")
    visit.page.locator(".asked-for button").click()
    expect(visit.page.locator(".asked-for li")).to_have_count(0)


def test_undo_takes_back_what_the_toast_speaks_of(visit: Visit) -> None:
    visit.act("like")
    Home(visit.running.home).histories.record("owner", "i9", kind="dislike")  # by an app, meanwhile
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.page.locator("#toast")).to_contain_text("Undone: Space Ghosts (1994) (liked).")
    taste = Home(visit.running.home).histories.taste()
    assert (taste.history, set(taste.disliked)) == ((), {"i9"})


def test_who_only_dislikes_is_told_so(visit: Visit) -> None:
    visit.act("dislike")
    expect(visit.page.locator(".head")).to_contain_text("From what you dislike")
    expect(visit.page.locator(".reasons .label")).to_have_count(0)
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="Why exactly?").first.click()
    expect(visit.page.get_by_role("dialog")).to_contain_text("You dislike Space Ghosts (1994)")


def test_words_stand_above_what_was_watched(visit: Visit) -> None:
    visit.act("like")
    visit.act("like")
    visit.page.locator(".card summary").first.click()
    visit.page.get_by_role("button", name="More like this").first.click()
    expect(visit.page.locator("main h1")).to_contain_text("More like")
    card = visit.page.locator(".card", has=visit.page.locator(".label", has_text="Because of")).first
    read = card.locator(".reasons").inner_text()
    assert read.index("Likeness to what you chose") < read.index("Because of")


def test_a_section_begins_at_its_top(visit: Visit) -> None:
    visit.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert visit.page.evaluate("window.scrollY") > 200
    visit.page.evaluate("location.hash = '#/talk'")
    expect(visit.page.locator("main:not([aria-busy]) h1")).to_have_text("Talk")
    assert visit.page.evaluate("window.scrollY") == 0


@pytest.mark.parametrize("visit", [{"viewport": ViewportSize(width=375, height=700)}], indirect=True)
def test_on_a_phone_no_name_is_cut(visit: Visit) -> None:
    for section in SECTIONS[1:]:
        visit.page.evaluate(f"location.hash = '#/{section}'")
        expect(visit.page.locator("main:not([aria-busy]) h1")).to_be_visible()
        box = visit.page.locator("nav a[aria-current]").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 375, section
    visit.page.route("**/api/profile", _with_a_documentary)
    visit.go("taste")
    expect(visit.page.locator(".bars")).to_contain_text("Documentary")
    for name in visit.page.locator(".bars .name").all():
        assert name.evaluate("each => each.getBBox().x") >= 0


def _with_a_documentary(route: Route) -> None:
    profile = route.fetch().json()
    share = {"category": "Documentary", "probability": 0.01, "everybody": 0.01}
    route.fulfill(json={**profile, "shares": [*profile["shares"], share]})


def test_a_long_history_is_paged(visit: Visit) -> None:
    histories = Home(visit.running.home).histories
    histories.add(Event(item=f"i{row % 70}", at=float(row)) for row in range(120))
    visit.go("history")
    expect(visit.page.locator(".entries tbody tr")).to_have_count(50)
    visit.page.get_by_role("button", name="Older").click()
    expect(visit.page.locator(".pager")).to_contain_text("51–100 of 120")
    expect(visit.page.locator("main")).to_contain_text("not in this model")


def test_titles_are_text_in_any_script(visit: Visit) -> None:
    expect(visit.page.locator(".card[data-item='i1'] h2")).to_have_text("🎬 Émoji & <b>Bold</b>")
    expect(visit.page.locator(".card[data-item='i2'] h2 bdi")).to_have_text("رحلة إلى القمر")


def test_the_page_speaks_chinese_and_remembers_it(visit: Visit) -> None:
    visit.page.get_by_role("button", name="切换到中文").click()
    expect(visit.page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(visit.page.locator("main h1")).to_contain_text("我们对你一无所知")
    visit.act("like")
    expect(visit.page.locator("#toast")).to_contain_text("列表已更新")
    for section in SECTIONS:
        visit.go(section)
        shown = visit.page.locator("main").inner_text()
        assert re.search("[\u4e00-\u9fff]", shown) and "undefined" not in shown
    visit.page.reload()
    expect(visit.page.locator("nav")).to_contain_text("隐私")


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_a_chinese_browser_is_met_in_chinese(visit: Visit) -> None:
    expect(visit.page.locator("nav")).to_contain_text("为你推荐")


def lightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


@pytest.mark.parametrize("visit", [{"color_scheme": "dark"}], indirect=True)
def test_dark_follows_the_system_and_the_switch(visit: Visit) -> None:
    assert lightness(visit.page) < 60
    visit.page.get_by_role("button", name="Colours").click()
    assert lightness(visit.page) > 200
    visit.page.get_by_role("button", name="Colours").click()
    assert lightness(visit.page) < 60


@pytest.mark.parametrize("visit", [{"locale": "en-GB"}, {"locale": "zh-CN"}], indirect=True)
def test_a_phone_s_width_is_enough(visit: Visit) -> None:
    visit.page.set_viewport_size(PHONE)
    visit.act("like")
    for section in SECTIONS:
        visit.go(section)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], section


def test_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator(".skip")).to_be_focused()
    like = visit.page.locator(".card .act.like").first
    item = visit.page.locator(".card").first.get_attribute("data-item")
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        if like.evaluate("each => each === document.activeElement"):
            break
    expect(like).to_be_focused()
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator(f".card[data-item='{item}']")).to_have_count(0)
    expect(visit.page.locator("#card-1")).to_be_focused()


@pytest.mark.parametrize("visit", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_axe_finds_no_serious_fault(visit: Visit) -> None:
    faults = []
    visit.act("like")
    for section in SECTIONS:
        visit.go(section)
        for details in visit.page.locator("main details").all()[:2]:
            details.locator("summary").click()
        found = axe_module.Axe().run(visit.page, options={"resultTypes": ["violations"]}).response["violations"]
        faults += [
            (section, each["id"], each["nodes"][0]["html"])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
    assert faults == []


def test_without_a_model_the_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with service(tmp_path / "home", None) as bare, browser.new_context(locale="en-GB") as context:
        shown = Visit(context, bare)
        expect(shown.page.locator("main h1")).to_have_text("There is no model on this machine yet.")
        for section in ("taste", "history", "privacy", "model"):
            shown.go(section)
        assert shown.wrong == []


def test_when_the_service_ends_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    with browser.new_context(locale="en-GB") as context:
        with service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as ended:
            shown = Visit(context, ended)
        shown.page.locator(".card .act.like").first.click()
        expect(shown.page.locator("#toast")).to_contain_text("does not answer")


def test_a_shop_speaks_of_products_and_tells_what_price_adds(browser: Browser, tmp_path: Path) -> None:
    blocks = [["encoder", 6], ["words", 4], ["price", DIMENSION - 10]]
    bundle = make_bundle(tmp_path / "bundle", domain="shop", blocks=blocks)
    with service(tmp_path / "home", bundle) as shop, browser.new_context(locale="en-GB") as context:
        shown = Visit(context, shop)
        page = shown.page
        expect(page.get_by_label("What are you looking for?")).to_have_attribute(
            "placeholder", "a warm lamp for the desk"
        )
        page.locator(".card summary").first.click()
        page.get_by_role("button", name="I have it").first.click()
        expect(page.locator("main h1")).to_have_text("Picked for you")
        expect(page.locator(".head")).to_contain_text("From one product in your history")
        expect(page.locator(".reasons .label").first).to_have_text("Because you bought")
        page.locator(".card summary").first.click()
        page.get_by_role("button", name="Why exactly?").first.click()
        rows = page.locator("dialog .parts li")
        expect(rows).to_have_count(4)
        expect(rows.nth(2)).to_contain_text("price")
        effects = [float(text.replace("−", "-")) for text in rows.locator(".effect").all_inner_texts()]
        terms = page.locator("dialog .terms tbody td").all_inner_texts()
        assert sum(effects) == pytest.approx(sum(float(text.replace("−", "-")) for text in terms[:-1]), abs=0.04)
        assert page.locator("dialog").evaluate("dialog => dialog.scrollTop") == 0
        found = axe_module.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="切换到中文").click()
        expect(page.locator("main h1")).to_have_text("为你挑选")
        shown.go("history")
        expect(page.locator(".tag").first).to_have_text("买过")
        assert shown.wrong == []


def test_what_a_model_writes_is_shown_and_marked(browser: Browser, tmp_path: Path) -> None:
    said = ". " + "The library on Mill Street opens again after repairs, and readers can borrow books. " * 4
    device = writing(make_device(tmp_path, make_bundle(tmp_path / "bundle", said=said)), Writes())
    device.log.feedback("like", "i5")
    with page_of(device) as address, browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(address)
        expect(page.locator(".card .told").first).to_have_text("It is a card. (written by a model)")
        page.locator(".card summary").first.click()
        expect(page.locator(".menu .told").first).to_have_text(
            "It is a digest. (a sentence of its text, chosen by a model)"
        )
        page.locator('nav a[href="#/taste"]').click()
        expect(page.locator(".summary .told")).to_have_text("It is a taste. (written by a model)")
        found = axe_module.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    device.close()


def test_without_a_model_that_writes_nothing_is_asked_of_it(visit: Visit) -> None:
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    visit.act("like")
    visit.page.locator(".card summary").first.click()
    visit.go("taste")
    assert "/api/list" in asked and "/api/text" not in asked
    expect(visit.page.locator(".told")).to_have_count(0)
