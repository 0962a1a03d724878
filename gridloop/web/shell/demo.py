"""Walking in without a password: only where all is invented (`gridloop up --demo` says so in the data folder)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

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
    """One invented person for each post, the first who has it. One query."""
    if not is_demo():
        return []
    rows = (
        Membership.objects.filter(person__synthetic=True, person__is_active=True, role__in=ORDER, ends_on=None)
        .order_by("role", "id")
        .distinct("role")
        .values_list("role", "person_id", "person__name", "unit__name")
    )
    found = {role: Door(role, ROLES[role], person, name, unit) for role, person, name, unit in rows}
    return [found[key] for key in ORDER if key in found]


def who(key: str) -> Person | None:
    """The person behind a door; None outside of a demonstration."""
    door = next((d for d in doors() if d.key == key), None)
    return None if door is None else Person.objects.filter(id=door.person_id, synthetic=True).first()
