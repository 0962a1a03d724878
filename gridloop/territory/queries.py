"""What can be seen of the map. A map of grids protects nobody's data, so these queries take no Viewer."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from django.conf import settings
from django.db.models import Max, Min, Q, QuerySet
from django.db.models.functions import Length
from numpy.typing import ArrayLike, NDArray

from gridloop.kernel import clock
from gridloop.kernel.coordinates import Datum, from_wgs84
from gridloop.territory.models import Component, MapEdition, Region, Scenery, UnitCell
from gridloop.territory.rules import tiles
from gridloop.territory.rules.codes import Level, ancestors_of
from gridloop.territory.rules.location import Codes, Locator

CHECK_SECONDS = 1.0
"""How often a process asks whether the map has a new edition: one row by primary key."""


def today() -> date:
    """The day in the district; first and last days of regions are counted in it."""
    return clock.now().astimezone(ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))).date()


# --- where is a point? ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Map:
    """One edition of the map in this process, right from one day until the next day on which it changes."""

    token: UUID | None
    since: date
    until: date
    regions: Locator
    unit_cells: Locator


_lock = threading.Lock()
_current: _Map | None = None
_checked_at = -1e9


def forget_map() -> None:
    """Look at the database before the next answer, whatever the clock says. Actions that change the map call it."""
    global _checked_at
    _checked_at = -1e9


def _map() -> _Map:
    global _current, _checked_at
    known, day = _current, today()
    fresh = known is not None and known.since <= day < known.until
    if known is not None and fresh and time.monotonic() - _checked_at < CHECK_SECONDS:
        return known
    with _lock:
        asked_at = time.monotonic()
        token = MapEdition.objects.values_list("token", flat=True).first()
        known = _current
        if known is None or known.token != token or not known.since <= day < known.until:
            known = _load(token, day)
        _current, _checked_at = known, asked_at
        return known


def _load(token: UUID | None, day: date) -> _Map:
    since, until = date.min, date.max
    locators = []
    for model in (Region, UnitCell):
        codes, shapes = [], []
        rows = model.objects.filter(geometry__isnull=False).values_list("code", "starts_on", "ends_on", "geometry")
        for code, starts, ends, geometry in rows.iterator(chunk_size=2000):
            for turn in (starts, ends):
                if turn is not None:
                    since, until = (max(since, turn), until) if turn <= day else (since, min(until, turn))
            if (starts is None or starts <= day) and (ends is None or day < ends):
                codes.append(code)
                shapes.append(bytes(geometry or b""))
        locators.append(Locator(codes, shapely.from_wkb(np.array(shapes, dtype=object))))
    return _Map(token, since, until, *locators)


def locate(lons: ArrayLike, lats: ArrayLike) -> Codes:
    """The code of the deepest region at each WGS-84 point, "" where none is (an array of str in the points' order).

    Only regions that exist today and have a boundary count. On a border the lowest code of the deepest level wins
    (`rules.location`). Answers follow a change of the map within a second in every process.
    """
    return _map().regions.locate(lons, lats)


def locate_cells(lons: ArrayLike, lats: ArrayLike) -> Codes:
    """The code of the unit cell (15 digits) at each WGS-84 point, "" where none is drawn."""
    return _map().unit_cells.locate(lons, lats)


def nearest(lons: ArrayLike, lats: ArrayLike) -> tuple[Codes, NDArray[np.float64]]:
    """The deepest region nearest to each point and its distance in metres: for points just outside the district."""
    return _map().regions.nearest(lons, lats)


# --- the tree ------------------------------------------------------------------------------------------------------


def active(on: date | None = None) -> QuerySet[Region]:
    """The regions that exist on a day (today), in the order of their codes."""
    return Region.objects.filter(_exists(on or today())).order_by("code")


def _exists(day: date) -> Q:
    return (Q(starts_on__isnull=True) | Q(starts_on__lte=day)) & (Q(ends_on__isnull=True) | Q(ends_on__gt=day))


def subtree(code: str, *, level: Level | None = None) -> QuerySet[Region]:
    """The active regions at and below `code` ("" = all), of one level if it is named."""
    found = active().filter(code__startswith=code)
    return found if level is None else found.filter(level=level)


def names_of(codes: Sequence[str]) -> dict[str, str]:
    """The Chinese names of regions, retired ones included, by code."""
    return dict(Region.objects.filter(code__in=set(codes)).values_list("code", "name"))


def managers_of(codes: Sequence[str]) -> list[str]:
    """For each region the code of the unit that runs it: its own or its nearest ancestor's; "" = the district itself.

    Counting is another matter: a region counts where its code (or its `stat_parent`) says, whoever runs it.
    """
    chains = [[*ancestors_of(code), code] for code in codes]
    wanted = {c for chain in chains for c in chain}
    by = dict(Region.objects.filter(code__in=wanted).exclude(managed_by="").values_list("code", "managed_by"))
    return [next((by[c] for c in reversed(chain) if c in by), "") for chain in chains]


def features(rows: QuerySet[Region] | QuerySet[UnitCell], *, datum: Datum = Datum.WGS84) -> Iterator[dict[str, Any]]:
    """Regions or unit cells with a boundary as GeoJSON features in `datum`, with all that an import reads back."""
    for row in rows.filter(geometry__isnull=False).iterator(chunk_size=500):
        shape = shapely.transform(row.shape, lambda lon, lat: from_wgs84(lon, lat, datum), interleaved=False)
        properties: dict[str, Any] = {"code": row.code, "name": row.name, "synthetic": row.synthetic}
        if isinstance(row, Region):
            properties |= {"level": row.level, "name_en": row.name_en, "local_code": row.local_code}
            properties |= {"stat_parent": row.stat_parent, "managed_by": row.managed_by}
        properties |= {
            "starts_on": row.starts_on and row.starts_on.isoformat(),
            "ends_on": row.ends_on and row.ends_on.isoformat(),
            "boundary_version": row.boundary_version,
        }
        yield {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(shape)}


def export_geojson(path: Path, code: str = "", *, level: str | None = None, datum: Datum | str = Datum.WGS84) -> int:
    """Write the active regions at and below `code` to a GeoJSON file, parents first; returns how many.

    `level` chooses one level, or "unit_cell" for the unit cells. The file says its datum and what is synthetic;
    `actions.import_regions` reads it back with the same datum. It appears whole or not at all.
    """
    chosen = Datum(datum)
    rows: QuerySet[Region] | QuerySet[UnitCell]
    if level == "unit_cell":
        rows = UnitCell.objects.filter(_exists(today()), code__startswith=code).order_by("code")
    else:
        rows = subtree(code, level=None if level is None else Level(level)).order_by(Length("code"), "code")
    head: dict[str, Any] = {"type": "FeatureCollection", "datum": chosen.value}
    if epsg := {Datum.WGS84: 4326, Datum.CGCS2000: 4490}.get(chosen):
        head["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    draft = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
            for count, one in enumerate(features(rows, datum=chosen), 1):
                file.write((",\n" if count > 1 else "\n") + json.dumps(one, ensure_ascii=False))
            file.write("\n]}\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


# --- the map as pictures: vector tiles -----------------------------------------------------------------------------


def edition() -> str:
    """The token of the map's edition: part of the address of everything drawn from it. "" before the first map."""
    token = _map().token
    return "" if token is None else str(token)


def extent(code: str = "") -> tuple[float, float, float, float] | None:
    """West, south, east and north of a region, or of all active regions; None where nothing has a boundary."""
    rows = (subtree(code) if code else active()).filter(geometry__isnull=False)
    if code:
        rows = rows.filter(code=code)
    found = rows.aggregate(w=Min("west"), s=Min("south"), e=Max("east"), n=Max("north"))
    return None if found["w"] is None else (found["w"], found["s"], found["e"], found["n"])


def is_synthetic() -> bool:
    """Whether any boundary or street on the map is invented, so that the map must say so."""
    return Scenery.objects.exists() or active().filter(synthetic=True, geometry__isnull=False).exists()


@lru_cache(maxsize=1500)
def tile(token: str, z: int, x: int, y: int) -> bytes:
    """A vector tile of the map, gzipped; b"" where there is nothing. Kept in this process by the edition's token."""
    box = tiles.box_of(z, x, y)
    layers = [*_ground(z, box), *_regions(z, box), *_components(z, box)]
    data = tiles.encode(z, x, y, layers) if any(len(layer.shapes) for layer in layers) else b""
    return gzip.compress(data, 6, mtime=0) if data else b""


def _touching(rows: QuerySet[Any], box: tiles.Box) -> QuerySet[Any]:
    return rows.filter(west__lte=box.east, east__gte=box.west, south__lte=box.north, north__gte=box.south)


def _layer(name: str, rows: Sequence[tuple[Any, Mapping[str, Any]]]) -> tiles.Layer:
    shapes = shapely.from_wkb(np.array([bytes(g) for g, _ in rows], dtype=object))
    return tiles.Layer(name, shapes, [properties for _, properties in rows])


def _ground(z: int, box: tiles.Box) -> Iterator[tiles.Layer]:
    """Water, parks, houses and roads, where they are drawn. One query."""
    rows: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {"water": [], "green": [], "building": [], "road": []}
    wanted = [kind for kind in rows if tiles.FROM_ZOOM[kind] <= z]
    ranks = [rank for rank, zoom in tiles.ROAD_FROM_ZOOM.items() if zoom <= z]
    found = Scenery.objects.filter(Q(kind__in=wanted) & (~Q(kind="road") | Q(rank__in=ranks)))
    if wanted:
        for kind, rank, name, shape in _touching(found, box).values_list("kind", "rank", "name", "geometry"):
            rows[kind].append((shape, {"rank": rank, "name": name} if name else {"rank": rank}))
    yield from (_layer(kind, some) for kind, some in rows.items())


def _regions(z: int, box: tiles.Box) -> Iterator[tiles.Layer]:
    """Regions by level, their names at a point inside each, and unit cells. Two queries."""
    levels = [level.value for level in Level if tiles.FROM_ZOOM[level.value] <= z]
    rows: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {level: [] for level in levels}
    labels: list[tuple[Any, Mapping[str, Any]]] = []
    for region in _touching(active().filter(level__in=levels, geometry__isnull=False), box):
        told = {"code": region.code, "name": region.name, "name_en": region.name_en or region.name}
        rows[region.level].append((region.geometry, told))
        first, last = tiles.LABEL_ZOOMS.get(region.level, (99, 99))
        if first <= z <= last:
            point = shapely.point_on_surface(region.shape)
            if box.west <= point.x < box.east and box.south <= point.y < box.north:
                short = region.name.rpartition(f"第{region.name.rpartition('第')[2]}")[0]
                told = {**told, "level": region.level, "short": region.name[len(short) :] if short else region.name}
                labels.append((shapely.to_wkb(point), told))
    yield from (_layer(level, some) for level, some in rows.items())
    yield _layer("label", labels)
    if z >= tiles.FROM_ZOOM["unit_cell"]:
        cells = _touching(UnitCell.objects.filter(_exists(today()), geometry__isnull=False), box)
        yield _layer("unit_cell", [(g, {"code": c}) for c, g in cells.values_list("code", "geometry")])


def _components(z: int, box: tiles.Box) -> Iterator[tiles.Layer]:
    if z >= tiles.FROM_ZOOM["component"]:
        found = components_in(box.west, box.south, box.east, box.north)
        rows = [(shapely.Point(c.lon, c.lat).wkb, {"code": c.code, "kind": c.kind, "name": c.name}) for c in found]
        yield _layer("component", rows)


def components_in(west: float, south: float, east: float, north: float) -> list[Component]:
    """The components that stand in a box today, by code; 20,000 at most."""
    rows = Component.objects.filter(_exists(today()), lon__gte=west, lon__lt=east, lat__gte=south, lat__lt=north)
    return list(rows.order_by("code")[:20_000])


def path_of(code: str) -> list[dict[str, str]]:
    """The regions around and at `code`, the district first: code, level and both names of each. One query."""
    found = Region.objects.filter(code__in=[*ancestors_of(code), code]).order_by("code") if code else []
    return [{"code": r.code, "level": r.level, "name": r.name, "name_en": r.name_en or r.name} for r in found]


def outlines(code: str, level: Level) -> list[dict[str, Any]]:
    """The regions of a level at and below `code` as thin GeoJSON features with a point inside each; 400 at most."""
    told = []
    for region in subtree(code, level=level).filter(geometry__isnull=False)[:400]:
        inside = shapely.point_on_surface(region.shape)
        thin = shapely.set_precision(shapely.simplify(region.shape, 1e-4), 1e-6)
        at = [round(inside.x, 6), round(inside.y, 6)]
        properties = {"code": region.code, "name": region.name, "name_en": region.name_en or region.name, "at": at}
        told.append({"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(thin)})
    return told
