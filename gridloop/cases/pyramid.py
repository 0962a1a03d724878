"""How many cases lie where: counts of the map at every size, and single cases where they are few.

The counts are kept by the database itself, in the transaction that changes a case (triggers of `cases_case`), as rows
of `MapChange`; `fold` adds them up to squares of several sizes. A viewport reads the squares and what is not folded
yet in one statement, so that it is exact and costs the same with a million cases as with a thousand (decision 0099).

Squares are those of the web's map (EPSG:3857) at a level: at level 16 one is some 500 m wide, at 18 some 125 m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from math import asinh, atan, degrees, pi, radians, sinh, tan
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from gridloop.cases.models import Case
from gridloop.cases.queries import Reach, reach_of
from gridloop.cases.search import CaseFilter, arms_of, chosen
from gridloop.people.viewer import Viewer

FINEST = 20
TOTAL_LEVELS = (8, 10, 12, 14, 16, 18, 20)
PART_LEVELS = (14, 16, 18, 20)
SINGLES = 400
"""Up to so many cases in a view are shown one by one."""
MOST = 5_000
"""So many cases are looked at for a filter that the squares do not know; beyond it, the newest are shown."""
NEAR = 17
"""The level from which a view is so small that the index of places is the shortest way to its cases."""
_DEEPEST = 16
"""Digits of a grid's code: the squares know no micro-grid."""
_FOLDED_AT_ONCE = 20_000
_ROUNDS = 5
"""A timer takes some seconds at most, whatever an import left; what is not folded is counted all the same."""

GROUPS: dict[str, tuple[str, ...]] = {
    "wait": ("reported", "pending_verify", "pending_filing", "pending_dispatch"),
    "work": ("dispatched", "handling"),
    "halt": ("suspended", "returned", "rework"),
    "look": ("handled", "pending_close"),
    "end": ("closed", "forced_close", "not_accepted", "cancelled"),
}
"""The groups of states that the map tells apart. Their numbers in the database are 0, 10, 20, 30, 40."""
COLOURS = ("none", "green", "yellow", "red", "paused", "done")
"""The colours of a clock as the row tells them; their numbers are 0 to 5. A deadline that has just passed is red as
soon as the clock noticed it, within a minute."""
KINDS: dict[int, tuple[str, str]] = {
    10 * g + c: (group, colour) for (g, group), (c, colour) in product(enumerate(GROUPS), enumerate(COLOURS))
}


@dataclass(frozen=True, slots=True)
class Box:
    """What a view shows, in WGS-84 degrees."""

    west: float
    south: float
    east: float
    north: float


@dataclass(slots=True)
class Bundle:
    """The cases of one square: the middle of where they are counted, how many of each group and colour."""

    lon: float
    lat: float
    west: float
    south: float
    east: float
    north: float
    n: int = 0
    state: dict[str, int] = field(default_factory=dict)
    clock: dict[str, int] = field(default_factory=dict)

    def add(self, kind: int, n: int) -> None:
        group, colour = KINDS[kind]
        self.n += n
        self.state[group] = self.state.get(group, 0) + n
        self.clock[colour] = self.clock.get(colour, 0) + n


@dataclass(frozen=True, slots=True)
class View:
    """A view: single cases if they are few, bundles otherwise. `partly`: only the newest were looked at."""

    total: int
    bundles: list[Bundle]
    cases: list[Case]
    partly: bool = False


def kind_of(case: Case) -> tuple[str, str]:
    """Group and colour of one case, as the squares count it."""
    group = next(name for name, states in GROUPS.items() if case.state in states)
    if case.closed_at is not None:
        return group, "done"
    if case.paused_at is not None:
        return group, "paused"
    if case.overdue_at is not None:
        return group, "red"
    if case.due_at is None:
        return group, "none"
    return group, "yellow" if case.warn_at is None else "green"


# --- keeping ---------------------------------------------------------------------------------------------------------

_FOLD = """
WITH gone AS (
    DELETE FROM cases_mapchange
    WHERE id IN (SELECT id FROM cases_mapchange ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED)
    RETURNING x, y, kind, region_code, unit_id, n
), total AS (
    INSERT INTO cases_maptotal AS t (level, y, x, kind, n)
    SELECT level, y >> (20 - level), x >> (20 - level), kind, sum(n) FROM gone, unnest(%(total)s::smallint[]) AS level
    GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0
    ON CONFLICT (level, y, x, kind) DO UPDATE SET n = t.n + excluded.n
), part AS (
    INSERT INTO cases_mappart AS p (level, y, x, kind, region_code, unit_id, n)
    SELECT level, y >> (20 - level), x >> (20 - level), kind, region_code, unit_id, sum(n)
    FROM gone, unnest(%(part)s::smallint[]) AS level
    GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0
    ON CONFLICT (level, y, x, kind, region_code, unit_id) DO UPDATE SET n = p.n + excluded.n
)
SELECT count(*) FROM gone
"""
_LOCK = 7_301_009


def fold() -> int:
    """Timer: add what changed since the last time to the squares; returns how many changes. One process at a time."""
    folded = 0
    for _ in range(_ROUNDS):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                return folded
            cursor.execute(_FOLD, {"most": _FOLDED_AT_ONCE, "total": list(TOTAL_LEVELS), "part": list(PART_LEVELS)})
            done = int(cursor.fetchone()[0])
        folded += done
        if done < _FOLDED_AT_ONCE:
            break
    return folded


# --- seeing ----------------------------------------------------------------------------------------------------------


def view(viewer: Viewer, box: Box, zoom: float, wanted: CaseFilter, *, now: datetime) -> View:
    """The viewer's cases in a box, at a zoom of the map (8 to 20). Two statements at most.

    What the squares know (all, open or ended, groups of states, clocks, a region) is read from them; any other filter
    is asked of the cases, of which the newest `MOST` are shown.
    """
    level = level_of(zoom)
    kinds = _kinds(wanted)
    if kinds is None:
        return _looked_up(viewer, box, level, wanted, now)
    counts = _counts(viewer, box, level, kinds, wanted.region)
    total = sum(counts.values())
    if total <= SINGLES:
        # A case is where it is, not where its square is: it is asked for itself.
        cases = _each(viewer, box, level, wanted, now) if total else []
        return View(len(cases), [], cases)
    squares: dict[tuple[int, int], Bundle] = {}
    for (x, y, kind), n in counts.items():
        squares.setdefault((x, y), bundle(level, x, y)).add(kind, n)
    return View(total, [b for b in squares.values() if b.n > 0], [])


def level_of(zoom: float) -> int:
    """The level of the squares that are shown at a zoom: some 64 pixels wide."""
    return min(max(round(zoom) + 3, TOTAL_LEVELS[0]), FINEST)


def _kinds(wanted: CaseFilter) -> list[int] | None:
    """The kinds that a filter asks for; None if the squares cannot answer it."""
    plain = replace(wanted, state=(), open=None, clock=(), region="")
    groups = set(GROUPS)
    if wanted.state:
        groups = {name for name, states in GROUPS.items() if set(states) <= set(wanted.state)}
        if {s for name in groups for s in GROUPS[name]} != set(wanted.state):
            return None
    if not plain.is_empty or len(wanted.region) > _DEEPEST:
        return None
    if wanted.on_their_way:
        groups -= {"end"}
    if wanted.open is False:
        groups &= {"end"}
    colours = set(wanted.clock) or set(COLOURS)
    return [kind for kind, (group, colour) in KINDS.items() if group in groups and colour in colours]


def _counts(
    viewer: Viewer, box: Box, level: int, kinds: Sequence[int], region: str
) -> Mapping[tuple[int, int, int], int]:
    """How many cases of each kind in each square, as far as the viewer sees them. One statement."""
    reach = reach_of(viewer)
    part = reach is not None or bool(region)
    stored = next(s for s in (PART_LEVELS if part else TOTAL_LEVELS) if s >= level)
    shift = stored - level
    (x0, y0), (x1, y1) = _square(box.west, box.north, stored), _square(box.east, box.south, stored)
    given: dict[str, Any] = {
        "level": stored, "x0": x0, "x1": x1, "y0": y0, "y1": y1, "kinds": list(kinds), "shift": shift,
        "deep": FINEST - stored, "region": f"{region}%", "fine": FINEST - level,
    }  # fmt: skip
    where = "y BETWEEN %(y0)s AND %(y1)s AND x BETWEEN %(x0)s AND %(x1)s AND kind = ANY(%(kinds)s)"
    pending = where.replace("y BETWEEN", "y >> %(deep)s BETWEEN").replace("x BETWEEN", "x >> %(deep)s BETWEEN")
    seen, more = "TRUE", ""
    if region:
        seen = "region_code LIKE %(region)s"
    if reach is not None:
        mine, more = _scope(reach, given)
        seen = f"{seen} AND {mine}"
    table = "cases_mappart" if part else "cases_maptotal"
    sql = (
        f"SELECT x, y, kind, sum(n)::integer FROM ("  # noqa: S608 - our own tables
        f"SELECT x >> %(shift)s AS x, y >> %(shift)s AS y, kind, n FROM {table} "
        f"WHERE level = %(level)s AND {where} AND {seen} "
        f"UNION ALL SELECT x >> %(fine)s, y >> %(fine)s, kind, n FROM cases_mapchange WHERE {pending} AND {seen}{more}"
        f") AS v GROUP BY 1, 2, 3 HAVING sum(n) <> 0"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return {(x, y, kind): n for x, y, kind, n in cursor.fetchall()}


def _scope(reach: Reach, given: dict[str, Any]) -> tuple[str, str]:
    """The squares that a reach takes in, and the cases beyond them that are the viewer's by name or by helping."""
    wide = [place for place in reach.places if len(place) <= _DEEPEST]
    narrow = [place for place in reach.places if len(place) > _DEEPEST]
    given |= {"units": sorted(reach.units), "person": reach.person_id or 0, "narrow": [f"{place}%" for place in narrow]}
    given |= {f"place{n}": f"{place}%" for n, place in enumerate(wide)}
    # Said one by one, each can follow the index.
    places = [f"region_code LIKE %(place{n})s" for n in range(len(wide))]
    mine = f"({' OR '.join([*places, 'unit_id = ANY(%(units)s)'])})"
    others = (
        " UNION ALL SELECT gridloop_map_x(c.lon, 20) >> %(fine)s, gridloop_map_y(c.lat, 20) >> %(fine)s, "  # noqa: S608
        "gridloop_map_kind(c), 1 FROM cases_case c WHERE c.id IN ("
        "SELECT case_id FROM cases_cohandling WHERE unit_id = ANY(%(units)s) "
        "UNION SELECT id FROM cases_case WHERE person_id = %(person)s "
        "UNION SELECT id FROM cases_case WHERE region_code LIKE ANY(%(narrow)s)) "
        f"AND NOT {mine.replace('region_code', 'c.region_code').replace('unit_id', 'coalesce(c.unit_id, 0)')} "
        "AND c.lon IS NOT NULL AND c.lat IS NOT NULL AND c.region_code LIKE %(region)s "
        "AND gridloop_map_x(c.lon, 20) >> %(deep)s BETWEEN %(x0)s AND %(x1)s "
        "AND gridloop_map_y(c.lat, 20) >> %(deep)s BETWEEN %(y0)s AND %(y1)s "
        "AND gridloop_map_kind(c) = ANY(%(kinds)s)"
    )
    return mine, others


def _in(cases: QuerySet[Case], box: Box, *, near: bool) -> QuerySet[Case]:
    """Those of the cases that lie in a box. `near` asks the index of places; else another index leads."""
    if not near:
        return cases.filter(lon__gte=box.west, lon__lte=box.east, lat__gte=box.south, lat__lte=box.north)
    # The index on points has no name in the ORM.
    return cases.extra(
        where=["point(cases_case.lon, cases_case.lat) <@ box(point(%s, %s), point(%s, %s))"],
        params=[box.west, box.south, box.east, box.north],
    )


def _each(viewer: Viewer, box: Box, level: int, wanted: CaseFilter, now: datetime) -> list[Case]:
    """The cases of a box in which the squares count few. Each scope of the viewer may follow an index of its own."""
    # The database knows little of how many cases lie in a box: where few are open to a post, its own index leads.
    near = level >= NEAR and (reach_of(viewer) is None or not wanted.on_their_way)
    first, *others = [_in(arm, box, near=near).order_by().values("pk") for arm in arms_of(viewer, wanted, now=now)]
    rows = first.union(*others) if others else first
    try:
        sql, params = rows.query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:
        return []
    # As an array: the few that are found are fetched by their keys, whatever their number was thought to be.
    found = Case.objects.filter(RawSQL(f"cases_case.id = ANY(ARRAY({sql}))", params, BooleanField()))  # noqa: S611
    return sorted(found.defer("text", "why"), key=lambda case: case.opened_at, reverse=True)


def _looked_up(viewer: Viewer, box: Box, level: int, wanted: CaseFilter, now: datetime) -> View:
    """The newest cases of any list in a box."""
    rows = _in(chosen(viewer, wanted, now=now), box, near=level >= NEAR).order_by("-opened_at", "-id")
    found = list(rows.defer("text", "why")[: MOST + 1])
    partly = len(found) > MOST
    found = found[:MOST]
    if len(found) <= SINGLES:
        return View(len(found), [], found)
    numbers = {told: kind for kind, told in KINDS.items()}
    squares: dict[tuple[int, int], Bundle] = {}
    for case in found:
        assert case.lon is not None, "it lies in the box"
        assert case.lat is not None
        x, y = _square(case.lon, case.lat, level)
        squares.setdefault((x, y), bundle(level, x, y)).add(numbers[kind_of(case)], 1)
    return View(len(found), list(squares.values()), [], partly)


def cases_in(viewer: Viewer, box: Box, wanted: CaseFilter, *, now: datetime, most: int = 50) -> list[Case]:
    """The newest cases in a box, to be listed."""
    near = (box.east - box.west) < 360 / (1 << NEAR) * 25
    return list(_in(chosen(viewer, wanted, now=now), box, near=near).order_by("-opened_at", "-id")[:most])


# --- time ------------------------------------------------------------------------------------------------------------

LONGEST = timedelta(days=92)
"""The longest period whose warmth is shown; it is counted case by case."""


def warmth(
    viewer: Viewer, box: Box, zoom: float, wanted: CaseFilter, *, now: datetime, zone: str
) -> dict[str, list[tuple[float, float, int]]]:
    """Cases opened in the filter's period, by day of the district: (lon, lat, how many) of squares. One statement."""
    level = min(max(level_of(zoom), 14), 18)
    rows = _in(chosen(viewer, wanted, now=now), box, near=False).order_by()
    try:
        inner, params = rows.values("lon", "lat", "opened_at").query.sql_with_params()
    except EmptyResultSet:  # who sees no case
        return {}
    sql = (
        "SELECT ((v.opened_at AT TIME ZONE %s)::date)::text, gridloop_map_x(v.lon, %s), gridloop_map_y(v.lat, %s), "  # noqa: S608
        f"count(*) FROM ({inner}) AS v GROUP BY 1, 2, 3 ORDER BY 1"
    )
    days: dict[str, list[tuple[float, float, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, [zone, level, level, *params])
        for day, x, y, n in cursor.fetchall():
            lon, lat = _corner(x + 0.5, y + 0.5, level)
            days.setdefault(day, []).append((round(lon, 5), round(lat, 5), n))
    return days


# --- squares ---------------------------------------------------------------------------------------------------------


def _square(lon: float, lat: float, level: int) -> tuple[int, int]:
    side = 1 << level
    low = min(max(lat, -85.05), 85.05)
    return int((lon + 180) / 360 * side // 1), int((1 - asinh(tan(radians(low))) / pi) / 2 * side // 1)


def _corner(x: float, y: float, level: int) -> tuple[float, float]:
    side = 1 << level
    return x / side * 360 - 180, degrees(atan(sinh(pi * (1 - 2 * y / side))))


def bundle(level: int, x: int, y: int) -> Bundle:
    """An empty square."""
    west, north = _corner(x, y, level)
    east, south = _corner(x + 1, y + 1, level)
    return Bundle((west + east) / 2, (south + north) / 2, west, south, east, north)


__all__ = ["COLOURS", "GROUPS", "Box", "Bundle", "View", "cases_in", "fold", "kind_of", "view", "warmth"]
