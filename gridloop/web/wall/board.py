"""The wall of the command centre: the district at a glance, each figure with the cases behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from gridloop.cases.search import CaseFilter, counts, foremost, overdue_by_unit
from gridloop.cases.workflow import STATES
from gridloop.evaluate.queries import PASSED, Span, cases_behind, cases_that_passed, last_passed, passed, rates
from gridloop.handle.queries import newest_pairs
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.paging import slice_of
from gridloop.people.models import Unit
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard
from gridloop.web.shell.pages import show, staff
from gridloop.web.shell.tags import zone

WATCHERS = ("read_scores", "supervise", "dispatch")
"""Who may stand before the wall. What they see of it is still theirs: a street's wall shows the street."""
GROUPS = (
    ("intake", Sentence(zh="待立案", en="to be filed"), ("reported", "pending_verify", "pending_filing")),
    ("dispatch", Sentence(zh="待派遣", en="to be dispatched"), ("pending_dispatch", "returned")),
    ("sign", Sentence(zh="待签收", en="to be signed for"), ("dispatched",)),
    ("work", Sentence(zh="处置中", en="in hand"), ("handling", "rework")),
    ("halt", Sentence(zh="挂账", en="suspended"), ("suspended",)),
    ("look", Sentence(zh="待核查结案", en="to be checked and closed"), ("handled", "pending_close")),
)
"""The open states as the wall joins them."""
COLOURS = ("green", "yellow", "red", "paused")
RANKED = ("on_time_rate", "resolved_rate")
"""Units are ranked by these of the pack's indicators, the first one first: outcomes, never clicks or log-ins."""
ROWS = 8


@dataclass(frozen=True, slots=True)
class Ranked:
    """One unit of the ranking. `place` is None below the small-sample limit: shown, not ranked."""

    unit: Unit
    place: int | None
    rates: tuple[Any, ...]


def _midnight(now: datetime) -> datetime:
    return now.astimezone(zone()).replace(hour=0, minute=0, second=0, microsecond=0)


def _day(request: HttpRequest, viewer: Viewer, now: datetime) -> Span:
    """The day that is shown: the one asked for (``?day=``), else the last on which anything happened."""
    start = _midnight(last_passed(viewer) or now)
    asked = request.GET.get("day", "")
    if asked:
        try:
            start = datetime.strptime(asked, "%Y-%m-%d").replace(tzinfo=zone())
        except ValueError:
            raise Mistakes(
                [
                    Mistake(
                        "day",
                        Sentence(zh="不是日期", en="is not a day"),
                        Sentence(zh="例如 2026-11-22", en="for example 2026-11-22"),
                    )
                ]
            ) from None
    return Span(start, start + timedelta(days=1))


def _ranking(viewer: Viewer, now: datetime) -> list[Ranked] | None:
    """The units by their outcomes this month; None for whom scores are not meant."""
    if not viewer.may("read_scores"):
        return None
    known = standard.current().indicators
    chosen = [known[name] for name in RANKED if name in known]
    found = rates(chosen, by="unit", viewer=viewer, span=Span(_month(now))) if chosen else {}
    units = {str(u.pk): u for u in Unit.objects.filter(pk__in=[int(g) for g in found if g])}
    rows = [(units[group], tuple(of[i.id] for i in chosen)) for group, of in found.items() if group in units]
    rows = [row for row in rows if row[1][0].value is not None]
    rows.sort(key=lambda row: (row[1][0].small_sample, -(row[1][0].value or 0), -row[1][0].out_of, row[0].code))
    places: list[Ranked] = []
    for unit, of in rows:
        above = places[-1] if places else None
        place: int | None = None
        if not of[0].small_sample:
            same = above is not None and above.rates[0].value == of[0].value
            place = above.place if same and above is not None else len(places) + 1
        places.append(Ranked(unit, place, of))
    return places


def _month(now: datetime) -> datetime:
    return _midnight(now).replace(day=1)


def _board(request: HttpRequest, viewer: Viewer) -> dict[str, Any]:
    now = clock.now()
    day = _day(request, viewer, now)
    cells = [CaseFilter(state=states, clock=(colour,)) for _, _, states in GROUPS for colour in COLOURS]
    whole = [CaseFilter(state=states) for _, _, states in GROUPS]
    alarms = [
        CaseFilter(open=True, clock=("red",)),
        CaseFilter(open=True, clock=("yellow",)),
        CaseFilter(open=True, supervised=True),
        CaseFilter(open=True, urgent=True),
        CaseFilter(open=True, reopened=True),
    ]
    numbers = counts(viewer, [*whole, *cells, *alarms], now=now)
    sums, each, told = numbers[: len(whole)], numbers[len(whole) : -len(alarms)], numbers[-len(alarms) :]
    groups = [
        {
            "key": key,
            "name": name,
            "count": sums[n],
            "query": whole[n].query(),
            "cells": [
                {"colour": colour, "count": each[n * len(COLOURS) + m], "query": cells[n * len(COLOURS) + m].query()}
                for m, colour in enumerate(COLOURS)
            ],
        }
        for n, (key, name, _) in enumerate(GROUPS)
    ]
    flow = passed(viewer, day)
    names = ("overdue", "near", "supervised", "urgent", "reopened")
    return {
        "now": now,
        "day": day.start,
        "groups": groups,
        "most": max((c.n for c in each), default=0) or 1,
        "open": sum(c.n for c in sums),
        "alarms": [{"key": k, "count": c, "query": f.query()} for k, c, f in zip(names, told, alarms, strict=True)],
        "flow": [{"key": k, "name": PASSED[k][0], "count": flow[k]} for k in PASSED],
        "late": foremost(viewer, [alarms[0]], now=now, each=4)[0],
        "late_units": overdue_by_unit(viewer, now=now, most=5),
        "ranking": (ranking := _ranking(viewer, now)) and ranking[:ROWS],
        "indicators": [standard.current().indicators[i] for i in RANKED if i in standard.current().indicators],
        "pairs": newest_pairs(viewer, most=3),
        "types": standard.current().case_types,
        "states": STATES,
    }


@staff(*WATCHERS)
def wall(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The whole board. It asks for its parts again by itself, and shows how old they are."""
    return show(request, "wall/wall.html", _board(request, viewer))


@staff(*WATCHERS)
def parts(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The figures alone, as the page fetches them every fifteen seconds."""
    return show(request, "wall/_board.html", _board(request, viewer))


def _listed(request: HttpRequest, viewer: Viewer, heading: Sentence, cases: Any) -> HttpResponseBase:
    page = slice_of(
        [cases.select_related("unit")], cursor=request.GET.get("cursor", ""), limit=50, sort="-id", sorts={}
    )
    context = {"heading": heading, "page": page, "types": standard.current().case_types}
    return show(request, "wall/behind.html", context)


@staff(*WATCHERS)
def behind_step(request: HttpRequest, viewer: Viewer, step: str) -> HttpResponseBase:
    """The cases that passed a step on the day."""
    if step not in PASSED:
        raise not_found()
    span = _day(request, viewer, clock.now())
    day = span.start.date().isoformat() if span.start else ""
    heading = Sentence(zh=f"{day} {PASSED[step][0].zh}", en=f"{PASSED[step][0].en} on {day}")
    return _listed(request, viewer, heading, cases_that_passed(viewer, step, span))


@staff("read_scores")
def behind_unit(request: HttpRequest, viewer: Viewer, unit_id: int) -> HttpResponseBase:
    """The cases that a unit's rate of this month counted: those due, or (``?hits=1``) those that met it."""
    unit = Unit.objects.filter(pk=unit_id).first()
    indicator = standard.current().indicators.get(request.GET.get("indicator") or RANKED[0])
    if unit is None or indicator is None:
        raise not_found()
    hits = request.GET.get("hits") == "1"
    rows = cases_behind(
        indicator, by="unit", group=str(unit.pk), viewer=viewer, span=Span(_month(clock.now())), hits=hits
    )
    part = Sentence(zh="分子", en="counted") if hits else Sentence(zh="分母", en="out of")
    heading = Sentence(
        zh=f"{unit.name} · {indicator.name.zh} · {part.zh}",
        en=f"{unit.name_en or unit.name} · {indicator.name.en} · {part.en}",
    )
    return _listed(request, viewer, heading, rows.order_by("-id"))
