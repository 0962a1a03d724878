"""The telephone in a real browser: without a link, over a link that breaks, killed in between, and two at one case."""

from __future__ import annotations

import io
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

KINDS = ("暴露生活垃圾", "道路不洁", "废弃家具设备", "乱堆物堆料")
"""What a grid settles by itself: each test reports another kind, so that none is taken for another test's."""
here = {"kind": KINDS[0]}
IN_CHINESE = {"lang": "zh", "width": 390, "permissions": ["geolocation", "camera", "microphone"]}


# --- hands -----------------------------------------------------------------------------------------------------------


def opened(page: Page, hash_: str = "") -> Page:
    """The application, once it has heard from the server and its worker is there."""
    page.goto(f"/field/{hash_}")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => 1)")
    expect(page.locator(".link-state")).to_contain_text(re.compile("在线|online"))
    return page


def stand_in_own_grid(page: Page, number: int) -> tuple[float, float]:
    """Put the telephone into one of the person's own micro-grids: each test has its own, and its own kind."""
    here["kind"] = KINDS[number]
    place = page.evaluate(
        """async n => {
          const ground = await (await fetch('/field/api/map', {headers: {Accept: 'application/json'}})).json();
          const small = ground.regions.filter(r => r.kind === 'micro_grid');
          const ring = (small[n % small.length] ?? ground.regions[0]).rings[0];
          return [0, 1].map(k => ring.reduce((sum, p) => sum + p[k], 0) / ring.length);
        }""",
        number,
    )
    page.context.set_geolocation({"longitude": place[0], "latitude": place[1], "accuracy": 8})
    return place[0], place[1]


def report_waste(page: Page, *, fixed: bool = False) -> None:
    """Three taps: the photograph, the place, the type (here looked for by its name, so that the test knows it)."""
    page.goto("/field/#/report")
    page.locator(".shoot").click()
    page.locator(".shutter").click()
    page.locator(".submit").click()
    page.locator(".type-list button").first.wait_for()
    page.get_by_role("button", name=re.compile("找别的类型|search")).click()
    page.locator("#find").fill(here["kind"])
    page.locator(".type-button", has_text=here["kind"]).first.click()
    if fixed:
        page.locator("#fixed").check()
        page.get_by_role("button", name="拍处置后").click()
        page.locator(".shutter").click()
    page.get_by_role("button", name="上报", exact=True).click()
    expect(page).not_to_have_url(re.compile("#/report"))  # it goes on by itself once the report is kept


def states(page: Page) -> list[str]:
    """The state of each item of the outbox, as it is kept on disk."""
    found: list[str] = page.evaluate("async () => (await import(appURL())).app.outbox.entries.map(e => e.state)")
    return found


APP = "() => { globalThis.appURL = () => document.querySelector('script[src*=\"/field/app.js\"]').src }"


def hurry(page: Page) -> None:
    """Send now: what a person does with a tap on the button."""
    page.evaluate(APP)
    page.evaluate(
        "async () => { const { app } = await import(appURL()); await app.refresh(); await app.outbox?.send(true); }"
    )


def until_delivered(page: Page, seconds: float = 60) -> None:
    """Tap until nothing waits any more."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(Exception):
            hurry(page)
            if set(states(page)) <= {"done"}:
                return
        page.wait_for_timeout(150)
    raise AssertionError(f"not delivered in {seconds} s: {states(page)}")


def until_kept(page: Page) -> None:
    """The pictures of the tasks are fetched one after the other; what is laid over the camera is there."""
    page.evaluate(APP)
    for _ in range(100):
        hurry(page)
        names = page.evaluate("async () => (await import(appURL())).app.store.names()")
        if any(name.startswith("large:") for name in names):
            return
        page.wait_for_timeout(100)
    raise AssertionError("the picture was not fetched")


def tasks(page: Page) -> list[dict[str, Any]]:
    """The person's tasks as the server tells them."""
    told = page.evaluate(
        "async () => (await (await fetch('/field/api/tasks', {headers: {Accept: 'application/json'}})).json())"
    )
    return [task | {"type_name": told["types"][task["type"]]["name"]["zh"]} for task in told["tasks"]]


def task_here(page: Page, lon: float, lat: float, photographs: int = 0) -> dict[str, Any]:
    """The waste case at a place, as soon as the loop has made one of the report and hung its photographs on it."""
    until = time.monotonic() + 40
    found: dict[str, Any] = {}
    while time.monotonic() < until:
        for task in tasks(page):
            near = abs((task["lon"] or 0) - lon) < 0.0004 and abs((task["lat"] or 0) - lat) < 0.0004
            if task["type_name"] == here["kind"] and near:
                found = task
                if task["photographs"][0] >= photographs and len(task["pictures"]) >= min(photographs, 4):
                    return task
        page.wait_for_timeout(250)
    raise AssertionError(f"the report became no task with {photographs} photographs: {found}")


def plain_text_on_disk(page: Page) -> str:
    """Everything that the browser keeps for the application, as text: what somebody who copies it would see."""
    found: str = page.evaluate(
        """async () => {
          const result = request => new Promise((ok, no) => {
            request.onsuccess = () => ok(request.result);
            request.onerror = no;
          });
          const out = [];
          for (const { name } of await indexedDB.databases()) {
            const db = await result(indexedDB.open(name));
            for (const store of db.objectStoreNames)
              for (const one of await result(db.transaction(store).objectStore(store).getAll())) {
                out.push(JSON.stringify(one));
                for (const part of [one?.data, one])
                  if (part instanceof ArrayBuffer) out.push(new TextDecoder().decode(part));
              }
            db.close();
          }
          for (const key of Object.keys(localStorage)) out.push(key + '=' + localStorage[key]);
          for (const name of await caches.keys())
            for (const request of await (await caches.open(name)).keys()) out.push(request.url);
          return out.join(' ');
        }"""
    )
    assert "/field/app.js" in found, "the shell at least is there"
    return found


# --- without a link --------------------------------------------------------------------------------------------------


def test_a_whole_task_is_done_without_a_link_and_arrives_once(walk_in, assert_accessible, assert_fits, snap) -> None:
    page = opened(walk_in("grid_worker", **IN_CHINESE))
    lon, lat = stand_in_own_grid(page, 0)

    page.context.set_offline(True)
    report_waste(page)
    page.goto("/field/#/outbox")
    expect(page.locator(".outbox-item")).to_contain_text("等待")
    assert_accessible(page)
    snap(page, "field-outbox-waiting-zh")

    # The application is opened anew without a link: everything is still there.
    page.reload()
    expect(page.locator(".link-state")).to_contain_text("离线")
    page.evaluate(APP)
    assert states(page) == ["waiting"]
    assert here["kind"] not in plain_text_on_disk(page)

    page.context.set_offline(False)
    until_delivered(page)
    task = task_here(page, lon, lat, photographs=1)
    assert task["photographs"] == [task["callers"], 0], "each report has brought its one photograph"

    # Now the task itself, again without a link: put right on the spot, with the picture from before as a ghost.
    opened(page)
    until_kept(page)
    page.context.set_offline(True)
    page.goto(f"/field/#/task/{task['number']}")
    assert_accessible(page)
    assert_fits(page)
    snap(page, "field-task-zh", full=True)
    page.get_by_role("link", name="自行处置").click()
    page.get_by_role("button", name=re.compile("叠上处置前画面")).click()
    expect(page.locator(".camera-ghost")).to_be_visible()
    snap(page, "field-camera-zh")
    assert_accessible(page)
    page.locator(".shutter").click()
    page.get_by_alt_text("刚拍的照片").wait_for()
    page.get_by_role("button", name=re.compile("录一段语音")).click()
    page.get_by_role("button", name=re.compile("停止录音")).click()
    page.locator("audio").wait_for()
    page.locator("button.submit").click()
    expect(page.locator(f".task-card[href$='{task['number']}']")).to_contain_text("自行处置")
    page.context.set_offline(False)
    until_delivered(page)
    assert task["number"] not in [t["number"] for t in tasks(page)], "it waits for another person's check"

    # Leaving wipes the telephone.
    page.goto("/field/#/settings")
    page.get_by_role("button", name=re.compile("退出登录并清除")).click()
    page.get_by_role("button", name="退出并清除", exact=True).click()
    page.wait_for_url(re.compile("/login"))
    assert (
        page.evaluate("async () => (await indexedDB.databases()).filter(d => /^gridloop-field/.test(d.name)).length")
        == 0
    )
    assert page.evaluate("async () => Object.keys(localStorage).filter(k => k.endsWith('person')).length") == 0


# --- a link that breaks ----------------------------------------------------------------------------------------------


class Cutter:
    """A line to the server that is cut, in both directions at once, after a number of bytes; then after another one."""

    def __init__(self, target: int, seed: int, most: int) -> None:
        self.target, self.most, self.random = target, most, random.Random(seed)
        self.cuts, self.on, self.left = 0, False, 0
        self.lock = threading.Lock()
        self.lines: set[socket.socket] = set()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self) -> None:
        with self.lock:
            self.on, self.left = True, self.random.randrange(1, self.most)

    def stop(self) -> None:
        self.on = False

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.door.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.lines |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(4096):
                allowed = self._allowed(len(data))
                other.sendall(data[:allowed])
                if allowed < len(data):
                    self._cut()
                    break
        for line in (one, other):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _allowed(self, size: int) -> int:
        with self.lock:
            if not self.on:
                return size
            self.left -= size
            return size if self.left > 0 else size + self.left

    def _cut(self) -> None:
        with self.lock:
            self.cuts += 1
            self.left = self.random.randrange(1, self.most)
            lines, self.lines = self.lines, set()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def close(self) -> None:
        self.door.close()
        self._cut()


@contextmanager
def cut_at_random(target: int, seed: int, most: int) -> Iterator[Cutter]:
    cutter = Cutter(target, seed, most)
    try:
        yield cutter
    finally:
        cutter.close()


def noise(number: int) -> bytes:
    """A photograph of some 45 KB that is like no other."""
    picture = Image.effect_noise((240, 180), 90 + number)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=92)
    return out.getvalue() + bytes([number]) * 16


def push(page: Page) -> None:
    """Send, without asking for anything else."""
    page.evaluate("async () => { const { app } = await import(appURL()); await app.outbox.send(true); }")


def test_nothing_is_lost_and_nothing_doubled_when_the_link_is_cut_at_random_bytes(walk_in, demo) -> None:
    page = walk_in("grid_worker", **IN_CHINESE)
    with cut_at_random(int(demo.url.rsplit(":", 1)[1]), seed=20261122, most=14_000) as line:
        base = f"http://127.0.0.1:{line.port}"
        page.goto(f"{base}/field/")
        page.evaluate("() => navigator.serviceWorker.ready.then(() => 1)")
        lon, lat = stand_in_own_grid(page, 1)
        page.context.set_offline(True)
        count = 4
        for number in range(count):
            page.goto(f"{base}/field/#/report")
            page.locator(".shoot").click()
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="相册").click()
            chooser.value.set_files({"name": "p.jpg", "mimeType": "image/jpeg", "buffer": noise(number)})
            page.locator(".submit").click()
            page.get_by_role("button", name=re.compile("找别的类型")).click()
            page.locator("#find").fill(here["kind"])
            page.locator(".type-button", has_text=here["kind"]).first.click()
            page.get_by_role("button", name="上报", exact=True).click()
            page.locator(".task-list, .empty").first.wait_for()
        page.evaluate(APP)
        assert states(page) == ["waiting"] * count
        page.context.set_offline(False)
        line.start()
        until = time.monotonic() + 120
        while set(states(page)) != {"done"} and time.monotonic() < until:
            push(page)
        line.stop()
        until_delivered(page)
        assert line.cuts >= 20, f"only {line.cuts} cuts"
        # One problem, told several times: as many callers of one case, as many photographs. More or less would show.
        task = task_here(page, lon, lat, photographs=count)
        assert task["callers"] == count
        assert task["photographs"] == [count, 0]


# --- killed ----------------------------------------------------------------------------------------------------------


@contextmanager
def telephone(browser: Any, demo: Any, folder: Path, **more: Any) -> Iterator[BrowserContext]:
    """A browser with a memory of its own, as an installed application has it."""
    from tests.faces.conftest import FLAGS
    from tools import chromium

    context = browser.browser_type.launch_persistent_context(
        str(folder), executable_path=str(chromium.find()), args=FLAGS, base_url=demo.url, locale="zh-CN",
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, reduced_motion="reduce",
        permissions=["geolocation", "camera", "microphone"], **more,
    )  # fmt: skip
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()


def test_it_can_be_installed_and_what_was_made_outlives_the_application(browser, demo, tmp_path) -> None:
    with telephone(browser, demo, tmp_path) as context:
        page = context.new_page()
        page.goto("/")
        page.locator("button[name=role][value=grid_worker]").click()
        page.wait_for_url(re.compile("/(console|field)/"))
        opened(page)
        debugger = context.new_cdp_session(page)
        assert debugger.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
        assert debugger.send("Page.getAppManifest")["errors"] == []
        lon, lat = stand_in_own_grid(page, 2)
        context.set_offline(True)
        report_waste(page)
        page.goto("/field/#/settings")
        page.locator("#new-pin").fill("731905")
        page.get_by_role("button", name="设密码").click()
        expect(page.get_by_role("button", name="取消本机密码")).to_be_visible()
        # Killed: no page gets a chance to tidy up.
        page.close(run_before_unload=False)
    with telephone(browser, demo, tmp_path, offline=True) as context:
        page = context.new_page()
        page.goto("/field/")
        page.locator("#pin").fill("111111")
        page.get_by_role("button", name="打开").click()
        expect(page.get_by_role("alert")).to_contain_text("不对")
        page.locator("#pin").fill("731905")
        page.get_by_role("button", name="打开").click()
        expect(page.locator("h1")).to_have_text("我的任务")
        page.evaluate(APP)
        assert states(page) == ["waiting"]
        context.set_offline(False)
        until_delivered(page)
        assert task_here(page, lon, lat)["callers"] == 1


# --- two at one case -----


def test_two_telephones_at_one_case_and_a_person_decides(walk_in, assert_accessible, snap) -> None:
    one = opened(walk_in("grid_worker", **IN_CHINESE))
    lon, lat = stand_in_own_grid(one, 3)
    report_waste(one)
    until_delivered(one)
    number = task_here(one, lon, lat, photographs=1)["number"]
    two = opened(walk_in("grid_worker", **IN_CHINESE))
    for page in (one, two):
        hurry(page)
        page.context.set_offline(True)
        page.goto(f"/field/#/act/{number}/self_handle/")
        page.get_by_role("button", name=re.compile("拍照")).first.click()
        page.locator(".shutter").click()
        page.get_by_alt_text("刚拍的照片").wait_for()
        page.locator("button.submit").click()
        expect(page.locator(f".task-card[href$='{number}']")).to_contain_text("自行处置")
    two.context.set_offline(False)
    until_delivered(two)
    one.context.set_offline(False)
    until = time.monotonic() + 40
    while time.monotonic() < until and "conflict" not in states_of(one):
        with suppress(Exception):
            hurry(one)
    one.goto("/field/#/outbox")
    item = one.locator(".outbox-item.conflict")
    expect(item).to_contain_text("您看到的")
    expect(item).to_contain_text("待核查")
    assert_accessible(one)
    snap(one, "field-conflict-zh", full=True)
    item.get_by_role("button", name="放弃我的这一步").click()
    expect(one.locator(".outbox-item.conflict")).to_have_count(0)


def states_of(page: Page) -> list[str]:
    page.evaluate(APP)
    return states(page)


# --- every screen -----

SMALL = """
() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary')]
  .filter(e => e.offsetParent && !e.closest('.field-map, p, dd') && !(e.type === 'radio' || e.type === 'checkbox'))
  .map(e => [e, e.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.height < 43.5 || box.width < 43.5))
  .map(([e, box]) => `${e.tagName} ${e.className} ${Math.round(box.width)}x${Math.round(box.height)}`)
"""


@pytest.mark.parametrize(("lang", "theme"), [("zh", "dark"), ("en", "contrast")])
def test_every_screen_can_be_read_and_reached_with_one_thumb(
    walk_in, assert_accessible, assert_english, assert_fits, snap, lang, theme
) -> None:
    here = {"longitude": 113.72, "latitude": 34.72}
    allowed = ["geolocation", "camera", "microphone"]
    page = opened(walk_in("inspector", lang, 390, theme, permissions=allowed, geolocation=here))
    page.locator(".task-card").first.wait_for()
    page.locator(".sorts button").nth(2).click()
    expect(page.locator(".task-card").first.locator(".stop")).to_have_text("1")
    page.locator(".sorts button").nth(1).click()
    expect(page.locator(".task-card").first).to_contain_text(re.compile("米|公里|m"))
    number = tasks(page)[0]["number"]
    page.wait_for_timeout(1000)
    places = ["tasks", f"task/{number}", f"act/{number}/check/failed", "map", "report", "outbox", "settings"]
    for place in places:
        page.goto(f"/field/#/{place}")
        page.locator("#main h1").first.wait_for(state="attached")
        page.wait_for_timeout(300)
        assert_accessible(page)
        assert_fits(page)
        assert page.evaluate(SMALL) == [], place
        if lang == "en":
            assert_english(page)
        snap(page, f"field-{place.split('/')[0]}-{lang}-{theme}", full=place.startswith(("task/", "act", "settings")))
    page.goto("/field/#/report")
    page.locator(".shoot").click()
    page.locator(".shutter").click()
    page.locator(".submit").wait_for()
    assert_accessible(page)
    snap(page, f"field-report-place-{lang}-{theme}")
    page.locator(".submit").click()
    page.locator(".type-list button").first.wait_for()
    assert_accessible(page)
    if lang == "en":
        assert_english(page)
    snap(page, f"field-report-type-{lang}-{theme}")


def test_a_stranger_is_asked_to_log_in_and_the_page_opens_without_a_link(visitor, assert_accessible) -> None:
    page = visitor("zh", 390)
    page.goto("/field/")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => 1)")
    expect(page.get_by_role("link", name="登录")).to_be_visible()
    assert_accessible(page)
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("h1")).to_have_text("网格现场")


def test_a_post_without_work_in_the_street_is_told_so(walk_in) -> None:
    page = walk_in("district_leader", **IN_CHINESE)
    page.goto("/field/")
    expect(page.locator("main")).to_contain_text("没有现场工作")
