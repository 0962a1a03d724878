"""What can be done to the map. Every change is one transaction, one edition of the map and one event per district."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import shapely
from django.db import connection, transaction

from gridloop.kernel.bulk import insert_rows, update_rows
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.territory import queries, synthetic
from gridloop.territory.events import MapChanged
from gridloop.territory.models import FormerBoundary, MapEdition, Region, UnitCell
from gridloop.territory.rules.codes import UNIT_CELL_DIGITS, Level, level_of
from gridloop.territory.rules.location import area_m2

_LOCK = 7_301_004
"""Advisory lock: one change of the map at a time, so that what was checked still holds when it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A region or unit cell as it should be. `shape` (WGS-84) or an attribute that is None stays as it is."""

    code: str
    name: str | None = None
    shape: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a change did: rows created, redrawn (a new boundary), edited (other columns only), and left as they were."""

    created: int = 0
    redrawn: int = 0
    edited: int = 0
    unchanged: int = 0


@transaction.atomic
def draw_district(*, folder: Path, actor: str, at: datetime) -> Counts:
    """Give a district its official names (``regions.csv``) and the synthetic map drawn from ``layout.yaml``.

    Again with the same files: nothing changes. A district that has boundaries which are not synthetic is left alone
    and refused with Mistakes, because an invented map must never replace a real one.
    """
    _lock_map()
    names = synthetic.read_names(folder / "regions.csv")
    codes = [n.code for n in names]
    real = Region.objects.filter(code__in=codes, synthetic=False, geometry__isnull=False).values_list("code", flat=True)
    if found := list(real[:1]):
        raise Mistakes(
            [
                Mistake(
                    found[0],
                    Sentence(zh="这里已有真实边界", en="this district already has real boundaries"),
                    Sentence(zh="虚构地图不能替换真实地图", en="an invented map may not replace a real one"),
                )
            ]
        )
    drawing = synthetic.draw_district(names, synthetic.read_plan(folder / "layout.yaml"))
    return _store([_drawn(r) for r in (*drawing.regions, *drawing.unit_cells)], "draw_district", actor, at)


@transaction.atomic
def draw_areas(*, regions: Sequence[synthetic.DrawnRegion], actor: str, at: datetime) -> Counts:
    """Store a district made from points (`synthetic.areas_from_points`), labelled synthetic."""
    _lock_map()
    return _store([_drawn(r) for r in regions], "draw_areas", actor, at)


def _drawn(region: synthetic.DrawnRegion) -> Wanted:
    attributes: dict[str, Any] = {"synthetic": True}
    if len(region.code) != UNIT_CELL_DIGITS:
        attributes |= {
            "official_name": region.official_name,
            "stat_parent": region.stat_parent,
            "managed_by": region.managed_by,
            "name_en": region.name_en,
        }
    return Wanted(code=region.code, name=region.name, shape=region.shape, attributes=attributes)


@transaction.atomic
def retire_regions(*, codes: Sequence[str], on: date, actor: str, at: datetime) -> int:
    """End regions and unit cells, with all that lies below them, on a day; returns how many ended.

    A retired code stays taken: it is never issued again. Mistakes for codes that do not exist. What has already
    ended keeps its day.
    """
    _lock_map()
    models: list[type[Region] | type[UnitCell]] = [Region, UnitCell]
    known = {c for model in models for c in model.objects.filter(code__in=codes).values_list("code", flat=True)}
    if unknown := [c for c in dict.fromkeys(codes) if c not in known]:
        raise Mistakes(
            [
                Mistake(
                    code,
                    Sentence(zh="没有这个代码", en="there is no such code"),
                    Sentence(zh="写已有区域的代码", en="write the code of an existing region"),
                )
                for code in unknown
            ]
        )
    patterns = [f"{code}%" for code in codes]
    ended: list[str] = []
    with connection.cursor() as cursor:
        for model in models:
            cursor.execute(
                f'UPDATE "{model._meta.db_table}" SET ends_on = %s '  # noqa: S608 - our own tables
                "WHERE code LIKE ANY(%s) AND ends_on IS NULL RETURNING code",
                [on, patterns],
            )
            ended += [row[0] for row in cursor.fetchall()]
    if ended:
        _new_edition({c: "retired" for c in ended}, "retire_regions", actor, at)
    return len(ended)


def _lock_map() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _store(wanted: Sequence[Wanted], source: str, actor: str, at: datetime) -> Counts:
    """Write what differs. The caller holds the lock and has checked everything."""
    cells = [w for w in wanted if len(w.code) == UNIT_CELL_DIGITS]
    regions = [w for w in wanted if len(w.code) != UNIT_CELL_DIGITS]
    happened: dict[str, str] = {}
    for model, rows in ((Region, regions), (UnitCell, cells)):
        happened |= _store_rows(model, rows, actor, at)
    if happened:
        _new_edition(happened, source, actor, at)
    kinds = list(happened.values())
    return Counts(
        created=kinds.count("created"),
        redrawn=kinds.count("redrawn"),
        edited=kinds.count("edited"),
        unchanged=len(wanted) - len(kinds),
    )


def _store_rows(
    model: type[Region] | type[UnitCell], wanted: Sequence[Wanted], actor: str, at: datetime
) -> dict[str, str]:
    """Insert and update one table; returns what happened to each code that changed."""
    known: dict[str, Any] = {r.code: r for r in model.objects.filter(code__in=[w.code for w in wanted])}
    happened: dict[str, str] = {}
    created: list[Any] = []
    changed: list[Any] = []
    former: list[FormerBoundary] = []
    fields: set[str] = set()
    for want in wanted:
        row = known.get(want.code)
        if row is None:
            row = model(code=want.code)
            if isinstance(row, Region):
                row.level = level_of(want.code)
            created.append(row)
            happened[want.code] = "created"
        attributes = {**want.attributes, **({} if want.name is None else {"name": want.name})}
        edits = {k: v for k, v in attributes.items() if getattr(row, k) != v}
        for key, value in edits.items():
            setattr(row, key, value)
        geometry = None if want.shape is None else canonical(want.shape)
        redrawn = geometry is not None and (row.geometry is None or bytes(row.geometry) != geometry)
        if redrawn:
            if row.geometry is not None:
                former.append(
                    FormerBoundary(
                        code=row.code,
                        version=row.boundary_version,
                        geometry=bytes(row.geometry),
                        replaced_at=at,
                        replaced_by=actor,
                    )
                )
            row.geometry = geometry
            row.west, row.south, row.east, row.north = want.shape.bounds
            row.area_m2 = round(area_m2(want.shape), 1)
            row.boundary_version += 1
            fields |= _BOUNDARY
        if row.code not in happened and (redrawn or edits):
            happened[row.code] = "redrawn" if redrawn else "edited"
            changed.append(row)
            fields |= set(edits)
    insert_rows(created)
    insert_rows(former)
    if changed:
        update_rows(changed, fields)
    return happened


_BOUNDARY = {"geometry", "west", "south", "east", "north", "area_m2", "boundary_version"}


def canonical(shape: Any) -> bytes:
    """The WKB of a shape, the same for every order and starting point in which its corners may be listed."""
    return bytes(shapely.to_wkb(shapely.normalize(shape), byte_order=1))


def _new_edition(happened: dict[str, str], source: str, actor: str, at: datetime) -> None:
    token = uuid.uuid4()
    MapEdition.objects.update_or_create(id=1, defaults={"token": token, "changed_at": at})
    by_district: dict[str, dict[str, str]] = defaultdict(dict)
    for code, what in happened.items():
        by_district[code[: Level.DISTRICT.digits]][code] = what
    publish(
        [
            MapChanged(
                subject=f"district:{district}",
                actor=actor,
                at=at,
                source=source,
                edition=str(token),
                codes=sorted(changes)[:100],
                **{kind: _count(changes.values(), kind) for kind in ("created", "redrawn", "edited", "retired")},
            )
            for district, changes in by_district.items()
        ]
    )
    queries.forget_map()


def _count(kinds: Iterable[str], kind: str) -> int:
    return sum(k == kind for k in kinds)


