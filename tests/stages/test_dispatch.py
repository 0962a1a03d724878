"""Dispatch: who gets a case and why, who is told when time runs out, and that it is told once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from gridloop.cases.actions import note_deadlines
from gridloop.cases.models import Case
from gridloop.cases.rules import CoUnit
from gridloop.dispatch.actions import send_routed
from gridloop.dispatch.reactions import watch_the_clock
from gridloop.kernel import clock
from gridloop.kernel.events import stuck
from gridloop.people.models import Notice, Person, Unit
from tests.build import DAY, District, district
from tests.stages.desk import HOUR, Desk
from tests.stages.test_cases import local


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[District]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield district()
        transaction.set_rollback(True)


@pytest.fixture
def here(built: District, django_db_blocker: DjangoDbBlocker) -> Iterator[District]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield built
        transaction.set_rollback(True)


def pending(here: District, kind: str, **more: Any) -> Case:
    return Desk(here).open(state="pending_dispatch", case_type=kind, **more)


def test_a_case_goes_to_the_unit_and_person_of_its_route_and_says_why_in_one_sentence(here: District) -> None:
    case = here.case("urban:E0110")
    assert (case.state, case.unit_id) == ("dispatched", here.units["JD1"])
    assert case.person_id == here.people["street"]
    assert case.why == {
        "zh": "“暴露生活垃圾”属街面保洁，由所在街道办理；地点在第1网格，派给测试街道办事处，限时4个工作时。",
        "en": "“Exposed household waste” is street cleaning: the street office does it; it lies in 第1网格, goes to "
        "测试街道办事处 and is due within 4 working hours.",
    }
    assert case.why["zh"].count("。") == 1
    assert not any(name in case.why["zh"] for name in Person.objects.values_list("name", flat=True))


def test_a_promised_deadline_is_told_as_promised(here: District) -> None:
    case = pending(here, "urban:E0110", due_at=local(29, 12))
    send_routed([case.id])
    case.refresh_from_db()
    assert case.due_at == local(29, 12)
    assert case.why is not None
    assert case.why["zh"].endswith("派给测试街道办事处，期限为来源所承诺。")


def test_danger_is_sent_to_its_unit_with_helpers_at_the_same_moment(here: District) -> None:
    lon, lat = here.place(1, 1)
    case = here.case("urban:E0506", lon=lon, lat=lat)
    assert case.unit_id == here.units["PS"]
    assert case.person_id == here.people["drain1"]
    assert [p.unit_id for p in case.co_handlings.all()] == [here.units["JD1"]]
    assert not stuck()


def test_without_a_unit_for_the_route_it_waits_for_the_dispatcher(here: District) -> None:
    case = here.case("urban:C0101")  # the water company does not exist in this district
    assert (case.state, case.unit_id) == ("pending_dispatch", None)
    assert not stuck()


def test_a_unit_that_has_ended_gets_nothing(here: District) -> None:
    Unit.objects.filter(code="PS").update(ends_on=DAY.date())
    assert here.case("urban:E0506").state == "pending_dispatch"


def test_correcting_the_type_sends_it_on_its_way(here: District) -> None:
    case = here.case("urban:C0101")
    Desk(here).move(case, "correct", case_type="urban:E0110", by="intake")
    here.drain()
    case.refresh_from_db()
    assert (case.state, case.unit_id) == ("dispatched", here.units["JD1"])


def test_what_a_dispatcher_has_sent_meanwhile_is_left_alone(here: District) -> None:
    desk = Desk(here)
    case = desk.move(pending(here, "urban:E0110"), "dispatch")
    other = pending(here, "urban:E0110")
    assert send_routed([case.id, other.id]) == 1
    case.refresh_from_db()
    assert case.unit_id == here.units["HW"]


def test_a_unit_that_helps_already_is_not_asked_twice(here: District) -> None:
    case = pending(here, "urban:E0506")
    Desk(here).move(case, "add_co_units", co_units=(CoUnit(unit_id=here.units["JD1"]),))
    assert send_routed([case.id]) == 1
    assert case.co_handlings.count() == 1


def test_two_hundred_cases_are_sent_with_as_many_statements_as_one(here: District) -> None:
    send_routed([pending(here, "urban:E0506").id])  # standard, map and calendar are known now
    counts = []
    for n in (1, 200):
        ids = [pending(here, "urban:E0506").id for _ in range(n)]
        with CaptureQueriesContext(connection) as queries:
            assert send_routed(ids) == n
        counts.append(len([q for q in queries if "SAVEPOINT" not in q["sql"]]))
    assert counts[0] == counts[1]
    assert counts[1] <= 20


def told(case: Case, kind: str) -> set[str]:
    notices = Notice.objects.filter(case_id=case.id, kind=kind)
    names = list(notices.values_list("person__username", flat=True))
    assert len(names) == len(set(names)), "nobody is told twice"
    return set(names)


def test_warnings_at_80_and_100_percent_reach_the_holder_and_the_next_level_once(here: District) -> None:
    case = here.case("urban:E0110")  # 4 working hours from 9:00
    assert case.warn_at == local(20, 14, 12)

    def look(at: object) -> None:
        with clock.frozen(at):  # type: ignore[arg-type]
            watch_the_clock()
            here.drain()

    look(local(20, 14, 11))
    assert told(case, "assigned") == {"street"}
    assert Notice.objects.filter(case_id=case.id).count() == 1
    look(local(20, 14, 12))
    look(local(20, 14, 40))
    assert told(case, "deadline_near") == {"street"}
    assert not told(case, "deadline_passed")
    look(local(20, 14, 59))
    look(local(20, 15))
    look(local(21, 15))
    assert told(case, "deadline_near") == {"street"}
    assert told(case, "deadline_passed") == {"street", "clean1"}
    notice = Notice.objects.filter(case_id=case.id, kind="deadline_passed").first()
    assert notice is not None
    assert notice.sentence["zh"] == f"案件{case.number}（待签收）已超期，请督促。"
    assert notice.at == local(20, 15)


def test_the_state_of_timers_is_in_the_database_so_that_a_restart_loses_none(here: District) -> None:
    """Whoever looks first after a stop of two days finds what passed meanwhile, and tells it once as overdue."""
    case = here.case("urban:E0110")
    with clock.frozen(local(22, 9)):
        watch_the_clock()
        here.drain()
    assert told(case, "deadline_near") == set()
    assert told(case, "deadline_passed") == {"street", "clean1"}
    case.refresh_from_db()
    assert (case.warn_at, case.overdue_at) == (None, local(22, 9))


def test_a_step_that_nobody_holds_by_name_is_told_to_whose_work_it_is(here: District) -> None:
    desk = Desk(here)
    expected = {
        "reported": ("intake", "shift"), "pending_filing": ("shift", "lead"), "pending_dispatch": ("dispatch", "shift"),
        "handled": ("worker1", "shift"), "pending_close": ("shift", "lead"), "pending_verify": ("worker1", "leader1"),
    }  # fmt: skip
    cases = {state: desk.bring(state) for state in expected}
    with clock.frozen(DAY + 25 * HOUR):
        note_deadlines()
        here._worker.drain(["dispatch.warn", "dispatch.climb"])
    for state, names in expected.items():
        assert told(cases[state], "deadline_passed") == set(names), state


def test_a_warning_about_what_was_settled_meanwhile_is_not_told(here: District) -> None:
    case = here.case("urban:E0110")
    with clock.frozen(local(20, 14, 30)):
        note_deadlines()
        Desk(here).move(case, "extend", at=local(20, 14, 30))
        here.drain()
    assert not told(case, "deadline_near")


def test_a_helping_unit_is_warned_of_its_own_deadline(here: District) -> None:
    desk = Desk(here)
    case = desk.move(
        desk.bring("handling"), "add_co_units", at=DAY + HOUR, co_units=(CoUnit(unit_id=here.units["SZ"]),)
    )
    for at in (local(20, 15, 12), local(20, 16), local(20, 17)):
        with clock.frozen(at):
            watch_the_clock()
            here.drain()
    notices = Notice.objects.filter(case_id=case.id, sentence__zh__icontains="市政设施中心").order_by("id")
    assert [(n.kind, n.person.username) for n in notices] == [
        ("deadline_near", "road1"), ("deadline_passed", "dispatch"), ("deadline_passed", "road1"),
    ]  # fmt: skip
    assert "由市政设施中心协办的部分已超期" in notices[1].sentence["zh"]


def test_urging_and_supervising_reach_the_holder(here: District) -> None:
    desk = Desk(here)
    case = here.case("urban:E0110")
    desk.move(case, "remind")
    with clock.frozen(DAY + timedelta(minutes=1)):
        desk.move(case, "supervise", at=DAY + timedelta(minutes=1))
        here.drain()
    notices = Notice.objects.filter(case_id=case.id, person__username="street", kind="urged").order_by("id")
    assert [n.sentence["zh"] for n in notices] == [
        f"案件{case.number}（待签收）被催办，请尽快办理。",
        f"案件{case.number}（待签收）被督办。",
    ]
