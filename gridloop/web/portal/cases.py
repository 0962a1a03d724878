"""The public's cases: a list, a map, a table to take away, a feed. No personal data passes `cases.public`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode
from xml.etree import ElementTree as Xml

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET

from gridloop.cases import public as door
from gridloop.cases.public import GROUPS, PAGE, PublicCase, PublicFilter, public_case, public_cases
from gridloop.handle import queries as handle
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.people.viewer import Viewer
from gridloop.web.portal import areas
from gridloop.web.shell.pages import public, show

SIGNS = {"open": "work", "solved": "end", "stopped": "halt"}
"""State for the public -> the kind by which the map draws it."""
MOST_ROWS = 20_000
"""Rows of one table to take away; who wants more asks month by month."""
BLOCK = 500
RADII = (300, 500, 1_000, 2_000)
"""Metres around a place that one may follow."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of the public's cases that an address asks for."""

    region: str = ""
    major: str = ""
    group: str = ""
    month: str = ""
    on_time: bool = False
    near: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        given = request.GET
        near = None
        try:
            lon, lat, metres = (float(x) for x in given.get("near", "").split(","))
            if -180 <= lon <= 180 and -85 <= lat <= 85 and metres in RADII:
                near = (round(lon, 3), round(lat, 3), metres)
        except ValueError:
            pass
        region = given.get("region", "")
        return cls(
            region=region if region.isalnum() and len(region) <= 12 else "",
            major=given.get("major", "") if given.get("major", "") in door.classes() else "",
            group=given.get("state", "") if given.get("state", "") in GROUPS else "",
            month=given.get("month", "") if door.month_of(given.get("month", "")) else "",
            on_time=given.get("on_time") == "1",
            near=near,
        )

    def filter(self) -> PublicFilter:
        return PublicFilter(
            region=self.region,
            major=self.major,
            group=self.group,
            month=self.month,
            on_time=self.on_time,
            near=self.near,
        )

    def query(self, **more: str) -> str:
        """The same as the part of an address behind the question mark."""
        near = ",".join(f"{x:g}" for x in self.near) if self.near else ""
        said = {"region": self.region, "major": self.major, "state": self.group, "month": self.month}
        said |= {"on_time": "1" if self.on_time else "", "near": near, **more}
        return urlencode({name: value for name, value in said.items() if value})


def months() -> list[str]:
    """This month and the eleven before it, the newest first."""
    today = clock.now().astimezone(door.zone())
    count = today.year * 12 + today.month - 1
    return [f"{(count - n) // 12}-{(count - n) % 12 + 1:02d}" for n in range(12)]


@require_GET
@public
def cases(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The list, newest first, in pages; the map beside it when somebody asks for it."""
    asked = Asked.of(request)
    after = request.GET.get("after", "")[:24]
    rows = public_cases(asked.filter(), after=after, limit=PAGE + 1)
    shown, more = rows[:PAGE], len(rows) > PAGE
    context = {
        "asked": asked,
        "cases": [(c, place, pictures) for c, place, pictures in _with(shown)],
        "next": asked.query(after=shown[-1].number) if more else "",
        "first": asked.query() if after else "",
        "query": asked.query(),
        "streets": areas.areas(),
        "classes": sorted(door.classes().items()),
        "groups": GROUPS,
        "months": months(),
        "is_first": not after,
    }
    return show(request, "portal/cases.html", context)


def _with(rows: list[PublicCase]) -> Iterator[tuple[PublicCase, object, list[handle.PublicPicture]]]:
    places = areas.names([c.region_code for c in rows])
    pictures = handle.public_pictures_of([c.id for c in rows]) if rows else {}
    for case in rows:
        yield case, places.get(case.region_code), pictures.get(case.id, [])


@require_GET
@public
def case(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponseBase:
    """One case as everybody sees it."""
    found = public_case(number)
    if found is None:
        raise not_found()
    ((_, place, pictures),) = _with([found])
    before = [p for p in pictures if p.stage in ("report", "verify", "before")]
    after = [p for p in pictures if p.stage in ("after", "check")]
    context = {"case": found, "place": place, "before": before[:1], "after": after[-1:], "more": pictures}
    return show(request, "portal/case.html", context)


@require_GET
@public
def picture(request: HttpRequest, viewer: Viewer, number: str, picture: int) -> HttpResponseBase:
    """The public copy of a picture, whole or ``?small=1``."""
    found = public_case(number)
    if found is None:
        raise not_found()
    small = request.GET.get("small") == "1"
    file = (handle.public_thumbnail_file if small else handle.public_file)(found.id, picture)
    response = FileResponse(file.open("rb"), headers=handle.picture_headers(file, f"{number}-{picture}"))
    response["Cache-Control"] = "public, max-age=300"  # short: a person may withhold it
    return response


@require_GET
@public
def squares(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Where they are, as GeoJSON: one point for each square of about 100 m and each state, never a case's own place."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {
                "id": f"{newest}-{group}",
                "label": f"{GROUPS[group]} {count}",
                "href": reverse("portal:case", args=[newest]),
                "kind": SIGNS[group],
            },
        }
        for lon, lat, group, count, newest in door.public_squares(Asked.of(request).filter())
    ]
    response = JsonResponse({"type": "FeatureCollection", "features": features}, content_type="application/geo+json")
    response["Cache-Control"] = "public, max-age=60"
    return response


COLUMNS = (
    "number", "case_type", "case_type_zh", "case_type_en", "street_community_zh", "region_code", "state", "state_zh",
    "state_en", "opened_at", "promised_at", "closed_at", "on_time", "reports", "longitude_100m", "latitude_100m",
)  # fmt: skip


@require_GET
@public
def table(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The same list as a CSV file, made on the way, for everybody to use (CC BY 4.0)."""
    asked = Asked.of(request).filter()

    def lines() -> Iterator[bytes]:
        yield "\ufeff".encode() + _line(COLUMNS)
        after, done = "", 0
        while done < MOST_ROWS:
            rows = public_cases(asked, after=after, limit=BLOCK)
            places = areas.names([c.region_code for c in rows])
            for c in rows:
                yield _line(
                    (
                        c.number, c.case_type, c.name.zh, c.name.en, places[c.region_code].zh, c.region_code, c.group,
                        c.word.zh, c.word.en, _iso(c.opened_at), _iso(c.due_at), _iso(c.closed_at),
                        "" if c.on_time is None else str(c.on_time).lower(), c.callers, c.lon, c.lat,
                    )
                )  # fmt: skip
            done += len(rows)
            if len(rows) < BLOCK:
                return
            after = rows[-1].number

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="cases.csv"'
    response["Link"] = '<https://creativecommons.org/licenses/by/4.0/>; rel="license"'
    return response


def _line(cells: tuple[object, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(["" if c is None else c for c in cells])
    return out.getvalue().encode()


def _iso(at: object) -> str:
    return at.astimezone(door.zone()).isoformat(timespec="minutes") if at is not None else ""  # type: ignore[attr-defined]


ATOM = "http://www.w3.org/2005/Atom"


@require_GET
@public
def feed(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What is new in an area, as an Atom feed (RFC 4287): any reader can follow it without saying who they are."""
    asked = Asked.of(request)
    rows = public_cases(asked.filter(), limit=50)
    places = areas.names([c.region_code for c in rows] + ([asked.region] if asked.region else []))
    Xml.register_namespace("", ATOM)
    root = Xml.Element(f"{{{ATOM}}}feed")
    here = request.build_absolute_uri()
    title = str(places[asked.region]) if asked.region else ""
    _put(root, "title", f"Gridloop {title}".strip())
    _put(root, "id", here)
    newest = max((c.closed_at or c.opened_at for c in rows), default=clock.now())
    _put(root, "updated", newest.isoformat())
    Xml.SubElement(root, f"{{{ATOM}}}link", {"rel": "self", "href": here})
    author = Xml.SubElement(root, f"{{{ATOM}}}author")
    _put(author, "name", "Gridloop")
    for c in rows:
        entry = Xml.SubElement(root, f"{{{ATOM}}}entry")
        link = request.build_absolute_uri(reverse("portal:case", args=[c.number]))
        _put(entry, "title", f"{c.name} · {places[c.region_code]} · {c.word}")
        _put(entry, "id", link)
        _put(entry, "updated", (c.closed_at or c.opened_at).isoformat())
        _put(entry, "published", c.opened_at.isoformat())
        Xml.SubElement(entry, f"{{{ATOM}}}link", {"href": link})
        _put(entry, "summary", str(c.word))
    response = HttpResponse(
        Xml.tostring(root, encoding="utf-8", xml_declaration=True), content_type="application/atom+xml; charset=utf-8"
    )
    response["Cache-Control"] = "public, max-age=300"
    return response


def _put(parent: Xml.Element, name: str, text: str) -> None:
    Xml.SubElement(parent, f"{{{ATOM}}}{name}").text = text
