"""What waits for a dispatcher, and what the routes propose for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet

from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import PROMISED, cases_for
from gridloop.dispatch.rules import AS_PROMISED, Directory, UnitPlace, due_words, explain
from gridloop.kernel import clock
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.worktime import Limit
from gridloop.people.models import Unit, day_of
from gridloop.people.queries import persons_for
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import Route
from gridloop.territory import queries as territory


def directory() -> Directory:
    """The units that are active today. One query."""
    today = day_of(clock.now())
    units = Unit.objects.filter(starts_on__lte=today).exclude(ends_on__lte=today)
    return Directory.of(UnitPlace(u.id, u.code, u.name, u.name_en, u.function, u.region_code) for u in units)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where a case would go by the route of its pack."""

    unit: UnitPlace | None
    """None: no route fits, or there is no such unit; `why` says which."""
    person_id: int | None
    route: str
    why: Sentence
    limit: Limit
    """What handling may take."""
    due_at: datetime
    """When it would be due, sent now."""
    helpers: tuple[UnitPlace, ...]
    """The units that would help and do not help already."""


def propose(cases: Sequence[Case], *, at: datetime | None = None) -> dict[int, Proposal]:
    """The proposal for each case, by its id. The same number of queries for one case as for a thousand."""
    if not cases:
        return {}
    now = at or clock.now()
    units = directory()
    codes = sorted({c.region_code for c in cases})
    streets = sorted({code[:9] for code in codes if len(code) >= 9})
    managers = {code: unit for code, unit in zip(streets, territory.managers_of(streets), strict=True) if unit}
    names = territory.names_of([*codes])
    open_parts = CoHandling.objects.filter(case__in=cases, handed_back_at=None, withdrawn_at=None)
    helps = set(open_parts.values_list("case_id", "unit_id"))
    standards = {i: standard_queries.release(i) for i in {c.pack_release_id for c in cases}}
    routes: dict[tuple[int, str, str], Route | None] = {}
    chosen: list[tuple[Case, Route | None, UnitPlace | None]] = []
    for case in cases:
        key = (case.pack_release_id, case.case_type, case.region_code)
        if key not in routes:
            routes[key] = standards[case.pack_release_id].route(case.case_type, case.region_code)
        route = routes[key]
        chosen.append((case, route, units.find(route.unit, case.region_code, managers) if route else None))
    wanted = [
        (unit.id if route.person.within == "unit" else 0, route.person.role, case.region_code)
        for case, route, unit in chosen
        if route is not None and unit is not None and route.person is not None
    ]
    persons = iter(persons_for(wanted))
    proposals: dict[int, Proposal] = {}
    for case, route, unit in chosen:
        standard = standards[case.pack_release_id]
        limit = standard.case_type(case.case_type).condition(case.condition or None).limit
        promised = case.handle_limit == PROMISED and case.handle_due_at is not None
        due_at = case.handle_due_at if promised and case.handle_due_at else standard.calendar.deadline(now, limit)
        if route is None or unit is None:
            why = _no_unit(route, case, names)
            proposals[case.id] = Proposal(None, None, route.id if route else "", why, limit, due_at, ())
            continue
        due = AS_PROMISED if case.handle_limit == PROMISED else due_words(limit.amount, limit.clock)
        why = explain(route.why, unit.named(), names.get(case.region_code, ""), due)
        person = next(persons) if route.person is not None else None
        found = dict.fromkeys(units.find(s, case.region_code, managers) for s in route.co_units)
        helpers = tuple(u for u in found if u is not None and u is not unit and (case.id, u.id) not in helps)
        proposals[case.id] = Proposal(unit, person, route.id, why, limit, due_at, helpers)
    return proposals


def _no_unit(route: Route | None, case: Case, names: Mapping[str, str]) -> Sentence:
    if route is None:
        return Sentence(zh="没有适用的派遣规则，请指定单位。", en="No route fits this type and place: choose the unit.")
    wanted = route.unit.code or route.unit.function
    place = names.get(case.region_code) or case.region_code
    return Sentence(
        zh=f"规则要求的单位（{wanted}）在{place or '本区'}没有在用的，请指定单位。",
        en=f"The route asks for a unit ({wanted}) that {place or 'the district'} does not have today: choose the unit.",
    )


def to_dispatch(viewer: Viewer) -> QuerySet[Case]:
    """The cases that wait for a dispatcher, urgent ones first, then by deadline."""
    waiting = cases_for(viewer).filter(state__in=["pending_dispatch", "returned"])
    return waiting.order_by("-urgent", F("due_at").asc(nulls_last=True), "id").select_related("unit")


@dataclass(frozen=True, slots=True)
class Return:
    """The last return of a case: when, by which unit's reckoning, and why."""

    at: datetime
    reason: str
    unit_id: int | None


def last_returns(cases: Sequence[Case]) -> dict[int, Return]:
    """Why cases were returned (退单) last, by case id. One query."""
    returned = [f"case:{c.id}" for c in cases if c.returns]
    if not returned:
        return {}
    events = Event.objects.filter(subject__in=returned, name="CaseReturned").order_by("id")
    return {
        int(e.subject[5:]): Return(e.at, e.data.get("reason", ""), e.data.get("about", {}).get("unit")) for e in events
    }


REQUESTS = {"extend": "ExtensionAsked", "suspend": "SuspensionAsked", "appeal": "AppealMade"}
"""What a case's `asked` may be, and the event by which it was asked."""


def requests(viewer: Viewer, asked: str) -> QuerySet[Case]:
    """The cases of which a request of this kind waits for a decision, those due first in front."""
    return cases_for(viewer).filter(asked=asked).order_by(F("due_at").asc(nulls_last=True), "id").select_related("unit")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that waits: when it was made, by whom (as the record has it), and why."""

    at: datetime
    actor: str
    reason: str


def reasons_of(cases: Sequence[Case], asked: str) -> dict[int, Request]:
    """The requests of this kind that wait, by case id. One query."""
    subjects = [f"case:{c.id}" for c in cases]
    if not subjects or asked not in REQUESTS:
        return {}
    events = Event.objects.filter(subject__in=subjects, name=REQUESTS[asked]).order_by("id")
    return {int(e.subject[5:]): Request(e.at, e.actor, e.data.get("reason", "")) for e in events}
