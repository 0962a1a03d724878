"""The wall: its figures are the cases behind them, and each viewer's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from pytest_django import DjangoAssertNumQueries

from gridloop.cases.models import Case
from gridloop.evaluate.queries import PASSED, Span, cases_that_passed, passed
from gridloop.kernel import clock
from tests.build import DAY, browser, district
from tests.stages.desk import HOUR, Desk

DAY_SHOWN = "2026-07-20"


@pytest.fixture
def desk(db: None) -> Iterator[Desk]:
    with clock.frozen(DAY):
        yield Desk(district())


class Links(HTMLParser):
    """Every link of a page with the words in it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._open = dict(attrs).get("href") or ""
            self.found.setdefault(self._open, "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._open] += data.strip()


def test_what_passed_on_a_day_is_counted_once_a_case_and_opens_to_these_cases(desk: Desk) -> None:
    closed, handled = desk.bring("closed"), desk.bring("handled")
    desk.bring("dispatched")
    day = Span(DAY - HOUR, DAY + timedelta(hours=12))
    found = passed(desk.here["lead"], day)
    assert found == {"opened": 3, "dispatched": 3, "handed_back": 2, "checked": 1, "closed": 1, "reopened": 0}
    for step, count in found.items():
        assert cases_that_passed(desk.here["lead"], step, day).count() == count
    assert set(cases_that_passed(desk.here["lead"], "handed_back", day)) == {closed, handled}
    assert passed(desk.here["lead"], Span(DAY + timedelta(days=1))) == dict.fromkeys(PASSED, 0)


def test_a_street_sees_what_passed_in_the_street(desk: Desk) -> None:
    desk.bring("dispatched")
    outside = desk.bring("dispatched")
    Case.objects.filter(pk=outside.pk).update(region_code="410104002001B001", unit_id=None)
    day = Span(DAY - HOUR, DAY + timedelta(hours=12))
    assert passed(desk.here["lead"], day)["opened"] == 2
    assert passed(desk.here["street"], day)["opened"] == 1
    assert outside not in cases_that_passed(desk.here["street"], "opened", day)


def test_every_figure_of_the_board_is_a_link_to_a_list_that_has_as_many(desk: Desk) -> None:
    for state in ("reported", "handling", "handled", "closed", "suspended"):
        desk.bring(state)
    page = browser("lead").get(f"/wall/board?day={DAY_SHOWN}")
    links = Links(page.content).found
    asked = {href for href in links if href.startswith("/wall/passed/")}
    assert len(asked) == len(PASSED)
    for href in asked:
        listed = browser("lead").get(href).content.decode()
        n = int("".join(c for c in links[href] if c.isdigit()))
        assert listed.count('<td><a class="number"') == n, href


def test_the_board_costs_the_same_however_many_cases_there_are(
    desk: Desk, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser("lead")
    for state in ("handling", "handled"):
        desk.bring(state)
    desk.here.drain()
    client.get("/wall/board")
    with django_assert_num_queries(BOARD):
        client.get("/wall/board")
    for state in ("handled", "dispatched", "closed", "suspended"):
        desk.bring(state)
    desk.here.drain()
    with django_assert_num_queries(BOARD):
        client.get("/wall/board")


BOARD = 11
"""Statements of one look at the board, session and viewer included."""


def test_units_with_too_few_cases_are_shown_and_not_ranked(desk: Desk) -> None:
    desk.bring("closed")
    desk.here.drain()
    page = browser("lead").get("/wall/board").content.decode()
    assert "环卫中心" in page
    assert "件数太少，不排名" in page


def test_who_may_not_read_scores_sees_no_ranking(desk: Desk) -> None:
    desk.bring("closed")
    page = browser("dispatch").get("/wall/board").content.decode()
    assert "单位排名" not in page


def test_a_day_that_is_none_is_refused_with_what_to_write(desk: Desk) -> None:
    page = browser("lead", "en").get("/wall/?day=yesterday")
    assert page.status_code == 422
    assert "for example 2026-11-22" in page.content.decode()
