"""Sending cases to units, and telling the next level when they are late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import cases_for, stored
from gridloop.cases.rules import CoUnit
from gridloop.cases.workflow import STAGES, STATES
from gridloop.dispatch.queries import Proposal, directory, propose
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.actions import NewNotice, notify
from gridloop.people.models import Notice, Unit
from gridloop.people.queries import holders_of, persons_for
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard_queries


@transaction.atomic
def send_routed(case_ids: Sequence[int], *, at: datetime | None = None) -> int:
    """Dispatch cases by the routes of their packs; returns how many. The rest waits for a dispatcher.

    A case that is not (or no longer) to be dispatched is left alone.
    """
    waiting = Case.objects.filter(id__in=case_ids, state="pending_dispatch")
    rows = list(waiting.select_for_update(of=("self",)).order_by("id"))
    if not rows:
        return 0
    proposals = propose(rows, at=at)
    routed = [(case, proposals[case.id]) for case in rows if proposals[case.id].unit is not None]
    _send([_as_proposed(case, proposal) for case, proposal in routed], routed, viewer=SYSTEM, at=at)
    return len(routed)


def _as_proposed(case: Case, proposal: Proposal, version: int | None = None) -> Move:
    unit = proposal.unit
    return Move(
        case_id=case.id, verb="dispatch", version=version, unit_id=unit.id if unit is not None else None,
        person_id=proposal.person_id, route=proposal.route, why=proposal.why,
    )  # fmt: skip


def _send(
    moves: Sequence[Move], routed: Sequence[tuple[Case, Proposal]], *, viewer: Viewer, at: datetime | None
) -> list[Case]:
    """Dispatch, and then ask those to help of whom the routes think. The route adds them, whoever agreed to it."""
    sent = move_cases(moves, viewer=viewer, at=at)
    helping = {case.id: tuple(CoUnit(unit_id=u.id) for u in proposal.helpers) for case, proposal in routed}
    helpers = [Move(case_id=i, verb="add_co_units", co_units=units) for i, units in helping.items() if units]
    moved = {case.id: case for case in move_cases(helpers, viewer=SYSTEM, at=at)}
    return [moved.get(case.id, case) for case in sent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A case whose proposal a dispatcher agrees to, at the version that was seen."""

    case_id: int
    version: int


@transaction.atomic
def send_as_proposed(agreed: Sequence[Agreed], *, viewer: Viewer, at: datetime | None = None) -> list[Case]:
    """Dispatch cases as their routes propose, on a dispatcher's word; all or none, in order.

    Raises `Mistakes` naming each case for which there is no proposal, or which somebody else has moved since.
    """
    viewer.need("dispatch")
    wanted = {a.case_id: a for a in agreed}
    rows = {c.id: c for c in cases_for(viewer).filter(id__in=wanted).select_for_update(of=("self",)).order_by("id")}
    proposals = propose(list(rows.values()), at=at)
    without = [c for c in rows.values() if proposals[c.id].unit is None]
    if without:
        instead = Sentence(zh="指定单位", en="choose the unit")
        raise Mistakes([Mistake(c.number, proposals[c.id].why, instead) for c in without])
    if len(rows) < len(wanted):
        raise not_found()
    routed = [(rows[a.case_id], proposals[a.case_id]) for a in agreed]
    moves = [_as_proposed(case, proposal, wanted[case.id].version) for case, proposal in routed]
    return _send(moves, routed, viewer=viewer, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A deadline that is near or has passed: of the step in which a case is, or of the part of a helping unit."""

    case_id: int
    at: datetime
    """When it was noticed."""
    due_at: str
    """The deadline as the event told it. If it is another one now, the matter is over."""
    unit_id: int | None = None
    """The helping unit; None = the case's own step."""


OWNERS = {
    "accept": "intake_officer",
    "verify": "grid_worker",
    "file": "shift_lead",
    "dispatch": "dispatcher",
    "check": "grid_worker",
    "close": "shift_lead",
}
"""Who is told of a step that nobody holds by name. Of handling: whoever handles cases in the unit."""
NEXT_LEVEL = {
    "accept": "shift_lead",
    "verify": "grid_leader",
    "file": "district_leader",
    "dispatch": "shift_lead",
    "check": "shift_lead",
    "close": "district_leader",
}
"""To whom a late step climbs; a late handling climbs along its route (`escalate_to`), else to the dispatcher."""


HANDLERS = {"street_office": "subdistrict_operator", "community_office": "grid_leader", "community": "grid_leader"}
"""Who handles cases in a unit of this function; in any other, a department's handler."""


def remind_holders(dues: Sequence[Due]) -> None:
    """Tell who holds each case, or helps with it, that 80 % of the time is used."""
    found = _still_due(dues)
    holders = _holders(found)
    _tell(
        [
            _notice(due, case, unit, person, "deadline_near", "时限已用八成", "has used 80 % of its time")
            for (due, case, unit), person in zip(found, holders, strict=True)
            if person is not None
        ]
    )


def escalate(dues: Sequence[Due]) -> None:
    """Tell who holds each case that its deadline has passed, and the next level; where nobody is, the shift leads."""
    found = _still_due(dues)
    units = directory()
    asked: list[tuple[int, str, str]] = []
    for due, case, _ in found:
        stage = STAGES.get(case.state, "")
        if due.unit_id is not None:
            asked.append((0, "dispatcher", case.region_code))
        elif stage == "handle":
            route = standard_queries.release(case.pack_release_id).route(case.case_type, case.region_code)
            above = units.find(route.escalate_to, case.region_code, {}) if route and route.escalate_to else None
            if above is None or above.id == case.unit_id:
                asked.append((0, "dispatcher", case.region_code))
            else:
                asked.append((above.id, _handler(above.function), case.region_code))
        else:
            asked.append((0, NEXT_LEVEL[stage], case.region_code))
    above_them = persons_for(asked)
    fallback = holders_of(["shift_lead"]) if None in above_them else []
    notices = []
    for (due, case, unit), above_id, holder in zip(found, above_them, _holders(found), strict=True):
        told = dict.fromkeys([*(fallback if above_id is None else [above_id]), *([] if holder is None else [holder])])
        notices += [_notice(due, case, unit, p, "deadline_passed", "已超期，请督促", "is overdue") for p in told]
    _tell(notices)


def tell_holders(told: Sequence[tuple[int, datetime, str]]) -> None:
    """Tell who holds each case that it was urged (催办) or is supervised (督办): (case id, when, event's name)."""
    cases = {c.id: c for c in Case.objects.filter(id__in={case_id for case_id, _, _ in told})}
    found = [(Due(case_id=i, at=at, due_at=""), cases[i], "") for i, at, _ in told]
    words = {
        "CaseReminded": ("被催办，请尽快办理", "is being asked for"),
        "CaseSupervised": ("被督办", "is supervised"),
    }
    _tell(
        [
            _notice(due, case, "", person, "urged", *words[name])
            for (due, case, _), (_, _, name), person in zip(found, told, _holders(found), strict=True)
            if person is not None
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move of a case of which somebody is told."""

    case_id: int
    at: datetime
    name: str
    """The event's name."""
    actor: str
    """Who moved it: nobody is told of the own doing."""


MOVES: dict[str, tuple[str, str, str, str]] = {
    "CaseDispatched": ("assigned", "", "已派到您处，请办理", "has come to you"),
    "CaseAssigned": ("assigned", "", "已交给您办理", "was given to you"),
    "CheckFailed": ("rework", "", "核查未通过，请重新办理", "did not pass its check and has come back to you"),
    "CaseSentBack": ("rework", "", "未予结案，请重新办理", "was not closed and has come back to you"),
    "CaseReopened": (
        "rework",
        "",
        "反映人表示没有解决，请重新办理",
        "is not solved, says its reporter, and has come back to you",
    ),
    "CaseReturned": ("returned", "dispatcher", "被退单，请另行派遣", "was returned and needs another unit"),
    "ExtensionAsked": ("decide", "dispatcher", "申请延期，等您决定", "asks for an extension, which you decide"),
    "SuspensionAsked": ("decide", "dispatcher", "申请挂账，等您决定", "asks for a suspension, which you decide"),
    "RequestRefused": ("decided", "", "的申请被驳回", "does not get what was asked for"),
    "CaseExtended": ("decided", "", "已批准延期", "has got its extension"),
    "CaseSuspended": ("decided", "", "已批准挂账", "is suspended"),
}
"""Event -> the kind of notice, the role that is told ("" = whoever holds the case), and what is said."""


def tell_of_moves(moves: Sequence[Moved]) -> None:
    """Tell whoever has the case now, or has to decide about it. An urgent case that comes is an emergency."""
    cases = {c.id: c for c in Case.objects.filter(id__in={m.case_id for m in moves})}
    found = [(Due(case_id=m.case_id, at=m.at, due_at=""), cases[m.case_id], "") for m in moves]
    asked = [(0, MOVES[m.name][1], case.region_code) for m, (_, case, _) in zip(moves, found, strict=True)]
    deciders = persons_for([a for a in asked if a[1]])
    decides = dict(zip([a for a in asked if a[1]], deciders, strict=True))
    notices = []
    for move, (due, case, _), role, holder in zip(moves, found, asked, _holders(found), strict=True):
        kind, _, zh, en = MOVES[move.name]
        person = decides[role] if role[1] else holder
        # Of a case that has moved on to another stage its holder of then has nothing more to do.
        gone = not role[1] and kind != "decided" and STAGES.get(case.state) != "handle"
        if person is None or gone or move.actor == f"person:{person}":
            continue
        urgent = case.urgent and kind in ("assigned", "rework")
        notices.append(_notice(due, case, "", person, "emergency" if urgent else kind, zh, en))
    _tell(notices)


_Found = tuple[Due, Case, str]
"""A deadline, its case, and the name of the helping unit ("" = the case's own step)."""


def _still_due(dues: Sequence[Due]) -> list[_Found]:
    """Without those that were settled since: the case has moved on, the part was handed back."""
    ids = {d.case_id for d in dues}
    cases = {c.id: c for c in Case.objects.filter(id__in=ids)}
    open_parts = CoHandling.objects.filter(
        case_id__in={d.case_id for d in dues if d.unit_id is not None}, handed_back_at=None, withdrawn_at=None
    )
    parts = {(p.case_id, p.unit_id): p for p in open_parts.select_related("unit")}
    found: list[_Found] = []
    for due in dues:
        if due.unit_id is None:
            case = cases[due.case_id]
            if stored(case.due_at) == due.due_at:
                found.append((due, case, ""))
        elif (part := parts.get((due.case_id, due.unit_id))) and stored(part.due_at) == due.due_at:
            found.append((due, cases[due.case_id], part.unit.name))
    return found


def _handler(function: str) -> str:
    return HANDLERS.get(function, "department_handler")


def _holders(found: Sequence[_Found]) -> list[int | None]:
    """Who has each in hand: the person by name, else whoever is responsible for that step or in that unit."""
    units = {unit for due, case, _ in found for unit in (due.unit_id, case.unit_id) if unit is not None}
    functions = dict(Unit.objects.filter(id__in=units).values_list("id", "function"))
    asked: list[tuple[int, str, str]] = []
    for due, case, _ in found:
        unit_id = due.unit_id if due.unit_id is not None else case.unit_id
        stage = STAGES.get(case.state, "handle")
        if (stage == "handle" or due.unit_id is not None) and unit_id is not None:
            asked.append((unit_id, _handler(functions[unit_id]), case.region_code))
        else:
            asked.append((0, OWNERS.get(stage, "shift_lead"), case.region_code))
    responsible = persons_for(asked)
    return [
        case.person_id if due.unit_id is None and case.person_id is not None else person
        for (due, case, _), person in zip(found, responsible, strict=True)
    ]


def _notice(due: Due, case: Case, unit: str, person: int, kind: str, zh: str, en: str) -> NewNotice:
    state = STATES[case.state]
    part_zh, part_en = (f"由{unit}协办的部分", f", the part of {unit},") if unit else ("", "")
    return NewNotice(
        person_id=person,
        case_id=case.id,
        kind=kind,
        at=due.at,
        sentence=Sentence(
            zh=f"案件{case.number}（{state.zh}）{part_zh}{zh}。", en=f"Case {case.number} ({state.en}){part_en} {en}."
        ),
    )


def _tell(notices: Sequence[NewNotice]) -> None:
    """Put notices before persons, each once: told of the same event again, nobody reads it twice."""
    cases = {n.case_id for n in notices}
    known = Notice.objects.filter(case_id__in=cases, at__in={n.at for n in notices})
    read = {(p, c, at, s["zh"]) for p, c, at, s in known.values_list("person_id", "case_id", "at", "sentence")}
    fresh = [n for n in notices if (n.person_id, n.case_id, n.at, n.sentence.zh) not in read]
    notify(fresh, at=clock.now())
