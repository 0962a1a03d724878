"""Walking in without a password: only where all is invented (`gridloop up --demo` says so in the data folder)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Case as Choice
from django.db.models import F, Func, OuterRef, QuerySet, Subquery, Value, When

from gridloop.cases.models import Case
from gridloop.people.models import Membership, Person
from gridloop.people.roles import ROLES, Role

MARK = "demo"

ORDER = (
    "intake_officer",
    "shift_lead",
    "dispatcher",
    "subdistrict_operator",
    "grid_leader",
    "grid_worker",
    "department_handler",
    "inspector",
    "district_leader",
    "system_admin",
    "security_admin",
    "auditor",
)

WORK: dict[str, tuple[str, ...]] = {
    "grid_worker": ("pending_verify", "handled", "dispatched"),
    "grid_leader": ("pending_verify", "handled", "dispatched"),
    "department_handler": ("dispatched", "handling", "rework"),
    "subdistrict_operator": ("reported", "dispatched", "handled"),
}
"""Where the posts are many: the states in which a case waits for them."""


def is_demo() -> bool:
    """Whether this data folder holds a demonstration, and nothing else (`cli.up` refuses to mix them)."""
    return (Path(settings.GRIDLOOP_DATA) / MARK).is_file()


@dataclass(frozen=True, slots=True)
class Door:
    """Somebody as whom one may walk in: the post, and the invented person who has it."""

    key: str
    role: Role
    person_id: int
    name: str
    unit: str


def doors() -> list[Door]:
    """One invented person for each post: the one with the most to do. One query."""
    if not is_demo():
        return []
    waiting = Choice(*(When(role=role, then=_waiting(states)) for role, states in WORK.items()), default=Value(0))
    rows = (
        Membership.objects.filter(person__synthetic=True, person__is_active=True, role__in=ORDER, ends_on=None)
        .annotate(waiting=waiting)
        .order_by("role", "-waiting", "id")
        .distinct("role")
        .values_list("role", "person_id", "person__name", "unit__name")
    )
    found = {role: Door(role, ROLES[role], person, name, unit) for role, person, name, unit in rows}
    return [found[key] for key in ORDER if key in found]


def _waiting(states: tuple[str, ...]) -> Any:
    """How many cases in these states lie in the post's part of the map; with its unit, where it has no part."""
    cases = Case.objects.filter(state__in=states)
    there = cases.filter(region_code__startswith=OuterRef("region_code"))
    with_unit = cases.filter(unit_id=OuterRef("unit_id"))
    return Choice(When(region_code="", then=_count(with_unit)), default=_count(there))


def _count(cases: QuerySet[Case]) -> Subquery:
    return Subquery(cases.order_by().annotate(n=Func(F("id"), function="count")).values("n"))


def who(key: str) -> Person | None:
    """The person behind a door; None outside of a demonstration."""
    door = next((d for d in doors() if d.key == key), None)
    return None if door is None else Person.objects.filter(id=door.person_id, synthetic=True).first()
