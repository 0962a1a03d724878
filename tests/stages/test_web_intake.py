"""The three desks: a call, a doubt, a dispatch, against a real database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker
from pytest_django.asserts import assertContains, assertNotContains

from gridloop.cases.models import Case
from gridloop.discover import queries as discover
from gridloop.discover.models import Lesson, Report
from gridloop.discover.rules.place import Entry, Gazetteer
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from gridloop.registry.models import ReporterContact
from gridloop.web.console.triage import marked
from tests.build import DAY, browser, district
from tests.stages.desk import GRID, HOUR, KIND, Desk

TEN = DAY + HOUR
TEXT = "路边有一堆生活垃圾没人清理，味道很大"


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    """One district for the whole file; each test takes back what it did."""
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield Desk(district())
        transaction.set_rollback(True)


@pytest.fixture
def desk(built: Desk, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    names = ("测试路与一号街交叉口", "测试公园", "测试公园东门")
    places = [
        Entry(name=name, kind="poi", lon=built.here.place()[0], lat=built.here.place()[1], region_code=GRID)
        for name in names
    ]
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(TEN):
        held = Gazetteer(places)
        monkeypatch.setattr(discover, "gazetteer", lambda: held)
        yield built
        transaction.set_rollback(True)


def said(desk: Desk, **more: Any) -> dict[str, Any]:
    """A call as the form sends it, with a type and a place."""
    lon, lat = desk.here.place()
    return {"key": str(uuid4()), "text": TEXT, "case_type": KIND, "lon": f"{lon:.6f}", "lat": f"{lat:.6f}", **more}


# --- a call ----------------------------------------------------------------------------------------------------------


def test_while_somebody_speaks_types_places_and_near_cases_are_suggested(desk: Desk) -> None:
    near = desk.bring("handling", text="路边垃圾成堆，气味难闻")
    found = browser("intake").post("/console/intake/suggest", {"text": f"测试公园门口{TEXT}"})
    assertContains(found, KIND)
    assertContains(found, "测试公园")
    assertContains(found, f'name="join" value="{near.pk}"')
    assertContains(found, "<mark")


def test_suggesting_changes_nothing_and_is_quick(desk: Desk) -> None:
    client = browser("intake")
    client.post("/console/intake/suggest", {"text": TEXT})
    before = Report.objects.count(), Event.objects.count()
    began = time.perf_counter()
    for n in range(10):
        client.post("/console/intake/suggest", {"text": TEXT[: 5 + n]})
    assert (time.perf_counter() - began) / 10 < 0.5
    assert (Report.objects.count(), Event.objects.count()) == before


def test_a_call_of_which_the_officer_is_sure_is_a_case_at_once_and_its_number_is_read_out(desk: Desk) -> None:
    client = browser("intake")
    saved = client.post("/console/intake", said(desk, name="郑小明", phone="13812345678"))
    assert saved.status_code == 302
    report = Report.objects.get()
    assert (report.channel, report.state) == ("hotline", "opened")
    case = Case.objects.get(pk=report.case_id or 0)
    assert (case.case_type, case.region_code) == (KIND, GRID)
    assert Lesson.objects.get(report=report).case_type == KIND
    page = client.get(saved["Location"])
    for words in (report.number, case.number, "最迟答复"):
        assertContains(page, words)
    desk.here.drain()
    assert Case.objects.count() == 1, "the loop must not open it again"


def test_a_call_of_which_nobody_is_sure_is_left_to_the_loop(desk: Desk) -> None:
    client = browser("intake")
    saved = client.post("/console/intake", said(desk, case_type="", lon="", lat=""))
    assert Report.objects.get().state == "waiting"
    assertContains(client.get(saved["Location"]), "正在分拣")
    desk.here.drain()
    assert Report.objects.get().state == "triage"
    assertContains(client.get(saved["Location"]), "待分拣")


def test_a_caller_joins_an_open_case_with_one_answer(desk: Desk) -> None:
    case = desk.bring("handling")
    browser("intake").post("/console/intake", said(desk, join=case.pk))
    report = Report.objects.get()
    case.refresh_from_db()
    assert (report.state, report.case_id, case.callers) == ("joined", case.pk, 2)


def test_the_name_and_the_number_go_into_the_vault_and_come_back_nowhere(desk: Desk) -> None:
    client = browser("intake")
    refused = client.post("/console/intake", said(desk, text="", name="郑小明", phone="13812345678"))
    assert refused.status_code == 422
    assertNotContains(refused, "13812345678", status_code=422)
    assertNotContains(refused, "郑小明", status_code=422)
    assert not ReporterContact.objects.exists()
    saved = client.post("/console/intake", said(desk, name="郑小明", phone="13812345678", secret="on"))
    assertNotContains(client.get(saved["Location"]), "13812345678")
    contact = ReporterContact.objects.get()
    assert contact.secret
    assert "13812345678" not in saved["Location"]
    told = [str(e.data) for e in Event.objects.all()]
    assert not any("13812345678" in one or "郑小明" in one for one in told)


def test_the_same_form_sent_twice_is_one_call(desk: Desk) -> None:
    client, form = browser("intake"), said(desk)
    first, second = client.post("/console/intake", form), client.post("/console/intake", form)
    assert first["Location"] == second["Location"]
    assert (Report.objects.count(), Case.objects.count()) == (1, 1)
    other = client.post("/console/intake", form | {"text": "别的事"})
    assert other.status_code == 409


def test_a_point_outside_the_district_is_refused_and_nothing_is_kept(desk: Desk) -> None:
    refused = browser("intake").post("/console/intake", said(desk, lon="100.0", lat="30.0"))
    assert refused.status_code == 422
    assert not Report.objects.exists()


def test_places_are_found_by_any_part_of_their_names_those_that_begin_so_first(desk: Desk) -> None:
    found = browser("intake").post("/console/places", {"address": "公园"}).content.decode()
    assert found.index("测试公园<") < found.index("测试公园东门<")
    assert "交叉口" not in found


# --- a doubt ---------------------------------------------------------------------------------------------------------


def doubtful(desk: Desk, **more: Any) -> Report:
    """A report that waits for a person."""
    receipt = desk.here.report("那边有东西坏了", lon=None, lat=None, **more)
    desk.here.drain()
    return Report.objects.get(pk=receipt.report_id)


def test_a_doubt_is_shown_with_its_reasons_and_answered_and_the_next_one_comes(desk: Desk) -> None:
    first, second = doubtful(desk), doubtful(desk, address="测试公园")
    client = browser("intake")
    page = client.get("/console/triage")
    assertContains(page, first.number)
    assertContains(page, "没有地点")
    lon, lat = desk.here.place()
    answer = {"report": first.pk, "do": "accept", "case_type": KIND, "lon": lon, "lat": lat}
    done = client.post("/console/triage", answer)
    assert done.status_code == 302
    first.refresh_from_db()
    assert first.state == "opened"
    following = client.get(done["Location"])
    assertContains(following, "已建案")
    assertContains(following, f'name="report" value="{second.pk}"')


def test_a_doubt_without_a_place_cannot_be_accepted(desk: Desk) -> None:
    report = doubtful(desk)
    refused = browser("intake").post("/console/triage", {"report": report.pk, "do": "accept", "case_type": KIND})
    assertContains(refused, "请标出地点", status_code=422)
    report.refresh_from_db()
    assert report.state == "triage"


def test_refusing_a_doubt_needs_a_reason(desk: Desk) -> None:
    report = doubtful(desk)
    client = browser("intake")
    assert client.post("/console/triage", {"report": report.pk, "do": "refuse"}).status_code == 422
    assert (
        client.post("/console/triage", {"report": report.pk, "do": "refuse", "refuse": "与本区无关"}).status_code == 302
    )
    report.refresh_from_db()
    assert report.state == "refused"


def test_a_doubt_that_somebody_else_has_settled_is_said_so(desk: Desk) -> None:
    report = doubtful(desk)
    client = browser("intake")
    client.post("/console/triage", {"report": report.pk, "do": "refuse", "refuse": "与本区无关"})
    again = client.post("/console/triage", {"report": report.pk, "do": "refuse", "refuse": "与本区无关"})
    assertContains(again, "不在待甄别列表中", status_code=422)


def test_a_doubt_joins_a_near_case(desk: Desk) -> None:
    case, report = desk.bring("handling"), doubtful(desk)
    browser("intake").post("/console/triage", {"report": report.pk, "do": "accept", "case_type": KIND, "join": case.pk})
    report.refresh_from_db()
    assert (report.state, report.case_id) == ("joined", case.pk)


def test_an_empty_list_says_so(desk: Desk) -> None:
    assertContains(browser("intake").get("/console/triage"), "没有要分拣的来件")
    assertContains(browser("dispatch", "en").get("/console/dispatch"), "Nothing waits")


def test_the_words_that_decided_are_marked_in_the_text_and_nothing_else_is_lost() -> None:
    runs = marked("路灯不亮，路灯杆歪了", ("路灯", "歪"))
    assert [r.text for r in runs if r.decided] == ["路灯", "路灯", "歪"]
    assert "".join(r.text for r in runs) == "路灯不亮，路灯杆歪了"
    assert marked("", ("x",)) == []


# --- a dispatch ------------------------------------------------------------------------------------------------------


def test_the_dispatcher_agrees_to_many_proposals_at_once(desk: Desk) -> None:
    cases = [desk.bring("pending_dispatch") for _ in range(3)]
    client = browser("dispatch")
    page = client.get("/console/dispatch")
    assertContains(page, "测试街道办事处")
    assertContains(page, "按规则派")
    sent = client.post("/console/dispatch", {"case": [f"{c.pk}:{c.version}" for c in cases]})
    assert sent.status_code == 302
    assertContains(client.get(sent["Location"]), "已派遣3件")
    for case in cases:
        case.refresh_from_db()
        assert (case.state, case.unit_id) == ("dispatched", desk.here.units["JD1"])
        assert case.why is not None
    told = Event.objects.filter(name="CaseDispatched").values_list("actor", flat=True)
    assert set(told) == {desk.here["dispatch"].actor}


def test_of_several_cases_none_is_sent_if_somebody_was_faster_with_one(desk: Desk) -> None:
    first, second = desk.bring("pending_dispatch"), desk.bring("pending_dispatch")
    chosen = [f"{c.pk}:{c.version}" for c in (first, second)]
    desk.move(second, "correct", address="别处")
    refused = browser("dispatch").post("/console/dispatch", {"case": chosen})
    assertContains(refused, second.number, status_code=422)
    assertContains(refused, "都没有派出", status_code=422)
    first.refresh_from_db()
    assert first.state == "pending_dispatch"


def test_a_returned_case_says_why_and_is_not_sent_back_to_the_same_unit_with_one_key(desk: Desk) -> None:
    case = desk.move(desk.bring("pending_dispatch"), "dispatch", unit_id=desk.here.units["JD1"], person_id=None)
    case = desk.move(case, "return_back", by="street", reason="属市政管养")
    page = browser("dispatch").get("/console/dispatch")
    for words in ("属市政管养", "退单（第1次）", "指定单位"):
        assertContains(page, words)
    assertNotContains(page, f'value="{case.pk}:{case.version}"')


def test_the_desk_asks_as_often_for_one_case_as_for_many(desk: Desk) -> None:
    client = browser("dispatch")
    counts = []
    for n in (1, 5):
        for _ in range(n):
            desk.bring("pending_dispatch")
        client.get("/console/dispatch")
        with CaptureQueriesContext(connection) as queries:
            client.get("/console/dispatch")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20, counts


@pytest.mark.parametrize(
    ("verb", "tab", "by"),
    [("ask_extension", "extend", "dispatch"), ("ask_suspension", "suspend", "dispatch"), ("appeal", "appeal", "shift")],
)
def test_requests_wait_under_a_tab_of_their_own(desk: Desk, verb: str, tab: str, by: str) -> None:
    case = desk.bring("closed" if verb == "appeal" else "handling")
    desk.move(case, verb, reason="要等配件到货")
    page = browser(by).get(f"/console/dispatch?tab={tab}")
    for words in (case.number, "要等配件到货", "甲环卫"):
        assertContains(page, words)
