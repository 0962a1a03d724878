"""The first page: report, find one's ticket, what was solved near by, and the month's figures."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from gridloop.cases import public as door
from gridloop.cases.public import PublicFilter
from gridloop.handle import queries as handle
from gridloop.kernel import clock
from gridloop.people.viewer import Viewer
from gridloop.web.portal import areas
from gridloop.web.portal.cases import RADII, Asked, months
from gridloop.web.shell.pages import public, show

PAIRS = 6


@require_GET
@public
def home(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The front page. The area that was chosen is in the address, not in an account."""
    asked = Asked.of(request)
    solved = door.solved_lately(PublicFilter(region=asked.region), now=clock.now(), limit=40)
    pictures = handle.public_pictures_of([c.id for c in solved]) if solved else {}
    places = areas.names([c.region_code for c in solved])
    pairs = []
    for case in solved:
        shown = pictures.get(case.id, [])
        before = next((p for p in shown if p.stage in ("report", "verify", "before")), None)
        after = next((p for p in reversed(shown) if p.stage == "after"), None)
        pairs.append((case, places[case.region_code], before, after))
    pairs.sort(key=lambda pair: pair[2] is None or pair[3] is None)
    month = months()[0]
    figures = door.figures(month)
    if not figures.opened:  # on the first days of a month the one before says more
        month = months()[1]
        figures = door.figures(month)
    context = {
        "figures": figures,
        "month": month,
        "pairs": pairs[:PAIRS],
        "asked": asked,
        "streets": areas.areas(),
    }
    return show(request, "portal/home.html", context)


@require_GET
@public
def follow(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Follow an area without an account: a feed, or a list that this browser alone keeps."""
    asked = Asked.of(request)
    place = areas.names([asked.region]).get(asked.region) if asked.region else None
    feed = request.build_absolute_uri(f"feed.atom?{asked.query()}") if asked.region or asked.near else ""
    context = {"asked": asked, "place": place, "feed": feed, "streets": areas.areas(), "radii": RADII}
    return show(request, "portal/follow.html", context)


@require_GET
@public
def privacy(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What is kept of who reports, who sees it, and when it goes."""
    return show(request, "portal/privacy.html", {})
