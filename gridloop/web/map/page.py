"""The map as a page, and the brief of one grid."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import show, staff


@staff
def whole(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The whole district: grids, cases, components, time."""
    return show(request, "map/page.html", {})
