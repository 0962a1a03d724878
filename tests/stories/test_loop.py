"""The path of a report, from its receipt to its place in the figures: everything through the product's own actions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import unlike_their_record
from gridloop.discover.actions import Answer, settle_reports
from gridloop.discover.models import Lesson, Report
from gridloop.discover.queries import reconciliation, triage_list
from gridloop.dispatch.reactions import watch_the_clock
from gridloop.evaluate.actions import rebuild
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.queries import rates
from gridloop.feedback.actions import answer, token_of
from gridloop.feedback.models import Callback
from gridloop.handle.actions import add_evidence, hand_back, self_handle
from gridloop.handle.queries import folder, original_bytes, served_file, unlike_its_record
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.events import stuck
from gridloop.kernel.models import Delivery, Event
from gridloop.people.viewer import ANONYMOUS, SYSTEM
from gridloop.standard import queries as standard_queries
from tests.build import DAY, District, district
from tests.stages.pictures import jpeg

HOUR = timedelta(hours=1)
GARBAGE = "永安街口有一堆生活垃圾没人清理，臭味很大"


@pytest.fixture
def here(db: None, settings: Any, tmp_path: Path) -> Iterator[District]:
    settings.GRIDLOOP_DATA = tmp_path
    with clock.frozen(DAY):
        yield district()


def balanced(**expected: int) -> None:
    """The equation holds: accepted = waiting + triage + in cases + joined + refused, and each part is as expected."""
    found = reconciliation()
    assert found["holds"], found
    parts = {k: v for k, v in found.items() if k not in ("accepted", "holds") and v}
    assert parts == expected
    assert found["accepted"] == sum(expected.values())


def handled(here: District, case: Case, worker: str, *, number: int) -> Case:
    """Photographs, hand back, check by another person, close."""
    for stage in ("before", "after"):
        add_evidence(case_id=case.id, stage=stage, content=jpeg(f"{stage} {number}"), viewer=here[worker])
    hand_back([Move(case_id=case.id, verb="hand_back")], viewer=here[worker])
    here.drain()
    move_cases([Move(case_id=case.id, verb="check", outcome="passed")], viewer=here["inspect"])
    (closed,) = move_cases([Move(case_id=case.id, verb="close")], viewer=here["shift"])
    here.drain()
    return closed


def test_one_report_goes_all_the_way_and_back_and_is_counted(here: District) -> None:
    receipt = here.report(GARBAGE, case_type="urban:E0110")
    balanced(waiting=1)
    here.drain()
    balanced(in_cases=1)
    case = Case.objects.get(id=Report.objects.get(id=receipt.report_id).case_id or 0)
    assert (case.state, case.region_code, case.unit_id) == ("dispatched", "410104001001B001", here.units["JD1"])
    assert case.why is not None
    assert "测试街道办事处" in case.why["zh"]

    with clock.frozen(DAY + HOUR):
        (case,) = move_cases([Move(case_id=case.id, verb="start", version=case.version)], viewer=here["street"])
        photograph = jpeg("before", gps=True)
        row = add_evidence(case_id=case.id, stage="before", content=photograph, viewer=here["street"])
        here.drain()
        assert b"TestCamera" in photograph
        assert original_bytes(row) == photograph
        assert b"TestCamera" not in (folder() / row.original).read_bytes(), "originals are sealed"
        assert hashlib.sha256(photograph).hexdigest() == row.sha256
        assert b"TestCamera" not in served_file(here["street"], row.id).read_bytes()
        move = Move(case_id=case.id, verb="hand_back", version=case.version)
        with pytest.raises(Refused):
            hand_back([move], viewer=here["street"])
        add_evidence(case_id=case.id, stage="after", content=jpeg("after"), viewer=here["street"])
        (case,) = hand_back([move], viewer=here["street"])
        assert case.handled_by_id == here.people["street"]
        move_cases([Move(case_id=case.id, verb="check", outcome="passed")], viewer=here["worker1"])
        move_cases([Move(case_id=case.id, verb="close")], viewer=here["shift"])
        here.drain()

    asked = Callback.objects.get()
    with clock.frozen(DAY + 2 * HOUR):
        answer(token=token_of(asked.report_id, 1), resolved=False, satisfied=2, viewer=ANONYMOUS)
        here.drain()
        case.refresh_from_db()
        assert (case.state, case.reopened) == ("rework", 1)
        assert case.due_at == DAY + 8 * HOUR  # 4 working hours from 11:00, over midday
        assert CaseFact.objects.get(case_id=case.id).on_time is None
    with clock.frozen(DAY + 3 * HOUR):
        handled(here, case, "street", number=2)
        with pytest.raises(Refused):
            answer(token=token_of(asked.report_id, 1), resolved=True, viewer=ANONYMOUS)
        answer(token=token_of(asked.report_id, 2), resolved=True, satisfied=5, viewer=ANONYMOUS)
        answer(token=token_of(asked.report_id, 2), resolved=True, satisfied=5, viewer=ANONYMOUS)
        here.drain()

    fact = CaseFact.objects.get()
    assert (fact.state, fact.on_time, fact.responded, fact.reopened) == ("closed", True, True, 1)
    assert (fact.asked, fact.resolved, fact.satisfied) == (1, True, 5)
    found = rates(list(standard_queries.current().indicators.values()), by="unit", viewer=SYSTEM)[
        str(here.units["JD1"])
    ]
    said = {name: str(found[name]) for name in ("on_time_rate", "response_rate", "resolved_rate", "satisfied_rate")}
    assert set(said.values()) == {"100.0%"}
    assert str(found["reopen_rate"]) == "100.0%"
    names = [e.name for e in Event.objects.filter(subject=f"case:{case.id}").order_by("id")]
    assert names == [
        "CaseOpened", "CaseDispatched", "CaseSigned", "EvidenceAdded", "EvidenceAdded", "CaseHandedBack", "CheckPassed",
        "CaseClosed", "ReporterAsked", "ReporterAnswered", "CaseReopened", "EvidenceAdded", "EvidenceAdded",
        "CaseHandedBack", "CheckPassed", "CaseClosed", "ReporterAsked", "ReporterAnswered",
    ]  # fmt: skip
    assert [*unlike_their_record(), *unlike_its_record()] == []
    assert not stuck()
    assert not Delivery.objects.exists()


def test_an_answer_about_an_earlier_closing_reopens_nothing(here: District) -> None:
    case = here.case()
    case = handled(here, case, "street", number=1)
    first = Callback.objects.get()
    move_cases([Move(case_id=case.id, verb="reopen", reason="复查发现未清理")], viewer=here["shift"])
    handled(here, case, "street", number=2)
    answer(token=token_of(first.report_id, 1), resolved=False, viewer=ANONYMOUS)
    case.refresh_from_db()
    assert (case.state, case.reopened) == ("closed", 1)


def test_a_no_after_the_time_for_answers_is_counted_and_reopens_nothing(here: District) -> None:
    case = handled(here, here.case(), "street", number=1)
    asked = Callback.objects.get()
    with clock.frozen(DAY + timedelta(days=8)):
        answer(token=token_of(asked.report_id, 1), resolved=False, satisfied=1, viewer=ANONYMOUS)
        here.drain()
    case.refresh_from_db()
    assert case.state == "closed"
    assert CaseFact.objects.get(case_id=case.id).resolved is False


def test_who_tells_of_the_same_problem_joins_its_case_and_is_asked_too(here: District) -> None:
    case = here.case(text=GARBAGE)
    lon, lat = here.place(east=0.52)
    for _ in range(2):
        here.report(GARBAGE, case_type="urban:E0110", lon=lon, lat=lat)
    here.drain()
    case.refresh_from_db()
    assert (Case.objects.count(), case.callers) == (1, 3)
    balanced(in_cases=1, joined=2)
    handled(here, case, "street", number=1)
    assert Callback.objects.count() == 3
    for callback, resolved in zip(Callback.objects.order_by("id"), (True, True, False), strict=True):
        answer(token=token_of(callback.report_id, 1), resolved=resolved, viewer=ANONYMOUS)
    here.drain()
    case.refresh_from_db()
    assert case.state == "rework", "one no is enough"
    assert CaseFact.objects.get().resolved is False


def test_what_is_vague_or_outside_waits_for_a_person_whose_answer_is_a_lesson(here: District) -> None:
    vague = here.report("那个事情怎么还没有人管啊")
    outside = here.report(GARBAGE, case_type="urban:E0110", lon=100.0, lat=20.0)
    nowhere = here.report(GARBAGE, case_type="urban:E0110", lon=None, lat=None)
    here.drain()
    balanced(triage=3)
    listed = {r.id: r for r in triage_list(here["intake"])}
    assert set(listed) == {vague.report_id, outside.report_id, nowhere.report_id}
    assert "outside" in (listed[outside.report_id].guess or {})["doubts"]
    assert not triage_list(here["worker1"]).exists()
    lon, lat = here.place(1, 1)
    settle_reports(
        [
            Answer(report_id=vague.report_id, case_type="urban:E0112", lon=lon, lat=lat),
            Answer(report_id=outside.report_id, refuse="不在本区，已转邻区"),
        ],
        viewer=here["intake"],
    )
    here.drain()
    balanced(in_cases=1, refused=1, triage=1)
    lesson = Lesson.objects.get()
    assert (lesson.report_id, lesson.case_type, lesson.by) == (
        vague.report_id, "urban:E0112", f"person:{here.people['intake']}",
    )  # fmt: skip
    case = Case.objects.get()
    assert (case.case_type, case.region_code) == ("urban:E0112", "410104001002B002")
    refused = Event.objects.get(name="ReportRefused")
    assert refused.data["reason"] == "不在本区，已转邻区"
    settle_reports(
        [Answer(report_id=nowhere.report_id, case_type="urban:E0110", case_id=case.id)], viewer=here["intake"]
    )
    balanced(in_cases=1, joined=1, refused=1)


def test_a_grid_worker_reports_what_he_has_put_right_and_another_looks(here: District) -> None:
    case = here.case("urban:E0112", channel="grid_worker")
    for stage in ("before", "after"):
        add_evidence(case_id=case.id, stage=stage, content=jpeg(stage), viewer=here["worker1"])
    case = self_handle(case_id=case.id, viewer=here["worker1"], version=case.version)
    move_cases([Move(case_id=case.id, verb="check", outcome="passed")], viewer=here["leader1"])
    (case,) = move_cases([Move(case_id=case.id, verb="close")], viewer=here["shift"])
    here.drain()
    fact = CaseFact.objects.get()
    assert (fact.state, fact.unit_id, fact.on_time) == ("closed", here.units["SQ1"], True)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM discover_report WHERE id = (SELECT max(id) FROM discover_report)",
        "DELETE FROM cases_case",
        "DELETE FROM kernel_event WHERE name = 'ReportReceived'",
        "UPDATE discover_report SET case_id = NULL",
        "UPDATE discover_report SET case_id = 99999",
        "UPDATE discover_report SET state = 'lost'",
    ],
)
def test_the_equation_turns_false_when_a_row_is_taken_away_behind_our_back(here: District, sql: str) -> None:
    here.case()
    balanced(in_cases=1)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql)
        assert not reconciliation()["holds"]
        transaction.set_rollback(True)


def test_facts_kept_by_events_equal_facts_rebuilt_from_scratch(here: District) -> None:
    cases = [here.case(k) for k in ("urban:E0110", "urban:E0107", "urban:E0112", "urban:E0506", "urban:E0111")]
    handled(here, cases[0], "street", number=1)
    answer(token=token_of(Callback.objects.get().report_id, 1), resolved=False, satisfied=1, viewer=ANONYMOUS)
    move_cases([Move(case_id=cases[1].id, verb="return_back", reason="不归我管")], viewer=here["street"])
    move_cases([Move(case_id=cases[2].id, verb="cancel", reason="重复")], viewer=here["shift"])
    with clock.frozen(DAY + timedelta(days=3)):
        watch_the_clock()
        move_cases([Move(case_id=cases[4].id, verb="force_close", reason="长期")], viewer=here["shift"])
        here.drain()
        kept = list(CaseFact.objects.order_by("case_id").values())
        assert len(kept) == 5
        CaseFact.objects.all().delete()
        rebuild()
        assert list(CaseFact.objects.order_by("case_id").values()) == kept
