"""The invented staff of a district: enough persons that every post is held, none of them real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from random import Random

from gridloop.gateways.demo.writing import sentences
from gridloop.kernel.tables import Row
from gridloop.people.actions import import_people
from gridloop.people.models import Membership, Unit
from gridloop.people.queries import viewers_for
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.territory import queries as territory
from gridloop.territory.rules.codes import Level

HEADQUARTERS = (
    ("district_leader", 1),
    ("intake_officer", 3),
    ("shift_lead", 2),
    ("dispatcher", 2),
    ("inspector", 3),
    ("system_admin", 1),
    ("security_admin", 1),
    ("auditor", 1),
)
BY_KIND = {
    "street": ("subdistrict_operator", 2),
    "community": ("grid_worker", 2),
    "department": ("department_handler", 3),
    "utility": ("department_handler", 2),
    "company": ("department_handler", 2),
}
GRID = ("grid_leader", "grid_worker")
"""Every grid has exactly one leader and at least one worker."""
_GIVEN = "伟芳娜敏静丽强磊洋艳勇军杰娟涛明超秀霞平刚桂英华玉兰建国志红梅春雷鹏宇"


def hire(*, since: date, at: datetime, seed: int = 7) -> dict[str, str]:
    """Post invented persons to all units that have none; returns their one-time codes. Again: nothing changes."""
    staffed = set(Membership.objects.filter(person__synthetic=True).values_list("unit__code", flat=True))
    random = Random(seed)  # noqa: S311 - names for a demonstration
    rows = list(_posts(random, staffed, since))
    if not rows:
        return {}
    return dict(import_people(rows=rows, viewer=SYSTEM, at=at).codes)


def _posts(random: Random, staffed: set[str], since: date) -> Iterator[Row]:
    number = 1
    grids: dict[str, list[str]] = {}
    for code in territory.subtree("", level=Level.GRID).values_list("code", flat=True):
        grids.setdefault(code[: Level.COMMUNITY.digits], []).append(code)
    for unit in Unit.objects.filter(ends_on__isnull=True).order_by("code"):
        posts: tuple[tuple[str, int], ...] = (
            HEADQUARTERS if unit.function == "command" and unit.kind != "district" else ()
        )
        if not posts and unit.kind in BY_KIND and unit.function != "command":
            posts = (BY_KIND[unit.kind],)
        if unit.code in staffed:
            continue
        places = [(unit.region_code, role, n) for role, count in posts for n in range(1, count + 1)]
        if unit.kind == "community":
            places += [(grid, role, 1) for grid in grids.get(unit.region_code, ()) for role in GRID]
        for region, role, place in places:
            number += 1
            name = random.choice(sentences()["surnames"]) + "".join(random.sample(_GIVEN, random.choice((1, 2))))
            where = region.removeprefix(unit.region_code).lower()
            yield Row(
                number,
                {
                    "username": "-".join(
                        p for p in ("demo", unit.code.lower(), where, role.replace("_", "-"), str(place)) if p
                    ),
                    "name": name,
                    "role": role,
                    "unit": unit.code,
                    "region_code": region,
                    "starts_on": since.isoformat(),
                    "synthetic": "yes",
                },
            )


@dataclass(slots=True)
class Staff:
    """Who can do what: viewers by role, by unit, and field workers by the region they walk."""

    random: Random
    by_role: dict[str, list[Viewer]] = field(default_factory=dict)
    by_unit: dict[int, list[Viewer]] = field(default_factory=dict)

    @classmethod
    def at_work(cls, random: Random) -> Staff:
        staff = cls(random)
        persons = Membership.objects.order_by("person_id").values_list("person_id", flat=True).distinct()
        for viewer in viewers_for(list(persons)).values():
            for grant in viewer.grants:
                staff.by_role.setdefault(grant.role, []).append(viewer)
                staff.by_unit.setdefault(grant.unit_id, []).append(viewer)
        return staff

    def one(self, role: str) -> Viewer:
        """Somebody of this role."""
        return self.random.choice(self.by_role[role])

    def in_unit(self, unit_id: int | None, permission: str) -> Viewer | None:
        """Somebody posted to the unit who may do this."""
        able = [v for v in self.by_unit.get(unit_id or 0, []) if v.may(permission)]
        return self.random.choice(able) if able else None

    def walking(self, region_code: str, permission: str) -> Viewer:
        """A grid worker of the place, or an inspector where nobody walks."""
        near = [
            v
            for v in self.by_role.get("grid_worker", [])
            if v.may(permission) and any(g.region_code and region_code.startswith(g.region_code) for g in v.grants)
        ]
        return self.random.choice(near) if near else self.one("inspector")
