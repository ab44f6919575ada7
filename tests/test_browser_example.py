"""The static page ranks in a real browser as the recommender does, and the history never leaves it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from bundles import write_published

from sottovoce.client.recommender import Recommender
from sottovoce.common.bundle import open_bundle
from sottovoce.common.onnx_export import export_onnx

EXAMPLE = Path(__file__).parents[1] / "examples" / "browser"
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    requested: list[str] = []  # noqa: RUF012 - of one test

    def do_GET(self) -> None:
        self.requested.append(f"{self.path} {self.headers.get('Content-Length', '')}")
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def packages() -> Path:
    """The pinned packages of the example: where its README puts them, or in a cache that npm fills once."""
    if (EXAMPLE / "node_modules").exists():
        return EXAMPLE / "node_modules"
    lock = EXAMPLE / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    kept = platformdirs.user_cache_path("sottovoce") / f"browser-{digest}"
    if not (kept / "whole").exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("no npm here, which fetches onnxruntime-web")
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", lock.name):
            shutil.copy(EXAMPLE / file, kept / file)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(kept)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch onnxruntime-web: {' '.join(done.stderr.split())[:200]}")
        (kept / "whole").touch()
    return kept / "node_modules"


@pytest.fixture
def site(tmp_path: Path, packages: Path) -> Iterator[str]:
    import json

    bundle = open_bundle(write_published(tmp_path / "bundle"))
    for name in ("index.html", "app.js", "style.css"):
        shutil.copy(EXAMPLE / name, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(packages)
    export_onnx(bundle, tmp_path / "model.onnx")
    items = bundle.catalogue
    table = {"ids": list(items.ids), "titles": list(items.titles), "categories": list(items.attributes["categories"])}
    (tmp_path / "catalogue.json").write_text(json.dumps(table))
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_page_ranks_as_the_recommender_does(site: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    recommender = Recommender.load(tmp_path / "bundle")
    titles = recommender.bundle.catalogue.titles
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        foreign: list[str] = []
        page.on(
            "request", lambda request: None if request.url.startswith((site, "blob:")) else foreign.append(request.url)
        )
        page.goto(site)
        page.wait_for_selector("#list li", timeout=60_000)
        Quiet.requested.clear()
        met: list[int] = []
        for item in (3, 7):
            page.fill("#title", titles[item])
            page.click("#search button")
            page.wait_for_function("n => document.querySelectorAll('#met li').length === n", arg=len(met) + 1)
            met.append(item)
            listed = page.eval_on_selector_all("#list li", "lines => lines.map(line => line.firstChild.textContent)")
            assert listed == [each.title for each in recommender.recommend(np.array(met), 10)]
        page.reload()
        page.wait_for_function("() => document.querySelectorAll('#met li').length === 2")
        assert not [line for line in Quiet.requested if "?" in line or not line.endswith(" ")]
        page.click("#forget")
        page.wait_for_function("() => document.querySelectorAll('#met li').length === 0")
        assert page.evaluate("localStorage.getItem('sottovoce.history')") == "[]"
        assert not foreign
        browser.close()
