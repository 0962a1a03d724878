"""The map as a page, and the brief of one grid."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django.http import HttpRequest, HttpResponse

from gridloop.cases.search import CaseFilter, counts
from gridloop.evaluate.queries import Span, brief_of
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.kernel.language import Sentence
from gridloop.people.queries import colleagues, persons_for
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard
from gridloop.territory import queries as territory
from gridloop.territory.rules.codes import Level
from gridloop.web.map.cases import filter_of
from gridloop.web.shell.pages import show, staff
from gridloop.web.shell.tags import zone

RESPONSIBLE = ("grid_leader", "grid_worker")
ABOVE_GRIDS = ("subdistrict_operator",)


@staff
def whole(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The whole district: grids, cases, components, time. Takes the filters of the work list in its address."""
    wanted = filter_of(request)
    chosen = wanted if request.GET else CaseFilter(open=True)
    query = chosen.query()
    return show(
        request,
        "map/page.html",
        {
            "query": query,
            "wanted": chosen,
            "clock": chosen.clock[0] if len(chosen.clock) == 1 else "",
            "list_address": f"/console/cases?{query}",
        },
    )


@staff
def card(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """One region on one page: who is responsible, how it stands this month; each number leads to its cases."""
    path = territory.path_of(code[:19])
    if not path or path[-1]["code"] != code:
        raise not_found()
    now = clock.now()
    first = now.astimezone(zone()).date().replace(day=1)
    lists = [
        (Sentence(zh="在办", en="open"), CaseFilter(region=code, open=True)),
        (Sentence(zh="超期", en="overdue"), CaseFilter(region=code, open=True, clock=("red",))),
        (Sentence(zh="本月新增", en="new this month"), CaseFilter(region=code, since=first)),
    ]
    numbers: list[dict[str, Any]] = [
        {"name": name, "n": n, "address": _list(wanted)}
        for (name, wanted), n in zip(lists, counts(viewer, [w for _, w in lists], now=now), strict=True)
    ]
    brief = brief_of(code, viewer=viewer, span=Span(start=datetime.combine(first, time(), zone())))
    known = standard.current().case_types
    types = [
        {"name": known[key].name, "n": n, "address": _list(CaseFilter(region=code, since=first, type=(key,)))}
        for key, n in brief.types
        if key in known
    ]
    return show(
        request,
        "map/_card.html",
        {
            "path": path[:-1],
            "region": path[-1],
            "people": _people(code),
            "numbers": numbers,
            "rate": brief.on_time / brief.due if brief.due else None,
            "brief": brief,
            "types": types,
            "list_address": _list(CaseFilter(region=code, open=True)),
        },
    )


def _list(wanted: CaseFilter) -> str:
    return f"/console/cases?{wanted.query()}"


def _people(code: str) -> list[dict[str, Any]]:
    """Who answers for a region by post. Two queries."""
    roles = RESPONSIBLE if len(code) >= Level.GRID.digits else ABOVE_GRIDS
    found = persons_for([(0, role, code) for role in roles])
    known = colleagues([person for person in found if person is not None])
    return [
        {"role": ROLES[role].name, "colleague": known.get(person) if person is not None else None}
        for role, person in zip(roles, found, strict=True)
    ]
