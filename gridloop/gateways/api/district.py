"""What the district consists of: regions, units, and the kinds of cases it knows."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel.errors import not_found
from gridloop.people.queries import units_for
from gridloop.standard import queries as standard
from gridloop.territory import queries as territory
from gridloop.territory.rules.codes import Level

router = Router(tags=["district"])


class RegionOut(Schema):
    code: str
    level: str
    name: str
    name_en: str
    parent_code: str
    stat_parent: str
    managed_by: str
    starts_on: date | None
    synthetic: bool


class RegionFilter(Strict):
    under: str = Field("", max_length=19, description="A region and everything below it")
    level: Literal["", "district", "street", "community", "grid", "micro_grid"] = ""


@router.get("/regions", response=Page[RegionOut], summary="Regions")
def regions(request: HttpRequest, wanted: Query[RegionFilter], window: Query[Window]) -> dict[str, Any]:
    """The grid tree: district, streets, communities, grids, micro-grids. A region's code begins with its parent's.

    网格树：区、街道、社区、网格、微网格。下级编码以上级编码开头。
    """
    found = territory.subtree(wanted.under, level=Level(wanted.level) if wanted.level else None)
    return page(found.defer("geometry"), window, list, sort="id")


@router.get("/regions/{code}", response=dict[str, Any], summary="One region with its boundary")
def region(request: HttpRequest, code: str) -> dict[str, Any]:
    """A GeoJSON feature in WGS-84.

    某一区域及其边界（GeoJSON，WGS-84）。
    """
    found = next(iter(territory.features(territory.active().filter(code=code))), None)
    if found is None:
        raise not_found()
    return found


class Here(Schema):
    region_code: str
    unit_cell: str


class Point(Strict):
    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)


@router.get("/locate", response=Here, summary="Where is a point?")
def locate(request: HttpRequest, point: Query[Point]) -> Here:
    """The deepest region and the unit cell at a WGS-84 point; empty outside the district.

    WGS-84 坐标所在的最小网格和单元网格；不在本区则为空。
    """
    codes, cells = territory.locate([point.lon], [point.lat]), territory.locate_cells([point.lon], [point.lat])
    return Here(region_code=str(codes[0]), unit_cell=str(cells[0]))


class UnitOut(Schema):
    id: int
    code: str
    name: str
    name_en: str
    kind: str
    function: str
    parent_id: int | None
    region_code: str
    synthetic: bool


@router.get("/units", response=Page[UnitOut], summary="Units")
def units(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """Offices, departments and companies that can be responsible.

    可承担责任的单位。
    """
    return page(units_for(viewer_of(request)), window, list, sort="id")


class Condition(Schema):
    id: str
    when: dict[str, str]
    limit: str
    closes_when: dict[str, str]


class CaseTypeOut(Schema):
    key: str
    kind: str
    name: dict[str, str]
    major_name: dict[str, str]
    catalog_version: str
    default_condition: str
    conditions: list[Condition]


@router.get("/case-types", response=list[CaseTypeOut], summary="Case types")
def case_types(request: HttpRequest) -> list[dict[str, Any]]:
    """The catalogue of components and events that is in force, with the filing conditions and their time limits.

    现行部件、事件目录，含立案条件与处置时限。
    """
    return [
        {
            "key": t.key,
            "kind": t.kind,
            "name": t.name.both(),
            "major_name": t.major_name.both(),
            "catalog_version": t.catalog_version,
            "default_condition": t.default_condition,
            "conditions": [
                {
                    "id": c.id,
                    "when": c.when.both(),
                    "limit": f"{c.limit.amount} {c.limit.clock}",
                    "closes_when": c.closes_when.both(),
                }
                for c in t.conditions
            ],
        }
        for t in standard.current().case_types.values()
    ]
