"""One case from the call to its closing, by the keyboard alone, on the screens of everybody who has a hand in it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import TimeoutError

from tests.faces.looking import wait_until
from tests.stages.pictures import drawn, saved

TEXT = "商城东路与中州大道交叉口的雨水箅子被压坏了，车轮会陷进去，请尽快来修"


def taken(page: Any) -> tuple[str, str]:
    """What the officer reads out: the report's number; and the case's."""
    number = page.locator(".spoken").inner_text()
    case = page.locator(".taken a[href^='/console/cases/']").first.inner_text()
    return number, case


def finished(page: Any, verb: str) -> None:
    """Send the open form and wait for the page of the case to come back."""
    page.wait_for_selector("dialog.verb[open]")
    with page.expect_navigation(timeout=30_000):
        page.keyboard.press("Control+Enter")
    page.wait_for_selector(".notice.good")
    assert page.locator("dialog.verb").count() == 0, verb


def test_a_call_becomes_a_case_that_is_returned_sent_again_handled_checked_and_closed(
    walk_in: Any, assert_accessible: Any, assert_english: Any, assert_fits: Any, snap: Any
) -> None:
    # A call: the words, the place that was heard, a type that is looked for, the caller.
    intake = walk_in("intake_officer", "zh")
    intake.goto("/console/intake")
    assert_accessible(intake)
    intake.keyboard.type(TEXT, delay=5)
    intake.wait_for_selector("#suggested [data-place]")
    intake.keyboard.press("Alt+p")
    wait_until(intake, "document.querySelector('[name=lon]').value !== ''")
    intake.wait_for_load_state("networkidle")
    for _ in range(4):  # what is suggested may be renewed just then, and take the half-typed word with it
        intake.locator("#suggested input[type=search]").fill("")
        intake.locator("#suggested input[type=search]").focus()
        intake.keyboard.type("雨水箅子")
        try:
            intake.wait_for_selector("#suggested .found input[name=case_type]", timeout=8_000)
            break
        except TimeoutError:
            continue
    intake.keyboard.press("Enter")
    wait_until(intake, "document.querySelector('input[name=case_type]:checked') !== null")
    intake.wait_for_load_state("networkidle")
    wait_until(intake, "document.querySelector('input[name=case_type]:checked') !== null")
    assert "直接建案" in intake.locator("#fate").inner_text()
    intake.locator("#name").focus()
    intake.keyboard.type("郑小明")
    intake.keyboard.press("Tab")
    intake.keyboard.type("13800001234")
    snap(intake, "intake-zh")
    assert_accessible(intake)
    intake.keyboard.press("Control+Enter")
    intake.wait_for_selector(".spoken")
    assert intake.evaluate("sessionStorage.getItem('draft:intake')") is None
    _, number = taken(intake)
    assert re.fullmatch(r"\d{19}", number)
    snap(intake, "intake-taken-zh")
    assert_accessible(intake)

    # The handler finds that it is another's, and says so. The loop has sent it there by itself.
    address = f"/console/cases/{number}"
    handler = walk_in("department_handler", "en", 390)
    for _ in range(40):
        if handler.goto(address).status == 200:
            break
        handler.wait_for_timeout(500)
    assert_accessible(handler)
    assert_english(handler)
    assert_fits(handler)
    snap(handler, "case-en-390", full=True)
    handler.locator("[data-verb=return_back]").focus()
    handler.keyboard.press("Enter")
    handler.wait_for_selector("dialog.verb[open] textarea:focus")
    handler.keyboard.type("The lid is not ours")
    # Closed by mistake, opened again: what was written is still there.
    handler.keyboard.press("Escape")
    handler.wait_for_selector("dialog.verb", state="detached")
    handler.keyboard.press("Enter")
    handler.wait_for_selector("dialog.verb[open]")
    wait_until(handler, "document.querySelector('dialog.verb textarea').value === 'The lid is not ours'")
    assert_accessible(handler)
    assert_english(handler)
    finished(handler, "return")

    # The dispatcher reads why, looks for the unit by a word of its name, and sends it again.
    dispatcher = walk_in("dispatcher", "zh")
    dispatcher.goto("/console/dispatch")
    assert_accessible(dispatcher)
    for _ in range(50):
        dispatcher.keyboard.press("j")
        if number in dispatcher.evaluate("document.activeElement.textContent"):
            break
    assert "The lid is not ours" in dispatcher.evaluate("document.activeElement.textContent")
    snap(dispatcher, "dispatch-zh")
    dispatcher.keyboard.press("u")
    dispatcher.wait_for_selector("dialog.verb[open] input[type=search]:focus")
    dispatcher.keyboard.type("区排水")
    dispatcher.wait_for_selector("dialog.verb .found input[name=unit]")
    dispatcher.keyboard.press("Enter")
    dispatcher.wait_for_selector("dialog.verb .choices label:has(input[name=unit]:checked):has-text('排水')")
    assert_accessible(dispatcher)
    dispatcher.wait_for_selector("#verb-person option:has-text('区排水')", state="attached")
    with dispatcher.expect_navigation(timeout=30_000):
        dispatcher.keyboard.press("Control+Enter")

    # Signed for, shown before and after, handed back.
    handler.goto(address)
    handler.locator(".verbs .primary").wait_for()
    handler.keyboard.press("s")
    finished(handler, "start")
    handler.keyboard.press("h")
    handler.wait_for_selector("dialog.verb[open]")
    for stage in ("before", "after"):
        photo = {"name": f"{stage}.jpg", "mimeType": "image/jpeg", "buffer": saved(drawn(number + stage), "JPEG")}
        handler.locator(f"dialog.verb input[type=file][hx-vals*={stage}]").set_input_files(photo)
        handler.wait_for_selector(f"#got-{stage} li")
    finished(handler, "hand back")

    # Another pair of eyes; the shift lead; and the one who took the call sees how it went.
    inspector = walk_in("inspector", "zh")
    inspector.goto(address)
    inspector.locator("[data-verb=check]").first.wait_for()
    inspector.keyboard.press("Enter")
    finished(inspector, "check")
    lead = walk_in("shift_lead", "en")
    lead.goto(address)
    lead.locator(".verbs .primary").wait_for()
    assert lead.locator("#presence .present").count() >= 1, "the inspector has it open as well"
    lead.keyboard.press("Enter")
    finished(lead, "close")
    assert_english(lead)
    assert_accessible(lead)
    snap(lead, "case-closed-en", full=True)
    intake.goto(address)
    story = intake.locator(".story").inner_text()
    for words in ("结案", "核查通过", "报告处置完成", "签收", "退单", "The lid is not ours", "派给区排水管理所"):
        assert words in story, words
    assert "13800001234" not in intake.content()
    assert intake.locator(".pair .shot").count() == 2
    assert_accessible(intake)
    snap(intake, "case-closed-zh", full=True)


def test_doubts_are_settled_with_single_keys(
    walk_in: Any, assert_accessible: Any, assert_english: Any, assert_fits: Any, snap: Any
) -> None:
    page = walk_in("intake_officer", "en")
    page.goto("/console/triage")
    assert_accessible(page)
    assert_english(page)
    snap(page, "triage-en")
    before = int(page.locator("h1 .badge").inner_text())
    assert before > 1, "the demonstration leaves some doubts"
    page.keyboard.press("r")
    page.wait_for_selector("#refuse[open] textarea:focus")
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("#refuse:not([open])", state="attached")
    if page.locator("[name=lon]").input_value() == "":
        page.keyboard.press("p")
        page.keyboard.type("商城")
        page.wait_for_selector(".found [data-place]")
        page.keyboard.press("ArrowDown")
        page.locator(".found [data-place]").first.focus()
        page.keyboard.press("Enter")
    if page.locator("input[name=case_type]:checked").count() == 0:
        page.keyboard.press("t")
        page.keyboard.type("垃圾")
        page.wait_for_selector(".found input[name=case_type]")
        page.keyboard.press("Enter")
    page.locator("body").press("a")
    page.wait_for_selector(".notice.good")
    assert int(page.locator("h1 .badge").inner_text()) == before - 1
    phone = walk_in("intake_officer", "zh", 390)
    for address in ("/console/triage", "/console/intake", "/console/dispatch"):
        phone.goto(address, wait_until="networkidle")
        assert_fits(phone)
        assert_accessible(phone)
        snap(phone, f"{address.rpartition('/')[2]}-zh-390")
