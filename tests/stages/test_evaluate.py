"""Facts and figures: counted by hand, and counted by the product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from gridloop.cases.models import Case
from gridloop.evaluate.actions import note_cases, rebuild
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.queries import BY, Span, cases_behind, rates
from gridloop.evaluate.rules import FACTS, on_time, responded
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.people.viewer import SYSTEM
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.format import CASE_FACTS
from gridloop.standard.rules.standard import Indicator
from tests.build import DAY, district
from tests.stages.desk import GRID, HOUR, Desk
from tests.stages.test_cases import local

LATE = local(20, 16)
"""An hour after the deadline of what was dispatched at 9:00."""


def test_the_facts_are_those_that_packs_may_count() -> None:
    assert set(FACTS) == set(CASE_FACTS)


@pytest.mark.parametrize(
    ("handled", "due", "ended", "late", "expected"),
    [
        (None, None, None, False, None),
        (DAY, None, None, True, None),
        (DAY, DAY, None, False, True),
        (DAY + timedelta(microseconds=1), DAY, None, False, False),
        (DAY - HOUR, DAY, LATE, True, True),
        (None, DAY, None, False, None),
        (None, DAY, None, True, False),
        (None, DAY, DAY - HOUR, False, None),
        (None, DAY, DAY + HOUR, False, False),
    ],
)
def test_on_time_is_judged_at_the_hand_back(
    handled: datetime | None, due: datetime | None, ended: datetime | None, late: bool, expected: bool | None
) -> None:
    assert on_time(handled, due, ended_at=ended, late=late) is expected


@pytest.mark.parametrize(
    ("signed", "sign_by", "unsigned", "expected"),
    [
        (DAY, None, None, None),
        (DAY, DAY, None, True),
        (DAY + HOUR, DAY, None, False),
        (None, DAY, None, None),
        (None, DAY, DAY - HOUR, None),
        (None, DAY, DAY + HOUR, False),
    ],
)
def test_whether_a_unit_responded_is_known_when_it_signed_or_when_it_was_too_late(
    signed: datetime | None, sign_by: datetime | None, unsigned: datetime | None, expected: bool | None
) -> None:
    assert responded(signed, sign_by, unsigned_at=unsigned) is expected


@dataclass(slots=True)
class Told:
    desk: Desk
    cases: dict[str, Case]


@pytest.fixture(scope="module")
def told(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Told]:
    """Eight cases of two units, each with another fate."""
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        desk = Desk(district())
        roads: dict[str, Any] = {"unit_id": desk.here.units["SZ"], "person_id": desk.here.people["road1"]}

        def done(case: Case, at: datetime, by: str = "clean1") -> Case:
            case = desk.move(case, "start", at=at, by=by)
            case = desk.move(case, "hand_back", at=at, by=by)
            return desk.move(desk.move(case, "check", "passed", at=at), "close", at=at)

        cases = {
            "in time": done(desk.bring("dispatched"), DAY + HOUR),
            "late": done(desk.bring("dispatched"), LATE),
            "late, exempt": done(desk.bring("dispatched"), LATE),
            "open": desk.bring("handling"),
            "cancelled": desk.move(desk.bring("handling"), "cancel", at=LATE),
            "forced, late": desk.move(desk.bring("handling"), "force_close", at=LATE),
            "of others": done(
                desk.move(desk.bring("pending_dispatch", region_code="410104001002B002"), "dispatch", **roads),
                DAY + HOUR, "road1",
            ),
            "waiting": desk.bring("pending_filing"),
        }  # fmt: skip
        exempt = desk.move(cases["late, exempt"], "appeal", at=LATE)
        for reviewer in ("shift", "shift2"):
            exempt = desk.move(exempt, "decide_appeal", "grant", by=reviewer, at=LATE)
        rework = desk.move(desk.bring("handled"), "check", "failed", at=DAY + HOUR)
        cases["reworked"] = done(rework, LATE + HOUR)
        note_cases([c.id for c in cases.values()])
        yield Told(desk, cases)
        transaction.set_rollback(True)


@pytest.fixture
def day(told: Told, django_db_blocker: DjangoDbBlocker) -> Iterator[Told]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield told
        transaction.set_rollback(True)


def indicator(name: str) -> Indicator:
    return standard_queries.current().indicators[name]


def counted(told: Told, name: str, by: str, group: str) -> tuple[int, int]:
    found = rates([indicator(name)], by=by, viewer=SYSTEM)[group][name]
    return found.count, found.out_of


def test_the_rates_are_those_of_a_count_by_hand(day: Told) -> None:
    """HW: in time; late; (exempt left out); open and void not judged; forced late; reworked and late again = 1 of 4."""
    sanitation, roads = str(day.desk.here.units["HW"]), str(day.desk.here.units["SZ"])
    assert counted(day, "on_time_rate", "unit", sanitation) == (1, 4)
    assert counted(day, "on_time_rate", "unit", roads) == (1, 1)
    assert counted(day, "on_time_rate", "all", "") == (2, 5)
    assert counted(day, "close_rate", "all", "") == (4, 6)
    assert counted(day, "rework_rate", "unit", sanitation) == (1, 3)
    assert counted(day, "force_close_rate", "all", "") == (1, 6)
    # signed at 9, 10 and 10 in time (2 working hours: until 11); at 16 too late
    assert counted(day, "response_rate", "all", "") == (6, 7)
    value = rates([indicator("on_time_rate")], by="all", viewer=SYSTEM)[""]["on_time_rate"]
    assert value.value == Decimal("0.4")
    assert value.small_sample


def test_nothing_due_is_no_tasks_and_neither_zero_nor_one(day: Told) -> None:
    found = rates([indicator("satisfied_rate")], by="all", viewer=SYSTEM)[""]["satisfied_rate"]
    assert (found.count, found.out_of, found.value, str(found)) == (0, 0, None, "无任务")


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("street", {"410104001": (2, 5)}),
        ("community", {"410104001001": (1, 4), "410104001002": (1, 1)}),
        ("grid", {GRID: (1, 4), "410104001002B002": (1, 1)}),
        ("case_type", {"urban:E0110": (2, 5)}),
        ("source", {"hotline": (2, 5)}),
    ],
)
def test_figures_are_grouped_by_place_type_and_source(day: Told, by: str, groups: dict[str, tuple[int, int]]) -> None:
    found = rates([indicator("on_time_rate")], by=by, viewer=SYSTEM)
    assert {g: (r["on_time_rate"].count, r["on_time_rate"].out_of) for g, r in found.items()} == groups
    assert by in BY


def test_behind_each_figure_are_the_cases_that_it_counted(day: Told) -> None:
    late = indicator("on_time_rate")
    sanitation = str(day.desk.here.units["HW"])
    due = set(cases_behind(late, by="unit", group=sanitation, viewer=SYSTEM, hits=False))
    hits = set(cases_behind(late, by="unit", group=sanitation, viewer=SYSTEM))
    assert due == {day.cases[n] for n in ("in time", "late", "forced, late", "reworked")}
    assert hits == {day.cases["in time"]}
    for one in standard_queries.current().indicators.values():
        for group, found in rates([one], by="grid", viewer=SYSTEM).items():
            assert cases_behind(one, by="grid", group=group, viewer=SYSTEM).count() == found[one.id].count
            assert cases_behind(one, by="grid", group=group, viewer=SYSTEM, hits=False).count() == found[one.id].out_of


def test_a_span_counts_cases_from_its_start_to_before_its_end(day: Told) -> None:
    one = [indicator("on_time_rate")]
    assert rates(one, by="all", viewer=SYSTEM, span=Span(DAY, DAY + HOUR))[""]["on_time_rate"].out_of == 5
    assert rates(one, by="all", viewer=SYSTEM, span=Span(None, DAY)) == {}
    assert rates(one, by="all", viewer=SYSTEM, span=Span(DAY + HOUR)) == {}


def test_who_may_not_read_scores_gets_none(day: Told) -> None:
    for read in (
        lambda: rates([], by="all", viewer=day.desk.here["clean1"]),
        lambda: cases_behind(indicator("close_rate"), by="all", group="", viewer=day.desk.here["clean1"]),
    ):
        with pytest.raises(Refused) as caught:
            read()
        assert caught.value.status == 403


def test_facts_rebuilt_from_scratch_equal_those_that_were_kept(day: Told) -> None:
    kept = list(CaseFact.objects.order_by("case_id").values())
    CaseFact.objects.filter(case_id=day.cases["late"].id).update(on_time=True, unit_id=None)
    CaseFact.objects.filter(case_id=day.cases["open"].id).delete()
    stray = CaseFact.objects.get(case_id=day.cases["in time"].id)
    stray.pk = 10_000_000
    stray.save(force_insert=True)
    steps: list[tuple[int, int]] = []
    assert rebuild(lambda done, total: steps.append((done, total)), chunk=4) == len(kept)
    assert list(CaseFact.objects.order_by("case_id").values()) == kept
    assert steps == [(4, 9), (8, 9), (9, 9), (9, 9)]


def test_a_case_sent_to_two_units_was_dispatched_wrongly(day: Told) -> None:
    desk = day.desk
    roads: dict[str, Any] = {"unit_id": desk.here.units["SZ"], "person_id": desk.here.people["road1"]}
    twice = desk.move(desk.bring("returned"), "dispatch", **roads)
    again = desk.move(desk.bring("returned"), "dispatch")
    note_cases([twice.id, again.id])
    assert dict(CaseFact.objects.filter(case_id__in=[twice.id, again.id]).values_list("case_id", "units")) == {
        twice.id: 2, again.id: 1,
    }  # fmt: skip


def test_during_rework_the_old_hand_back_is_no_longer_judged(day: Told) -> None:
    case = day.desk.move(day.desk.bring("handled"), "check", "failed", at=DAY + HOUR)
    note_cases([case.id])
    fact = CaseFact.objects.get(case_id=case.id)
    assert (fact.handled_at, fact.on_time, fact.reworks) == (None, None, 1)
