"""What lies under the cases and protects nobody's data: tiles, names, places. For everybody, the portal as well."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from django.conf import settings as deployment
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.gzip import gzip_page

from gridloop.discover.queries import find_places
from gridloop.kernel.coordinates import Datum, from_wgs84
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.territory import queries as territory
from gridloop.territory.rules import tiles
from gridloop.territory.rules.codes import Level
from gridloop.web.shell.pages import public

FOR_EVER = "public, max-age=31536000, immutable"


@public
def settings(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Where the map lies, which edition of it holds, and the base map of this deployment."""
    base = basemap()
    told = {
        "edition": territory.edition(),
        "bounds": territory.extent(),
        "synthetic": territory.is_synthetic(),
        "maxzoom": tiles.MAX_ZOOM,
        "basemap": {k: v for k, v in base.items() if k not in ("file", "hosts")} or None,
        "datum": getattr(deployment, "GRIDLOOP_BASEMAP_DATUM", "wgs84"),
        "staff": viewer.kind == "person",
    }
    response = JsonResponse(told)
    response["Cache-Control"] = "private, max-age=10"
    return response


def basemap() -> dict[str, Any]:
    """The base map that this deployment was given (`GRIDLOOP_BASEMAP`); empty = our own ground."""
    return getattr(deployment, "GRIDLOOP_BASEMAP", None) or {}


@public
def tile(request: HttpRequest, viewer: Viewer, token: str, z: int, x: int, y: int) -> HttpResponse:
    """A vector tile, by the edition of the map: its content never changes. 204 where there is nothing."""
    if not tiles.exists(z, x, y):
        raise not_found()
    now = territory.edition()
    known = f'"{now}"'
    if request.headers.get("If-None-Match") == known:
        response = HttpResponse(status=304)
    else:
        data = territory.tile(now, z, x, y)
        response = HttpResponse(data, content_type="application/vnd.mapbox-vector-tile", status=200 if data else 204)
        if data:
            response["Content-Encoding"] = "gzip"
    # Whoever asks by an old address gets the map of today, but must ask again.
    response["Cache-Control"] = FOR_EVER if token == now else "no-cache"
    response["ETag"] = known
    return response


@public
@gzip_page
def outline(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The grids around a place, thinned: a sketch for browsers that cannot draw the map (`region`, `level`)."""
    try:
        level = Level(request.GET.get("level", "street"))
    except ValueError:
        raise not_found() from None
    code = request.GET.get("region", "")[:19]
    return JsonResponse({"type": "FeatureCollection", "features": territory.outlines(code, level)})


@public
def extent(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """West, south, east and north of one region."""
    return JsonResponse({"bounds": territory.extent(request.GET.get("region", "")[:19])})


@public
def where(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What lies at `lon`, `lat` (WGS-84): the regions from the district down, and the place in every datum."""
    lon, lat = point_of(request)
    code = str(territory.locate([lon], [lat])[0])
    return JsonResponse(
        {
            "lon": lon,
            "lat": lat,
            "region": code,
            "path": territory.path_of(code),
            "cell": str(territory.locate_cells([lon], [lat])[0]),
            "datums": {d.value: [round(v, 6) for v in from_wgs84(lon, lat, d)] for d in Datum},
        }
    )


def point_of(request: HttpRequest) -> tuple[float, float]:
    """Longitude and latitude of an address' query."""
    try:
        lon, lat = float(request.GET["lon"]), float(request.GET["lat"])
        if not (math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -85 <= lat <= 85):
            raise ValueError
    except (KeyError, ValueError):
        raise Refused(
            Sentence(zh="请写出经度 lon 和纬度 lat（度）。", en="Name lon and lat in degrees."),
            status=422,
            code="place",
        ) from None
    return lon, lat


@public
def search(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The places of the gazetteer whose name holds `q`, the best first; ten at most."""
    found = find_places(request.GET.get("q", "")[:40])[:10]
    told = [{"name": p.name, "lon": p.lon, "lat": p.lat, "region": p.region_code, "in": p.region} for p in found]
    return JsonResponse({"places": told})


_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_MOST = 8 << 20
"""Bytes of one answer; a reader of such archives asks for directories and single tiles."""


@public
def archive(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """A part of the configured PMTiles file, by Range."""
    path: Path | None = basemap().get("file")
    if path is None or not path.is_file():
        raise not_found()
    size = path.stat().st_size
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None:
        return FileResponse(path.open("rb"), content_type="application/octet-stream")
    first, last = int(asked[1]), min(int(asked[2]), size - 1)
    if first > last or last - first >= _MOST:
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{size}"
        return response
    with path.open("rb") as file:
        file.seek(first)
        response = HttpResponse(file.read(last - first + 1), content_type="application/octet-stream", status=206)
    response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{size}-{path.stat().st_mtime_ns}"'
    response["Cache-Control"] = "public, max-age=3600"
    return response
