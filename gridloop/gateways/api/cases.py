"""Cases: lists, one case with its timeline, and every verb of the workflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gridloop.cases.actions import QUIET, Move, move_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import case_of, cases_for, co_units_of, timeline
from gridloop.cases.rules import CoUnit
from gridloop.cases.workflow import ENDS, STATES, STEPS, VERBS, allowed
from gridloop.discover.queries import reports_of
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.handle import actions as handle
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.queries import units_by_code
from gridloop.people.viewer import Viewer
from gridloop.registry.actions import reveal_contact
from gridloop.registry.queries import masked

router = Router(tags=["cases"])
MOVES = 200
"""Cases in one request."""
INNER = frozenset({"join"})
"""Verbs of the loop itself: a caller is joined by the triage list."""
SORTS = {"opened_at": "opened_at", "due_at": "due_at", "reported_at": "reported_at", "closed_at": "closed_at"}


class CaseOut(Schema):
    """One case as a list shows it."""

    number: str
    version: int
    state: str
    state_name: dict[str, str]
    case_type: str
    catalog_version: str
    condition: str
    urgent: bool
    source: str
    text: str
    address: str
    lon: float | None
    lat: float | None
    region_code: str
    callers: int
    unit_id: int | None
    person_id: int | None
    why: dict[str, str] | None
    reported_at: datetime
    opened_at: datetime
    dispatched_at: datetime | None
    handled_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None
    handle_due_at: datetime | None
    extensions: int
    reworks: int
    reopened: int
    supervised: bool
    asked: str
    exempt: bool

    @staticmethod
    def resolve_state_name(case: Any) -> dict[str, str]:
        return STATES[case["state"] if isinstance(case, dict) else case.state].both()


class Told(Schema):
    """One entry of the timeline: what happened, when, by whom (never a name), and why."""

    id: int
    name: str
    at: datetime
    actor: str
    reason: str
    set: dict[str, Any]
    about: dict[str, Any]


class Reporter(Schema):
    """Who told of it, masked. `contact_id` opens the door to the whole contact, with a reason."""

    report_number: str
    channel: str
    received_at: datetime
    title: str
    text: str
    contact_id: int | None
    name: str
    phone: str
    secret: bool


class CoUnitOut(Schema):
    unit_id: int
    task: str
    started_at: datetime
    due_at: datetime | None
    handed_back_at: datetime | None
    withdrawn_at: datetime | None


class Possible(Schema):
    """A verb that this viewer can use now, with its outcome if it has several."""

    verb: str
    outcome: str
    name: dict[str, str]


class CaseDetail(CaseOut):
    timeline: list[Told]
    reporters: list[Reporter]
    co_units: list[CoUnitOut]
    possible: list[Possible]


class CaseFilter(Strict):
    """What a list of cases may be narrowed to."""

    state: str = Field("", max_length=200, description="One state or several, separated by commas")
    open: bool | None = None
    case_type: str = Field("", max_length=60)
    region: str = Field("", max_length=19, description="A region and everything below it")
    unit: str = Field("", max_length=40, description="A unit's code")
    mine: bool = Field(False, description="Only what lies in my hands")
    overdue: bool | None = None
    asked: str = Field("", max_length=12, description="Only cases with a request that waits: extend, suspend, appeal")
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    number: str = Field("", max_length=24)
    sort: str = Field("-id", max_length=20, description="id, opened_at, due_at, reported_at, closed_at; - reverses")


def _chosen(viewer: Viewer, wanted: CaseFilter) -> QuerySet[Case]:
    cases = cases_for(viewer)
    states = [s for s in wanted.state.split(",") if s]
    unknown = [s for s in states if s not in STATES]
    if unknown:
        raise Mistakes(
            [
                Mistake(
                    "state",
                    Sentence(zh=f"没有状态“{s}”", en=f"there is no state “{s}”"),
                    Sentence(zh="、".join(STATES), en=", ".join(STATES)),
                )
                for s in unknown
            ]
        )
    if states:
        cases = cases.filter(state__in=states)
    if wanted.open is not None:
        cases = cases.exclude(state__in=ENDS) if wanted.open else cases.filter(state__in=ENDS)
    if wanted.overdue is not None:
        late = {"overdue_at__isnull": not wanted.overdue}
        cases = cases.filter(**late)
    equal = {"case_type": wanted.case_type, "asked": wanted.asked, "number": wanted.number, "unit__code": wanted.unit}
    cases = cases.filter(**{name: value for name, value in equal.items() if value})
    if wanted.region:
        cases = cases.filter(region_code__startswith=wanted.region)
    if wanted.mine:
        cases = cases.filter(person_id=viewer.person_id or 0)
    if wanted.opened_from:
        cases = cases.filter(opened_at__gte=wanted.opened_from)
    if wanted.opened_to:
        cases = cases.filter(opened_at__lt=wanted.opened_to)
    return cases


@router.get("/cases", response=Page[CaseOut], summary="Cases")
def list_cases(request: HttpRequest, wanted: Query[CaseFilter], window: Query[Window]) -> dict[str, Any]:
    """The cases that this viewer may see, newest first unless sorted otherwise.

    可见的案件列表，默认最新在前，可筛选、排序、计数、分页。
    """
    return page(_chosen(viewer_of(request), wanted), window, list, sort=wanted.sort, sorts=SORTS)


class WorkflowStep(Schema):
    """One row of the workflow table."""

    origins: list[str]
    verb: str
    outcome: str
    to: str
    permission: str
    name: dict[str, str]


@router.get("/workflow", response=list[WorkflowStep], summary="The workflow table")
def workflow(request: HttpRequest) -> list[dict[str, Any]]:
    """From which states which verb leads where, and the permission that it needs.

    工作流表：状态、操作、结果、去向、所需权限。
    """
    return [
        {
            "origins": list(s.origins),
            "verb": s.verb,
            "outcome": s.outcome,
            "to": s.to,
            "permission": s.permission,
            "name": s.name.both(),
        }
        for s in STEPS
        if s.verb not in INNER
    ]


@router.get("/cases/{number}", response=CaseDetail, summary="One case")
def one_case(request: HttpRequest, number: str) -> dict[str, Any]:
    """The case with its timeline, its reporters (masked), helping units, and what this viewer can do with it now.

    案件详情：经过、反映人（脱敏）、协办单位，以及当前可做的操作。
    """
    viewer = viewer_of(request)
    case = case_of(viewer, number)
    reports = reports_of(case)
    people = masked([r.contact_id for r in reports if r.contact_id], viewer)
    shown = CaseOut.model_validate(case).model_dump()
    return shown | {
        "timeline": timeline(case, viewer),
        "reporters": [_reporter(r, people.get(r.contact_id or 0)) for r in reports],
        "co_units": co_units_of(case),
        "possible": [
            {"verb": s.verb, "outcome": s.outcome, "name": s.name.both()}
            for s in allowed(case.state)
            if viewer.may(s.permission) and s.verb not in INNER
        ],
    }


def _reporter(report: Any, contact: Any) -> dict[str, Any]:
    return {
        "report_number": report.number,
        "channel": report.channel,
        "received_at": report.received_at,
        "title": report.title,
        "text": report.text,
        "contact_id": report.contact_id,
        "name": contact.name if contact else "",
        "phone": contact.phone if contact else "",
        "secret": bool(contact and contact.secret),
    }


class Reveal(Strict):
    contact_id: int
    reason: str = Field(max_length=500)


class Revealed(Schema):
    name: str
    phone: str


@router.post("/cases/{number}/reveal", response=Revealed, summary="See one reporter's name and phone")
def reveal(request: HttpRequest, number: str, body: Reveal) -> Revealed:
    """One contact, with a typed reason of at least 8 characters. It is recorded and counted against the day's quota.

    查看一位反映人的姓名和电话，须写明理由（至少 8 个字）；每次查看都有记录并计入当日上限。
    """
    viewer = viewer_of(request)
    viewer.need("reveal_contact")
    case = case_of(viewer, number)
    if body.contact_id not in {r.contact_id for r in reports_of(case)}:
        raise not_found()
    contact = reveal_contact(
        contact_id=body.contact_id, case_id=case.pk, reason=body.reason, viewer=viewer, at=clock.now()
    )
    return Revealed(name=contact.name, phone=contact.phone)


# --- verbs ---------------------------------------------------------------------------------------------------------


class HelperIn(Strict):
    unit: str = Field(max_length=40)
    task: str = Field("", max_length=500)


class MoveIn(Strict):
    """What a verb is told. Which of it a verb needs, the workflow says; what is missing is refused with a sentence."""

    version: int | None = Field(None, description="The version you have seen; or send If-Match")
    outcome: str = Field("", max_length=20)
    reason: str = Field("", max_length=2000)
    unit: str = Field("", max_length=40, description="A unit's code")
    person_id: int | None = None
    condition: str = Field("", max_length=60)
    until: datetime | None = None
    co_units: list[HelperIn] = Field([], max_length=20)
    case_type: str = Field("", max_length=60)
    address: str | None = Field(None, max_length=300)
    lon: float | None = Field(None, ge=-180, le=180)
    lat: float | None = Field(None, ge=-90, le=90)
    region_code: str | None = Field(None, max_length=19)


class OneOfMany(MoveIn):
    number: str = Field(max_length=24)
    verb: str = Field(max_length=30)


class Moved(Schema):
    """The case after the move."""

    number: str
    version: int
    state: str
    state_name: dict[str, str]
    due_at: datetime | None

    @staticmethod
    def resolve_state_name(case: Any) -> dict[str, str]:
        return STATES[case["state"] if isinstance(case, dict) else case.state].both()


@router.post("/cases/{number}/verbs/{verb}", response=Moved, summary="Do something with a case")
def move_one(request: HttpRequest, number: str, verb: str, body: MoveIn) -> Case:
    """Any verb of `/workflow`: accept, verify, file, dispatch, start, hand_back, check, close, return_back, extend ...

    对案件执行工作流中的任一操作；须写明所见的版本，状态不允许时说明现在可以做什么。
    """
    seen = body.version if body.version is not None else _if_match(request)
    wanted = OneOfMany(number=number, verb=verb, **body.model_dump(exclude={"version"}), version=seen)
    return _move([wanted], viewer_of(request))[0]


@router.post("/moves", response=list[Moved], summary="Do something with many cases")
def move_many(request: HttpRequest, body: list[OneOfMany]) -> list[Case]:
    """The same verb or different ones for many cases: all are moved or none, and every refusal is named.

    批量办理：要么全部成功，要么全部不变；每个不能办的案件都会列出。
    """
    if not 1 <= len(body) <= MOVES or len({one.number for one in body}) < len(body):
        raise Refused(
            Sentence(zh=f"一次 1 到 {MOVES} 个不同的案件。", en=f"From 1 to {MOVES} different cases in one request."),
            status=422,
            code="too_many",
        )
    return _move(body, viewer_of(request))


def _if_match(request: HttpRequest) -> int | None:
    tag = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 10 else None


def _move(wanted: Sequence[OneOfMany], viewer: Viewer) -> list[Case]:
    ids = dict(cases_for(viewer).filter(number__in=[w.number for w in wanted]).values_list("number", "id"))
    if len(wanted) == 1 and wanted[0].number not in ids:
        raise not_found()
    codes = {w.unit for w in wanted if w.unit} | {c.unit for w in wanted for c in w.co_units}
    units = units_by_code(codes) if codes else {}
    mistakes = [m for n, w in enumerate(wanted) for m in _wrong(n, w, ids, units, len(wanted))]
    if mistakes:
        raise Mistakes(mistakes)
    verbs = {w.verb for w in wanted}
    moves = [_as_move(w, ids[w.number], units) for w in wanted]
    # Handing back brings the photographs that the handling stage vouches for; a mixed list goes the same way.
    move = handle.hand_back if verbs & handle.NEEDS_PHOTOGRAPHS else move_cases
    return move(moves, viewer=viewer)


def _wrong(n: int, one: OneOfMany, ids: dict[str, int], units: dict[str, int], many: int) -> list[Mistake]:
    place = f"{n}." if many > 1 else ""
    found = []
    if one.number not in ids:
        found.append(Mistake(f"{place}number", not_found().sentence, Sentence(zh="去掉它", en="leave it out")))
    if one.verb not in VERBS or one.verb in INNER:
        known = [v for v in VERBS if v not in INNER]
        found.append(
            Mistake(
                f"{place}verb",
                Sentence(zh=f"没有操作“{one.verb}”", en=f"there is no verb “{one.verb}”"),
                Sentence(zh="、".join(known), en=", ".join(known)),
            )
        )
    elif one.version is None and one.verb not in QUIET:
        found.append(
            Mistake(
                f"{place}version",
                Sentence(zh="缺少所见的版本", en="is missing"),
                Sentence(zh="写上案件的 version，或用 If-Match", en="give the case's version, or If-Match"),
            )
        )
    for name, code in [("unit", one.unit), *((f"co_units.{i}.unit", c.unit) for i, c in enumerate(one.co_units))]:
        if code and code not in units:
            found.append(
                Mistake(
                    f"{place}{name}",
                    Sentence(zh=f"没有单位“{code}”", en=f"there is no unit “{code}”"),
                    Sentence(zh="见 /units", en="see /units"),
                )
            )
    return found


def _as_move(one: OneOfMany, case_id: int, units: dict[str, int]) -> Move:
    return Move(
        case_id=case_id,
        verb=one.verb,
        outcome=one.outcome,
        version=one.version,
        reason=one.reason,
        unit_id=units.get(one.unit),
        person_id=one.person_id,
        condition=one.condition,
        until=one.until,
        co_units=tuple(CoUnit(unit_id=units[c.unit], task=c.task) for c in one.co_units),
        case_type=one.case_type,
        address=one.address,
        lon=one.lon,
        lat=one.lat,
        region_code=one.region_code,
    )
