"""Cases against a real PostgreSQL: every row of the workflow table, every refusal, every clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from pytest_django import DjangoDbBlocker

from gridloop.cases.actions import NewCase, move_cases, note_deadlines, open_cases, resume_due
from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import cases_for, stored, unlike_their_record
from gridloop.cases.rules import GUARDS, CoUnit, Move
from gridloop.cases.workflow import BY_VERB, ENDS, OPEN, STATES, STEPS, VERBS, Step, allowed, step_for
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard_queries
from tests.build import DAY, district
from tests.stages.desk import ACTORS, GRID, HOUR, KIND, WAYS, Desk

TEN = DAY + HOUR
"""10:00 in the district, an hour after the small district woke."""


def local(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of July 2026 on the district's clock."""
    return datetime(2026, 7, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


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


def told(case: Case) -> list[Event]:
    return list(Event.objects.filter(subject=f"case:{case.id}").order_by("id"))


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught, transaction.atomic():
        act()
    return caught.value


# --- every row of the table ----------------------------------------------------------------------------------------


def prepared(desk: Desk, step: Step, origin: str) -> tuple[Case, dict[str, Any]]:
    """A case in that state for which the guards of the row have nothing to say, and what else the move must tell."""
    case = desk.bring(origin)
    units, people = desk.here.units, desk.here.people
    more: dict[str, Any] = {}
    if step.verb == "assign":
        more = {"person_id": people["clean2"]}
    if step.verb in ("extend", "refuse_request"):
        case = desk.move(case, "ask_extension")
    if step.verb == "add_co_units":
        more = {"co_units": (CoUnit(unit_id=units["SZ"], task="围护"),)}
    if step.verb in ("co_hand_back", "withdraw_co_unit"):
        case = _with_helper(desk, origin)
        more = {"unit_id": units["SZ"]}
    if step.verb == "decide_appeal":
        case = desk.move(case, "appeal")
    if step.verb == "correct":
        more = {"case_type": "urban:E0112", "address": "测试路1号", "region_code": GRID[:12]}
    if step.verb == "join":
        more = {"callers": 2, "reports": (7, 8)}
    return case, more


def _with_helper(desk: Desk, state: str) -> Case:
    """A case in any open state that has an open helping part: given to it before, or (for a late state) asked anew."""
    case = desk.bring(state)
    now = case.opened_at
    part = CoHandling(case=case, unit_id=desk.here.units["SZ"], started_at=now, due_at=now + 9 * HOUR)
    part.save()
    return case


EFFECTS: dict[tuple[str, str], Callable[[Case, Case], bool]] = {
    ("accept", ""): lambda was, case: case.stage_at == TEN,
    ("accept", "verify"): lambda was, case: case.due_at == TEN + 24 * HOUR,
    ("reject_intake", ""): lambda was, case: case.closed_at == TEN,
    ("verify", "true"): lambda was, case: case.person_id is None,
    ("verify", "false"): lambda was, case: case.closed_at == TEN,
    ("file", ""): lambda was, case: case.filed_at == TEN,
    ("refuse_filing", ""): lambda was, case: case.closed_at == TEN and case.filed_at is None,
    ("dispatch", ""): lambda was, case: (
        case.dispatched_at == TEN and case.handle_limit == "4 work_hour" and case.handle_due_at == case.due_at
    ),
    ("assign", ""): lambda was, case: case.person_id != was.person_id,
    ("start", ""): lambda was, case: case.signed_at is not None and case.due_at == was.due_at,
    ("return_back", ""): lambda was, case: (
        case.returns == 1 and case.unit_id == was.unit_id and case.person_id is None and case.handle_due_at is None
    ),
    ("hand_back", ""): lambda was, case: case.handled_at == TEN and case.handled_by_id is not None,
    ("self_handle", ""): lambda was, case: (
        case.self_handled and case.filed_at is not None and case.handled_at == case.dispatched_at == TEN
    ),
    ("check", "passed"): lambda was, case: case.handled_at == was.handled_at,
    ("check", "failed"): lambda was, case: case.reworks == 1 and case.handled_at is None,
    ("close", ""): lambda was, case: case.closed_at == TEN and case.due_at is None,
    ("send_back", ""): lambda was, case: case.reworks == 1 and case.handled_at is None,
    ("force_close", ""): lambda was, case: case.closed_at == TEN and case.due_at is None,
    ("cancel", ""): lambda was, case: case.closed_at == TEN and case.warn_at is None,
    ("reopen", ""): lambda was, case: case.reopened == 1 and case.closed_at is None and case.handled_at is None,
    ("ask_extension", ""): lambda was, case: case.asked == "extend",
    ("extend", ""): lambda was, case: (case.extensions, case.asked) == (1, "") and str(case.due_at) > str(was.due_at),
    ("ask_suspension", ""): lambda was, case: case.asked == "suspend",
    ("suspend", ""): lambda was, case: (
        case.suspensions == 1 and case.due_at is None and case.paused_left is not None and case.resume_at is not None
    ),
    ("refuse_request", ""): lambda was, case: case.asked == "" and case.extensions == 0,
    ("resume", ""): lambda was, case: (
        case.paused_at is None and case.paused_seconds == 3600 and case.due_at is not None
    ),
    ("supervise", ""): lambda was, case: case.supervised,
    ("remind", ""): lambda was, case: case.due_at == was.due_at,
    ("join", ""): lambda was, case: case.callers == 3,
    ("correct", ""): lambda was, case: (
        case.case_type == "urban:E0112" and case.address == "测试路1号" and case.region_code == GRID[:12]
    ),
    ("add_co_units", ""): lambda was, case: case.co_handlings.get(handed_back_at=None).warn_at is not None,
    ("co_hand_back", ""): lambda was, case: case.co_handlings.get().handed_back_at == TEN,
    ("withdraw_co_unit", ""): lambda was, case: case.co_handlings.get().withdrawn_at == TEN,
    ("appeal", ""): lambda was, case: case.asked == "appeal",
    ("decide_appeal", "grant"): lambda was, case: case.asked == "appeal" and not case.exempt,
    ("decide_appeal", "refuse"): lambda was, case: case.asked == "" and not case.exempt,
}  # fmt: skip
"""What each verb does to a case beside the state, written by hand from the handbook."""


def _far() -> datetime:
    return DAY + timedelta(days=400)


ROWS = [pytest.param(s, o, id=f"{s.verb}-{s.outcome or 'does'}-{o}") for s in STEPS for o in s.origins]


@pytest.mark.parametrize(("step", "origin"), ROWS)
def test_each_row_of_the_table_moves_a_case_and_tells_of_it(desk: Desk, step: Step, origin: str) -> None:
    case, more = prepared(desk, step, origin)
    was = Case.objects.get(id=case.id)
    viewer = desk.here[ACTORS[step.verb]]
    moved = desk.move(case, step.verb, step.outcome, at=TEN, **more)
    now = Case.objects.get(id=case.id)
    assert now.state == (step.to or origin)
    assert EFFECTS[step.verb, step.outcome](was, now)
    assert moved.version == now.version == was.version + (step.verb not in ("join", "remind", "supervise"))
    event = told(case)[-1]
    assert event.name == step.event.__name__
    assert (event.actor, event.at, event.data["version"]) == (viewer.actor, TEN, now.version)
    assert event.data["reason"] == "因为是这样"
    names = [f.attname for f in Case._meta.concrete_fields]
    changed = {n for n in names if getattr(was, n) != getattr(now, n)} - {"text", "address"}
    assert event.data["set"] == {n: stored(getattr(now, n)) for n in changed}, "the event tells exactly what changed"


def test_every_row_has_an_effect_written_by_hand() -> None:
    assert set(EFFECTS) == set(BY_VERB)


@pytest.mark.parametrize("state", STATES)
def test_every_move_that_the_table_does_not_name_is_refused_with_what_is_allowed(desk: Desk, state: str) -> None:
    case = desk.bring(state)
    can_zh = list(dict.fromkeys(s.name.zh for s in allowed(state)))
    can_en = list(dict.fromkeys(s.name.en for s in allowed(state)))
    for verb, outcomes in VERBS.items():
        for outcome in outcomes:
            if step_for(state, verb, outcome) is not None:
                continue
            no = refusal(partial(desk.move, case, verb, outcome, by=SYSTEM))
            assert (no.code, no.status) == ("illegal_move", 409), (verb, outcome)
            assert STATES[state].zh in no.sentence.zh
            assert BY_VERB[verb, outcome][0].name.zh in no.sentence.zh
            if can_zh:
                assert f"现在可以：{'、'.join(can_zh)}。" in no.sentence.zh
                assert f"You can: {', '.join(can_en)}." in no.sentence.en
            else:
                assert "There is nothing that you can do with it now." in no.sentence.en
    assert Case.objects.get(id=case.id).version == case.version


def test_a_refusal_names_only_what_this_person_may_do(desk: Desk) -> None:
    no = refusal(lambda: desk.move(desk.bring("reported"), "close", by="worker1"))
    assert no.sentence.en.endswith("You can: put right on the spot.")
    no = refusal(lambda: desk.move(desk.bring("closed"), "start", by="inspect"))
    assert no.sentence.en.endswith("There is nothing that you can do with it now.")
    with translation.override("en"):
        assert str(no) == no.sentence.en
    with translation.override("zh-hans"):
        assert str(no) == no.sentence.zh


def test_an_unknown_verb_or_outcome_is_refused_with_the_known_ones(desk: Desk) -> None:
    case = desk.open()
    no = refusal(lambda: desk.move(case, "conjure", by=SYSTEM))
    assert (no.status, no.code) == (422, "unknown_verb")
    assert "accept" in no.sentence.en
    no = refusal(lambda: desk.move(case, "verify", "maybe"))
    assert (no.status, no.code) == (422, "unknown_outcome")
    assert "true, false" in no.sentence.en


@pytest.mark.parametrize("verb", VERBS)
def test_who_lacks_the_permission_is_refused(desk: Desk, verb: str) -> None:
    step = next(s for s in STEPS if s.verb == verb)
    case, more = prepared(desk, step, step.origins[0])
    nobody = Viewer("person", desk.here.people["lead"], (desk.here["lead"].grants), frozenset())
    no = refusal(lambda: desk.move(case, verb, step.outcome, by=nobody, **more))
    assert (no.status, no.code) == (403, "forbidden")


def test_what_is_absent_and_what_is_not_yours_is_refused_alike(desk: Desk) -> None:
    case = desk.bring("dispatched")
    answers = [
        refusal(partial(move_cases, [Move(case_id=i, verb="start")], viewer=desk.here["road1"]))
        for i in (case.id, case.id + 10_000)
    ]
    assert next((a.status, a.code, a.sentence) for a in answers) == (
        answers[1].status,
        answers[1].code,
        answers[1].sentence,
    )
    assert answers[0].status == 404


# --- guards -------------------------------------------------------------------------------------------------------


def _said(desk: Desk) -> dict[str, tuple[Callable[[], object], str]]:
    """For each guard an act that it refuses, and a piece of its sentence. That it lets pass, the rows above show."""
    units, people = desk.here.units, desk.here.people
    bring, move = desk.bring, desk.move

    def asked(verb: str) -> Case:
        return move(bring("handling"), verb)

    def helped() -> Case:
        return move(bring("handling"), "add_co_units", co_units=(CoUnit(unit_id=units["SZ"]),))

    def appealed() -> Case:
        return move(bring("closed"), "appeal")

    def reviewed() -> Case:
        return move(appealed(), "decide_appeal", "grant")

    def stale() -> Case:
        return move(bring("handling"), "extend", at=DAY)

    both = Viewer("person", people["clean1"], desk.here["clean1"].grants, frozenset({"decide_appeal"}))
    checker = Viewer("person", people["clean1"], desk.here["clean1"].grants, frozenset({"check"}))
    tidy = Viewer("person", people["lead"], desk.here["lead"].grants, frozenset({"start"}))
    return {
        "reason": (lambda: move(bring("reported"), "cancel", reason=" "), "Give a reason"),
        "condition": (lambda: move(bring("pending_filing"), "file", condition="9"), "it has 1"),
        "known_condition": (lambda: move(bring("reported"), "correct", condition="9"), "it has 1"),
        "unit": (lambda: move(bring("pending_dispatch"), "dispatch", unit_id=None), "Name the unit"),
        "was_filed": (
            lambda: move(move(bring("reported"), "force_close"), "reopen"), "never filed",
        ),
        "person": (lambda: move(bring("handling"), "assign", person_id=people["road1"]), "no post in the unit"),
        "holder": (
            lambda: move(bring("pending_dispatch"), "dispatch", person_id=people["road1"]), "no post in the unit",
        ),
        "in_unit": (lambda: move(bring("dispatched"), "start", by=tidy_outside(desk, tidy)), "Another unit"),
        "may_self_handle": (
            lambda: move(bring("pending_filing", case_type="urban:E0111"), "self_handle"), "not put right on the spot",
        ),
        "own_unit": (lambda: move(bring("reported"), "self_handle", unit_id=units["SZ"]), "no post in this unit"),
        "co_unit": (lambda: move(helped(), "co_hand_back", unit_id=units["PS"], by=SYSTEM), "no helping part"),
        "co_unit_open": (lambda: move(bring("handling"), "withdraw_co_unit", unit_id=units["PS"]), "no helping part"),
        "co_units": (lambda: move(bring("handling"), "add_co_units"), "Name the helping units"),
        "co_units_done": (lambda: move(helped(), "hand_back"), "1 helping unit(s)"),
        "evidence": (lambda: move(bring("handling"), "hand_back", evidence=(1, 0)), "0 before and 1 after"),
        "another_person": (lambda: move(bring("handled"), "check", "passed", by=checker), "cannot check it"),
        "may_extend": (lambda: move(move(stale(), "extend"), "extend"), "extended twice"),
        "may_suspend": (
            lambda: move(move(bring("suspended"), "resume"), "suspend"), "suspended once",
        ),
        "until": (lambda: move(bring("handling"), "suspend", until=None), "until when"),
        "nothing_asked": (lambda: move(asked("ask_extension"), "ask_suspension"), "waiting for a decision"),
        "something_asked": (lambda: move(bring("handling"), "refuse_request"), "No request"),
        "extension_asked": (lambda: move(asked("ask_suspension"), "extend"), "not a request for an extension"),
        "suspension_asked": (lambda: move(asked("ask_extension"), "suspend"), "not a request for a suspension"),
        "no_appeal_yet": (lambda: move(appealed(), "appeal"), "appealed once"),
        "appeal_waits": (lambda: move(bring("closed"), "decide_appeal", "grant"), "No appeal"),
        "another_reviewer": (lambda: move(reviewed(), "decide_appeal", "grant"), "Two different persons"),
        "another_reviewer, not the appellant": (
            lambda: move(appealed(), "decide_appeal", "grant", by=both), "cannot review the appeal",
        ),
        "known_condition, of another type": (
            lambda: move(bring("reported"), "correct", case_type="urban:E0113", condition="7"), "it has 1, 2, 3",
        ),
        "unit, closed or unknown": (
            lambda: move(bring("pending_dispatch"), "dispatch", unit_id=99_999), "at work today",
        ),
        "person, nobody": (lambda: move(bring("handling"), "assign", person_id=None), "Name the person"),
        "holder, unknown": (
            lambda: move(bring("reported"), "accept", "verify", person_id=99_999), "no such person",
        ),
        "co_unit, of others": (
            lambda: move(helped(), "co_hand_back", unit_id=units["SZ"], by="clean1"), "belongs to another unit",
        ),
        "co_units, the lead itself": (
            lambda: move(bring("handling"), "add_co_units", co_units=(CoUnit(unit_id=units["HW"]),)), "the lead itself",
        ),
        "co_units, unknown": (
            lambda: move(bring("handling"), "add_co_units", co_units=(CoUnit(unit_id=99_999),)), "at work today",
        ),
        "another_person, a machine": (lambda: move(bring("handled"), "check", "passed", by=SYSTEM), "A person"),
        "may_extend, overdue": (lambda: move(bring("handling"), "extend", at=local(20, 15, 1)), "overdue"),
        "until, more than a year": (
            lambda: move(bring("handling"), "suspend", until=DAY + timedelta(days=367)), "a year at most",
        ),
        "own_unit, a machine": (lambda: move(bring("reported"), "self_handle", by=SYSTEM), "Somebody with a post"),
        "another_reviewer, a machine": (lambda: move(appealed(), "decide_appeal", "grant", by=SYSTEM), "A person"),
    }  # fmt: skip


def tidy_outside(desk: Desk, viewer: Viewer) -> Viewer:
    """Somebody who sees the case, may start, and belongs to another unit."""
    grants = tuple(type(g)(g.role, g.unit_id, frozenset({desk.here.units["SZ"]}), g.region_code) for g in viewer.grants)
    return Viewer("person", viewer.id, grants, viewer.permissions)


def test_each_guard_refuses_with_its_own_sentence(desk: Desk) -> None:
    said = _said(desk)
    assert {name.split(",")[0] for name in said} == set(GUARDS)
    for name, (act, sentence) in said.items():
        no = refusal(act)
        assert no.code == name.split(",")[0], (name, no.code, no.sentence.en)
        assert sentence in no.sentence.en, name
        assert no.sentence.zh.endswith("。"), name


def test_a_community_worker_may_be_given_what_the_street_office_has(desk: Desk) -> None:
    here = desk.here
    case = desk.move(
        desk.bring("pending_dispatch"), "dispatch", unit_id=here.units["JD1"], person_id=here.people["street"]
    )
    case = desk.move(case, "assign", by="street", person_id=here.people["worker1"])
    assert desk.move(case, "start", by="worker1").state == "handling"


# --- clocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "condition", "at", "due"),
    [
        ("urban:E0110", "1", local(20, 9), local(20, 15)),  # 4 working hours over the midday break
        ("urban:E0110", "1", local(24, 17, 30), local(27, 11, 30)),  # over a weekend
        ("urban:E0107", "1", local(24, 17, 30), local(24, 19, 30)),  # 2 urgent hours do not stop for the evening
        ("urban:C0101", "3", local(20, 9), local(22, 18)),  # 2 working days: to the end of the second
        ("urban:E0101", "1", local(24, 9), local(26, 9)),  # 2 urgent days are natural days
        ("urban:E0119", "2", local(24, 9), local(27, 18)),
    ],
)
def test_the_handling_deadline_follows_the_filing_condition(
    desk: Desk, kind: str, condition: str, at: datetime, due: datetime
) -> None:
    case = desk.bring("pending_filing", case_type=kind, at=at)
    case = desk.move(case, "file", condition=condition, at=at)
    case = desk.move(case, "dispatch", at=at)
    assert case.condition == condition
    assert case.handle_due_at == case.due_at
    assert case.due_at == due


def test_a_deadline_that_the_source_promised_is_kept(desk: Desk) -> None:
    promised = local(29, 12, 34)
    case = desk.open(state="pending_dispatch", due_at=promised)
    case = desk.move(case, "dispatch", at=TEN)
    assert case.due_at == case.handle_due_at == promised
    case = desk.move(desk.move(case, "return_back", at=TEN), "dispatch", at=TEN)
    assert case.due_at == promised


def test_each_step_before_handling_has_the_limit_of_its_stage(desk: Desk) -> None:
    assert desk.open().due_at == DAY + HOUR / 2
    assert desk.bring("pending_verify").due_at == DAY + 24 * HOUR
    assert desk.bring("pending_filing").due_at == DAY + HOUR
    assert desk.bring("pending_dispatch").due_at == DAY + HOUR / 2
    assert desk.bring("handled").due_at == DAY + 2 * HOUR
    assert desk.bring("pending_close").due_at == local(20, 15)


def test_signing_does_not_begin_the_clock_anew(desk: Desk) -> None:
    case = desk.bring("dispatched")
    was = (case.due_at, case.warn_at, case.stage_at)
    case = desk.move(case, "start", at=local(20, 14, 30))
    assert (case.due_at, case.warn_at, case.stage_at) == was


def test_an_extension_adds_one_original_limit_to_the_present_deadline_twice_at_most(desk: Desk) -> None:
    case = desk.bring("handling")
    assert case.due_at == local(20, 15)
    case = desk.move(case, "extend", at=TEN)
    assert case.due_at == case.handle_due_at == local(21, 9)
    case = desk.move(case, "extend", at=TEN)
    assert case.due_at == local(21, 15)
    assert refusal(lambda: desk.move(case, "extend", at=TEN)).code == "may_extend"


def test_an_overdue_case_is_not_extended_not_even_if_it_was_asked_in_time(desk: Desk) -> None:
    case = desk.move(desk.bring("handling"), "ask_extension", at=TEN)
    assert refusal(lambda: desk.move(case, "extend", at=local(20, 15, 1))).code == "may_extend"
    assert desk.move(case, "refuse_request", at=local(20, 15, 1)).asked == ""


def test_a_refused_request_does_not_count(desk: Desk) -> None:
    case = desk.bring("handling")
    for _ in range(3):
        case = desk.move(desk.move(case, "ask_extension"), "refuse_request")
    assert case.extensions == 0
    assert desk.move(case, "extend").extensions == 1


def test_a_suspension_keeps_the_working_time_that_is_left_and_ends_by_itself(desk: Desk) -> None:
    case = desk.bring("handling")  # 4 working hours from 9: due at 15
    until = local(22, 8)
    case = desk.move(case, "suspend", at=local(20, 11), until=until)  # 2 working hours are left
    assert (case.state, case.due_at, case.paused_left) == ("suspended", None, 2 * 3600)
    assert resume_due(at=until - timedelta(seconds=1)) == 0
    assert resume_due(at=until) == 1
    case.refresh_from_db()
    assert (case.state, case.due_at) == ("handling", local(22, 10))
    assert case.paused_seconds == (until - local(20, 11)).total_seconds()
    assert told(case)[-1].actor == "system"
    assert resume_due(at=until) == 0


def test_a_suspension_stops_the_helpers_as_well(desk: Desk) -> None:
    helper = CoUnit(unit_id=desk.here.units["SZ"])
    case = desk.move(desk.bring("handling"), "add_co_units", co_units=(helper,))
    part = case.co_handlings.get()
    assert part.due_at == local(20, 15)
    desk.move(case, "suspend", at=local(20, 11), until=local(22, 8))
    assert note_deadlines(at=local(21, 18)) == 0
    resume_due(at=local(22, 8))
    part.refresh_from_db()
    assert part.due_at == local(22, 10)


def test_what_was_overdue_when_it_was_suspended_stays_overdue(desk: Desk) -> None:
    case = desk.move(desk.bring("handling"), "suspend", at=local(20, 16), until=local(22, 8))
    assert case.paused_left is None
    resume_due(at=local(22, 8))
    case.refresh_from_db()
    assert case.due_at == local(20, 15)


def test_force_closing_a_suspended_case_stops_its_pause(desk: Desk) -> None:
    case = desk.bring("suspended")
    case = desk.move(case, "force_close", at=DAY + 2 * HOUR)
    assert (case.paused_at, case.resume_at, case.paused_left) == (None, None, None)
    assert case.paused_seconds == 7200
    assert case.handle_due_at == local(20, 11) + timedelta(hours=6)
    assert resume_due(at=DAY + timedelta(days=9)) == 0


def test_rework_gives_back_what_was_left_at_the_hand_back(desk: Desk) -> None:
    case = desk.bring("handling")
    case = desk.move(case, "hand_back", at=local(20, 10))  # 3 working hours left
    case = desk.move(case, "check", "failed", at=local(20, 17))
    assert case.due_at == case.handle_due_at == local(21, 10)
    case = desk.move(case, "hand_back", at=local(21, 9))
    case = desk.move(case, "check", "passed", at=local(21, 9))
    case = desk.move(case, "send_back", at=local(21, 14))
    assert case.due_at == local(21, 15)


def test_rework_gives_nothing_back_to_who_was_late(desk: Desk) -> None:
    case = desk.move(desk.bring("handling"), "hand_back", at=local(20, 17))
    case = desk.move(case, "check", "failed", at=local(21, 9))
    assert case.due_at == local(20, 15)


def test_reopening_gives_a_fresh_limit(desk: Desk) -> None:
    case = desk.move(desk.bring("closed"), "reopen", at=local(23, 9))
    assert (case.state, case.due_at, case.closed_at) == ("rework", local(23, 15), None)


def test_a_case_closed_by_force_goes_back_to_the_dispatcher(desk: Desk) -> None:
    case = desk.move(desk.bring("forced_close"), "reopen", at=local(23, 9))
    assert (case.state, case.due_at) == ("pending_dispatch", local(23, 9, 30))
    assert desk.move(case, "dispatch", at=local(23, 9)).due_at == local(23, 15)


def test_a_returned_case_shows_who_returned_it_until_it_is_dispatched_anew(desk: Desk) -> None:
    here = desk.here
    case = desk.bring("returned")
    assert case.unit_id == here.units["HW"]
    assert cases_for(here["clean1"]).filter(id=case.id).exists()
    case = desk.move(case, "dispatch", unit_id=here.units["SZ"], person_id=here.people["road1"], at=TEN)
    assert case.due_at == local(20, 16)
    assert not cases_for(here["clean1"]).filter(id=case.id).exists()


def test_correcting_the_type_begins_the_present_step_by_the_right_limit(desk: Desk) -> None:
    case = desk.bring("pending_dispatch")
    case = desk.move(case, "correct", case_type="urban:E0506", at=TEN)
    assert (case.case_type, case.condition, case.urgent) == ("urban:E0506", "1", True)
    assert case.due_at == DAY + HOUR / 4


# --- two people, many cases ---------------------------------------------------------------------------------------


def test_the_second_of_two_people_is_refused_with_a_plain_sentence(desk: Desk) -> None:
    case = desk.bring("pending_close")
    seen = case.version
    desk.move(case, "close", version=seen)
    other = desk.bring("pending_close")
    desk.move(other, "send_back", by="shift2", version=other.version)
    no = refusal(lambda: desk.move(other, "close", version=other.version))
    assert (no.status, no.code) == (412, "conflict")
    assert f"Somebody has just changed case {other.number}" in no.sentence.en
    assert "请刷新后再决定" in no.sentence.zh


def test_reminding_and_joining_disturb_nobody(desk: Desk) -> None:
    case = desk.bring("pending_close")
    desk.move(case, "remind")
    desk.move(case, "supervise")
    desk.move(case, "join", callers=1)
    assert desk.move(case, "close", version=case.version).state == "closed"


def test_several_cases_move_all_or_none_and_every_refusal_is_named(desk: Desk) -> None:
    good = [desk.bring("pending_close") for _ in range(3)]
    bad, worse = desk.bring("handled"), desk.bring("closed")
    events = Event.objects.count()
    moves = [Move(case_id=c.id, verb="close") for c in [good[0], bad, good[1], worse, good[2]]]
    with pytest.raises(Mistakes) as caught, transaction.atomic():
        move_cases(moves, viewer=desk.here["shift"])
    assert [m.place for m in caught.value.mistakes] == [bad.number, worse.number]
    assert "to be checked" in caught.value.mistakes[0].wrong.en
    assert set(Case.objects.filter(id__in=[c.id for c in good]).values_list("state", flat=True)) == {"pending_close"}
    assert Event.objects.count() == events
    moved = move_cases([Move(case_id=c.id, verb="close") for c in good], viewer=desk.here["shift"])
    assert [c.id for c in moved] == [c.id for c in good]


def test_one_case_cannot_be_moved_twice_in_a_call(desk: Desk) -> None:
    case = desk.bring("handled")
    twice = [Move(case_id=case.id, verb="remind"), Move(case_id=case.id, verb="supervise", reason="急件")]
    assert refusal(lambda: move_cases(twice, viewer=SYSTEM)).code == "twice"


@pytest.mark.parametrize(
    ("state", "verb", "outcome", "statements"),
    [
        ("reported", "accept", "", 3),
        ("pending_filing", "file", "", 3),
        ("pending_dispatch", "dispatch", "", 6),
        ("dispatched", "start", "", 3),
        ("handling", "hand_back", "", 4),
        ("handled", "check", "passed", 3),
        ("pending_close", "close", "", 3),
    ],
)
def test_two_hundred_cases_cost_as_many_statements_as_one(
    desk: Desk, state: str, verb: str, outcome: str, statements: int
) -> None:
    viewer = desk.here[ACTORS[verb]]
    many = _many(desk, state, 200)
    counts = []
    for some in (many[:1], many[1:]):
        moves = [Move(case_id=i, verb=verb, outcome=outcome, **desk.words(verb, outcome)) for i in some]
        with CaptureQueriesContext(connection) as queries:
            move_cases(moves, viewer=viewer, at=TEN)
        counts.append(len([q for q in queries if "SAVEPOINT" not in q["sql"]]))
    assert counts == [statements, statements]


def _many(desk: Desk, state: str, count: int) -> list[int]:
    """Many cases in that state, moved together."""
    way, at = [], state
    while at != "reported":
        at, verb, outcome = WAYS[at]
        way.append((verb, outcome))
    lon, lat = desk.here.place()
    new = NewCase(
        case_type=KIND,
        state="reported",
        source="hotline",
        text="垃圾",
        lon=lon,
        lat=lat,
        region_code=GRID,
        reported_at=DAY,
    )
    ids = [c.id for c in open_cases([new] * count, viewer=SYSTEM, at=DAY)]
    for verb, outcome in reversed(way):
        moves = [Move(case_id=i, verb=verb, outcome=outcome, **desk.words(verb, outcome)) for i in ids]
        move_cases(moves, viewer=desk.here[ACTORS[verb]], at=DAY)
    return ids


def test_two_hundred_cases_are_opened_and_watched_with_as_many_statements_as_one(desk: Desk) -> None:
    new = NewCase(
        case_type=KIND, state="pending_dispatch", source="app", text="垃圾", region_code=GRID, reported_at=DAY
    )
    counts = []
    standard_queries.current()
    for n, count in enumerate((1, 200)):
        with CaptureQueriesContext(connection) as queries:
            open_cases([new] * count, viewer=SYSTEM, at=DAY)
        with CaptureQueriesContext(connection) as watching:
            assert note_deadlines(at=DAY + (n + 1) * 5 * HOUR) == count
        counts.append([len([q for q in c if "SAVEPOINT" not in q["sql"]]) for c in (queries, watching)])
    assert counts[0] == counts[1]


# --- helping units ------------------------------------------------------------------------------------------------


def test_each_helping_unit_has_its_own_clock_and_the_lead_waits_for_all(desk: Desk) -> None:
    units = desk.here.units
    case = desk.move(
        desk.bring("handling"), "add_co_units", at=TEN, co_units=(CoUnit(unit_id=units["SZ"], task="围护"),)
    )
    case = desk.move(case, "add_co_units", at=TEN + HOUR, co_units=(CoUnit(unit_id=units["PS"]),))
    dues = dict(case.co_handlings.values_list("unit_id", "due_at"))
    assert dues == {units["SZ"]: local(20, 16), units["PS"]: local(20, 17)}
    assert refusal(lambda: desk.move(case, "hand_back", at=TEN + HOUR)).code == "co_units_done"
    desk.move(case, "co_hand_back", by="road1", unit_id=units["SZ"], at=TEN + HOUR)
    assert refusal(lambda: desk.move(case, "hand_back", at=TEN + HOUR)).code == "co_units_done"
    desk.move(case, "withdraw_co_unit", unit_id=units["PS"], at=TEN + HOUR)
    assert desk.move(case, "hand_back", at=TEN + HOUR).state == "handled"
    assert list(unlike_their_record()) == []


def test_a_unit_that_has_helped_may_be_asked_to_help_again(desk: Desk) -> None:
    helper = (CoUnit(unit_id=desk.here.units["SZ"]),)
    case = desk.move(desk.bring("handling"), "add_co_units", co_units=helper)
    assert refusal(lambda: desk.move(case, "add_co_units", co_units=helper)).code == "co_units"
    desk.move(case, "co_hand_back", unit_id=helper[0].unit_id)
    case = desk.move(case, "hand_back")
    case = desk.move(case, "check", "failed")
    case = desk.move(case, "add_co_units", co_units=helper)
    assert case.co_handlings.count() == 2


def test_a_helping_unit_that_gets_the_case_helps_no_longer_but_leads(desk: Desk) -> None:
    units, people = desk.here.units, desk.here.people
    case = desk.move(desk.bring("dispatched"), "add_co_units", co_units=(CoUnit(unit_id=units["SZ"]),))
    case = desk.move(case, "return_back")
    case = desk.move(case, "dispatch", unit_id=units["SZ"], person_id=people["road1"], at=TEN)
    assert case.co_handlings.get().withdrawn_at == TEN
    assert desk.move(case, "hand_back", by="road1", at=TEN).state == "handled"


@pytest.mark.parametrize("verb", ["force_close", "cancel"])
def test_ending_a_case_lets_its_helpers_go(desk: Desk, verb: str) -> None:
    case = desk.move(desk.bring("handling"), "add_co_units", co_units=(CoUnit(unit_id=desk.here.units["SZ"]),))
    desk.move(case, verb, at=TEN)
    assert case.co_handlings.get().withdrawn_at == TEN
    assert note_deadlines(at=_far()) == 0


# --- checking, appealing ------------------------------------------------------------------------------------------


def test_whoever_put_it_right_on_the_spot_does_not_check_it(desk: Desk) -> None:
    case = desk.move(desk.bring("reported"), "self_handle")
    assert (case.unit_id, case.handled_by_id) == (desk.here.units["SQ1"], desk.here.people["worker1"])
    assert refusal(lambda: desk.move(case, "check", "passed", by="worker1")).code == "another_person"
    assert desk.move(case, "check", "passed", by="leader1").state == "pending_close"


def test_an_appeal_needs_two_reviewers_and_changes_no_fact_but_exempt(desk: Desk) -> None:
    case = desk.move(desk.bring("closed"), "appeal")
    before = {f.attname: getattr(case, f.attname) for f in Case._meta.concrete_fields}
    case = desk.move(case, "decide_appeal", "grant", by="shift")
    assert not case.exempt
    case = desk.move(case, "decide_appeal", "grant", by="shift2")
    after = {f.attname: getattr(case, f.attname) for f in Case._meta.concrete_fields}
    assert {n for n in after if after[n] != before[n]} == {"exempt", "asked", "version"}
    assert [e.name for e in told(case)][-3:] == ["AppealMade", "AppealReviewed", "AppealDecided"]
    assert refusal(lambda: desk.move(case, "appeal")).code == "no_appeal_yet"


def test_one_reviewer_is_enough_to_refuse_an_appeal_and_there_is_no_second(desk: Desk) -> None:
    case = desk.move(desk.move(desk.bring("closed"), "appeal"), "decide_appeal", "refuse")
    assert (case.exempt, case.asked) == (False, "")
    assert told(case)[-1].name == "AppealDecided"
    assert refusal(lambda: desk.move(case, "appeal")).code == "no_appeal_yet"


def test_an_appeal_lapses_when_the_case_is_reopened_and_may_be_made_anew(desk: Desk) -> None:
    case = desk.move(desk.move(desk.bring("closed"), "appeal"), "decide_appeal", "grant", by="shift")
    case = desk.move(case, "reopen")
    assert case.asked == ""
    for verb, outcome in (("hand_back", ""), ("check", "passed"), ("close", ""), ("appeal", "")):
        case = desk.move(case, verb, outcome)
    case = desk.move(case, "decide_appeal", "grant", by="shift")
    assert not case.exempt, "the opinion on the appeal that lapsed does not count for this one"


# --- who sees what ------------------------------------------------------------------------------------------------


def test_each_role_sees_its_part_of_the_cases_and_no_more(desk: Desk) -> None:
    here = desk.here
    in_grid_1 = desk.bring("dispatched")
    in_grid_2 = desk.bring("dispatched", region_code="410104001001B002")
    elsewhere = desk.bring("reported", region_code="410104001002B001")
    of_street = desk.move(
        desk.bring("pending_dispatch", region_code="410104001002B001"),
        "dispatch", unit_id=here.units["JD1"], person_id=here.people["street"],
    )  # fmt: skip
    of_community = desk.move(
        desk.bring("pending_dispatch", region_code="410104001001B002"), "dispatch",
        unit_id=here.units["SQ1"], person_id=here.people["worker2"],
    )  # fmt: skip
    helped = desk.move(
        desk.bring("dispatched", region_code="410104001002B001"), "add_co_units",
        co_units=(CoUnit(unit_id=here.units["PS"]),),
    )  # fmt: skip
    everything = {in_grid_1, in_grid_2, elsewhere, of_street, of_community, helped}
    expected = {
        "lead": everything, "intake": everything, "shift": everything, "dispatch": everything, "inspect": everything,
        "street": everything, "leader1": {in_grid_1, in_grid_2, of_community}, "worker1": {in_grid_1},
        "worker2": {in_grid_2, of_community}, "worker3": {elsewhere, of_street, helped},
        "clean1": {in_grid_1, in_grid_2, helped}, "clean2": {in_grid_1, in_grid_2, helped}, "road1": set(),
        "drain1": {helped}, "law1": set(), "audit": set(), "system": set(), "secure": set(),
    }  # fmt: skip
    mine = [c.id for c in everything]
    seen = {name: set(cases_for(here[name]).filter(id__in=mine)) for name in expected}
    assert seen == expected
    assert set(cases_for(SYSTEM).filter(id__in=mine)) == everything
    assert set(cases_for(Viewer("anonymous")).filter(id__in=mine)) == set()
    assert set(cases_for(Viewer("client", 1)).filter(id__in=mine)) == set()
    assert set(cases_for(Viewer("client", 1, permissions=frozenset({"read_cases"}))).filter(id__in=mine)) == everything


def test_a_case_given_to_a_person_is_seen_by_that_person_wherever_it_lies(desk: Desk) -> None:
    case = desk.bring("reported", region_code="410104001002B001")
    worker = desk.here.people["worker1"]
    case = desk.move(case, "accept", "verify", person_id=worker)
    assert cases_for(desk.here["worker1"]).filter(id=case.id).exists()
    assert desk.move(case, "verify", "true", by="worker1").state == "pending_filing"


def test_cases_have_numbers_of_the_day_in_the_district_without_gaps(desk: Desk) -> None:
    late = datetime(2026, 7, 20, 15, 59, tzinfo=UTC)  # 23:59 on the 20th in the district
    numbers = [desk.open(at=at).number for at in (late, late, late + timedelta(minutes=1))]
    first = int(numbers[0][-5:])
    assert [n[:14] for n in numbers] == ["00000020260720", "00000020260720", "00000020260721"]
    assert int(numbers[1][-5:]) == first + 1
    assert numbers[2].endswith("00001")


def test_ends_and_open_states_divide_the_states() -> None:
    assert set(OPEN) | ENDS == set(STATES)
    assert not set(OPEN) & ENDS


def test_why_it_went_there_is_always_one_sentence(desk: Desk) -> None:
    case = desk.move(desk.bring("pending_dispatch"), "dispatch")
    assert case.why == {"zh": "由派遣员指定", "en": "a dispatcher chose this unit"}
    chosen = Sentence(zh="街道要求由环卫办理", en="the street asked for it")
    assert desk.move(desk.move(case, "return_back"), "dispatch", why=chosen).why == chosen.both()
