"""A small district for tests, made through the real actions: a street, two communities, four grids, invented people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
from django.test import Client

from gridloop.cases.models import Case
from gridloop.discover.actions import NewReport, Receipt, receive_reports
from gridloop.discover.models import Report
from gridloop.kernel import clock
from gridloop.kernel.events import Worker
from gridloop.kernel.tables import Row
from gridloop.people.actions import import_people, import_units
from gridloop.people.models import Person, Unit
from gridloop.people.queries import viewers_for
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard.actions import activate_packs
from gridloop.territory import synthetic
from gridloop.territory.actions import draw_areas
from gridloop.territory.queries import forget_map

ROOT = Path(__file__).resolve().parent.parent
DAY = datetime(2026, 7, 20, 1, 0, tzinfo=UTC)
"""Monday 20 July 2026, 09:00 in Zhengzhou: a working day inside office hours."""

WEST, SOUTH, SIDE = 113.68, 34.74, 0.004

UNITS = [
    # code, name, kind, function, region, parent
    ("QZX", "区运行中心", "district", "command", "410104", ""),
    ("JD1", "测试街道办事处", "street", "street_office", "410104001", "QZX"),
    ("SQ1", "测试一社区", "community", "community_office", "410104001001", "JD1"),
    ("SQ2", "测试二社区", "community", "community_office", "410104001002", "JD1"),
    ("HW", "环卫中心", "department", "sanitation", "", "QZX"),
    ("SZ", "市政设施中心", "department", "road", "", "QZX"),
    ("PS", "排水中心", "department", "drainage", "", "QZX"),
    ("ZF", "综合执法大队", "department", "enforcement", "", "QZX"),
]

PEOPLE = [
    # username, name, role, unit, region
    ("lead", "甲领导", "district_leader", "QZX", ""),
    ("intake", "甲受理", "intake_officer", "QZX", ""),
    ("shift", "甲值班", "shift_lead", "QZX", ""),
    ("shift2", "乙值班", "shift_lead", "QZX", ""),
    ("dispatch", "甲派遣", "dispatcher", "QZX", ""),
    ("street", "甲街道", "subdistrict_operator", "JD1", "410104001"),
    ("worker1", "甲网格", "grid_worker", "SQ1", "410104001001B001"),
    ("worker2", "乙网格", "grid_worker", "SQ1", "410104001001B002"),
    ("worker3", "丙网格", "grid_worker", "SQ2", "410104001002B001"),
    ("leader1", "甲网格长", "grid_leader", "SQ1", "410104001001"),
    ("clean1", "甲环卫", "department_handler", "HW", ""),
    ("clean2", "乙环卫", "department_handler", "HW", ""),
    ("road1", "甲市政", "department_handler", "SZ", ""),
    ("drain1", "甲排水", "department_handler", "PS", ""),
    ("law1", "甲执法", "department_handler", "ZF", ""),
    ("inspect", "甲督查", "inspector", "QZX", ""),
    ("audit", "甲审计", "auditor", "QZX", ""),
    ("system", "甲系统", "system_admin", "QZX", ""),
    ("secure", "甲安全", "security_admin", "QZX", ""),
]


@dataclass(slots=True)
class District:
    """What a test needs of the small district."""

    people: dict[str, int]
    viewers: dict[str, Viewer]
    units: dict[str, int]
    _keys: int = 0
    _worker: Worker = field(default_factory=lambda: Worker(mortal=False))

    def __getitem__(self, username: str) -> Viewer:
        return self.viewers[username]

    def place(self, column: int = 0, row: int = 0, east: float = 0.5, north: float = 0.5) -> tuple[float, float]:
        """A point in one of the 2 by 2 grids: column 0 or 1 (community 1 or 2), row 0 or 1."""
        return WEST + SIDE * (column + east), SOUTH + SIDE * (row + north)

    def report(self, text: str = "路上有一堆垃圾没人清理", *, case_type: str = "", **more: Any) -> Receipt:
        """One report by the hotline, at a place of the first grid unless told otherwise."""
        self._keys += 1
        lon, lat = self.place()
        given = {"key": f"test-{self._keys}", "channel": "hotline", "lon": lon, "lat": lat, **more}
        return receive_reports([NewReport(text=text, case_type=case_type, **given)], client="test", viewer=SYSTEM)[0]

    def drain(self) -> int:
        """Let the loop run until nothing waits."""
        return self._worker.drain()

    def case(self, case_type: str = "urban:E0110", **more: Any) -> Case:
        """A case opened from one report whose source names the type; the loop has run."""
        receipt = self.report(case_type=case_type, **more)
        self.drain()
        case_id = Report.objects.get(id=receipt.report_id).case_id
        assert case_id is not None, Report.objects.values("state", "guess").get(id=receipt.report_id)
        return Case.objects.get(id=case_id)


def district() -> District:
    """Build the small district in the present database."""
    activate_packs(folders=[ROOT / "packs" / "urban"], actor=SYSTEM.actor)
    now = clock.now()
    regions = [_region("410104", 0, 0, 2, 2, "测试区"), _region("410104001", 0, 0, 2, 2, "测试街道")]
    for column in (0, 1):
        community = f"41010400100{column + 1}"
        regions.append(_region(community, column, 0, 1, 2, f"测试{'一二'[column]}社区"))
        regions += [_region(f"{community}B00{row + 1}", column, row, 1, 1, f"第{row + 1}网格") for row in (0, 1)]
    draw_areas(regions=regions, actor=SYSTEM.actor, at=now)
    forget_map()
    columns: tuple[str, ...] = ("code", "name", "kind", "function", "region_code", "parent")
    import_units(rows=_rows(columns, UNITS), viewer=SYSTEM, at=now)
    columns = ("username", "name", "role", "unit", "region_code")
    import_people(rows=_rows(columns, PEOPLE), viewer=SYSTEM, at=now)
    people = dict(Person.objects.values_list("username", "id"))
    seen = viewers_for(people.values())
    return District(
        people, {name: seen[key] for name, key in people.items()}, dict(Unit.objects.values_list("code", "id"))
    )


def _rows(names: tuple[str, ...], table: Sequence[tuple[str, ...]]) -> list[Row]:
    more = {"starts_on": "2020-01-01", "synthetic": "yes"}
    return [Row(number, dict(zip(names, row, strict=True)) | more) for number, row in enumerate(table, 2)]


def _region(code: str, column: int, row: int, columns: int, rows: int, name: str) -> synthetic.DrawnRegion:
    west, south = WEST + SIDE * column, SOUTH + SIDE * row
    shape = shapely.box(west, south, west + SIDE * columns, south + SIDE * rows)
    return synthetic.DrawnRegion(code=code, name=name, shape=shape)


def browser(username: str | None, lang: str = "zh") -> Client:
    """Django's test browser in which this person (None: nobody) has just logged in; it asks from another machine."""
    client = Client(headers={"accept-language": lang}, REMOTE_ADDR="203.0.113.9", HTTP_HOST="localhost")
    if username is None:
        return client
    client.force_login(Person.objects.get(username=username))
    session = client.session
    session["since"] = session["seen"] = session["proved"] = clock.now().isoformat()
    session.save()
    return client
