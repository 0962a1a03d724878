"""Waiting in a page whose policy allows no eval."""

from __future__ import annotations

import time

from playwright.sync_api import Page


def wait_until(page: Page, expression: str, seconds: float = 20) -> None:
    """Wait until an expression is true. Playwright's own way polls with eval inside the page, which ours refuse."""
    until = time.monotonic() + seconds
    while not page.evaluate(f"() => Boolean({expression})"):
        assert time.monotonic() < until, f"{expression} did not come true on {page.url}"
        page.wait_for_timeout(100)
