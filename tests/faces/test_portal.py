"""A resident's whole story in a real browser: report, link, staff at work, "not solved", taken up again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.stages.pictures import jpeg

FORM_LIMIT = 120_000
"""Bytes over the wire for the first sight of the form (issue 3)."""


def by_keyboard(page: Page, target: str) -> None:
    """Press Tab until the element has the focus, then Enter: what cannot be reached so is not there for everybody."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement?.matches(wanted)", target):
            page.keyboard.press("Enter")
            return
    pytest.fail(f"{target} cannot be reached with the keyboard on {page.url}")


def sent(page: Page) -> str:
    page.wait_for_url(re.compile(r"/portal/t/[\w-]{22}\?new=1"))
    return page.url.partition("?")[0]


@pytest.mark.parametrize(("lang", "width"), [("zh", 390), ("en", 1440)])
def test_a_resident_says_me_too_and_later_that_it_is_not_solved(
    visitor: Any, walk_in: Any, assert_accessible: Any, assert_english: Any, assert_fits: Any, snap: Any,
    lang: str, width: int,
) -> None:  # fmt: skip
    zh = lang == "zh"

    def look(page: Page, name: str) -> None:
        assert_accessible(page)
        assert_fits(page)
        if not zh:
            assert_english(page)
        snap(page, f"portal-{name}-{lang}-{width}", full=True)

    lead = walk_in("shift_lead", lang)
    waiting = lead.request.get("/api/v1/cases?state=pending_close&limit=50").json()["items"]
    resident = visitor(lang, width)
    number = next(c["number"] for c in waiting if resident.request.get(f"/portal/cases/{c['number']}").status == 200)

    resident.goto("/portal/")
    look(resident, "home")
    resident.goto(f"/portal/cases/{number}")
    look(resident, "case")
    by_keyboard(resident, "a.button.huge")
    resident.wait_for_url("**/portal/report?same=*")
    look(resident, "me-too")
    by_keyboard(resident, "button[value=review]")
    resident.wait_for_selector("button[value=send]")
    look(resident, "review")
    by_keyboard(resident, "button[value=send]")
    link = sent(resident)
    look(resident, "thanks")

    joined = resident.get_by_text("人反映同一问题" if zh else "people reported the same").first
    for _ in range(40):
        resident.goto(link)
        if joined.count():
            break
        resident.wait_for_timeout(250)
    expect(joined).to_be_visible()

    shown = lead.request.get(f"/api/v1/cases/{number}").json()
    token = lead.evaluate("document.querySelector('meta[name=csrf]').content")
    closed = lead.request.post(
        f"/api/v1/cases/{number}/verbs/close", data={"version": shown["version"]}, headers={"X-CSRFToken": token}
    )
    assert closed.ok, closed.text()
    for _ in range(40):
        resident.goto(link)
        if resident.locator("#answer").count():
            break
        resident.wait_for_timeout(250)
    look(resident, "is-it-solved")
    by_keyboard(resident, "details.not-solved > summary")
    resident.get_by_label("哪里没有解决？" if zh else "What is not solved?").fill(
        "井盖还在响" if zh else "It still rattles"
    )
    by_keyboard(resident, "details.not-solved form button")
    expect(resident.get_by_text("已经重新办理。" if zh else "It was taken up again.")).to_be_visible()
    look(resident, "taken-up-again")
    assert lead.request.get(f"/api/v1/cases/{number}").json()["state"] == "rework"

    resident.goto(f"{link}/data")
    look(resident, "data")
    for path, name in (
        ("cases", "list"),
        ("find", "find"),
        ("follow?region=410104001", "follow"),
        ("privacy", "privacy"),
    ):
        resident.goto(f"/portal/{path}")
        look(resident, name)


def test_the_form_warns_of_danger_shows_the_photograph_and_fetches_a_map_only_when_asked(
    visitor: Any, assert_accessible: Any, assert_english: Any
) -> None:
    page = visitor("en", 390, geolocation={"longitude": 113.6858, "latitude": 34.7585}, permissions=["geolocation"])
    wire: list[tuple[str, float]] = []
    asked: list[tuple[str, str]] = []
    debugger = page.context.new_cdp_session(page)
    debugger.send("Network.enable")
    debugger.on("Network.responseReceived", lambda e: asked.append((e["requestId"], e["response"]["url"])))
    debugger.on("Network.loadingFinished", lambda e: wire.append((e["requestId"], e["encodedDataLength"])))
    page.goto("/portal/report")
    page.wait_for_load_state("networkidle")
    names = dict(asked)
    # A machine without a Chinese font fetches ours; that is the machine's weight, not the form's.
    assert sum(n for key, n in wire if "/noto/" not in names.get(key, "")) <= FORM_LIMIT
    assert not [url for _, url in asked if "maplibre" in url or "/map/" in url]

    page.get_by_label("1. What happened?").fill("Somebody is injured under the broken street lamp")
    expect(page.locator("#danger a[href='tel:120']")).to_be_visible()
    page.locator("#photo").set_input_files({"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": jpeg("report")})
    expect(page.locator("#previews img")).to_be_visible()
    page.get_by_role("button", name="Use my location").click()
    expect(page.locator("#located")).to_contain_text("Your location is noted")
    page.get_by_role("button", name="Point on a map").click()
    expect(page.locator("city-map")).to_be_visible()
    page.get_by_role("button", name="Point on a map").click()
    assert_accessible(page)
    assert_english(page)
    page.get_by_role("button", name="Next: look it over").click()
    expect(page.locator(".danger a[href='tel:120']")).to_be_visible()
    expect(page.locator("dl.review")).to_contain_text("with the place on the map")
    assert_accessible(page)
    page.get_by_role("button", name="Send", exact=True).dblclick()
    link = sent(page)
    page.goto(link)
    expect(page.locator(".qr svg")).to_be_visible()


def test_without_any_script_and_in_large_letters_the_whole_way_is_open(visitor: Any) -> None:
    page = visitor("zh", 390, java_script_enabled=False)
    page.goto("/portal/")
    page.get_by_role("button", name="大字").click()
    assert page.locator("html").get_attribute("data-size") == "large"
    page.get_by_role("link", name="我要反映").first.click()
    page.get_by_label("1. 发生了什么？").fill("路灯不亮三天了")
    page.locator("#area").select_option(index=2)
    page.get_by_label("地点", exact=True).fill("菜市场门口第三根灯杆")
    page.locator("#photo").set_input_files({"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": jpeg("lamp")})
    page.get_by_label("5. 电话").fill("037112345678")
    page.get_by_role("button", name="下一步：看一遍").click()
    expect(page.locator("dl.review")).to_contain_text("1张")
    page.get_by_role("button", name="再改改").click()
    expect(page.get_by_label("1. 发生了什么？")).to_have_value("路灯不亮三天了")
    page.get_by_role("button", name="下一步：看一遍").click()
    page.get_by_role("button", name="发出").click()
    link = sent(page)
    page.goto(f"{link}/data")
    expect(page.locator("dl.facts")).to_contain_text("037****5678")
    page.get_by_label("我明白，删除后不能恢复").check()
    page.get_by_role("button", name="现在删除").click()
    expect(page.get_by_text("已经销毁")).to_be_visible()
    page.goto(link)
    # The switch of the language works from a page that tells nobody where it is.
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.url == link


@pytest.mark.parametrize("theme", ["dark", "contrast"])
def test_every_theme_can_be_read(visitor: Any, assert_accessible: Any, theme: str) -> None:
    page = visitor("zh", 390, theme)
    for path in ("/portal/", "/portal/report", "/portal/cases"):
        page.goto(path)
        assert_accessible(page)
    page.goto("/portal/report")
    page.get_by_label("1. 发生了什么？").fill("有人触电受伤")
    expect(page.locator("#danger a").first).to_be_visible()
    assert_accessible(page)
