"""The page of one case and the forms of its verbs, against a real database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker
from pytest_django.asserts import assertContains, assertNotContains

from gridloop.cases.actions import move_cases
from gridloop.cases.events import CaseEvent
from gridloop.cases.models import Case
from gridloop.cases.queries import (
    Possibility,
    cases_for,
    clocks,
    co_units_of,
    events_of,
    possible,
    promised_at,
    story,
)
from gridloop.cases.rules import CoUnit, Move
from gridloop.cases.workflow import BY_VERB, STATES
from gridloop.discover.models import Report
from gridloop.feedback import events as of_feedback
from gridloop.feedback.models import AnswerTemplate
from gridloop.handle import events as of_handle
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.events import Happened
from gridloop.people.actions import forget_presence
from gridloop.people.models import Presence
from gridloop.registry import events as of_registry
from gridloop.registry.actions import NewContact
from gridloop.standard.queries import release
from gridloop.web.console.case import SAID
from tests.build import DAY, browser, district
from tests.stages.desk import HOUR, Desk
from tests.stages.pictures import jpeg

TEN = DAY + HOUR


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    """One district for the whole file; each test takes back what it did."""
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield Desk(district())
        transaction.set_rollback(True)


@pytest.fixture
def desk(built: Desk, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(TEN):
        yield built
        transaction.set_rollback(True)


def address(case: Case, rest: str = "") -> str:
    return f"/console/cases/{case.number}{rest}"


def act(client: Client, case: Case, verb: str, **said: Any) -> Any:
    return client.post(address(case, f"/verbs/{verb}"), {"version": case.version, **said})


def test_the_page_of_a_case_shows_what_it_is_where_it_is_and_what_may_be_done(desk: Desk) -> None:
    case = desk.bring("handling", address="测试路口")
    page = browser("clean1").get(address(case))
    assert page.status_code == 200
    for words in (case.number, "路边有垃圾", "测试路口", "任务处理", "处置完成", "申请延期", "部门处置人员"):
        assertContains(page, words)
    assertContains(page, "其余的为什么不行")
    assertContains(page, "这是")  # whose the other verbs are
    assertNotContains(page, "甲环卫报告")


def test_every_page_of_a_case_reads_in_english_as_well(desk: Desk) -> None:
    case = desk.bring("suspended")
    page = browser("dispatch", "en").get(address(case))
    for words in ("suspended", "What you can do now", "resume", "Why not the rest", "Dispatcher", "handle"):
        assertContains(page, words)


@pytest.mark.parametrize("state", list(STATES))
def test_a_case_of_every_state_has_a_page_for_everybody_who_sees_it(desk: Desk, state: str) -> None:
    case = desk.bring(state)
    for username in ("intake", "dispatch", "shift", "inspect", "lead"):
        page = browser(username, "en").get(address(case))
        assert page.status_code == 200, (state, username)
        assertContains(page, str(STATES[state].en))


def test_who_does_not_see_a_case_is_told_as_if_there_were_none(desk: Desk) -> None:
    case = desk.bring("handling")
    other = browser("law1")
    assert other.get(address(case)).status_code == 404
    assert other.get("/console/cases/00000000000").status_code == 404
    assert other.get(address(case, "/verbs/remind")).status_code == 404
    assert other.post(address(case, "/presence")).status_code == 404


def test_the_page_of_a_case_asks_the_database_as_often_for_a_long_story_as_for_a_short_one(desk: Desk) -> None:
    short, long = desk.bring("dispatched"), desk.bring("handled")
    for n in range(3):
        long = desk.move(long, "check", "failed", at=TEN + n * HOUR)
        long = desk.move(long, "hand_back", at=TEN + n * HOUR)
    with transaction.atomic():
        for case in (short, long):
            desk.move(case, "remind", at=TEN)
    client = browser("dispatch")
    client.get(address(short))  # the standard is read once in a process
    counts = []
    for case in (short, long):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address(case)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15, counts


def test_every_event_of_a_case_has_a_sentence_in_both_languages() -> None:
    of_cases = {e.__name__ for e in CaseEvent.__subclasses__()}
    others = {
        name
        for module in (of_handle, of_feedback, of_registry)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Happened) and kind is not Happened
    }
    not_of_a_case = {"AnswerTemplateKept", "RevealQuotaReached", "ContactsWiped", "DeletionAsked", "DataGivenOut"}
    assert of_cases | others - not_of_a_case <= {name.partition(".")[0] for name in SAID}
    for name, sentence in SAID.items():
        assert sentence.zh, name
        assert sentence.en, name
        assert set(re.findall(r"{\w+}", sentence.zh)) == set(re.findall(r"{\w+}", sentence.en)), name


# --- what may be done ------------------------------------------------------------------------------------------------


def offered(desk: Desk, case: Case, username: str) -> dict[tuple[str, str], Possibility]:
    viewer = desk.here[username]
    found = possible(
        case, viewer, events=events_of(case, viewer), parts=co_units_of(case), photographs=(0, 0), now=clock.now()
    )
    return {(p.verb, p.outcome): p for p in found}


@pytest.mark.parametrize("state", list(STATES))
def test_what_is_offered_is_what_is_then_allowed_and_what_is_not_is_refused_with_the_same_words(
    desk: Desk, state: str
) -> None:
    case = desk.bring(state)
    for username in ("intake", "shift", "dispatch", "clean1", "clean2", "worker1", "inspect", "lead"):
        viewer = desk.here[username]
        if not cases_for(viewer).filter(pk=case.pk).exists():
            continue
        for (verb, outcome), one in offered(desk, case, username).items():
            said: dict[str, Any] = {**desk.words(verb, outcome, TEN), "reason": "因为是这样"}
            if verb in ("assign",):
                said["person_id"] = desk.here.people["clean2"]
            if "co_units" in one.asks:
                said["co_units"] = (CoUnit(unit_id=desk.here.units["PS"]),)
            move = Move(case_id=case.pk, verb=verb, outcome=outcome, **said)
            try:
                with transaction.atomic():
                    move_cases([move], viewer=viewer)
                    refused = None
                    transaction.set_rollback(True)
            except Refused as no:
                refused = no
            assert (refused is None) == (one.why_not is None), (username, verb, outcome, refused, one.why_not)
            if refused is not None and one.here and viewer.may(BY_VERB[verb, outcome][0].permission):
                assert str(refused) == str(one.why_not), (username, verb)


def test_a_form_asks_exactly_what_the_guards_of_its_verb_look_at(desk: Desk) -> None:
    here = offered(desk, desk.bring("handling"), "clean1")
    assert here["return_back", ""].asks == ("reason",)
    assert here["hand_back", ""].asks == ("evidence",)
    assert here["hand_back", ""].missing is not None
    assert here["assign", ""].asks == ("person",)
    assert here["assign", ""].needs == {"person"}
    waiting = offered(desk, desk.bring("pending_dispatch"), "dispatch")
    assert waiting["dispatch", ""].asks == ("unit", "condition", "person")
    assert waiting["dispatch", ""].needs == {"unit"}
    assert waiting["correct", ""].needs == frozenset()


def test_a_verb_of_another_post_says_whose_it_is(desk: Desk) -> None:
    case = desk.bring("pending_close")
    close = offered(desk, case, "inspect")["close", ""]
    assert close.why_not is not None
    assert "值班长" in close.why_not.zh
    assert "shift lead" in close.why_not.en


# --- the clocks ------------------------------------------------------------------------------------------------------


def test_the_clocks_of_a_case_are_told_from_its_events_with_their_pause(desk: Desk) -> None:
    case = desk.bring("suspended", at=DAY)
    case = desk.move(case, "resume", at=DAY + HOUR)
    case = desk.move(case, "hand_back", at=DAY + 2 * HOUR)
    viewer = desk.here["dispatch"]
    found = clocks(case, events_of(case, viewer), [], now=DAY + 3 * HOUR)
    assert [(t.span.stage, t.round) for t in found.spans][-4:] == [("handle", 1), ("", 1), ("handle", 2), ("check", 1)]
    pause = next(t.span for t in found.spans if not t.span.stage)
    assert (pause.start, pause.end) == (DAY, DAY + HOUR)
    check = found.spans[-1]
    assert check.span.running
    assert check.used == 3600
    assert check.limit is not None
    page = browser("dispatch").get(address(case))
    assertContains(page, 'fill="url(#hatch)"')
    assertContains(page, "处置用1小时0分")


def test_a_stage_that_is_over_its_deadline_is_marked_in_words_as_well(desk: Desk) -> None:
    case = desk.bring("handling", at=DAY)
    with clock.frozen(DAY + timedelta(days=2)):
        page = browser("clean1").get(address(case))
    assertContains(page, "超时")


def test_what_a_caller_is_promised_is_the_sum_of_what_each_stage_may_take(desk: Desk) -> None:
    case = desk.bring("handled", at=DAY)
    standard = release(case.pack_release_id)
    check = standard.calendar.deadline(DAY, standard.stage_limit(case.case_type, "check"))
    assert promised_at(case) == standard.calendar.deadline(check, standard.stage_limit(case.case_type, "close"))
    reported = promised_at(desk.bring("reported", at=DAY))
    assert reported is not None
    assert reported > check
    assert promised_at(desk.bring("closed")) is None


# --- doing it --------------------------------------------------------------------------------------------------------


def test_a_verb_is_done_through_its_form(desk: Desk) -> None:
    case = desk.bring("dispatched")
    client = browser("clean1")
    assertContains(client.get(address(case, "/verbs/start")), "签收")
    done = act(client, case, "start")
    assert (done.status_code, done["Location"]) == (302, address(case, "?done=1"))
    assert Case.objects.get(pk=case.pk).state == "handling"


def test_a_verb_that_misses_something_is_refused_in_its_own_form_with_what_was_written(desk: Desk) -> None:
    case = desk.bring("dispatched")
    client = browser("clean1")
    refused = client.post(
        address(case, "/verbs/return_back"), {"version": case.version, "reason": "x"}, headers={"hx-request": "true"}
    )
    assert refused.status_code == 409
    assert refused["HX-Retarget"] == "#dialogs"
    assertContains(refused, "请写明理由", status_code=409)
    assertContains(refused, ">x</textarea>", status_code=409)


def test_the_second_of_two_persons_is_told_who_was_faster_and_keeps_the_text(desk: Desk) -> None:
    case = desk.bring("dispatched")
    desk.move(case, "start", by="clean2")
    refused = act(browser("clean1"), case, "return_back", reason="不归我们管")
    assert refused.status_code == 412
    for words in ("乙环卫", "部门处置人员", "处置中", "不归我们管", "已保留"):
        assertContains(refused, words, status_code=412)


def test_a_form_that_was_opened_elsewhere_leads_back_there_and_nowhere_else(desk: Desk) -> None:
    client = browser("dispatch")
    for wanted, to in (
        ("/console/dispatch", "/console/dispatch"),
        ("https://elsewhere.example/", None),
        ("//e.x/", None),
    ):
        case = desk.bring("handling")
        done = act(client, case, "remind", back=wanted)
        assert done["Location"] == (to or address(case, "?done=1"))


def test_photographs_are_added_where_the_work_is_handed_back(desk: Desk) -> None:
    case = desk.bring("handling")
    client = browser("clean1")
    form = client.get(address(case, "/verbs/hand_back"))
    assertContains(form, "要求前")
    for stage in ("before", "after"):
        photo = SimpleUploadedFile("x.jpg", jpeg(stage), "image/jpeg")
        client.post(address(case, "/evidence"), {"stage": stage, stage: photo})
    assertContains(client.get(address(case, "/verbs/hand_back")), "已有前1张、后1张")
    assert act(client, case, "hand_back").status_code == 302
    assert Case.objects.get(pk=case.pk).state == "handled"


def test_helping_units_are_asked_and_hand_their_part_back(desk: Desk) -> None:
    case = desk.bring("handling")
    units = desk.here.units
    assert act(browser("dispatch"), case, "add_co_units", co_unit=[units["SZ"]], task="围护").status_code == 302
    case.refresh_from_db()
    assertContains(browser("clean1").get(address(case)), "还有1个协办单位未完成")
    assert act(browser("road1"), case, "co_hand_back", part=units["SZ"]).status_code == 302
    assert case.co_handlings.get().handed_back_at is not None


def test_a_suspension_ends_at_the_beginning_of_the_day_that_was_named(desk: Desk) -> None:
    case = desk.move(desk.bring("handling"), "ask_suspension")
    assert act(browser("dispatch"), case, "suspend", reason="等配件", until="2026-07-25").status_code == 302
    case.refresh_from_db()
    assert case.resume_at == datetime(2026, 7, 24, 16, tzinfo=UTC)


# --- persons ---------------------------------------------------------------------------------------------------------


def test_colleagues_who_see_the_case_see_who_else_has_it_open_for_45_seconds(desk: Desk) -> None:
    case = desk.bring("handling")
    first, second = browser("dispatch"), browser("shift")
    first.get(address(case))
    seen = second.post(address(case, "/presence"))
    assertContains(seen, "甲派遣")
    assertContains(seen, "派遣员")
    assertNotContains(seen, "甲值班")
    with clock.frozen(TEN + timedelta(seconds=46)):
        assertNotContains(second.post(address(case, "/presence")), "甲派遣")
        forget_presence(at=clock.now())
        assert list(Presence.objects.values_list("person_id", flat=True)) == [desk.here.people["shift"]]


def test_presence_lives_in_a_table_that_is_not_logged(desk: Desk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'people_presence'")
        assert cursor.fetchone() == ("u",)


def test_who_looks_on_is_told_that_the_case_has_changed(desk: Desk) -> None:
    case = desk.bring("handling")
    client = browser("dispatch")
    assertNotContains(client.post(address(case, "/presence"), {"version": case.version}), "案件有变化")
    assertContains(client.post(address(case, "/presence"), {"version": case.version - 1}), "案件有变化")


def test_a_caller_is_masked_until_somebody_says_why_and_then_seen_once(desk: Desk) -> None:
    case = desk.here.case(contact=NewContact("郑小明", "13812345678"))
    report = Report.objects.get(case_id=case.pk)
    client = browser("intake")
    page = client.get(address(case))
    assertContains(page, "138****5678")
    assertNotContains(page, "13812345678")
    assertNotContains(page, "郑小明")
    short = client.post(address(case, "/reveal"), {"contact": report.contact_id, "reason": "看"})
    assert short.status_code == 422
    seen = client.post(address(case, "/reveal"), {"contact": report.contact_id, "reason": "回访时核实门牌号码"})
    assertContains(seen, "13812345678")
    assert "no-store" in seen["Cache-Control"]
    assertNotContains(client.get(address(case)), "13812345678")
    assertContains(client.get(address(case)), "查看了反映人的联系方式")
    assertNotContains(browser("dispatch").get(address(case)), "查看了反映人的联系方式")


def test_what_citizens_and_staff_write_is_shown_as_words_and_never_as_a_page(desk: Desk) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    case = desk.bring("dispatched", text=evil, address=evil)
    case = desk.move(case, "return_back", reason=evil)
    page = browser("dispatch").get(address(case)).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert" in page


# --- templates -------------------------------------------------------------------------------------------------------


def template(desk: Desk, **more: Any) -> Any:
    said = {
        "name": "已清运",
        "zh": "{number}号案件的{type}已由{unit}清运。",
        "verb": "hand_back",
        "active": "on",
    } | more
    return browser("shift").post("/console/templates", said)


def test_a_template_is_offered_filled_in_where_it_fits(desk: Desk) -> None:
    assert template(desk).status_code == 302
    case = desk.bring("handling")
    client = browser("clean1")
    offer = client.get(address(case, "/answers?verb=hand_back"))
    assertContains(offer, f"{case.number}号案件的")
    assertContains(offer, "环卫中心清运")
    assertNotContains(client.get(address(case, "/answers?verb=return_back")), "清运")
    assertNotContains(client.get(address(case, "/answers?verb=hand_back&q=积水")), "清运")


@pytest.mark.parametrize(
    ("more", "offered"),
    [
        ({"season_from": "06-01", "season_until": "09-30"}, True),
        ({"season_from": "11-01", "season_until": "03-31"}, False),
        ({"group": "urban:E01"}, True),
        ({"group": "urban:C"}, False),
        ({"state": "rework"}, False),
        ({"active": ""}, False),
    ],
)
def test_a_template_has_its_season_its_types_and_its_state(desk: Desk, more: dict[str, str], offered: bool) -> None:
    said = {k: v for k, v in more.items() if v}
    if "active" in more:
        data = {"name": "已清运", "zh": "已由{unit}清运。", "verb": "hand_back"}
        assert browser("shift").post("/console/templates", data).status_code == 302
    else:
        assert template(desk, **said).status_code == 302
    found = browser("clean1").get(address(desk.bring("handling"), "/answers?verb=hand_back"))
    assert ("清运" in found.content.decode()) is offered


def test_a_template_with_mistakes_is_kept_back_with_all_of_them(desk: Desk) -> None:
    page = template(desk, name="", zh="{phone}", season_from="13-40")
    assert page.status_code == 422
    for words in ("名称为空", "{phone}", "季节只写了一头", "不是日期"):
        assertContains(page, words, status_code=422)
    assert not AnswerTemplate.objects.exists()


def test_a_case_that_is_sent_again_to_the_same_unit_says_to_which(desk: Desk) -> None:
    case = desk.move(desk.move(desk.bring("dispatched"), "return_back"), "dispatch")
    viewer = desk.here["dispatch"]
    last = story(events_of(case, viewer), SAID)[-1]
    assert "派给环卫中心" in last.words.zh
