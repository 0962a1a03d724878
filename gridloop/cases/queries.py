"""What can be seen of cases, by whom. `cases_for` is the one door: what it leaves out does not exist for the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from gridloop.cases.models import Case, CoHandling
from gridloop.cases.rules import cells_around
from gridloop.cases.workflow import ENDS
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer


def cases_for(viewer: Viewer) -> QuerySet[Case]:
    """All cases that the viewer may see."""
    if viewer.kind == "system" or (viewer.kind == "client" and viewer.may("read_cases")):
        return Case.objects.all()
    sees = {ROLES[g.role].sees for g in viewer.grants}
    if "all" in sees:
        return Case.objects.all()
    seen = Q(pk__in=[])
    for grant in viewer.grants:
        how = ROLES[grant.role].sees
        if how == "region" and grant.region_code:
            seen |= Q(region_code__startswith=grant.region_code)
        if how in ("region", "unit"):
            helping = CoHandling.objects.filter(case=OuterRef("pk"), unit_id__in=grant.unit_ids)
            seen |= Q(unit_id__in=grant.unit_ids) | Q(Exists(helping))
    if viewer.person_id is not None and viewer.grants and sees != {"none"}:
        seen |= Q(person_id=viewer.person_id)
    return Case.objects.filter(seen)


def open_near(
    places: Sequence[tuple[str, float, float, float]], *, since: datetime
) -> list[Case]:
    """Open cases near any of the places (case type, longitude, latitude, metres), reported since then. One query."""
    pairs = sorted({(kind, cell) for kind, lon, lat, meters in places for cell in cells_around(lon, lat, meters)})
    if not pairs:
        return []
    from gridloop.cases.models import Case as Row

    return list(
        Row.objects.raw(
            "SELECT c.* FROM cases_case c JOIN unnest(%s::text[], %s::bigint[]) AS near(kind, cell) "
            "ON c.case_type = near.kind AND c.cell = near.cell "
            "WHERE c.state NOT IN ('closed', 'forced_close', 'not_accepted', 'cancelled') AND c.reported_at >= %s",
            [[kind for kind, _ in pairs], [cell for _, cell in pairs], since],
        )
    )


def is_open(case: Case) -> bool:
    """Whether the case is still on its way."""
    return case.state not in ENDS
