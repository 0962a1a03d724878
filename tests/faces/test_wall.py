"""The wall in a real browser: at 1080p and 4K, on a desk and a telephone, and when its line is cut."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("lang", "width", "theme"), [("zh", 1920, "dark"), ("en", 390, "light")])
def test_the_wall_shows_the_district_and_each_figure_opens(
    walk_in, assert_accessible, assert_english, assert_fits, snap, lang, width, theme
) -> None:
    page = walk_in("district_leader", lang, width, theme)
    page.set_viewport_size({"width": width, "height": 1080 if width > 600 else 844})
    page.goto("/wall/")
    page.locator("city-map canvas, city-map svg").first.wait_for()
    assert_accessible(page)
    assert_fits(page)
    if lang == "en":
        assert_english(page)
    snap(page, f"wall-{lang}-{width}", full=width < 600)
    figure = page.locator(".flow a", has_text="结案" if lang == "zh" else "closed").first
    count = int(figure.locator("strong").inner_text().replace(",", ""))
    figure.click()
    page.wait_for_url("**/wall/passed/closed**")
    assert page.locator("tbody tr").count() == min(count, 50)


def test_a_4k_wall_uses_its_whole_size_without_scrolling(walk_in, snap) -> None:
    page = walk_in("district_leader", "zh", 3840, "dark")
    page.set_viewport_size({"width": 3840, "height": 2160})
    page.goto("/wall/")
    page.locator("city-map canvas, city-map svg").first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("() => parseFloat(getComputedStyle(document.body).fontSize)") >= 28
    snap(page, "wall-4k")


def test_figures_that_grow_old_say_so(walk_in, watched) -> None:
    """The line is cut; three minutes later nobody can take the wall for live."""
    watched.expected += ["htmx:(sendError|afterRequest)", "^Pn$|AJAXError"]
    page = walk_in("dispatcher", "zh", 1920)
    page.clock.install()
    page.goto("/wall/")
    page.locator("#age[data-worn=fresh]").wait_for()
    page.context.set_offline(True)
    page.clock.run_for(70_000)
    page.locator("#age[data-worn=late]").wait_for()
    page.clock.run_for(130_000)
    page.locator("#age[data-worn=stale]").wait_for()
    assert "连接中断" in page.locator("#age").inner_text()
    page.context.set_offline(False)
    page.evaluate("() => htmx.trigger('#board', 'refresh')")
    page.locator("#age[data-worn=fresh]").wait_for()
