"""Home and work lists on the screens of a dispatcher and a shift lead: keyboard, many at once, a list that is kept."""

from __future__ import annotations

import re
from typing import Any

from tests.faces.looking import wait_until


def rows(page: Any) -> Any:
    return page.locator("table.list tbody tr[data-href]")


def settled(page: Any) -> None:
    page.wait_for_load_state("networkidle")


def test_a_desk_narrows_walks_chooses_and_keeps_a_list(
    walk_in: Any, assert_accessible: Any, assert_fits: Any, snap: Any
) -> None:
    page = walk_in("shift_lead", "zh")
    page.goto("/console/")
    assert page.locator(".home-card").count() >= 4
    assert_accessible(page)
    snap(page, "home-shift-lead-zh")

    # From the card to its list; from there to everything that is open, by the row of stages.
    page.goto("/console/cases")
    page.locator(".stages a", has_text="在办").click()
    page.wait_for_url(re.compile(r"open=yes"))
    settled(page)
    assert rows(page).count() > 5
    assert_accessible(page)
    assert_fits(page)
    snap(page, "list-zh")

    # Two characters narrow the list and the address while they are typed; the chip takes them out again.
    page.keyboard.press("/")
    page.keyboard.type("垃圾")
    page.wait_for_url(re.compile(r"q=%E5%9E%83%E5%9C%BE"))
    settled(page)
    assert page.locator(".chips .chip").count() == 1
    page.locator(".chips .chip").click()
    wait_until(page, "!location.search.includes('q=')")
    settled(page)

    # Open menus are as accessible as closed ones.
    page.locator(".filters summary").last.click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0

    # A column more, kept for the next page.
    page.locator(".tools").get_by_text("列", exact=True).click()
    page.locator("input[name=column][value=source]").check()
    page.wait_for_selector("td.c-source")
    page.reload()
    assert page.locator("td.c-source").count() > 0

    # The keyboard walks, chooses, and opens.
    page.locator("body").press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("tr.here.picked").count() == 1
    page.keyboard.press("k")
    page.keyboard.press("x")
    assert page.locator("[data-picked]").inner_text() == "2"
    page.keyboard.press("a")
    page.wait_for_selector("dialog[open] #bulk-verb")
    settled(page)
    page.select_option("#bulk-verb", "remind:")
    page.wait_for_selector("#bulk-reason")
    settled(page)
    assert_accessible(page)
    snap(page, "list-together-zh")
    page.locator("dialog .button.primary").click()
    page.wait_for_selector("#toasts .toast")
    assert "2件已办" in page.locator("#toasts").inner_text()
    page.wait_for_selector("dialog", state="detached")

    # The list is kept under a name and stands on the home page; a removal is undone.
    settled(page)
    page.locator(".tools summary", has_text="保存列表").click()
    page.fill("#save-name", "夜班要看的")
    page.locator(".tools form[action='/console/lists'] .button").click()
    page.wait_for_selector("#toasts .toast >> text=夜班要看的")
    page.goto("/console/#own")
    card = page.locator(".own-card", has_text="夜班要看的")
    card.locator("summary").click()
    assert_accessible(page)
    card.locator("form[action$='/remove'] button").click()
    page.wait_for_selector("#own .notice")
    assert page.locator(".own-card").count() == 0
    page.locator("#own .notice button").click()
    page.wait_for_selector(".own-card")
    assert_accessible(page)


def test_lists_and_home_read_in_english_on_a_phone_and_in_the_dark(
    walk_in: Any, assert_accessible: Any, assert_english: Any, assert_fits: Any, snap: Any
) -> None:
    page = walk_in("dispatcher", "en", 390, "dark")
    for where, name in (("/console/", "home"), ("/console/cases?open=yes&clock=red,yellow,green", "list")):
        page.goto(where)
        assert_english(page)
        assert_accessible(page)
        assert_fits(page)
        snap(page, f"{name}-en-390-dark")
    rows(page).first.locator(".pick input").tap()
    page.locator(".bulk-bar .button.primary").tap()
    page.wait_for_selector("dialog[open]")
    settled(page)
    assert_english(page)
    assert_accessible(page)
    page.goto("/console/cases?q=zebra")
    assert "No case is like that." in page.locator("#list").inner_text()
    assert_english(page)
    assert_accessible(page)
    # A wrong address names its mistakes.
    answer = page.goto("/console/cases?state=gone&colour=red")
    assert answer.status == 422
    assert "colour" in page.locator("main").inner_text()
    assert_accessible(page)
