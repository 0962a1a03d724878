"""What <city-map> shows of cases, for staff: bundles, single cases, the list beside the map, warmth by day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from django.conf import settings as deployment
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.gzip import gzip_page

from gridloop.cases import pyramid
from gridloop.cases.models import Case
from gridloop.cases.search import CaseFilter, read_filter
from gridloop.cases.workflow import STATES
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard
from gridloop.web.shell.pages import staff

APART = ("bbox", "zoom", "center", "colour", "heat", "layers", "datum", "sort", "columns", "after", "view")
"""Parameters that say how something is shown, not which cases."""


def box_of(request: HttpRequest) -> pyramid.Box:
    """The view that is asked for: ``bbox=west,south,east,north``."""
    try:
        west, south, east, north = (float(v) for v in request.GET["bbox"].split(","))
        if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
            raise ValueError
    except (KeyError, ValueError):
        raise Refused(
            Sentence(
                zh="请写出范围 bbox：西,南,东,北（度）。", en="Name the view as bbox: west,south,east,north in degrees."
            ),
            status=422,
            code="bbox",
        ) from None
    return pyramid.Box(max(west, -180), max(south, -85), min(east, 180), min(north, 85))


def zoom_of(request: HttpRequest) -> float:
    try:
        zoom = float(request.GET.get("zoom", "12"))
        return zoom if math.isfinite(zoom) else 12.0
    except ValueError:
        return 12.0


def filter_of(request: HttpRequest) -> CaseFilter:
    """The same filter as the work list's address; what only concerns the picture is left out."""
    return read_filter(request.GET, apart=APART)


@gzip_page
@staff
def counts(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The cases of a view: bundles as [lon, lat, n, {group: n}, {colour: n}, [w, s, e, n]], or each by itself."""
    seen = pyramid.view(viewer, box_of(request), zoom_of(request), filter_of(request), now=clock.now())
    bundles = [
        [*_short(b.lon, b.lat), b.n, b.state, b.clock, _short(b.west, b.south, b.east, b.north)] for b in seen.bundles
    ]
    return JsonResponse({"total": seen.total, "partly": seen.partly, "bundles": bundles, "cases": told(seen.cases)})


def _short(*degrees: float) -> list[float]:
    return [round(value, 5) for value in degrees]


@gzip_page
@staff
def listed(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The newest fifty cases of a view: the list for those who do not use the picture."""
    return JsonResponse({"cases": told(pyramid.cases_in(viewer, box_of(request), filter_of(request), now=clock.now()))})


def told(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Single cases as the map and its list show them. Nothing of whoever reported them."""
    known = standard.current()
    rows = []
    for case in cases:
        group, colour = pyramid.kind_of(case)
        kind = known.case_types.get(case.case_type) or known.older.get(case.case_type)
        rows.append(
            {
                "number": case.number,
                "lon": case.lon,
                "lat": case.lat,
                "state": group,
                "clock": colour,
                "state_name": str(STATES[case.state]),
                "type": str(kind.name) if kind else case.case_type,
                "address": case.address,
                "due": case.due_at and case.due_at.isoformat(),
                "opened": case.opened_at.isoformat(),
                "urgent": case.urgent,
            }
        )
    return rows


@gzip_page
@staff
def heat(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How many cases were opened where on each day of a period (`since`, `until`; 92 days at most)."""
    wanted = filter_of(request)
    if wanted.since is None or wanted.until is None or wanted.until - wanted.since > pyramid.LONGEST:
        raise Refused(
            Sentence(
                zh=f"请写出起止日期 since、until，最长{pyramid.LONGEST.days}天。",
                en=f"Name the days since and until, {pyramid.LONGEST.days} days at most.",
            ),
            status=422,
            code="period",
        )
    zone = str(getattr(deployment, "GRIDLOOP_ZONE", "Asia/Shanghai"))
    days = pyramid.warmth(viewer, box_of(request), zoom_of(request), wanted, now=clock.now(), zone=zone)
    return JsonResponse({"days": days})
