"""What can be done to the map. Every change is one transaction, one edition of the map and one event per district."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import shapely
from django.db import connection, transaction
from django.db.models.functions import Left

from gridloop.kernel import clock
from gridloop.kernel.bulk import insert_new_rows, insert_rows, update_rows
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.territory import queries, synthetic
from gridloop.territory.events import ComponentsImported, MapChanged
from gridloop.territory.models import Component, FormerBoundary, MapEdition, Region, Scenery, UnitCell
from gridloop.territory.rules import components, reading
from gridloop.territory.rules.checking import StoredRegion, above, check_against_map
from gridloop.territory.rules.codes import UNIT_CELL_DIGITS, Level, level_of
from gridloop.territory.rules.location import area_m2
from gridloop.territory.rules.tiling import TOLERANCE_M

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


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. With any mistake nothing was stored and the counts are zero."""

    read: int
    counts: Counts
    mistakes: list[Mistake]
    not_in_file: int = 0
    """Active regions of the same levels under the same parents that the file does not mention. They stay as they are:
    only `retire_regions` ends a region."""


def import_regions(
    *,
    file: Path,
    datum: str | None,
    actor: str,
    at: datetime,
    level: str | None = None,
    partial: bool = False,
    tolerance_m: float = TOLERANCE_M,
    replace_synthetic: bool = False,
    dry_run: bool = False,
    progress: reading.Progress | None = None,
) -> ImportResult:
    """Import regions or unit cells from GeoJSON, CSV or XLSX: all of the file, or nothing and all its mistakes.

    `datum` must be named (`wgs84`, `cgcs2000`, `gcj02`, `bd09`). `level` demands one level; otherwise the codes tell.
    `partial`: the file covers only part of its parents, so gaps are no mistake. Overlaps, gaps and protrusions
    narrower than `tolerance_m` metres are tolerated. `replace_synthetic` takes the invented map of the districts in the
    file away first (`erase_drawing`), if the file is good. `dry_run` checks and counts, and stores nothing.
    Importing the same file again changes nothing; a changed boundary becomes a new version, the old one is kept.
    """
    try:
        read, mistakes = reading.read_regions(file, datum=reading.datum_of(datum), level=level, progress=progress)
    except Mistakes as wrong:
        return ImportResult(0, Counts(), wrong.mistakes)
    with transaction.atomic():
        _lock_map()
        if replace_synthetic:
            for district in sorted({r.code[: Level.DISTRICT.digits] for r in read}):
                _erase(district, actor, at)
        stored = _stored_around(read)
        mistakes += check_against_map(read, stored, partial=partial, tolerance_m=tolerance_m, progress=progress)
        if mistakes:
            transaction.set_rollback(True)
            return ImportResult(len(read), Counts(), mistakes)
        wanted = [
            Wanted(
                code=r.code,
                name=r.attributes.get("name", r.code if r.is_cell and r.code not in stored else None),
                shape=r.shape,
                attributes={
                    # A boundary that is not labelled synthetic is real from now on.
                    **({"synthetic": False} if r.shape is not None else {}),
                    **{k: v for k, v in r.attributes.items() if k != "name"},
                },
            )
            for r in read
        ]
        counts = _store(wanted, f"import {file.name}", actor, at)
        if dry_run:
            transaction.set_rollback(True)
    if dry_run:
        queries.forget_map()
    return ImportResult(len(read), counts, [], _not_in_file(read, stored))


def _stored_around(read: Sequence[reading.ReadRegion]) -> dict[str, StoredRegion]:
    """All regions and unit cells of the districts in a file, two queries."""
    districts = sorted({r.code[: Level.DISTRICT.digits] for r in read})
    stored: dict[str, StoredRegion] = {}
    models: list[type[Region] | type[UnitCell]] = [Region, UnitCell]
    for model in models:
        rows = model.objects.annotate(district=Left("code", Level.DISTRICT.digits)).filter(district__in=districts)
        for row in rows.iterator(chunk_size=2000):
            stored[row.code] = StoredRegion(row.ends_on, row.shape, row.synthetic)
    return stored


def _not_in_file(read: Sequence[reading.ReadRegion], stored: Mapping[str, StoredRegion]) -> int:
    mine = {r.code for r in read}
    families = {(above(code), len(code)) for code in mine}
    return sum(
        code not in mine and known.ends_on is None and (above(code), len(code)) in families
        for code, known in stored.items()
    )


def import_components(
    *, file: Path, datum: str | None, actor: str, at: datetime, dry_run: bool = False
) -> ImportResult:
    """Import components (部件) from GeoJSON, CSV or XLSX: all of the file, or nothing and all its mistakes.

    A component is known by its code; what the file says of it again replaces what was stored. An invented component of
    the same code becomes a real one. Its region is where it lies on today's map; outside of the map it has none.
    """
    try:
        read, mistakes = components.read_components(file, datum=reading.datum_of(datum))
    except Mistakes as wrong:
        return ImportResult(0, Counts(), wrong.mistakes)
    if mistakes:
        return ImportResult(len(read), Counts(), mistakes)
    places = queries.locate([r.lon for r in read], [r.lat for r in read])
    columns = ("kind", "name", "lon", "lat", "managed_by", "condition", "starts_on", "ends_on", "remark")
    with transaction.atomic():
        _lock_map()
        known = {c.code: c for c in Component.objects.filter(code__in=[r.code for r in read])}
        fresh, changed = [], []
        for one, where in zip(read, places, strict=True):
            said = {name: getattr(one, name) for name in columns} | {"region_code": str(where), "synthetic": False}
            row = known.get(one.code)
            if row is None:
                fresh.append(Component(code=one.code, **said))
            elif any(getattr(row, name) != value for name, value in said.items()):
                for name, value in said.items():
                    setattr(row, name, value)
                changed.append(row)
        counts = Counts(created=len(fresh), edited=len(changed), unchanged=len(read) - len(fresh) - len(changed))
        if dry_run:
            return ImportResult(len(read), counts, [])
        insert_rows(fresh)
        update_rows(changed, (*columns, "region_code", "synthetic"))
        if fresh or changed:
            token = _new_token(at)
            publish(
                [
                    ComponentsImported(
                        subject="components", actor=actor, at=at, source=f"import {file.name}", edition=str(token),
                        created=len(fresh), edited=len(changed),
                    )
                ]
            )  # fmt: skip
    return ImportResult(len(read), counts, [])


@transaction.atomic
def erase_drawing(*, district: str, actor: str, at: datetime) -> int:
    """Take a synthetic map away, to make room for the real one; returns how many rows lost their boundary or went.

    Districts, streets and communities keep code and name without a boundary; invented grids, micro-grids and unit
    cells go altogether, because their codes were never issued by anybody.
    """
    _lock_map()
    return _erase(district, actor, at)


def _erase(district: str, actor: str, at: datetime) -> int:
    happened: dict[str, str] = {}
    official = Region.objects.filter(code__startswith=district, synthetic=True, geometry__isnull=False)
    below = official.exclude(level__in=[Level.DISTRICT, Level.STREET, Level.COMMUNITY])
    cells = UnitCell.objects.filter(code__startswith=district, synthetic=True)
    for rows in (below, cells):
        happened |= dict.fromkeys(rows.values_list("code", flat=True), "retired")
        rows.delete()
    happened |= dict.fromkeys(official.values_list("code", flat=True), "redrawn")
    Scenery.objects.filter(district=district).delete()
    Component.objects.filter(code__startswith=district, synthetic=True).delete()
    official.update(
        geometry=None, west=None, south=None, east=None, north=None, area_m2=None, boundary_version=0, synthetic=False
    )
    FormerBoundary.objects.filter(code__in=list(happened)).delete()
    if happened:
        _new_edition(happened, "erase_drawing", actor, at)
    return len(happened)


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
    counts = _store([_drawn(r) for r in (*drawing.regions, *drawing.unit_cells)], "draw_district", actor, at)
    if (folder / "words.yaml").exists():
        words = synthetic.read_words(folder / "words.yaml")
        _store_scenery(codes[0][: Level.DISTRICT.digits], synthetic.draw_scenery(drawing, words))
        _store_components(synthetic.draw_components(drawing, words))
    return counts


def _store_scenery(district: str, drawn: Sequence[synthetic.DrawnScenery]) -> None:
    """Put the drawn ground in the place of what was drawn before. Every picture of the map is made anew after it."""
    rows = []
    for piece in drawn:
        west, south, east, north = piece.shape.bounds
        rows.append(
            Scenery(
                district=district, kind=piece.kind, rank=piece.rank, name=piece.name,
                geometry=shapely.to_wkb(piece.shape), west=west, south=south, east=east, north=north,
            )
        )  # fmt: skip
    known = Scenery.objects.filter(district=district).values_list("kind", "rank", "name", "geometry")
    if {(k, r, n, bytes(g)) for k, r, n, g in known} == {(s.kind, s.rank, s.name, s.geometry) for s in rows}:
        return
    Scenery.objects.filter(district=district).delete()
    insert_rows(rows)
    _new_token()


def _store_components(drawn: Sequence[synthetic.DrawnComponent]) -> None:
    """Add the drawn components whose codes are not there yet."""
    places = queries.locate([c.lon for c in drawn], [c.lat for c in drawn])
    rows = [
        Component(code=c.code, kind=c.kind, name=c.name, lon=c.lon, lat=c.lat, region_code=str(where), synthetic=True)
        for c, where in zip(drawn, places, strict=True)
    ]
    if insert_new_rows(rows, unless=("code",)):
        _new_token()


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
        _new_edition(dict.fromkeys(ended, "retired"), "retire_regions", actor, at)
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


def _new_token(at: datetime | None = None) -> uuid.UUID:
    """A new edition of the map. Whatever was drawn from the last one is out of date."""
    token = uuid.uuid4()
    MapEdition.objects.update_or_create(id=1, defaults={"token": token, "changed_at": at or clock.now()})
    queries.forget_map()
    return token


def _new_edition(happened: dict[str, str], source: str, actor: str, at: datetime) -> None:
    token = _new_token(at)
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
