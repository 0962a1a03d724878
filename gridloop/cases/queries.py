"""What can be seen of cases, by whom. `cases_for` is the one door: what it leaves out does not exist for the viewer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from gridloop.cases.models import Case, CoHandling
from gridloop.cases.rules import cells_around
from gridloop.cases.workflow import ENDS
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.sealing import Finding
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer

COMMUNITY = 12
"""Digits of a community's code. A post for less, a grid, sees that grid alone, not all that its unit has in hand."""


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
        if how == "unit" or (how == "region" and len(grant.region_code) <= COMMUNITY):
            helping = CoHandling.objects.filter(case=OuterRef("pk"), unit_id__in=grant.unit_ids)
            seen |= Q(unit_id__in=grant.unit_ids) | Q(Exists(helping))
    if viewer.person_id is not None and viewer.grants and sees != {"none"}:
        seen |= Q(person_id=viewer.person_id)
    return Case.objects.filter(seen)


def open_near(places: Sequence[tuple[str, float, float, float]], *, since: datetime) -> list[Case]:
    """Open cases near any of the places (case type, longitude, latitude, metres), reported since then. One query."""
    pairs = sorted({(kind, cell) for kind, lon, lat, meters in places for cell in cells_around(lon, lat, meters)})
    if not pairs:
        return []
    return list(
        Case.objects.raw(
            "SELECT c.* FROM cases_case c JOIN unnest(%s::text[], %s::bigint[]) AS near(kind, cell) "
            "ON c.case_type = near.kind AND c.cell = near.cell "
            "WHERE c.state NOT IN ('closed', 'forced_close', 'not_accepted', 'cancelled') AND c.reported_at >= %s",
            [[kind for kind, _ in pairs], [cell for _, cell in pairs], since],
        )
    )


# --- the record ------------------------------------------------------------------------------------------------------

TOLD = [f for f in Case._meta.concrete_fields if f.name not in ("id", "text", "address")]
"""The fields whose every change is in the record. Words stay out of it; their digest is in."""
FIELDS = [f.attname for f in TOLD]
DEFAULTS: dict[str, Any] = {
    f.attname: f.get_default() if f.has_default() else "" if f.get_internal_type() == "CharField" else None
    for f in TOLD
}


def stored(value: Any) -> Any:
    """A field's value as an event carries it: moments in UTC to the microsecond, all else as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


def words_of(case: Case) -> str:
    """The digest that stands in the record for the case's text and address."""
    return hashlib.sha256(f"{case.text}\0{case.address}".encode()).hexdigest()


def part_of(part: CoHandling) -> dict[str, Any]:
    """What the record tells of a helping part. Its task stays out: people write names into it."""
    return {name: stored(getattr(part, name)) for name in PART}


PART = ("unit_id", "started_at", "warn_at", "due_at", "overdue_at", "handed_back_at", "withdrawn_at")


def fold(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The case's fields as the data of its events tell them, in their order: what the row must equal."""
    state = {name: stored(value) for name, value in DEFAULTS.items()}
    for data in told:
        state.update(data.get("set", {}))
    return state


def unlike_their_record(*, chunk: int = 2_000) -> Iterator[Finding]:
    """Cases whose row is not what their events say: the row was changed, added or removed behind the application.

    Compares every field but the words, and of the words the digest. Reads in chunks; memory stays flat.
    """
    last = 0
    while True:
        opened = dict(
            Event.objects.filter(name="CaseOpened", id__gt=last).order_by("id").values_list("id", "subject")[:chunk]
        )
        if not opened:
            break
        last = max(opened)
        told: dict[str, list[Event]] = {}
        for event in Event.objects.filter(subject__in=opened.values()).order_by("id").iterator(chunk):
            told.setdefault(event.subject, []).append(event)
        ids = [int(s[5:]) for s in opened.values()]
        rows = {f"case:{c.id}": c for c in Case.objects.filter(id__in=ids)}
        parts: dict[str, dict[str, dict[str, Any]]] = {}
        for part in CoHandling.objects.filter(case_id__in=ids):
            parts.setdefault(f"case:{part.case_id}", {})[str(part.id)] = part_of(part)
        for subject, events in told.items():
            yield from _compare(subject, rows.get(subject), parts.get(subject, {}), events)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM cases_case c WHERE NOT EXISTS (SELECT FROM kernel_event e "
            "WHERE e.subject = 'case:' || c.id AND e.name = 'CaseOpened') ORDER BY id LIMIT 1000"
        )
        for (case_id,) in cursor.fetchall():
            yield Finding(
                "case_without_record",
                (),
                Sentence(
                    zh=f"案件{case_id}没有立案记录：有人绕过系统写入。",
                    en=f"Case {case_id} has no record of its opening: it was written past the application.",
                ),
            )


def _compare(
    subject: str, case: Case | None, parts: Mapping[str, Mapping[str, Any]], events: Sequence[Event]
) -> Iterator[Finding]:
    ids = tuple(e.id for e in events)
    if case is None:
        yield Finding(
            "case_removed",
            ids,
            Sentence(
                zh=f"{subject}有记录却没有了：有人绕过系统删除。",
                en=f"{subject} has a record but is gone: it was removed past the application.",
            ),
        )
        return
    data = [e.data for e in events]
    said = fold(data)
    differs = sorted(n for n, value in said.items() if stored(getattr(case, n)) != value)
    words = next((d["about"]["words"] for d in reversed(data) if "words" in d.get("about", {})), None)
    if words != words_of(case):
        differs.append("text")
    said_parts: dict[str, Any] = {}
    for told in data:
        said_parts |= told.get("about", {}).get("parts", {})
    if said_parts != parts:
        differs.append("co_handlings")
    if differs:
        names = ", ".join(differs)
        yield Finding(
            "case_changed",
            ids,
            Sentence(
                zh=f"案件{case.number}与记录不符：{names}。有人绕过系统改动。",
                en=f"Case {case.number} is not what its record says: {names}. It was changed past the application.",
            ),
        )


def is_open(case: Case) -> bool:
    """Whether the case is still on its way."""
    return case.state not in ENDS


def timeline(case: Case, viewer: Viewer) -> list[dict[str, Any]]:
    """What happened to a case, oldest first. Who looked at a reporter's contact is shown to those who may look too."""
    events = Event.objects.filter(subject=f"case:{case.pk}").order_by("id")
    if not viewer.may("reveal_contact"):
        events = events.exclude(name="ContactRevealed")
    return [
        {
            "id": event.pk,
            "name": event.name,
            "at": event.at,
            "actor": event.actor,
            "reason": event.data.get("reason", ""),
            "set": event.data.get("set", {}),
            "about": event.data.get("about", {}),
        }
        for event in events
    ]


def co_units_of(case: Case) -> list[CoHandling]:
    """The units that help or helped with a case, oldest first."""
    return list(case.co_handlings.order_by("id"))
