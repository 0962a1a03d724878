"""Home pages and work lists, against a real database."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import openpyxl
import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker
from pytest_django.asserts import assertContains, assertNotContains

from gridloop.cases import search
from gridloop.cases.actions import move_cases, save_view
from gridloop.cases.models import Case, CaseWords, SavedView
from gridloop.cases.queries import cases_for
from gridloop.cases.rules import CoUnit, Move
from gridloop.cases.search import CaseFilter, read_filter
from gridloop.cases.workflow import STATES
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.kernel.models import Event
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from tests.build import DAY, browser, district
from tests.stages.desk import HOUR, Desk

TEN = DAY + HOUR
OTHER_GRID = "410104001002B001"


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    """One district with some cases for the whole file; each test takes back what it did."""
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        desk = Desk(district())
        desk.open(text="测试路口有一个窨井盖破损", address="中原路12号")
        desk.open(text="Broken manhole cover", address="建设路120号", source="app", urgent=True)
        desk.open(text="路灯不亮", region_code=OTHER_GRID, state="pending_filing")
        desk.bring("dispatched", text="=cmd|' /C calc'!A0")
        desk.bring("handling")
        desk.bring("closed", text="早已清理的垃圾")
        yield desk
        transaction.set_rollback(True)


@pytest.fixture
def desk(built: Desk, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(TEN):
        yield built
        transaction.set_rollback(True)


def listed(viewer: Viewer, query: str = "", **more: Any) -> list[Case]:
    return search.case_page(viewer, read_filter(query), now=clock.now(), **more).items


def texts(viewer: Viewer, query: str, **more: Any) -> list[str]:
    return [case.text for case in listed(viewer, query, **more)]


# --- the filter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=井盖+中原",
        "state=reported,handling&open=yes",
        "stage=dispatch,handle&type=urban:E0110,urban:E01&region=410104001&unit=HW,SZ&person=me",
        "clock=yellow,red,paused&asked=extend&source=hotline,app&since=2026-07-01&until=2026-07-20",
        "urgent=yes&supervised=yes&reopened=yes&open=no",
    ],
)
def test_a_filter_read_from_its_own_address_is_the_same_filter(desk: Desk, query: str) -> None:
    wanted = read_filter(query)
    assert read_filter(wanted.query()) == wanted
    assert dict(parse_qsl(wanted.query())) == dict(parse_qsl(query))


def test_every_mistake_of_a_filter_is_named_at_once_with_what_to_write_instead(desk: Desk) -> None:
    query = (
        "state=gone,reported&open=maybe&since=yesterday&colour=red&clock=purple&region=..&q=!!&type=urban:E9999"
        "&until=2026-01-01&urgent=1&person=7"
    )
    with pytest.raises(Mistakes) as told:
        read_filter(query)
    places = [m.place for m in told.value.mistakes]
    assert sorted(places) == sorted(
        ["state", "open", "since", "colour", "clock", "region", "q", "type", "urgent", "person"]
    )
    assert all(m.instead.zh and m.instead.en for m in told.value.mistakes)
    assert "reported" in next(m for m in told.value.mistakes if m.place == "state").instead.en


def test_days_that_end_before_they_begin_are_a_mistake(desk: Desk) -> None:
    with pytest.raises(Mistakes, match="until"):
        read_filter("since=2026-07-20&until=2026-07-01")


def test_a_page_of_a_wrong_address_says_so_and_shows_no_cases(desk: Desk) -> None:
    page = browser("dispatch").get("/console/cases?state=gone&colour=red")
    assert page.status_code == 422
    assertContains(page, "colour", status_code=422)
    assertNotContains(page, "中原路", status_code=422)


def test_a_list_holds_what_its_filter_says(desk: Desk) -> None:
    lead = desk.here["dispatch"]
    assert texts(lead, "urgent=yes") == ["Broken manhole cover"]
    assert texts(lead, f"region={OTHER_GRID}") == ["路灯不亮"]
    assert texts(lead, "stage=file") == ["路灯不亮"]
    assert texts(lead, "source=app") == ["Broken manhole cover"]
    assert texts(lead, "open=no") == ["早已清理的垃圾"]
    assert {c.state for c in listed(lead, "unit=HW&open=yes")} == {"dispatched", "handling"}
    assert len(listed(lead, "type=urban:E01")) == Case.objects.count()
    assert listed(lead, "type=urban:E02") == []
    assert len(listed(lead, "since=2026-07-20&until=2026-07-20")) == Case.objects.count()
    assert listed(lead, "until=2026-07-19") == []
    mine = listed(desk.here["clean1"], "person=me")
    assert {c.person_id for c in mine} == {desk.here.people["clean1"]}


def test_a_unit_that_nobody_knows_is_a_mistake_not_an_empty_list(desk: Desk) -> None:
    with pytest.raises(Mistakes):
        listed(desk.here["dispatch"], "unit=NOBODY")


def test_clocks_are_red_yellow_green_or_stopped(desk: Desk) -> None:
    lead = desk.here["dispatch"]
    case = desk.bring("handling")
    assert case.due_at is not None
    assert case.warn_at is not None

    def colours(at: Any) -> list[str]:
        found = []
        for colour in search.CLOCKS:
            there = search.case_page(lead, CaseFilter(clock=(colour,)), now=at)
            if case.pk in [c.pk for c in there.items]:
                found.append(colour)
        return found

    assert colours(case.warn_at - HOUR / 60) == ["green"]
    assert colours(case.warn_at) == ["yellow"]
    assert colours(case.due_at) == ["red"]
    stopped = desk.bring("suspended")
    assert [c.pk for c in listed(lead, "clock=paused")] == [stopped.pk]


# --- searching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("井盖", ["测试路口有一个窨井盖破损"]),
        ("盖", ["测试路口有一个窨井盖破损"]),
        ("中原路12", ["测试路口有一个窨井盖破损"]),
        ("12号", ["测试路口有一个窨井盖破损"]),
        ("manhole", ["Broken manhole cover"]),
        ("MANH", ["Broken manhole cover"]),
        ("建设 cover", ["Broken manhole cover"]),
        ("井盖 建设", []),
        ("盖井", []),
    ],
)
def test_words_are_found_by_two_characters_one_character_or_a_beginning(
    desk: Desk, words: str, found: list[str]
) -> None:
    assert [c.text for c in search.case_page(desk.here["dispatch"], CaseFilter(q=words), now=TEN).items] == found


def test_a_case_is_found_by_the_beginning_of_its_number(desk: Desk) -> None:
    case = Case.objects.order_by("id")[0]
    for typed in (case.number, case.number[:-2], case.number[6:]):
        found = search.case_page(desk.here["dispatch"], CaseFilter(q=typed), now=TEN).items
        assert case.pk in [c.pk for c in found]


def test_a_corrected_address_is_found_at_once_and_the_old_one_no_more(desk: Desk) -> None:
    case = desk.open(address="老地方")
    move = Move(case_id=case.pk, verb="correct", version=case.version, address="新华街7号")
    move_cases([move], viewer=desk.here["intake"])
    lead = desk.here["dispatch"]
    assert [c.pk for c in listed(lead, "q=新华")] == [case.pk]
    assert listed(lead, "q=老地") == []


def test_every_case_has_its_words(desk: Desk) -> None:
    assert CaseWords.objects.count() == Case.objects.count()


@pytest.mark.parametrize(
    "username", ["dispatch", "street", "worker1", "worker3", "clean1", "road1", "leader1", "audit"]
)
def test_a_list_shows_just_what_the_viewer_may_see(desk: Desk, username: str) -> None:
    helped = desk.bring("pending_dispatch")
    units = desk.here.units
    move_cases(
        [
            Move(
                case_id=helped.pk,
                verb="dispatch",
                version=helped.version,
                unit_id=units["HW"],
                co_units=(CoUnit(unit_id=units["SZ"], task="围挡"),),
            )
        ],
        viewer=desk.here["dispatch"],
    )
    viewer = desk.here[username]
    seen = set(cases_for(viewer).values_list("id", flat=True))
    assert {c.pk for c in listed(viewer, limit=100)} == seen
    assert search.counts(viewer, [CaseFilter()], now=TEN)[0].n == len(seen)
    found = {c.pk for c in listed(viewer, "q=垃圾", limit=100)}
    assert found == seen & set(Case.objects.filter(text__contains="垃圾").values_list("id", flat=True))
    stages, _late = search.stage_counts(viewer, CaseFilter(), now=TEN)
    still = Case.objects.filter(id__in=seen, closed_at=None).exclude(state="suspended").count()
    assert sum(c.n for c in stages.values()) == still


# --- order and pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["dispatch", "street"])
@pytest.mark.parametrize(
    ("query", "sort"), [("", "newest"), ("", "oldest"), ("open=yes", "deadline"), ("open=yes", "callers")]
)
def test_pages_follow_each_other_without_losing_or_doubling_a_case(
    desk: Desk, username: str, query: str, sort: str
) -> None:
    for minutes in range(5):
        desk.open(at=DAY + timedelta(minutes=minutes // 2), callers=1 + minutes % 3)
    desk.bring("suspended")
    viewer = desk.here[username]
    whole = [c.pk for c in listed(viewer, query, sort=sort, limit=100)]
    assert len(whole) > 8
    cursor, seen = "", []
    while True:
        cut = search.case_page(viewer, read_filter(query), sort=sort, cursor=cursor, limit=3, now=TEN)
        seen += [c.pk for c in cut.items]
        if cut.next is None:
            break
        cursor = cut.next
    assert seen == whole


def test_deadlines_and_callers_sort_only_what_is_on_its_way(desk: Desk) -> None:
    for sort in ("deadline", "callers", "height"):
        with pytest.raises(Mistakes):
            listed(desk.here["dispatch"], "", sort=sort)


def test_counting_stops_where_nobody_reads_on(desk: Desk) -> None:
    (few,) = search.counts(desk.here["dispatch"], [CaseFilter()], now=TEN, most=3)
    assert (few.n, few.more, str(few)) == (3, True, "3+")


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_case_in_both_languages_with_its_state_and_clock(desk: Desk) -> None:
    zh = browser("dispatch").get("/console/cases?open=yes")
    assertContains(zh, "中原路12号")
    assertContains(zh, STATES["handling"].zh)
    en = browser("dispatch", "en").get("/console/cases?open=yes")
    assertContains(en, STATES["handling"].en)
    assertNotContains(en, "早已清理")


def test_htmx_gets_the_part_it_names_and_the_address_for_the_browser(desk: Desk) -> None:
    client = browser("dispatch")
    ask = {"HX-Request": "true"}
    part = client.get("/console/cases?open=yes&state=&clock=red", headers={**ask, "HX-Target": "list"})
    assert part["HX-Push-Url"] == "/console/cases?open=yes&clock=red"
    assertNotContains(part, "<html")
    assertNotContains(part, 'id="filters"')
    whole = client.get("/console/cases", headers={**ask, "HX-Target": "work"})
    assertContains(whole, 'id="filters"')
    # A form still says the order of the narrower list that it stood on.
    assert client.get("/console/cases?sort=deadline", headers={**ask, "HX-Target": "list"}).status_code == 200
    assert client.get("/console/cases?sort=deadline").status_code == 422


def test_more_rows_come_by_their_cursor(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.case_page, "__kwdefaults__", {**(search.case_page.__kwdefaults__ or {}), "limit": 2})
    client = browser("dispatch")
    page = client.get("/console/cases")
    where = re.search(r'id="more".*?hx-get="([^"]+)"', page.content.decode(), re.DOTALL)
    assert where is not None
    more = client.get(
        where[1].replace("&amp;", "&"), headers={"HX-Request": "true", "HX-Target": "more"}
    ).content.decode()
    assert more.count("<tr data-href") == 2
    assert "<table" not in more


def test_no_list_says_more_than_a_few_statements_however_long_it_is(desk: Desk) -> None:
    def asked(client: Client, where: str) -> int:
        client.get(where)  # what a process learns once
        with CaptureQueriesContext(connection) as told:
            assert client.get(where).status_code == 200
        # Whether packs or map have changed is asked once a second, by whoever comes first.
        return sum("standard_packrelease" not in q["sql"] and "mapedition" not in q["sql"] for q in told)

    client = browser("street")
    pages = {"/console/": 8, "/console/cases": 9, "/console/cases?open=yes&q=垃圾&unit=HW": 15}
    before = {where: asked(client, where) for where in pages}
    for _ in range(4):
        desk.open()
    desk.bring("dispatched")
    after = {where: asked(client, where) for where in pages}
    assert before == after
    assert {where: n for where, n in after.items() if n > pages[where]} == {}


def test_columns_are_chosen_and_kept_for_each_person(desk: Desk) -> None:
    client, other = browser("dispatch"), browser("shift")
    assertNotContains(client.get("/console/cases"), "c-source")
    client.post("/console/cases/columns", {"column": ["source", "state"]})
    page = client.get("/console/cases")
    assertContains(page, "c-source")
    assertNotContains(page, 'class="c-place')
    assertContains(page, "c-number")
    assertNotContains(other.get("/console/cases"), "c-source")
    assert client.post("/console/cases/columns", {"column": "salary"}).status_code == 422


def test_an_empty_list_says_so_and_how_to_widen_it(desk: Desk) -> None:
    page = browser("dispatch", "en").get("/console/cases?q=zebra")
    assertContains(page, "No case is like that.")
    assertContains(page, "Take all conditions out")


# --- home and saved lists --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [r for r in ROLES if ROLES[r].sees != "none"])
def test_every_post_that_sees_cases_begins_with_lists_of_its_own(desk: Desk, role: str) -> None:
    assert search.OVERVIEWS[role]
    for overview in search.OVERVIEWS[role]:
        wanted = read_filter(overview.query)
        assert wanted.on_their_way or wanted.asked, "what a day begins with is on its way"
        assert overview.name.zh
        assert overview.name.en


def test_home_counts_each_list_and_shows_what_is_due_first(desk: Desk) -> None:
    page = browser("clean1").get("/console/").content.decode()
    assert re.search(r"待签收</span><strong[^>]*>1</strong>", page)
    assert STATES["dispatched"].zh in page
    shown = Case.objects.get(state="dispatched")
    assert f"/console/cases/{shown.number}" in page


def test_home_of_a_post_that_sees_no_cases_shows_none(desk: Desk) -> None:
    page = browser("audit").get("/console/")
    assertNotContains(page, "/console/cases?")


def test_a_leader_sees_which_units_are_late_and_can_open_their_lists(desk: Desk) -> None:
    late = TEN + timedelta(days=30)
    (first, *_rest) = search.overdue_by_unit(desk.here["lead"], now=late)
    assert first[0]["code"] == "HW"
    assert first[1] == 2
    assert search.overdue_by_unit(desk.here["clean1"], now=late) == []


def test_a_saved_list_stands_on_the_home_page_and_is_renamed_moved_removed_and_brought_back(desk: Desk) -> None:
    client = browser("dispatch")
    for name, query in (("井盖", "q=井盖"), ("超期", "clock=red")):
        assert client.post("/console/lists", {"name": name, "query": query}).status_code == 302
    first, second = search.saved_views(desk.here["dispatch"])
    assertContains(client.get("/console/"), "/console/cases?q=%E4%BA%95%E7%9B%96")
    assert client.get(f"/console/cases?clock=red&view={second.pk}").status_code == 200
    client.post(f"/console/lists/{second.pk}/move", {"by": "-1"})
    assert [v.name for v in search.saved_views(desk.here["dispatch"])] == ["超期", "井盖"]
    client.post(f"/console/lists/{first.pk}/rename", {"name": " 窨井盖 "})
    assert client.post(f"/console/lists/{first.pk}/rename", {"name": "超期"}).status_code == 409
    gone = client.post(f"/console/lists/{first.pk}/remove", headers={"HX-Request": "true"})
    assertContains(gone, f"/console/lists/{first.pk}/restore")
    assert [v.name for v in search.saved_views(desk.here["dispatch"])] == ["超期"]
    client.post(f"/console/lists/{first.pk}/restore")
    assert {v.name for v in search.saved_views(desk.here["dispatch"])} == {"超期", "窨井盖"}


def test_nobody_touches_or_sees_the_lists_of_another(desk: Desk) -> None:
    view = save_view(name="我的", query="open=yes", viewer=desk.here["dispatch"])
    other = browser("shift")
    for verb in ("rename", "move", "remove", "restore"):
        assert other.post(f"/console/lists/{view.pk}/{verb}", {"name": "x"}).status_code == 404
    assertNotContains(other.get("/console/"), "我的</span>")


def test_a_saved_list_whose_type_has_gone_is_shown_as_broken_not_as_an_error(desk: Desk) -> None:
    SavedView.objects.create(person_id=desk.here.people["dispatch"], name="旧类型", query="type=urban:E0777")
    page = browser("dispatch").get("/console/")
    assertContains(page, "旧类型")
    assertContains(page, "里的类型或单位已不存在")


# --- many at once ----------------------------------------------------------------------------------------------------


def picked(*cases: Case) -> list[str]:
    return [f"{case.number}:{case.version}" for case in cases]


def test_many_cases_take_one_step_together(desk: Desk) -> None:
    two = [desk.open(), desk.open()]
    client = browser("intake")
    form = client.post("/console/cases/bulk/choose", {"case": picked(*two)}, headers={"HX-Request": "true"})
    assertContains(form, 'value="accept:"')
    done = client.post("/console/cases/bulk", {"case": picked(*two), "verb": "accept:"}, headers={"HX-Request": "true"})
    assert "list-changed" in done["HX-Trigger"]
    assert set(Case.objects.filter(id__in=[c.pk for c in two]).values_list("state", flat=True)) == {"pending_filing"}


def test_if_one_refuses_none_is_moved_and_each_refusal_is_named(desk: Desk) -> None:
    ready, bare = desk.bring("handling"), desk.bring("dispatched")
    move_cases([Move(case_id=bare.pk, verb="start", version=bare.version)], viewer=desk.here["clean1"])
    bare.refresh_from_db()
    stale = f"{ready.number}:{ready.version - 1}"
    client = browser("clean1")
    answer = client.post("/console/cases/bulk", {"case": [stale, *picked(bare)], "verb": "hand_back:"})
    assert answer.status_code == 422
    for case in (ready, bare):
        assertContains(answer, case.number, status_code=422)
        case.refresh_from_db()
        assert case.state == "handling"


def test_together_too_no_case_is_handed_back_without_its_photographs(desk: Desk) -> None:
    two = [desk.bring("handling"), desk.bring("handling")]
    answer = browser("clean1").post("/console/cases/bulk", {"case": picked(*two), "verb": "hand_back:"})
    assert answer.status_code == 422
    assertContains(answer, "照片", status_code=422)
    assert {c.state for c in Case.objects.filter(id__in=[c.pk for c in two])} == {"handling"}


def test_those_that_refuse_can_be_left_out(desk: Desk) -> None:
    good, moved = desk.open(), desk.open()
    stale = picked(good, moved)
    move_cases([Move(case_id=moved.pk, verb="accept", version=1)], viewer=desk.here["intake"])
    client = browser("intake")
    answer = client.post("/console/cases/bulk", {"case": stale, "verb": "accept:"})
    assert answer.status_code == 409, "they no longer share a state"
    client.post("/console/cases/bulk", {"case": stale, "verb": "accept:", "leave_out": moved.number})
    good.refresh_from_db()
    assert good.state == "pending_filing"


def test_a_case_that_one_does_not_see_is_named_like_one_that_is_not_there(desk: Desk) -> None:
    case = desk.open(region_code=OTHER_GRID)
    client = browser("worker1")
    hidden = client.post("/console/cases/bulk", {"case": picked(case), "verb": "remind:"})
    absent = client.post("/console/cases/bulk", {"case": ["000000000:1"], "verb": "remind:"})
    assert hidden.status_code == absent.status_code == 422
    assert client.post("/console/cases/bulk", {"verb": "remind:"}).status_code == 422


def test_only_verbs_that_all_chosen_cases_allow_are_offered(desk: Desk) -> None:
    mixed = [desk.open(), desk.bring("pending_dispatch")]
    form = browser("shift").post("/console/cases/bulk/choose", {"case": picked(*mixed)})
    assertContains(form, 'value="cancel:"')
    assertNotContains(form, 'value="accept:"')


# --- export ----------------------------------------------------------------------------------------------------------


def test_an_export_is_the_list_without_formulas_and_is_put_on_record(desk: Desk) -> None:
    client = browser("dispatch")
    answer = client.post("/console/cases/export", {"form": "csv", "query": "unit=HW&open=yes", "text": "yes"})
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    rows = b"".join(answer).decode("utf-8-sig").splitlines()
    assert len(rows) == 3
    assert rows[0].startswith('"number","state"')
    assert any("\"'=cmd|" in row for row in rows)
    told = Event.objects.filter(name="CasesExported").latest("id")
    assert told.data == {"count": 2, "query": "open=yes&unit=HW", "text": True}


def test_the_words_of_a_search_stay_out_of_the_record_of_an_export(desk: Desk) -> None:
    browser("dispatch").post("/console/cases/export", {"form": "csv", "query": "q=张三&open=yes"})
    assert Event.objects.filter(name="CasesExported").latest("id").data["query"] == "open=yes"


def test_a_workbook_holds_texts_as_texts_and_what_was_said_only_when_asked_for(desk: Desk) -> None:
    client = browser("shift")
    answer = client.post("/console/cases/export", {"form": "xlsx", "query": "open=yes"})
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer)))
    head, *rows = book.active.iter_rows(values_only=True)  # type: ignore[union-attr]
    assert "text" not in head
    assert len(rows) == cases_for(desk.here["shift"]).filter(closed_at=None).count()


def test_who_may_not_export_cannot(desk: Desk) -> None:
    assert browser("clean1").post("/console/cases/export", {"form": "csv"}).status_code == 403
    assertNotContains(browser("clean1").get("/console/cases"), "/console/cases/export")


def test_a_filter_without_one_value_keeps_the_rest() -> None:
    wanted = CaseFilter(state=("reported", "handling"), urgent=True, since=date(2026, 7, 1))
    assert wanted.without("state", "reported") == replace(wanted, state=("handling",))
    assert wanted.without("urgent") == replace(wanted, urgent=False)
