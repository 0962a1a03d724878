"""Sending cases to units, and telling the next level when they are late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.cases.rules import CoUnit
from gridloop.cases.workflow import STAGES, STATES
from gridloop.dispatch.rules import Directory, UnitPlace, explain, limit_words
from gridloop.kernel import clock
from gridloop.kernel.language import Sentence
from gridloop.people.actions import NewNotice, notify
from gridloop.people.models import Unit
from gridloop.people.queries import persons_for
from gridloop.people.viewer import SYSTEM
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import Route
from gridloop.territory import queries as territory


def directory() -> Directory:
    """The units that are active today. One query."""
    today = clock.now().date()
    units = Unit.objects.filter(starts_on__lte=today).exclude(ends_on__lt=today)
    return Directory.of(UnitPlace(u.id, u.code, u.name, u.name_en, u.function, u.region_code) for u in units)


def send_routed(cases: Iterable[Case], *, at: datetime | None = None) -> int:
    """Dispatch cases by the routes of their packs; returns how many. The rest waits for a dispatcher."""
    rows = list(cases)
    if not rows:
        return 0
    units = directory()
    codes = sorted({c.region_code for c in rows})
    streets = sorted({code[:9] for code in codes if len(code) >= 9})
    managers = {code: unit for code, unit in zip(streets, territory.managers_of(streets), strict=True) if unit}
    names = territory.names_of([*codes])
    standards = {i: standard_queries.release(i) for i in {c.pack_release_id for c in rows}}
    routes: dict[tuple[int, str, str], Route | None] = {}
    chosen: list[tuple[Case, Route, UnitPlace]] = []
    for case in rows:
        key = (case.pack_release_id, case.case_type, case.region_code)
        if key not in routes:
            routes[key] = standards[case.pack_release_id].route(case.case_type, case.region_code)
        route = routes[key]
        unit = units.find(route.unit, case.region_code, managers) if route else None
        if route is not None and unit is not None:
            chosen.append((case, route, unit))
    wanted = [
        (unit.id if route.person.within == "unit" else 0, route.person.role, case.region_code)
        for case, route, unit in chosen
        if route.person is not None
    ]
    persons = iter(persons_for(wanted))
    holders = [next(persons) if route.person is not None else None for _, route, _ in chosen]
    moves: list[Move] = []
    helpers: list[Move] = []
    for (case, route, unit), person in zip(chosen, holders, strict=True):
        limit = standards[case.pack_release_id].case_type(case.case_type).condition(case.condition or None).limit
        place = names.get(case.region_code, "")
        why = explain(route.why, unit.named(), place, limit_words(limit.amount, limit.clock))
        moves.append(Move(case_id=case.id, verb="dispatch", unit_id=unit.id, person_id=person, route=route.id, why=why))
        found = [units.find(s, case.region_code, managers) for s in route.co_units]
        helping = tuple(CoUnit(unit_id=u.id) for u in dict.fromkeys(found) if u is not None and u.id != unit.id)
        if helping:
            helpers.append(Move(case_id=case.id, verb="add_co_units", co_units=helping))
    with transaction.atomic():
        move_cases(moves, viewer=SYSTEM, at=at)
        move_cases(helpers, viewer=SYSTEM, at=at)
    return len(moves)


def remind_holders(case_ids: Sequence[int]) -> None:
    """Tell who holds each case that its time is running out."""
    cases = Case.objects.filter(id__in=case_ids, person__isnull=False, due_at__isnull=False)
    notify(
        [
            NewNotice(
                person_id=case.person_id or 0,
                case_id=case.id,
                kind="deadline_near",
                sentence=Sentence(
                    zh=f"案件{case.number}（{STATES[case.state].zh}）时限已用八成。",
                    en=f"Case {case.number} ({STATES[case.state].en}) has used 80 % of its time.",
                ),
            )
            for case in cases
        ],
        at=clock.now(),
    )


NEXT_LEVEL = {
    "accept": "shift_lead",
    "verify": "grid_leader",
    "file": "district_leader",
    "dispatch": "shift_lead",
    "check": "shift_lead",
    "close": "district_leader",
}
"""To whom a late step climbs; a late handling climbs along its route (`escalate_to`), else to the dispatcher."""


def escalate(case_ids: Sequence[int]) -> None:
    """Tell the next level of each case whose deadline has passed, and its holder."""
    cases = list(Case.objects.filter(id__in=case_ids, overdue_at__isnull=False))
    units = directory()
    asked: list[tuple[int, str, str]] = []
    for case in cases:
        stage = STAGES.get(case.state, "")
        if stage == "handle":
            route = standard_queries.release(case.pack_release_id).route(case.case_type, case.region_code)
            above = units.find(route.escalate_to, case.region_code, {}) if route and route.escalate_to else None
            role = "subdistrict_operator" if above is not None and above.function == "street_office" else "dispatcher"
            asked.append((above.id if above is not None and role != "dispatcher" else 0, role, case.region_code))
        else:
            asked.append((0, NEXT_LEVEL.get(stage, "shift_lead"), case.region_code))
    notices = []
    for case, person in zip(cases, persons_for(asked), strict=True):
        told = dict.fromkeys(p for p in (person, case.person_id) if p is not None)
        sentence = Sentence(
            zh=f"案件{case.number}（{STATES[case.state].zh}）已超期，请督促。",
            en=f"Case {case.number} ({STATES[case.state].en}) is overdue.",
        )
        notices += [NewNotice(person_id=p, case_id=case.id, kind="deadline_passed", sentence=sentence) for p in told]
    notify(notices, at=clock.now())
