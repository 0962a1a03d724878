"""The page with which a working day begins: what one's posts do first, and the lists one keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from gridloop.cases import search
from gridloop.cases.models import SavedView
from gridloop.cases.search import CaseFilter, Counted
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.web.console.lists import Line, address, lines
from gridloop.web.shell.pages import show, staff

ROUGHLY = 9_999
"""How far a card counts."""


@dataclass(frozen=True, slots=True)
class Card:
    """A list as the home page shows it: its name, how many there are, and the first of them."""

    name: Sentence | str
    icon: str
    address: str
    count: Counted
    first: list[Line]
    alarm: bool = False
    """Whether any case in it is already too late."""
    view: SavedView | None = None


_Entry = tuple[Sentence | str, str, CaseFilter, SavedView | None]
"""Name, icon and filter of a list, and the saved list that it is, if it is one."""


@require_GET
@staff
def home(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lists of one's posts and one's own, each with its count and what is due first."""
    now = clock.now()
    shipped: list[_Entry] = [(o.name, o.icon, search.read_filter(o.query), None) for o in search.overviews_of(viewer)]
    own, broken = _own(viewer)
    cards = _cards(viewer, [*shipped, *own])
    late = []
    if viewer.roles() & {"district_leader", "inspector"}:
        late = [
            (unit, n, address(CaseFilter(clock=("red",), unit=(unit["code"],))))
            for unit, n in search.overdue_by_unit(viewer, now=now)
        ]
    most = max((n for _, n, _ in late), default=1)
    return show(
        request,
        "console/home.html",
        {
            "cards": [c for c in cards if c.view is None],
            "own": [c for c in cards if c.view is not None],
            "broken": broken,
            "late_units": [(unit, n, where, max(1, round(20 * n / most))) for unit, n, where in late],
            "sees_cases": bool(shipped),
            "now": now,
        },
    )


def own_lists(viewer: Viewer) -> dict[str, Any]:
    """What the part of the home page with one's own lists needs."""
    own, broken = _own(viewer)
    return {"own": _cards(viewer, own), "broken": broken, "now": clock.now()}


def _cards(viewer: Viewer, entries: Sequence[_Entry]) -> list[Card]:
    """Lists with their counts and first cases: as many statements for twenty as for one."""
    now = clock.now()
    filters = [wanted for _, _, wanted, _ in entries]
    if not filters:
        return []
    counts = search.counts(viewer, filters, now=now, most=ROUGHLY)
    first = search.foremost(viewer, filters, now=now)
    by_case = {line.case.pk: line for line in lines([case for cases in first for case in cases])}
    return [
        Card(
            name,
            icon,
            address(wanted, view.sort if view is not None else "", view=view),
            count,
            [by_case[case.pk] for case in cases],
            any(case.due_at is not None and case.due_at <= now for case in cases),
            view,
        )
        for (name, icon, wanted, view), count, cases in zip(entries, counts, first, strict=True)
    ]


def _own(viewer: Viewer) -> tuple[list[_Entry], list[SavedView]]:
    """The lists that this person keeps; apart, those that can be read no longer (a type or a unit has gone)."""
    read: list[tuple[SavedView, CaseFilter]] = []
    broken = []
    for view in search.saved_views(viewer):
        try:
            read.append((view, search.read_filter(view.query)))
        except Mistakes:
            broken.append(view)
    gone = search.unknown_units([wanted for _, wanted in read])
    broken += [view for view, wanted in read if gone.intersection(wanted.unit)]
    good: list[_Entry] = [(v.name, "star", wanted, v) for v, wanted in read if not gone.intersection(wanted.unit)]
    return good, broken
