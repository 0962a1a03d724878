"""What can be seen of cases, by whom. `cases_for` is the one door: what it leaves out does not exist for the viewer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from gridloop.cases.events import sentence_of
from gridloop.cases.models import Case, CoHandling
from gridloop.cases.rules import ASKS, GUARDS, MAY_BE_EMPTY, Move, Situation, Span, cells_around, spans
from gridloop.cases.workflow import BY_VERB, ENDS, STAGE_NAMES, STAGES, STATES, VERBS, step_for
from gridloop.kernel.errors import not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.sealing import Finding
from gridloop.kernel.worktime import Clock, Limit
from gridloop.people.models import Unit
from gridloop.people.queries import colleagues
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import CaseType

COMMUNITY = 12
"""Digits of a community's code. A post for less, a grid, sees that grid alone, not all that its unit has in hand."""


def cases_for(viewer: Viewer) -> QuerySet[Case]:
    """All cases that the viewer may see."""
    scopes = scopes_of(viewer)
    if scopes is None:
        return Case.objects.all()
    seen = Q(pk__in=[])
    for scope in scopes:
        seen |= scope
    return Case.objects.filter(seen)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far somebody sees who does not see all: cases in places, of units (held or helped), and held by name."""

    places: frozenset[str]
    units: frozenset[int]
    person_id: int | None


def reach_of(viewer: Viewer) -> Reach | None:
    """How far the viewer sees; None if all cases are theirs to see."""
    if viewer.kind == "system" or (viewer.kind == "client" and viewer.may("read_cases")):
        return None
    sees = {ROLES[g.role].sees for g in viewer.grants}
    if "all" in sees:
        return None
    places, units = set[str](), set[int]()
    for grant in viewer.grants:
        how = ROLES[grant.role].sees
        if how == "region" and grant.region_code:
            places.add(grant.region_code)
        if how == "unit" or (how == "region" and len(grant.region_code) <= COMMUNITY):
            units |= grant.unit_ids
    by_name = viewer.person_id is not None and bool(viewer.grants) and sees != {"none"}
    return Reach(frozenset(places), frozenset(units), viewer.person_id if by_name else None)


def scopes_of(viewer: Viewer) -> list[Q] | None:
    """The ways in which a case can be the viewer's to see, any of which is enough; None if all cases are.

    `cases_for` joins them. A list of many cases asks each by itself, for then each can follow an index of its own.
    """
    reach = reach_of(viewer)
    if reach is None:
        return None
    scopes = [Q(region_code__startswith=place) for place in sorted(reach.places)]
    if reach.units:
        helping = CoHandling.objects.filter(case=OuterRef("pk"), unit_id__in=reach.units)
        scopes += [Q(unit_id__in=reach.units), Q(Exists(helping))]
    if reach.person_id is not None:
        scopes.append(Q(person_id=reach.person_id))
    return scopes


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


def case_of(viewer: Viewer, number: str) -> Case:
    """One case by its number, or the answer that does not tell "absent" from "not yours" (`Refused`, 404)."""
    case = cases_for(viewer).filter(number=number).select_related("unit", "person", "handled_by").first()
    if case is None:
        raise not_found()
    return case


def events_of(case: Case, viewer: Viewer) -> list[Event]:
    """What happened to a case, oldest first. Who looked at a reporter's contact is shown to those who may look too."""
    events = Event.objects.filter(subject=f"case:{case.pk}").order_by("id")
    if not viewer.may("reveal_contact"):
        events = events.exclude(name="ContactRevealed")
    return list(events)


def timeline(case: Case, viewer: Viewer) -> list[dict[str, Any]]:
    """What happened to a case, oldest first, as data."""
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
        for event in events_of(case, viewer)
    ]


def co_units_of(case: Case) -> list[CoHandling]:
    """The units that help or helped with a case, oldest first."""
    return list(case.co_handlings.select_related("unit").order_by("id"))


# --- one case as people look at it ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a case as a sentence: who by post and unit, never by name."""

    id: int
    name: str
    at: datetime
    words: Sentence
    reason: str
    """What the actor wrote; as it is, in whatever language."""
    about: Mapping[str, Any]


MACHINE = Sentence(zh="系统", en="The system")
CLIENT = Sentence(zh="接入的系统", en="A connected system")
SOMEBODY = Sentence(zh="一位工作人员", en="Somebody who worked here")
PUBLIC_HAND = Sentence(zh="反映人", en="The reporter")
PHOTOGRAPHS = {
    "report": Sentence(zh="上报照片", en="a photograph of the report"),
    "verify": Sentence(zh="核实照片", en="a photograph of the verification"),
    "before": Sentence(zh="处置前照片", en="a photograph of before the work"),
    "after": Sentence(zh="处置后照片", en="a photograph of after the work"),
    "check": Sentence(zh="核查照片", en="a photograph of the check"),
    "note": Sentence(zh="语音记录", en="a spoken note"),
}
"""What pieces of evidence are called, by the step that they show."""


def story(events: Sequence[Event], said: Mapping[str, Sentence]) -> list[Told]:
    """The events of a case as sentences, in two queries. `said`: the tables of sentences of the stages.

    An event of which no table knows is told by its name: nothing that happened is left out.
    """
    facts: list[dict[str, Any]] = []
    unit: int | None = None
    for event in events:  # a move that leaves the unit as it was does not tell of it again
        unit = event.data.get("set", {}).get("unit_id", unit)
        facts.append({"unit_id": unit, **_facts(event)})
    people = {f["person"] for f in facts if f.get("person")}
    people |= {int(e.actor[7:]) for e in events if e.actor.startswith("person:")}
    units = {i for f in facts for i in (f.get("unit"), f.get("unit_id"), *f.get("units", ())) if i}
    known = {key: c.office() for key, c in colleagues(people).items()} if people else {}
    names = {u.id: Sentence(zh=u.name, en=u.name_en or u.name) for u in Unit.objects.filter(id__in=units)}
    return [
        Told(e.pk, e.name, e.at, _words(e, f, said, known, names), e.data.get("reason", ""), e.data.get("about", {}))
        for e, f in zip(events, facts, strict=True)
    ]


def _facts(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = {key: value for key, value in event.data.items() if key not in ("set", "about")}
    told: dict[str, Any] = {**data, **event.data.get("set", {}), **event.data.get("about", {})}
    return told | {"person": told.get("person_id")}


def _words(
    event: Event,
    facts: Mapping[str, Any],
    said: Mapping[str, Sentence],
    people: Mapping[int, Sentence],
    units: Mapping[int, Sentence],
) -> Sentence:
    sentence = sentence_of(said, event.name, facts) or Sentence(zh=event.name, en=event.name)
    kind, _, number = event.actor.partition(":")
    who = {"system": MACHINE, "client": CLIENT, "anonymous": PUBLIC_HAND}.get(kind)
    nothing = Sentence(zh="", en="")
    unit = facts.get("unit") or facts.get("unit_id") or 0
    helping = [units.get(i, SOMEBODY) for i in facts.get("units", ())]
    values = {
        "who": who or people.get(int(number or 0), SOMEBODY),
        "person": people.get(facts.get("person") or 0, SOMEBODY),
        "unit": units.get(unit, nothing),
        "units": Sentence(zh="、".join(u.zh for u in helping), en=", ".join(u.en for u in helping)),
        "due": moment_words(facts.get("handle_due_at")),
        "until": moment_words(facts.get("resume_at")),
        "callers": Sentence(zh=str(facts.get("callers", "")), en=str(facts.get("callers", ""))),
        "stage": STAGE_NAMES.get(facts.get("stage", ""), nothing),
        "photo": PHOTOGRAPHS.get(facts.get("stage", ""), nothing),
    }
    zh = sentence.zh.format_map({name: value.zh for name, value in values.items()})
    en = sentence.en.format_map({name: value.en for name, value in values.items()})
    return Sentence(zh=zh, en=en[:1].upper() + en[1:])


def moment_words(at: datetime | str | None) -> Sentence:
    """A moment on the district's clock, to stand within a sentence."""
    if not at:
        return Sentence(zh="", en="")
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    local = moment.astimezone(ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai")))
    return Sentence(zh=f"{local.month}月{local.day}日{local:%H:%M}", en=f"{local:%-d %b %H:%M}")


@dataclass(frozen=True, slots=True)
class Timed:
    """A span of a case with its limit and what of it was used, in the seconds of the limit's own clock."""

    span: Span
    limit: Limit | None
    used: float
    round: int
    """The how-manieth of its stage, from 1."""


@dataclass(frozen=True, slots=True)
class HelperTimed:
    """The clock of a helping unit."""

    part: CoHandling
    end: datetime
    """When it was handed back or withdrawn, or now."""

    @property
    def late(self) -> bool:
        return self.part.due_at is not None and self.part.withdrawn_at is None and self.end > self.part.due_at


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks of a case from its first moment to its last, or to now, or to the deadline that is still to come."""

    start: datetime
    end: datetime
    spans: tuple[Timed, ...]
    helpers: tuple[HelperTimed, ...]
    due: datetime | None
    """The handling deadline that stands."""


def clocks(case: Case, events: Sequence[Event], parts: Sequence[CoHandling], *, now: datetime) -> Clocks:
    """The clocks of a case, from its events. Asks the database for nothing."""
    standard = standard_queries.release(case.pack_release_id)
    found: list[Timed] = []
    rounds: dict[str, int] = {}
    limits = [e.data.get("set", {}).get("handle_limit") for e in events]
    handle_limit = next((text for text in reversed(limits) if text), case.handle_limit)
    for span in spans([(e.at, e.data["set"]) for e in events if "set" in e.data], STAGES, now):
        rounds[span.stage] = rounds.get(span.stage, 0) + 1
        limit: Limit | None = None
        if span.stage == "handle":
            limit = limit_of(handle_limit)
        elif span.stage:
            limit = standard.stage_limit(case.case_type, span.stage)
        clock_of = limit.clock if limit is not None else Clock.NATURAL_DAY
        used = standard.calendar.worked_seconds(span.start, span.end, clock_of)
        found.append(Timed(span, limit, used, rounds[span.stage]))
    helpers = tuple(HelperTimed(p, p.withdrawn_at or p.handed_back_at or case.closed_at or now) for p in parts)
    # A deadline that was kept is no part of the picture; one that is still to come shows how much is left.
    ends = [t.span.end for t in found] + [h.end for h in helpers]
    ends += [t.span.due for t in found if t.span.running and t.span.due is not None]
    if case.closed_at is not None:
        ends.append(case.closed_at)
    return Clocks(case.opened_at, max([case.opened_at, *ends]), tuple(found), helpers, case.handle_due_at)


PROMISED = "promised"
"""`Case.handle_limit` of a case whose deadline its source fixed."""


def limit_of(text: str) -> Limit | None:
    """The limit that `Case.handle_limit` tells; None where there is none, or its source promised a moment."""
    if text in ("", PROMISED):
        return None
    amount, name = text.split()
    return Limit(Decimal(amount), Clock(name))


def promised_at(case: Case) -> datetime | None:
    """When the case is over if each stage still before it takes its whole limit: what a caller may be told.

    None for a case that is at an end, or whose clock stands still.
    """
    stage = STAGES.get(case.state)
    if stage is None:
        return None
    standard = standard_queries.release(case.pack_release_id)
    to_come = ["file", "dispatch", "handle", "check", "close"]
    at = case.due_at or case.stage_at
    for following in to_come[to_come.index(stage) + 1 :] if stage in to_come else to_come:
        if following == "handle":
            limit = standard.case_type(case.case_type).condition(case.condition or None).limit
            at = (
                case.handle_due_at
                if case.handle_limit == PROMISED and case.handle_due_at
                else (standard.calendar.deadline(at, limit))
            )
        else:
            at = standard.calendar.deadline(at, standard.stage_limit(case.case_type, following))
    return at


# --- what may be done ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Possibility:
    """A verb of the workflow, and whether this viewer may use it now."""

    verb: str
    outcome: str
    name: Sentence
    asks: tuple[str, ...]
    """What a form must ask (`rules.ASKS`), in the order of the guards."""
    needs: frozenset[str]
    """Those of `asks` without which it will be refused."""
    why_not: Sentence | None
    """None = it may be done now."""
    here: bool
    """Whether the verb leads on from the present state, whoever may use it."""
    missing: Sentence | None = None
    """What else must be there by then: photographs."""
    parts: tuple[int, ...] = ()
    """The helping units about which it can be."""


def situation(
    case: Case,
    case_type: CaseType,
    viewer: Viewer,
    *,
    at: datetime,
    open_parts: Sequence[CoHandling] = (),
    appeal: Mapping[str, Any] | None = None,
    units: frozenset[int] = frozenset(),
    person_units: Mapping[int, frozenset[int]] | None = None,
) -> Situation:
    """What the guards look at beside the case and the move."""
    return Situation(
        at=at,
        person_id=viewer.person_id,
        unit_ids=None
        if viewer.kind in ("system", "client")
        else frozenset().union(*(g.unit_ids for g in viewer.grants)),
        kind=viewer.kind,
        post_units=tuple(dict.fromkeys(g.unit_id for g in viewer.grants)),
        units=units,
        open_co_units=[p.unit_id for p in open_parts],
        conditions=frozenset(c.id for c in case_type.conditions),
        evidence_needed=(case_type.evidence.before, case_type.evidence.after),
        self_handle=case_type.self_handle,
        appeal=appeal,
        person_units=person_units or {},
    )


APPEALS = ("AppealMade", "AppealReviewed", "AppealDecided", "CaseReopened")


def appeal_told(events: Iterable[Event]) -> dict[str, Any] | None:
    """What is known of the appeal that a case's events (`APPEALS`, oldest first) tell of; None if there is none."""
    found: dict[str, Any] | None = None
    for event in events:
        if event.name == "CaseReopened":
            if "decided" not in (found or {}):  # it lapsed: what is handled anew can be appealed anew
                found = None
        elif event.name in APPEALS:
            found = (found or {}) | event.data["about"]
    return found


def possible(
    case: Case,
    viewer: Viewer,
    *,
    events: Sequence[Event],
    parts: Sequence[CoHandling],
    photographs: tuple[int, int],
    now: datetime,
) -> list[Possibility]:
    """Every verb that leads on from here or that this viewer's posts carry: whether it may be used now, or why not.

    The guards answer, as they will when it is tried; those that look at what is said then (`rules.ASKS`) are what the
    form asks. Asks the database for nothing. `photographs`: of before and after, as the handling stage counts them.
    """
    standard = standard_queries.release(case.pack_release_id)
    open_parts = [p for p in parts if p.handed_back_at is None and p.withdrawn_at is None]
    now_is = situation(
        case, standard.case_type(case.case_type), viewer, at=now, open_parts=open_parts, appeal=appeal_told(events)
    )
    return [
        found
        for verb, outcomes in VERBS.items()
        if verb != "join"
        for outcome in outcomes
        if (found := _possibility(case, verb, outcome, viewer, now_is, photographs)) is not None
    ]


def _possibility(
    case: Case, verb: str, outcome: str, viewer: Viewer, now: Situation, photographs: tuple[int, int]
) -> Possibility | None:
    step = step_for(case.state, verb, outcome)
    rows = BY_VERB[verb, outcome]
    mine = any(viewer.may(row.permission) for row in rows)
    if step is None:
        if not mine:
            return None
        states = [STATES[s] for row in rows for s in row.origins]
        why = Sentence(
            zh=f"只在“{'、'.join(s.zh for s in states)}”时可以。",
            en=f"Possible only while a case is {', '.join(s.en for s in states)}.",
        )
        return Possibility(verb, outcome, rows[0].name, (), frozenset(), why, here=False)
    asks = tuple(dict.fromkeys(a for g in step.guards for a in ASKS.get(g, ())))
    empty = MAY_BE_EMPTY if "person" not in step.guards else MAY_BE_EMPTY - {"person"}
    needs = frozenset(asks) - empty
    move = Move(case_id=case.pk, verb=verb, outcome=outcome, evidence=photographs)
    missing = GUARDS["evidence"](case, move, now) if "evidence" in asks else None
    if not viewer.may(step.permission):
        return Possibility(verb, outcome, step.name, asks, needs, _whose(step.permission), here=True, missing=missing)
    why_not = None
    parts: tuple[int, ...] = ()
    for guard in step.guards:
        if ASKS.get(guard) == ("part",):
            tried = {u: GUARDS[guard](case, replace(move, unit_id=u), now) for u in now.open_co_units}
            parts = tuple(u for u, no in tried.items() if no is None)
            why_not = why_not or (None if parts else next(iter(tried.values()), GUARDS[guard](case, move, now)))
        elif guard not in ASKS:
            why_not = why_not or GUARDS[guard](case, move, now)
    return Possibility(verb, outcome, step.name, asks, needs, why_not, here=True, missing=missing, parts=parts)


def _whose(permission: str) -> Sentence:
    names = [role.name for role in ROLES.values() if permission in role.may]
    return Sentence(
        zh=f"这是{'、'.join(n.zh for n in names)}的事。", en=f"This is for: {', '.join(n.en for n in names).lower()}."
    )
