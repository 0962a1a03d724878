"""A newcomer's five minutes: report, dispatch, hand back, check, answer, by clicking what the pages offer.

The pictures of this story stand in the documentation (docs/tutorials/five-minutes.md).
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stages.pictures import drawn, saved

WORDS = {
    "zh": "雨水箅子被车压坏了，车轮会陷进去，请尽快来修",
    "en": "雨水箅子坏了 - the drain grate is broken, a wheel can get stuck in it",
}
WHERE = {"zh": "商城东路与中州大道交叉口", "en": "航海东路与中州大道交叉口"}


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{re.escape(name)}")).first.click()


def until(page: Page, address: str, sight: str) -> None:
    """Look again until it is there: the loop runs in processes of its own."""
    for _ in range(60):
        page.goto(address)
        if page.locator(sight).count():
            return
        page.wait_for_timeout(500)
    pytest.fail(f"{sight} did not come on {address}")


@pytest.mark.parametrize(("lang", "width"), [("zh", 1440), ("en", 1440)])
def test_a_newcomer_takes_a_problem_all_the_way_round(walk_in, visitor, assert_fits, snap, lang, width) -> None:
    zh = lang == "zh"

    def say(chinese: str, english: str) -> str:
        return chinese if zh else english

    # The resident, on a telephone.
    resident = visitor(lang, 390)
    resident.goto("/")
    resident.get_by_role("link", name=re.compile(say("居民", "Resident"))).click()
    resident.get_by_role("link", name=say("我要反映", "Report a problem")).first.click()
    resident.locator("#what").fill(WORDS[lang])
    resident.locator("#where").fill(WHERE[lang])
    resident.locator("#photo").set_input_files(
        {"name": "grate.jpg", "mimeType": "image/jpeg", "buffer": saved(drawn("grate" + lang), "JPEG")}
    )
    snap(resident, f"tour-1-report-{lang}")
    press(resident, say("下一步", "Next"))
    press(resident, say("发出", "Send"))
    resident.wait_for_url(re.compile(r"/portal/t/[\w-]{22}"))
    link = resident.url.partition("?")[0]
    snap(resident, f"tour-2-ticket-{lang}")

    # If the loop was not sure what it is, the officer at the desk is asked; else it has gone on by itself.
    officer = walk_in("intake_officer", lang, width)
    number = ""
    for _ in range(60):
        officer.goto(f"/console/cases?q={quote(WORDS[lang][:12])}")
        found = officer.locator("tbody a[href^='/console/cases/4']")
        if found.count():
            number = found.first.inner_text()
            break
        officer.goto("/console/triage")
        mine = officer.locator("nav.queue a", has_text=WORDS[lang][:6])
        if mine.count():
            mine.first.click()
            officer.wait_for_load_state()
            snap(officer, f"tour-3-triage-{lang}")
            if not officer.locator("input[name=case_type]:checked").count():
                officer.keyboard.press("t")
                officer.keyboard.type("雨水箅子")
                officer.locator(".found input[name=case_type]").first.check()
            officer.locator("body").press("a")
            officer.wait_for_selector(".notice.good")
        officer.wait_for_timeout(500)
    address = f"/console/cases/{number}"

    # The dispatcher sees where it went, and why.
    dispatcher = walk_in("dispatcher", lang, width)
    until(dispatcher, address, ".why, #why")
    snap(dispatcher, f"tour-4-case-{lang}")

    # The department signs, does the work, and shows it.
    handler = walk_in("department_handler", lang, width)
    handler.goto(address)
    handler.locator("[data-verb=start]").first.click()
    handler.locator("dialog.verb[open] button[type=submit]").click()
    handler.wait_for_selector(".notice.good")
    handler.locator("[data-verb=hand_back]").first.click()
    for stage in ("before", "after"):
        photo = {"name": f"{stage}.jpg", "mimeType": "image/jpeg", "buffer": saved(drawn(number + stage), "JPEG")}
        handler.locator(f"dialog.verb input[type=file][hx-vals*={stage}]").set_input_files(photo)
        handler.wait_for_selector(f"#got-{stage} li")
    snap(handler, f"tour-5-hand-back-{lang}")
    handler.locator("dialog.verb[open] button[type=submit]").click()
    handler.wait_for_selector(".notice.good")

    # Another person checks, the shift lead closes.
    for role, verb in (("inspector", "check"), ("shift_lead", "close")):
        page = walk_in(role, lang, width)
        page.goto(address)
        page.locator(f"[data-verb={verb}]").first.click()
        if verb == "check":
            snap(page, f"tour-6-check-{lang}")
        page.locator("dialog.verb[open] button[type=submit]").click()
        page.wait_for_selector(".notice.good")

    # And the resident says whether it is solved.
    until(resident, link, "#answer form")
    snap(resident, f"tour-7-solved-{lang}", full=True)
    resident.locator("#answer form.answers button").first.click()
    thanks: Locator = resident.get_by_text(say("您说：解决了。谢谢。", "You said: solved. Thank you."))
    expect(thanks).to_be_visible()
    assert_fits(resident)

    leader = walk_in("district_leader", lang, 1920)
    leader.set_viewport_size({"width": 1920, "height": 1080})
    leader.goto("/wall/")
    leader.locator("city-map canvas, city-map svg").first.wait_for()
    leader.wait_for_timeout(1500)
    snap(leader, f"tour-8-wall-{lang}")
