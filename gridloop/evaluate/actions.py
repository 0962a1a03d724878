"""Writing the facts: one row per case, the same whether kept by the events or rebuilt from the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from gridloop.cases.models import Case
from gridloop.cases.workflow import STAGES
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.rules import on_time, responded
from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.models import Event
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import Standard

_COLUMNS = [f.column for f in CaseFact._meta.concrete_fields if not f.primary_key]
_UPSERT = "ON CONFLICT (case_id) DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in _COLUMNS)


def note_cases(case_ids: Sequence[int]) -> int:
    """Write or renew the fact rows of these cases; returns how many."""
    with transaction.atomic():
        cases = list(Case.objects.filter(id__in=case_ids).order_by("id"))
        answers = _answers([c.id for c in cases if c.closed_at is not None or c.reopened])
        units = _units([c.id for c in cases if c.returns or c.reopened])
        standards = {i: standard_queries.release(i) for i in {c.pack_release_id for c in cases}}
        signs = _sign_limits(cases, standards)
        facts = [_fact(c, answers.get(c.id, {}), units.get(c.id), signs.get(c.id)) for c in cases]
        insert_rows(facts, on_conflict=_UPSERT)
    return len(facts)


def rebuild(progress: Callable[[int, int], None] | None = None, *, chunk: int = 2_000) -> int:
    """Write all fact rows anew from the cases and the record; returns how many. In chunks: memory stays flat.

    `progress` is called with (cases done, cases in all). Facts of cases that do not exist are removed.
    """
    total, done, last = Case.objects.count(), 0, 0
    while True:
        ids = list(Case.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True)[:chunk])
        with transaction.atomic():
            stray = CaseFact.objects.filter(case_id__gt=last)
            if ids:
                stray = stray.filter(case_id__lte=ids[-1])
            stray.exclude(case_id__in=ids).delete()
            done += note_cases(ids)
        if progress is not None:
            progress(done, total)
        if not ids:
            return done
        last = ids[-1]


def _sign_limits(cases: Iterable[Case], standards: dict[int, Standard]) -> dict[int, datetime]:
    """By when each dispatched case had to be signed."""
    groups: dict[int, list[Case]] = {}
    for case in cases:
        if case.dispatched_at is not None:
            groups.setdefault(case.pack_release_id, []).append(case)
    due: dict[int, datetime] = {}
    for release, group in groups.items():
        standard = standards[release]
        limits = [standard.stage_limit(c.case_type, "sign") for c in group]
        starts = [c.dispatched_at for c in group if c.dispatched_at is not None]
        due |= zip([c.id for c in group], standard.calendar.deadlines(starts, limits), strict=True)
    return due


def _answers(case_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the reporters said in the newest round: any "no" counts as not solved, the worst grade as the grade."""
    if not case_ids:
        return {}
    found: dict[int, dict[str, Any]] = {}
    named = Event.objects.filter(
        subject__in=[f"case:{i}" for i in case_ids], name__in=["ReporterAsked", "ReporterAnswered"]
    ).order_by("id")
    rounds: dict[int, int] = {}
    of_callback: dict[int, int] = {}
    for event in named:
        case, data = int(event.subject.removeprefix("case:")), event.data
        if event.name == "ReporterAsked":
            of_callback[data["callback"]] = data["round"]
            if data["round"] > rounds.get(case, 0):
                rounds[case] = data["round"]
                found[case] = {"asked": 0, "resolved": None, "satisfied": None}
            found[case]["asked"] += 1
        elif case in rounds and of_callback.get(data["callback"]) == rounds[case]:
            row = found[case]
            row["resolved"] = data["resolved"] if row["resolved"] is None else row["resolved"] and data["resolved"]
            if data["satisfied"] is not None:
                row["satisfied"] = min(data["satisfied"], row["satisfied"] or 5)
    return found


def _units(case_ids: Sequence[int]) -> dict[int, int]:
    """To how many different units each case was dispatched."""
    sent: dict[int, set[int]] = {}
    events = Event.objects.filter(subject__in=[f"case:{i}" for i in case_ids], name="CaseDispatched")
    for subject, data in events.values_list("subject", "data"):
        unit = data["set"].get("unit_id")
        if unit is not None:
            sent.setdefault(int(subject.removeprefix("case:")), set()).add(unit)
    return {case: len(units) for case, units in sent.items()}


def _fact(case: Case, answers: dict[str, Any], units: int | None, sign_by: datetime | None) -> CaseFact:
    with_unit = STAGES.get(case.state) == "handle"
    stopped_late = case.state == "suspended" and case.paused_left is None and case.handle_due_at is not None
    judged = on_time(
        case.handled_at,
        case.handle_due_at if case.state != "cancelled" else None,  # what was void is not judged
        ended_at=case.closed_at,
        late=stopped_late or (with_unit and case.overdue_at is not None),
    )
    unsigned_at = case.closed_at or (case.overdue_at if with_unit else None)
    return CaseFact(
        case_id=case.id,
        case_type=case.case_type,
        unit_id=case.unit_id,
        region_code=case.region_code,
        source=case.source,
        state=case.state,
        reported_at=case.reported_at,
        opened_at=case.opened_at,
        filed_at=case.filed_at,
        dispatched_at=case.dispatched_at,
        signed_at=case.signed_at,
        handled_at=case.handled_at,
        closed_at=case.closed_at,
        handle_due_at=case.handle_due_at,
        on_time=judged,
        responded=responded(case.signed_at, sign_by, unsigned_at=unsigned_at),
        units=units if units is not None else int(case.dispatched_at is not None),
        returns=case.returns,
        reworks=case.reworks,
        extensions=case.extensions,
        suspensions=case.suspensions,
        reopened=case.reopened,
        callers=case.callers,
        asked=answers.get("asked", 0),
        resolved=answers.get("resolved"),
        satisfied=answers.get("satisfied"),
        exempt=case.exempt,
    )
