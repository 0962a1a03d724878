"""Writing the facts: one row per case, the same whether kept by the events or rebuilt from the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from gridloop.cases.models import Case
from gridloop.cases.workflow import STAGES
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.rules import on_time
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
        elif of_callback.get(data["callback"]) == rounds.get(case):
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
    late = case.overdue_at is not None and STAGES.get(case.state) == "handle"
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
        on_time=on_time(case.handled_at, case.handle_due_at, late=late),
        responded=None if sign_by is None or case.signed_at is None else case.signed_at <= sign_by,
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
