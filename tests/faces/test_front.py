"""The front door of a demonstration, and the switches that every page has."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_front_page_explains_itself_and_lets_one_in(
    visitor, assert_accessible, assert_english, assert_fits, snap, lang, width
) -> None:
    page = visitor(lang, width)
    page.goto("/")
    assert_accessible(page)
    assert_fits(page)
    if lang == "en":
        assert_english(page)
    snap(page, f"front-{lang}-{width}", full=True)
    page.locator("button[name=role][value=dispatcher]").click()
    page.wait_for_url("**/console/")


@pytest.mark.parametrize("theme", ["dark", "contrast"])
def test_every_theme_can_be_read(visitor, assert_accessible, snap, theme) -> None:
    page = visitor("zh", 1440, theme)
    page.goto("/")
    assert_accessible(page)
    snap(page, f"front-{theme}")


def test_language_theme_and_size_are_chosen_and_kept_with_the_keyboard_alone(visitor) -> None:
    page = visitor("zh", 1440)
    page.goto("/")
    for name, kept in (
        ("English", ("lang", "en")),
        ("Dark", ("data-theme", "dark")),
        ("Large", ("data-size", "large")),
    ):
        page.locator("details.menu > summary").focus()
        page.keyboard.press("Enter")
        button = page.get_by_role("button", name=name, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_load_state()
        page.wait_for_selector(f"html[{kept[0]}={kept[1]}]")
    page.reload()
    assert [page.locator("html").get_attribute(n) for n in ("lang", "data-theme", "data-size")] == [
        "en",
        "dark",
        "large",
    ]
