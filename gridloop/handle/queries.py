"""What evidence there is, and who may see it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count, Q, QuerySet

from gridloop.cases.queries import cases_for
from gridloop.handle.models import Evidence
from gridloop.people.viewer import Viewer

BEFORE = (Evidence.Stage.REPORT, Evidence.Stage.VERIFY, Evidence.Stage.BEFORE)


def photographs(case_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many photographs each case has of before and of after the work. One query."""
    rows = (
        Evidence.objects.filter(case_id__in=case_ids)
        .values("case_id")
        .annotate(before=Count("id", filter=Q(stage__in=BEFORE)), after=Count("id", filter=Q(stage="after")))
    )
    return {row["case_id"]: (row["before"], row["after"]) for row in rows}


def evidence_for(viewer: Viewer) -> QuerySet[Evidence]:
    """The evidence of the cases that the viewer may see."""
    if viewer.kind == "system":
        return Evidence.objects.all()
    return Evidence.objects.filter(case_id__in=cases_for(viewer).values("id"))
