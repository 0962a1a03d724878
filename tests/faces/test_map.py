"""The map in a real browser: drawn, searched, narrowed, listed, with keys alone, and where nothing can be drawn."""

from __future__ import annotations

import re

READY = "city-map[data-ready=map]"


def test_a_dispatcher_finds_a_place_narrows_the_map_and_opens_the_list_behind_it(
    walk_in, assert_accessible, assert_fits, snap
) -> None:
    page = walk_in("dispatcher", "zh", 1440)
    page.goto("/map/")
    page.locator(READY).wait_for()
    total = page.locator(".cm-total")
    total.filter(has_text=re.compile(r"画面中\d+件")).wait_for()
    assert "虚构地图" in page.locator("city-map").inner_text()
    snap(page, "map-zh")
    assert_accessible(page)
    assert_fits(page)
    # The filter is part of the address, and the list has the same one.
    page.locator("select[name=clock]").select_option("red")
    page.wait_for_url("**clock=red**")
    assert "clock=red" in (page.locator("#map-list").get_attribute("href") or "")
    # Search, and choose by keys.
    page.get_by_role("searchbox").fill("航海")
    page.locator(".cm-found button").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator(".cm-mark").wait_for()
    page.wait_for_url("**zoom=16**")
    # The coordinates follow the chosen datum.
    wgs84 = page.locator(".cm-place").inner_text()
    page.locator(".cm-coords select").select_option("gcj02")
    assert page.locator(".cm-place").inner_text() != wgs84
    # The same in words: a table that leads to cases.
    page.locator("[data-tool=list]").click()
    page.locator(".cm-table table, .cm-table p").first.wait_for()
    assert_accessible(page)
    page.keyboard.press("Escape")
    # The view itself as an area, without a pointer.
    page.locator("[data-tool=draw]").click()
    page.get_by_role("button", name="当前画面").click()
    link = page.get_by_role("link", name="列出这些案件")
    assert "area=" in (link.get_attribute("href") or "")
    link.click()
    page.wait_for_url("**/console/cases?**area=**")
    assert "地图上框选的范围" in page.locator("main").inner_text()


def test_the_brief_of_a_grid_opens_with_keys_on_a_telephone_in_english(
    walk_in, assert_accessible, assert_english, assert_fits, snap
) -> None:
    page = walk_in("inspector", "en", 390, "dark")
    page.goto("/map/?open=yes&center=113.7,34.735&zoom=15")
    page.locator(READY).wait_for()
    page.locator("city-map canvas").first.focus()
    page.keyboard.press("Enter")
    card = page.locator("[data-card]")
    card.wait_for()
    assert card.get_by_text("open", exact=True).is_visible()
    snap(page, "map-card-en-phone")
    assert_accessible(page)
    assert_english(page)
    assert_fits(page)
    page.keyboard.press("Escape")
    card.wait_for(state="detached")


def test_without_webgl_there_is_a_sketch_and_the_list(walk_in, assert_accessible, snap) -> None:
    page = walk_in("dispatcher", "zh", 1440)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = (f => function (kind, ...more) {"
                         " return kind.startsWith('webgl') ? null : f.call(this, kind, ...more); })"
                         "(HTMLCanvasElement.prototype.getContext)")  # fmt: skip
    page.goto("/map/")
    page.locator("city-map[data-ready=sketch]").wait_for()
    assert page.locator(".cm-sketch path").count() > 5
    page.locator("[data-tool=list]").click()
    page.locator(".cm-table table").wait_for()
    snap(page, "map-sketch")
    assert_accessible(page)
