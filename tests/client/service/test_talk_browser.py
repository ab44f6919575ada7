"""The conversation in a real browser: a sentence, a chip, and nothing that a screen reader stumbles over."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from served import make_bundle, service

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: install it, or name it in CHROMIUM")
def test_a_conversation_on_the_page(tmp_path: Path) -> None:
    wrong: list[str] = []
    with (
        service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as running,
        sync_api.sync_playwright() as playwright,
    ):
        sync_api.expect.set_options(timeout=15_000)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(running.page)
        page.locator('nav a[href="#/talk"]').click()
        page.locator("#sentence").fill("something about the sea")
        page.keyboard.press("Enter")
        sync_api.expect(page.locator(".asked-for li")).to_have_count(1)
        sync_api.expect(page.locator(".cards .card").first).to_be_visible()
        assert axe_module.Axe().run(page).violations_count == 0
        page.locator(".asked-for button").click()
        sync_api.expect(page.locator(".asked-for li")).to_have_count(0)
        browser.close()
    assert not wrong
