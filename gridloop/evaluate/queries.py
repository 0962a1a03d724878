"""Figures, and the cases behind each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Case as Choice
from django.db.models import CharField, Count, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat

from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for, scopes_of
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.rules import FACTS
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard.rules.standard import Indicator, Rate

BY = {
    "unit": "unit_id::text",
    "street": "left(region_code, 9)",
    "community": "left(region_code, 12)",
    "grid": "left(region_code, 16)",
    "case_type": "case_type",
    "source": "source",
    "all": "''",
}
"""What figures can be grouped by."""


@dataclass(frozen=True, slots=True)
class Span:
    """Cases opened from `start` (included) to `end` (left out); None = without limit."""

    start: datetime | None = None
    end: datetime | None = None

    def twice(self) -> list[datetime | None]:
        """The parameters of `_COUNTED`."""
        return [self.start, self.start, self.end, self.end]


_COUNTED = "NOT exempt AND (%s::timestamptz IS NULL OR opened_at >= %s) AND (%s::timestamptz IS NULL OR opened_at < %s)"
"""The facts that figures count: a granted appeal leaves its case out."""


def _condition(facts: Sequence[tuple[str, bool]]) -> str:
    parts = []
    for name, wanted in facts:
        if name not in FACTS:
            raise KeyError(f"no fact {name!r}; there are {', '.join(FACTS)}")
        parts.append(f"({FACTS[name]})" if wanted else f"NOT ({FACTS[name]})")
    return " AND ".join(parts) or "TRUE"


def rates(
    indicators: Sequence[Indicator], *, by: str, viewer: Viewer, span: Span = Span()
) -> Mapping[str, Mapping[str, Rate]]:
    """Each indicator for each group, as ``{group: {indicator: Rate}}``. One query. Exempt cases are left out."""
    viewer.need("read_scores")
    counts = []
    for indicator in indicators:
        due, hit = _condition(indicator.out_of), _condition((*indicator.out_of, *indicator.count))
        counts += [f"count(*) FILTER (WHERE {hit})", f"count(*) FILTER (WHERE {due})"]
    sql = (
        f"SELECT coalesce({BY[by]}, '') AS grp, {', '.join(counts)} FROM evaluate_casefact "  # noqa: S608 - our own tables
        f"WHERE {_COUNTED} GROUP BY grp ORDER BY grp"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, span.twice())
        return {
            row[0]: {i.id: i.of(row[1 + 2 * n], row[2 + 2 * n]) for n, i in enumerate(indicators)}
            for row in cursor.fetchall()
        }


def cases_behind(
    indicator: Indicator, *, by: str, group: str, viewer: Viewer, span: Span = Span(), hits: bool = True
) -> QuerySet[Case]:
    """The cases that a figure counted: its numerator (`hits`) or its denominator, as far as the viewer may see them."""
    viewer.need("read_scores")
    where = _condition((*indicator.out_of, *indicator.count) if hits else indicator.out_of)
    sql = (
        f"(SELECT case_id FROM evaluate_casefact WHERE {_COUNTED} "  # noqa: S608
        f"AND {where} AND coalesce({BY[by]}, '') = %s)"
    )
    behind = RawSQL(sql, [*span.twice(), group])  # noqa: S611 - our own words and columns
    return cases_for(viewer).filter(id__in=behind).order_by("id")


# --- what a day did --------------------------------------------------------------------------------------------------

PASSED: Mapping[str, tuple[Sentence, tuple[str, ...]]] = {
    "opened": (Sentence(zh="立案受理", en="opened"), ("CaseOpened",)),
    "dispatched": (Sentence(zh="派遣", en="dispatched"), ("CaseDispatched",)),
    "handed_back": (Sentence(zh="处置完成", en="handed back"), ("CaseHandedBack", "CaseSelfHandled")),
    "checked": (Sentence(zh="核查通过", en="found solved"), ("CheckPassed",)),
    "closed": (Sentence(zh="结案", en="closed"), ("CaseClosed",)),
    "reopened": (Sentence(zh="重办", en="reopened"), ("CaseReopened",)),
}
"""What cases pass on their way, by the events that say so. A case that passed twice in a span is counted once."""


def passed(viewer: Viewer, span: Span) -> dict[str, int]:
    """How many of the viewer's cases passed each step of `PASSED` in the span. One query."""
    step = Choice(*(When(name__in=events, then=Value(step)) for step, (_, events) in PASSED.items()))
    rows = _events(viewer, span, [name for _, events in PASSED.values() for name in events])
    counted = rows.annotate(step=step).values_list("step").annotate(n=Count("subject", distinct=True)).order_by()
    return dict.fromkeys(PASSED, 0) | dict(counted)


def last_passed(viewer: Viewer) -> datetime | None:
    """When one of the viewer's cases last passed a step; None = never."""
    rows = _events(viewer, Span(), [name for _, events in PASSED.values() for name in events])
    return rows.order_by("-id").values_list("at", flat=True).first()


def cases_that_passed(viewer: Viewer, step: str, span: Span) -> QuerySet[Case]:
    """The cases behind one figure of `passed`, the latest first."""
    subjects = _events(SYSTEM, span, PASSED[step][1]).values("subject")
    return cases_for(viewer).annotate(subject=_SUBJECT).filter(subject__in=subjects).order_by("-id")


def _events(viewer: Viewer, span: Span, names: Sequence[str]) -> QuerySet[Event]:
    rows = Event.objects.filter(name__in=names)
    if span.start is not None:
        rows = rows.filter(at__gte=span.start)
    if span.end is not None:
        rows = rows.filter(at__lt=span.end)
    if scopes_of(viewer) is None:
        return rows
    return rows.filter(subject__in=cases_for(viewer).annotate(subject=_SUBJECT).values("subject"))


_SUBJECT = Concat(Value("case:"), Cast("id", CharField()))


# --- one region ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Brief:
    """How a region stands in a span: handled on time out of what was due, and its commonest types with how many."""

    on_time: int
    due: int
    types: list[tuple[str, int]]


def brief_of(region: str, *, viewer: Viewer, span: Span, most: int = 3) -> Brief:
    """The viewer's cases at and below a region that were opened in the span. One query; exempt cases are left out."""
    facts = CaseFact.objects.filter(region_code__startswith=region, exempt=False)
    if span.start is not None:
        facts = facts.filter(opened_at__gte=span.start)
    if span.end is not None:
        facts = facts.filter(opened_at__lt=span.end)
    if scopes_of(viewer) is not None:
        facts = facts.filter(case_id__in=cases_for(viewer).filter(region_code__startswith=region).values("pk"))
    rows = facts.values_list("case_type").annotate(
        n=Count("pk"), hit=Count("pk", filter=Q(on_time=True)), due=Count("pk", filter=Q(on_time__isnull=False))
    )
    found = sorted(rows, key=lambda row: (-row[1], row[0]))
    return Brief(sum(r[2] for r in found), sum(r[3] for r in found), [(r[0], r[1]) for r in found[:most]])
