"""What waits for a person in the street: the cases with which this person can do something now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import shapely
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Length

from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import cases_for
from gridloop.cases.rules import GUARDS, Move, Situation
from gridloop.cases.workflow import STATES, WITH_UNIT, Step, allowed
from gridloop.handle.field import VERBS
from gridloop.handle.models import Evidence
from gridloop.handle.queries import evidence_for, photographs
from gridloop.kernel import clock
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard
from gridloop.territory import queries as territory
from gridloop.territory.models import Component, Scenery

MOST = 200
PICTURES = 4
"""Pictures of a case that a telephone takes along: the newest of them from before the work."""
NOT_IN_HAND = ("reported", "pending_verify", "pending_filing", "pending_dispatch", "dispatched")
"""Where the workflow lets whoever walks the grid put it right on the spot."""
_SAID = frozenset({"in_unit", "another_person", "may_self_handle", "own_unit"})
"""Guards that can be asked before anything was said: they look at who acts, not at what is handed in."""


def tasks_for(viewer: Viewer) -> QuerySet[Case]:
    """The cases with which the viewer can do something in the street now, the most pressing first."""
    units = _units(viewer)
    free = Q(person_id=None) | Q(person_id=viewer.person_id or 0)
    wanted = Q(pk__in=[])
    if viewer.may("verify"):
        wanted |= Q(state="pending_verify") & free
    if viewer.may("hand_back"):
        wanted |= Q(state__in=WITH_UNIT) & free & (Q(unit_id__in=units) | Q(person_id=viewer.person_id or 0))
    if viewer.may("check"):
        wanted |= Q(state="handled") & ~Q(handled_by_id=viewer.person_id or 0)
    if viewer.may("self_handle"):
        kinds = [key for key, kind in standard.current().case_types.items() if kind.self_handle]
        wanted |= Q(state__in=NOT_IN_HAND, case_type__in=kinds)
    if viewer.may("co_hand_back"):
        parts = CoHandling.objects.filter(
            case=OuterRef("pk"), unit_id__in=units, handed_back_at=None, withdrawn_at=None
        )
        wanted |= Q(Exists(parts)) & Q(state__in=WITH_UNIT)
    return cases_for(viewer).filter(wanted).order_by(F("due_at").asc(nulls_last=True), "id")


def bundle(viewer: Viewer, *, at: datetime | None = None, most: int = MOST) -> dict[str, Any]:
    """All that a telephone needs of the viewer's tasks to work without a link: plain values, at most `most` cases.

    ``tasks`` (each with what can be done, what is asked of evidence, the pictures there are), ``types`` and ``forms``
    of these tasks, ``more`` = how many tasks were left at home.
    """
    now = at or clock.now()
    chosen = tasks_for(viewer)
    cases = list(chosen[: most + 1])
    more = chosen.count() - most if len(cases) > most else 0
    cases = cases[:most]
    ids = [case.id for case in cases]
    counts = photographs(ids)
    pictures = _pictures(viewer, ids)
    parts = _parts(viewer, ids)
    names = territory.names_of([c.region_code for c in cases])
    types: dict[str, Any] = {}
    forms: dict[str, Any] = {}
    tasks = []
    for case in cases:
        held = standard.release(case.pack_release_id)
        kind = held.case_type(case.case_type)
        if case.case_type not in types:
            types[case.case_type] = {
                "name": kind.name.both(), "major": kind.major_name.both(), "kind": kind.kind,
                "evidence": [kind.evidence.before, kind.evidence.after], "form": kind.form,
                "closes_when": {c.id: c.closes_when.both() for c in kind.conditions},
            }  # fmt: skip
        if kind.form and kind.form not in forms:
            forms[kind.form] = dict(held.forms[kind.form])
        tasks.append(
            {
                "number": case.number, "version": case.version, "state": case.state,
                "state_name": STATES[case.state].both(), "type": case.case_type, "text": case.text,
                "address": case.address, "lon": case.lon, "lat": case.lat, "region": case.region_code,
                "region_name": names.get(case.region_code, ""), "urgent": case.urgent, "callers": case.callers,
                "why": case.why, "condition": case.condition, "due_at": case.due_at, "warn_at": case.warn_at,
                "supervised": case.supervised, "reworks": case.reworks, "mine": case.person_id == viewer.person_id,
                "reported_at": case.reported_at, "photographs": counts.get(case.id, (0, 0)),
                "pictures": pictures.get(case.id, []), "part": parts.get(case.id),
                "can": [_verb(s) for s in _possible(case, viewer, kind.self_handle, parts.get(case.id), now)],
            }
        )  # fmt: skip
    return {"at": now, "tasks": tasks, "types": types, "forms": forms, "more": max(more, 0)}


def _units(viewer: Viewer) -> frozenset[int]:
    return frozenset().union(*(g.unit_ids for g in viewer.grants))


def _verb(step: Step) -> dict[str, Any]:
    return {
        "verb": step.verb, "outcome": step.outcome, "name": step.name.both(),
        "reason": "reason" in step.guards, "evidence": "evidence" in step.guards,
    }  # fmt: skip


def _possible(case: Case, viewer: Viewer, self_handle: bool, part: Any, now: datetime) -> list[Step]:
    """The steps that the workflow, the person's post and the guards about persons allow."""
    situation = Situation(
        at=now, person_id=viewer.person_id, unit_ids=_units(viewer), kind=viewer.kind,
        post_units=tuple(g.unit_id for g in viewer.grants), self_handle=self_handle,
    )  # fmt: skip
    return [
        step
        for step in allowed(case.state)
        if step.verb in VERBS
        and viewer.may(step.permission)
        and (step.verb != "co_hand_back" or part is not None)
        and not any(
            GUARDS[name](case, Move(case_id=case.id, verb=step.verb), situation)
            for name in step.guards
            if name in _SAID
        )
    ]


def _parts(viewer: Viewer, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The helping parts that the viewer's units have open in these cases."""
    rows = CoHandling.objects.filter(
        case_id__in=ids, unit_id__in=_units(viewer), handed_back_at=None, withdrawn_at=None
    )
    return {r.case_id: {"unit_id": r.unit_id, "task": r.task, "due_at": r.due_at} for r in rows.order_by("-id")}


def _pictures(viewer: Viewer, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    rows = evidence_for(viewer).filter(case_id__in=ids).order_by("-id")
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows.values("id", "case_id", "stage", "at", "served"):
        of_case = found.setdefault(row["case_id"], [])
        if len(of_case) < PICTURES and (row["served"] or row["stage"] == Evidence.Stage.NOTE):
            of_case.append({"id": row["id"], "stage": row["stage"], "at": row["at"]})
    return found


def own_regions(viewer: Viewer) -> list[str]:
    """The codes of the regions in which the viewer works, the narrowest that say all; [""] = everywhere."""
    codes = {g.region_code if ROLES[g.role].sees == "region" else "" for g in viewer.grants} or {""}
    return sorted(c for c in codes if not any(c != other and c.startswith(other) for other in codes))


def usual_types(regions: Iterable[str], *, at: datetime | None = None, most: int = 12) -> list[str]:
    """The case types of the last 90 days in these regions, the most frequent first: what a telephone guesses alone."""
    now = at or clock.now()
    near = Q(pk__in=[])
    for code in regions:
        near |= Q(region_code__startswith=code)
    recent = Case.objects.filter(near, reported_at__gte=now - timedelta(days=90))
    rows = recent.values("case_type").annotate(n=Count("id")).order_by("-n", "case_type")[:most]
    return [row["case_type"] for row in rows]


PIECES = 3_000
"""Most pieces of ground that a telephone takes along."""
_MARGIN = 0.002
"""Degrees around the own region: some 200 m, so that one sees where the next street goes."""


def ground(viewer: Viewer) -> dict[str, Any]:
    """The map of the viewer's own regions for the road: ``regions`` (own, and the next levels below), ``ground``.

    Each piece: ``kind`` (a level, or road, water, green, building), ``name``, ``code``, ``rank``, and ``rings``: lists
    of [longitude, latitude] in WGS-84 degrees. In a whole district only what is seen from afar is taken along.
    """
    codes = own_regions(viewer)
    size = min(len(code) for code in codes)
    digits = next((d for d in (9, 12, 16, 19) if d > size), 19)
    below = Q(pk__in=[])
    for code in codes:
        below |= Q(code__startswith=code)
    rows = list(
        territory.active()
        .annotate(digits=Length("code"))
        .filter(below, digits__lte=digits, digits__gte=size, geometry__isnull=False)[:PIECES]
    )
    regions = [{"kind": row.level, "code": row.code, "name": row.name, "rings": _rings(row.shape)} for row in rows]
    if not rows:
        return {"regions": [], "ground": [], "synthetic": False}
    west, south = min(r.west or 0 for r in rows) - _MARGIN, min(r.south or 0 for r in rows) - _MARGIN
    east, north = max(r.east or 0 for r in rows) + _MARGIN, max(r.north or 0 for r in rows) + _MARGIN
    pieces = Scenery.objects.filter(west__lte=east, east__gte=west, south__lte=north, north__gte=south)
    if size <= 9:
        pieces = pieces.filter(rank=1).exclude(kind="building")
    drawn = [
        {"kind": p.kind, "rank": p.rank, "name": p.name, "rings": _rings(shapely.from_wkb(bytes(p.geometry)))}
        for p in pieces.order_by("rank", "id")[:PIECES]
    ]
    return {"regions": regions, "ground": drawn, "synthetic": any(r.synthetic for r in rows)}


def _rings(shape: Any) -> list[list[list[float]]]:
    """The lines of a shape, or the outer and inner rings of its polygons, to 1e-6 degrees (0.1 m)."""
    parts = getattr(shape, "geoms", [shape])
    lines = [line for p in parts for line in ([p.exterior, *p.interiors] if p.geom_type == "Polygon" else [p])]
    return [np.round(np.asarray(line.coords)[:, :2], 6).tolist() for line in lines]


def component(code: str) -> dict[str, Any] | None:
    """What is known of a component whose code somebody scanned or typed; None if there is none."""
    row = Component.objects.filter(code=code, ends_on=None).first()
    if row is None:
        return None
    types = [t for t in standard.current().case_types.values() if t.code == row.kind]
    return {
        "code": row.code, "name": row.name, "kind": row.kind, "lon": row.lon, "lat": row.lat,
        "condition": row.condition, "types": [t.key for t in types],
    }  # fmt: skip
