"""The screens in a real browser: Debian's Chromium against a running demonstration.

Every page fails its test on an error in the console, a breach of the content policy, or a request to another host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.deployment import Deployment
from tools import chromium

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
HARMLESS = re.compile(r"Failed to load resource: (the server responded with a status of 4|net::ERR_)|GPU stall|WebGL")
"""What Chromium itself says about answers that a test provokes, and about drawing without a graphics card."""
Language = Literal["zh", "en"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of screens run in one process (make test): they share one demonstration.

    A browser, three servers and a database on two busy cores miss a patient wait now and then: a failed story is told
    once more from its beginning, and the summary counts it.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=3))


@dataclass(slots=True)
class Demo:
    """A running demonstration."""

    url: str
    deployment: Deployment


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """A rainy day, up and running. FACES_DEMO names the data folder of a day that is copied instead of played."""
    folder = Path(tempfile.mkdtemp(prefix="gridloop-faces-"))
    folder.chmod(0o711)
    deployment = Deployment(folder)
    if prepared := os.environ.get("FACES_DEMO"):
        subprocess.run(["cp", "-a", prepared, str(deployment.data)], check=True)
    process = deployment.up("--demo", patience=400)
    yield Demo(f"http://127.0.0.1:{deployment.port}", deployment)
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    deployment.clear()
    if not os.environ.get("FACES_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip("there is no Chromium on this machine (make test fetches it where apt-get is)")
    # Playwright keeps an event loop in this thread, which Django takes for a reason not to ask its database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(program),
            args=FLAGS,
            env={**os.environ, **chromium.environment(program)},
        )
        yield started
        started.close()


@dataclass(slots=True)
class Watched:
    """What went wrong on the pages of one test."""

    home: str
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Patterns of what a test provokes itself, such as errors while the line is cut."""

    def watch(self, context: BrowserContext) -> None:
        context.on("console", lambda m: self._console(m.type, m.text, m.location))
        context.on("weberror", lambda e: self.wrong.append(f"error: {e.error}"))
        context.on("request", lambda r: self._request(r.url))

    def _console(self, kind: str, text: str, where: Any) -> None:
        if kind == "error" and not HARMLESS.search(text) and not any(re.search(p, text) for p in self.expected):
            self.wrong.append(f"console: {text} ({where})")

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost"):
            self.wrong.append(f"request to another host: {url}")


@pytest.fixture
def watched(demo: Demo) -> Iterator[Watched]:
    watched = Watched(demo.url)
    yield watched
    assert not watched.wrong, "\n".join(watched.wrong)


Visit = Callable[..., Page]


@pytest.fixture
def visitor(browser: Browser, demo: Demo, watched: Watched) -> Iterator[Visit]:
    """``visitor(lang, width, theme=None, **context)``: a fresh browser of somebody who is not logged in."""
    contexts: list[BrowserContext] = []

    def visit(lang: Language = "zh", width: int = 1440, theme: str | None = None, **more: Any) -> Page:
        phone = width < 600
        context = browser.new_context(
            base_url=demo.url,
            locale="zh-CN" if lang == "zh" else "en-US",
            timezone_id="Asia/Shanghai",
            viewport={"width": width, "height": 844 if phone else 900},
            has_touch=phone,
            is_mobile=phone,
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(20_000)
        if theme is not None:
            context.add_cookies([{"name": "theme", "value": theme, "url": demo.url}])
        watched.watch(context)
        contexts.append(context)
        return context.new_page()

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def walk_in(visitor: Visit) -> Visit:
    """``walk_in(role, lang, width)``: logged in as the invented person of a post, through the front door."""

    def enter(role: str, lang: Language = "zh", width: int = 1440, theme: str | None = None, **more: Any) -> Page:
        page = visitor(lang, width, theme, **more)
        page.goto("/")
        page.locator(f"button[name=role][value={role}]").click()
        page.wait_for_url(re.compile(r"/(console|field)/"))
        return page

    return enter


@pytest.fixture
def assert_accessible() -> Callable[[Page], None]:
    """No violation of WCAG 2.2 A and AA on the page as it stands (axe-core)."""

    def check(page: Page) -> None:
        # Through the debugger, not as an element: the page's own policy allows no foreign script.
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
        told = [
            f"{v['id']} ({v['impact']}): {v['help']}\n    "
            + "\n    ".join(f"{' '.join(map(str, n['target']))}: {n['failureSummary'][:300]}" for n in v["nodes"][:4])
            for v in found["violations"]
        ]
        assert not told, f"{page.url}\n" + "\n".join(told)

    return check


@pytest.fixture
def snap() -> Callable[..., None]:
    """``snap(page, "name")`` keeps a picture in the folder that FACES_PICTURES names, if it names one."""
    folder = os.environ.get("FACES_PICTURES")

    def keep(page: Page, name: str, *, full: bool = False) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=full)

    return keep


UNTRANSLATED = """
() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (!parent || parent.closest('[lang^="zh"], .data, script, style, template, noscript')) continue;
    if (/[\\u4e00-\\u9fff]/.test(node.data)) found.push(node.data.trim().slice(0, 80));
  }
  for (const element of document.querySelectorAll('[aria-label],[title],[placeholder],[alt]'))
    for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
      if (/[\\u4e00-\\u9fff]/.test(element.getAttribute(name) || '') && !element.closest('[lang^="zh"], .data'))
        found.push(name + ': ' + element.getAttribute(name).slice(0, 80));
  return found;
}
"""


@pytest.fixture
def assert_english() -> Callable[[Page], None]:
    """On an English page Chinese stands only in elements that are marked as data."""

    def check(page: Page) -> None:
        assert page.locator("html").get_attribute("lang") == "en"
        found = page.evaluate(UNTRANSLATED)
        assert not found, f"{page.url}: {json.dumps(found[:20], ensure_ascii=False)}"

    return check


@pytest.fixture
def assert_fits() -> Callable[[Page], None]:
    """The page itself does not scroll sideways."""

    def check(page: Page) -> None:
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{page.url} is {wide} px too wide"

    return check
