"""The only place where a case changes. Every function takes a sequence and is one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import QuerySet

from gridloop.cases import events as e
from gridloop.cases import rules, search
from gridloop.cases.models import Case, CaseWords, CoHandling, DayCounter, SavedView
from gridloop.cases.queries import (
    APPEALS,
    DEFAULTS,
    FIELDS,
    PROMISED,
    appeal_told,
    cases_for,
    limit_of,
    part_of,
    situation,
    stored,
    words_of,
)
from gridloop.cases.rules import Move
from gridloop.cases.workflow import STAGES, STATES, VERBS, Step, allowed, name_of, step_for
from gridloop.kernel import clock
from gridloop.kernel.bulk import insert_rows, update_rows
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.worktime import Clock, Limit
from gridloop.people.queries import standing_of, units_at_work
from gridloop.people.roles import ROLES
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import CaseType, Standard

WARN_SHARE = 0.8
"""Yellow from 80 % of a limit, red from 100 % (traffic light of a real system, DOMAIN.md §1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """A case to be opened: what triage decided about a report."""

    case_type: str
    state: str
    source: str
    text: str
    address: str = ""
    lon: float | None = None
    lat: float | None = None
    region_code: str = ""
    condition: str = ""
    urgent: bool = False
    reported_at: datetime
    due_at: datetime | None = None
    reports: tuple[int, ...] = ()
    pictures: tuple[int, ...] = ()
    """Pictures that came with the reports, as the handling stage numbers them."""
    callers: int = 1
    why: Sentence | None = None
    at: datetime | None = None


def open_cases(new: Sequence[NewCase], *, viewer: Viewer, at: datetime | None = None) -> list[Case]:
    """Open cases; returns them in order, each with its number, in the state that triage chose."""
    if not new:
        return []
    now = at or clock.now()
    standard = standard_queries.current()
    types = {key: standard.case_type(key) for key in {n.case_type for n in new}}
    cases = [_new_case(n, types[n.case_type], n.at or now) for n in new]
    _set_clocks([(case, standard) for case in cases])
    with transaction.atomic():
        _number(cases, standard.district, standard.calendar.zone)
        insert_rows(cases)
        insert_rows([_words(case) for case in cases])
        publish(
            [
                e.CaseOpened(
                    subject=f"case:{case.id}",
                    actor=viewer.actor,
                    at=case.opened_at,
                    version=case.version,
                    set=_fields_set(case),
                    about={"reports": list(n.reports), "words": words_of(case)} | _with(n.pictures),
                )
                for case, n in zip(cases, new, strict=True)
            ]
        )
    return cases


def _words(case: Case) -> CaseWords:
    return CaseWords(case_id=case.id, lexemes=rules.lexemes_of(case.number, case.text, case.address))


def _new_case(new: NewCase, case_type: CaseType, at: datetime) -> Case:
    if new.state not in STATES:
        raise ValueError(f"no state {new.state!r}")
    condition = new.condition or case_type.default_condition
    case = Case(
        state=new.state,
        pack_release_id=case_type.release,
        case_type=case_type.key,
        catalog_version=case_type.catalog_version,
        condition=condition,
        urgent=new.urgent or case_type.urgent,
        source=new.source,
        text=new.text,
        address=new.address,
        lon=new.lon,
        lat=new.lat,
        region_code=new.region_code,
        cell=rules.cell_of(new.lon, new.lat),
        callers=new.callers,
        why=new.why.both() if new.why else None,
        reported_at=new.reported_at,
        opened_at=at,
        filed_at=at if new.state == "pending_dispatch" else None,
        stage_at=at,
    )
    if new.due_at is not None:
        case.handle_due_at, case.handle_limit = new.due_at, PROMISED
    return case


def _number(cases: Sequence[Case], district: str, zone: Any) -> None:
    """Give numbers, one block a day. Taken late in the transaction, since the day's counter is locked until its end."""
    tz = zone if not isinstance(zone, str) else ZoneInfo(zone)
    county = (district or "000000")[:6]
    days = [f"{county}{case.opened_at.astimezone(tz):%Y%m%d}" for case in cases]
    counts = Counter(days)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {DayCounter._meta.db_table} AS c (day, last) "  # noqa: S608
            "SELECT * FROM unnest(%s::text[], %s::bigint[]) AS v(day, n) ORDER BY day "
            "ON CONFLICT (day) DO UPDATE SET last = c.last + excluded.last RETURNING day, last",
            [sorted(counts), [counts[d] for d in sorted(counts)]],
        )
        last = dict(cursor.fetchall())
    following = {day: last[day] - counts[day] for day in counts}
    for case, day in zip(cases, days, strict=True):
        following[day] += 1
        case.number = f"{day}{following[day]:05d}"


def _with(pictures: Sequence[int]) -> dict[str, Any]:
    return {"pictures": list(pictures)} if pictures else {}


# --- clocks ------------------------------------------------------------------------------------------------------


def _limit_text(limit: Limit) -> str:
    return f"{limit.amount} {limit.clock}"


def _handle_clock(case: Case) -> Clock:
    limit = limit_of(case.handle_limit)
    return limit.clock if limit else Clock.NATURAL_DAY


def _set_clocks(pairs: Sequence[tuple[Case, Standard]]) -> None:
    """Set `due_at` and `warn_at` of the step that each case has just entered. One pass per standard and limit."""
    groups: dict[int, list[tuple[Case, Standard, Limit | None]]] = {}
    for case, standard in pairs:
        case.overdue_at = case.warn_at = case.due_at = None
        stage = STAGES.get(case.state)
        if stage is None:
            continue
        if stage == "handle":
            case.due_at = case.handle_due_at
            limit = None
        else:
            limit = standard.stage_limit(case.case_type, stage)
        groups.setdefault(id(standard), []).append((case, standard, limit))
    for group in groups.values():
        calendar = group[0][1].calendar
        fresh = [(case, limit) for case, _, limit in group if limit is not None]
        if fresh:
            dues = calendar.deadlines([c.stage_at for c, _ in fresh], [limit for _, limit in fresh])
            for (case, _), due in zip(fresh, dues, strict=True):
                case.due_at = due
        timed = [(case, limit) for case, _, limit in group if case.due_at is not None]
        if timed:
            clocks = [limit.clock if limit is not None else _handle_clock(case) for case, limit in timed]
            starts = [min(c.stage_at, c.due_at) for c, _ in timed if c.due_at is not None]
            warns = calendar.moments_at_share(starts, [c.due_at for c, _ in timed if c.due_at], WARN_SHARE, clocks)
            for (case, _), warn in zip(timed, warns, strict=True):
                case.warn_at = warn


# --- moving ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """One move under way."""

    case: Case
    move: Move
    step: Step
    at: datetime
    standard: Standard
    case_type: CaseType
    before: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)
    parts: list[CoHandling] = field(default_factory=list)
    """The helping parts that are open, and those that the move adds."""
    parts_before: Mapping[int, dict[str, Any]] = field(init=False)
    appeal: Mapping[str, Any] = field(default_factory=dict)
    event: type[e.CaseEvent] | None = None
    new_deadline: bool = False

    def __post_init__(self) -> None:
        self.parts_before = {p.id: part_of(p) for p in self.parts}

    def changed_parts(self) -> list[CoHandling]:
        return [p for p in self.parts if p.pk is None or part_of(p) != self.parts_before[p.pk]]


QUIET = frozenset({"join", "remind", "supervise"})
"""Verbs that change nothing on which another person's decision rests: they leave the version alone."""


def move_cases(moves: Sequence[Move], *, viewer: Viewer, at: datetime | None = None) -> list[Case]:
    """Do one move with each of several cases, all or none; returns the cases in order.

    Raises `Refused` with one sentence (one move), or `Mistakes` naming each refused case (several). A case that is
    absent and one that the viewer may not see are refused alike.
    """
    if not moves:
        return []
    now = at or clock.now()
    ids = [m.case_id for m in moves]
    if len(set(ids)) < len(ids):
        raise Refused(
            Sentence(zh="同一案件一次只能办理一步。", en="A case can be moved once in a call."),
            status=422,
            code="twice",
        )
    with transaction.atomic():
        seen = {c.id: c for c in cases_for(viewer).filter(id__in=ids).select_for_update(of=("self",)).order_by("id")}
        refused: list[tuple[str, Refused]] = []
        works: list[_Work] = []
        context = _context(list(seen.values()), moves, viewer)
        for move in moves:
            case = seen.get(move.case_id)
            try:
                works.append(_prepare(case, move, viewer, move.at or now, context))
            except Refused as no:
                refused.append((case.number if case is not None else f"case {move.case_id}", no))
        if refused:
            raise _all_refused(refused, len(moves))
        for work in works:
            _effect(work, viewer)
        _finish(works, viewer)
    return [w.case for w in works]


def _all_refused(refused: Sequence[tuple[str, Refused]], asked: int) -> Refused | Mistakes:
    if asked == 1:
        return refused[0][1]
    instead = Sentence(zh="去掉它，或先解决它", en="leave it out, or settle it first")
    return Mistakes([Mistake(number, no.sentence, instead) for number, no in refused])


@dataclass(slots=True)
class _Context:
    co_units: Mapping[int, list[CoHandling]]
    appeals: Mapping[int, dict[str, Any]]
    person_units: Mapping[int, frozenset[int]]
    units: frozenset[int]
    standards: dict[int, Standard]


_WITH_PARTS = frozenset({"dispatch", "hand_back", "self_handle", "co_hand_back", "withdraw_co_unit", "add_co_units"})
_WITH_PARTS |= {"force_close", "cancel", "resume"}
"""The verbs that look at the helping units."""
_TO_UNIT = frozenset({"dispatch", "add_co_units"})
_TO_PERSON = frozenset({"accept", "assign", "dispatch"})


def _context(cases: Sequence[Case], moves: Sequence[Move], viewer: Viewer) -> _Context:
    verbs = {m.verb for m in moves}
    ids = [c.id for c in cases]
    helping: dict[int, list[CoHandling]] = {}
    if verbs & _WITH_PARTS:
        open_parts = CoHandling.objects.filter(case_id__in=ids, handed_back_at=None, withdrawn_at=None)
        for part in open_parts.select_for_update().order_by("id"):
            helping.setdefault(part.case_id, []).append(part)
    appeals: dict[int, dict[str, Any]] = {}
    if verbs & {"appeal", "decide_appeal"}:
        told: dict[int, list[Event]] = {}
        of_them = Event.objects.filter(subject__in=[f"case:{i}" for i in ids], name__in=APPEALS)
        for event in of_them.order_by("id"):
            told.setdefault(int(event.subject[5:]), []).append(event)
        appeals = {i: made for i, events in told.items() if (made := appeal_told(events)) is not None}
    persons = {m.person_id for m in moves if m.person_id is not None and m.verb in _TO_PERSON}
    named = {m.unit_id for m in moves if m.unit_id is not None and m.verb in _TO_UNIT}
    named |= {c.unit_id for m in moves for c in m.co_units}
    return _Context(
        co_units=helping,
        appeals=appeals,
        person_units=standing_of(persons) if persons else {},
        units=units_at_work(named) if named else frozenset(),
        standards={},
    )


def _prepare(case: Case | None, move: Move, viewer: Viewer, at: datetime, context: _Context) -> _Work:
    if case is None:
        raise not_found()
    if move.verb not in VERBS:
        raise Refused(
            Sentence(
                zh=f"没有“{move.verb}”这个操作，可用：{'、'.join(VERBS)}。",
                en=f"There is no verb “{move.verb}”; there are {', '.join(VERBS)}.",
            ),
            status=422, code="unknown_verb",
        )  # fmt: skip
    if move.outcome not in VERBS[move.verb]:
        raise Refused(
            Sentence(
                zh=f"“{move.verb}”的结果应为：{'、'.join(VERBS[move.verb])}。",
                en=f"The outcome of “{move.verb}” is one of: {', '.join(VERBS[move.verb])}.",
            ),
            status=422, code="unknown_outcome",
        )  # fmt: skip
    if move.version is not None and move.version != case.version:
        raise Refused(
            Sentence(
                zh=f"案件{case.number}刚被别人改动（第{case.version}版，您看到的是第{move.version}版）。请刷新后再决定。",
                en=f"Somebody has just changed case {case.number} (version {case.version}, you saw {move.version}). "
                "Look again and decide then.",
            ),
            status=412, code="conflict",
        )  # fmt: skip
    step = step_for(case.state, move.verb, move.outcome)
    if step is None:
        raise _illegal(case, move, viewer)
    viewer.need(step.permission)
    case_type = None
    release = case.pack_release_id
    if move.case_type and move.case_type != case.case_type:  # what a case is called anew is what it is called today
        case_type = standard_queries.current().case_type(move.case_type)
        release = case_type.release
    if release not in context.standards:
        context.standards[release] = standard_queries.release(release)
    standard = context.standards[release]
    case_type = case_type or standard.case_type(case.case_type)
    now_is = situation(
        case, case_type, viewer, at=at, open_parts=context.co_units.get(case.id, ()),
        appeal=context.appeals.get(case.id), units=context.units, person_units=context.person_units,
    )  # fmt: skip
    for name in step.guards:
        sentence = rules.GUARDS[name](case, move, now_is)
        if sentence is not None:
            raise Refused(sentence, code=name)
    return _Work(
        case, move, step, at, standard, case_type, _snapshot(case),
        parts=context.co_units.get(case.id, []), appeal=context.appeals.get(case.id, {}),
    )  # fmt: skip


def _illegal(case: Case, move: Move, viewer: Viewer) -> Refused:
    can = [s for s in allowed(case.state) if viewer.may(s.permission)]
    wanted = name_of(move.verb, move.outcome)
    names = list(dict.fromkeys((s.name.zh, s.name.en) for s in can))
    zh, en = "您现在不能对它做任何操作。", "There is nothing that you can do with it now."
    if names:
        zh = f"现在可以：{'、'.join(name for name, _ in names)}。"
        en = f"You can: {', '.join(name for _, name in names)}."
    state = STATES[case.state]
    return Refused(
        Sentence(
            zh=f"案件{case.number}处于“{state.zh}”，不能{wanted.zh}。{zh}",
            en=f"Case {case.number} is {state.en}: “{wanted.en}” is not possible. {en}",
        ),
        code="illegal_move",
    )


def _effect(work: _Work, viewer: Viewer) -> None:
    """Change the case in memory: first what the verb does, then the state."""
    case, move, at = work.case, work.move, work.at
    effect = _EFFECTS.get(move.verb)
    if effect is not None:
        effect(work, viewer)
    if work.step.to:
        if STAGES.get(case.state) != STAGES.get(work.step.to):
            case.stage_at = at
        case.state = work.step.to
    if move.verb not in QUIET:
        case.version += 1


def _accept(work: _Work, viewer: Viewer) -> None:
    work.case.person_id = work.move.person_id


def _verify(work: _Work, viewer: Viewer) -> None:
    work.about["outcome"] = work.move.outcome
    work.case.person_id = None
    if work.move.outcome == "false":
        _end(work, viewer)


def _file(work: _Work, viewer: Viewer) -> None:
    work.case.filed_at = work.at
    work.case.condition = work.move.condition or work.case.condition
    work.case.person_id = None


def _dispatch(work: _Work, viewer: Viewer) -> None:
    case, move = work.case, work.move
    case.condition = move.condition or case.condition
    if case.handle_limit != PROMISED:
        limit = work.case_type.condition(case.condition).limit
        case.handle_limit = _limit_text(limit)
        case.handle_due_at = None  # set with the others' in `_finish`
    case.unit_id, case.person_id = move.unit_id, move.person_id
    for part in work.parts:
        if part.unit_id == move.unit_id:  # who helped leads now
            _withdrawn(part, work.at)
    case.dispatched_at = work.at
    case.signed_at = case.handled_at = None
    case.handled_by_id = None
    case.paused_left = None
    case.asked = ""
    case.route = move.route
    case.why = (move.why or BY_HAND).both()


BY_HAND = Sentence(zh="由派遣员指定", en="a dispatcher chose this unit")


def _assign(work: _Work, viewer: Viewer) -> None:
    work.case.person_id = work.move.person_id


def _start(work: _Work, viewer: Viewer) -> None:
    work.case.signed_at = work.case.signed_at or work.at
    if viewer.person_id is not None:
        work.case.person_id = viewer.person_id


def _return_back(work: _Work, viewer: Viewer) -> None:
    work.about["unit"] = work.case.unit_id
    work.case.returns += 1
    work.case.person_id = None
    if work.case.handle_limit != PROMISED:
        work.case.handle_due_at = None
    work.case.asked = ""


def _hand_back(work: _Work, viewer: Viewer) -> None:
    case, at = work.case, work.at
    case.signed_at = case.signed_at or at
    case.handled_at = at
    case.handled_by_id = viewer.person_id
    case.person_id = None
    case.asked = ""
    if case.handle_due_at is not None:
        # The check's time is not the unit's: if it fails, what is left now is given back.
        case.paused_left = work.standard.calendar.remaining(at, case.handle_due_at, _handle_clock(case))
    work.about["photos"] = list(work.move.evidence)


def _self_handle(work: _Work, viewer: Viewer) -> None:
    """Filed, dispatched to the own unit, signed and handed back at one moment; whatever ran before ends here."""
    case, at = work.case, work.at
    case.self_handled = True
    case.condition = work.move.condition or case.condition
    case.filed_at = case.filed_at or at
    case.unit_id = work.move.unit_id or next(
        g.unit_id for g in viewer.grants if work.step.permission in ROLES[g.role].may
    )
    case.dispatched_at = case.signed_at = at
    if case.handle_limit != PROMISED:
        limit = work.case_type.condition(case.condition).limit
        case.handle_limit = _limit_text(limit)
        case.handle_due_at = work.standard.calendar.deadline(at, limit)
    case.route, case.why = "", work.step.name.both()
    _hand_back(work, viewer)


def _back_to_work(work: _Work, viewer: Viewer) -> None:
    case = work.case
    case.reworks += 1
    case.handled_at = case.handled_by_id = case.person_id = None
    if case.handle_due_at is not None and case.paused_left:
        case.handle_due_at = work.standard.calendar.deadline_from_remaining(
            work.at, case.paused_left, _handle_clock(case)
        )
    case.paused_left = None


def _check(work: _Work, viewer: Viewer) -> None:
    work.about["outcome"] = work.move.outcome
    if work.move.outcome == "failed":
        _back_to_work(work, viewer)


def _close(work: _Work, viewer: Viewer) -> None:
    work.case.closed_at = work.at
    work.case.person_id = None
    work.case.paused_left = None


def _end(work: _Work, viewer: Viewer) -> None:
    case = work.case
    if case.paused_at is not None:
        _resume(work, viewer)
    case.closed_at = work.at
    case.person_id = None
    case.asked = ""
    case.paused_left = None
    for part in work.parts:
        _withdrawn(part, work.at)


def _reopen(work: _Work, viewer: Viewer) -> None:
    case = work.case
    case.reopened += 1
    case.closed_at = case.handled_at = case.handled_by_id = None
    case.asked = ""
    if work.step.to != "rework":
        return  # a dispatcher sends it, and that begins a new limit
    limit = limit_of(case.handle_limit)
    if limit is None:  # promised by the source once; what is promised anew is the pack's limit
        limit = work.case_type.condition(case.condition).limit
        case.handle_limit = _limit_text(limit)
    case.handle_due_at = work.standard.calendar.deadline(work.at, limit)


def _ask(what: str) -> Callable[[_Work, Viewer], None]:
    def ask(work: _Work, viewer: Viewer) -> None:
        work.case.asked = what

    return ask


def _extend(work: _Work, viewer: Viewer) -> None:
    case = work.case
    assert case.handle_due_at is not None, "guarded by may_extend"
    limit = limit_of(case.handle_limit) or work.case_type.condition(case.condition).limit
    case.handle_due_at = work.standard.calendar.deadline(case.handle_due_at, limit)
    case.extensions += 1
    case.asked = ""
    work.new_deadline = True


def _suspend(work: _Work, viewer: Viewer) -> None:
    case, at = work.case, work.at
    case.suspensions += 1
    case.signed_at = case.signed_at or at  # who asks for a pause has seen it
    case.asked = ""
    case.paused_at = at
    case.resume_at = work.move.until
    if case.handle_due_at is not None and at <= case.handle_due_at:
        case.paused_left = work.standard.calendar.remaining(at, case.handle_due_at, _handle_clock(case))


def _resume(work: _Work, viewer: Viewer) -> None:
    case, at = work.case, work.at
    if case.paused_at is not None:
        case.paused_seconds += (at - case.paused_at).total_seconds()
    if case.paused_left is not None:
        case.handle_due_at = work.standard.calendar.deadline_from_remaining(at, case.paused_left, _handle_clock(case))
    for part in work.parts:  # the helpers' clocks stood still as well
        if part.due_at is not None and case.paused_at is not None:
            clock_of = _handle_clock(case)
            start = max(part.started_at, case.paused_at)
            part.due_at = work.standard.calendar.moved_by_pause(part.due_at, start, at, clock_of)
            if part.warn_at is not None:
                part.warn_at = work.standard.calendar.moved_by_pause(part.warn_at, start, at, clock_of)
    case.paused_at = case.resume_at = case.paused_left = None


def _refuse_request(work: _Work, viewer: Viewer) -> None:
    work.about["asked"] = work.case.asked
    work.case.asked = ""


def _supervise(work: _Work, viewer: Viewer) -> None:
    work.case.supervised = True


def _join(work: _Work, viewer: Viewer) -> None:
    work.case.callers += work.move.callers
    work.about |= {"reports": list(work.move.reports)} | _with(work.move.pictures)


def _correct(work: _Work, viewer: Viewer) -> None:
    case, move = work.case, work.move
    if move.case_type and move.case_type != case.case_type:
        case.case_type = work.case_type.key
        case.catalog_version = work.case_type.catalog_version
        case.pack_release_id = work.case_type.release
        work.new_deadline = True
        case.condition = move.condition or work.case_type.default_condition
        case.urgent = case.urgent or work.case_type.urgent
    elif move.condition:
        case.condition = move.condition
    if move.lon is not None and move.lat is not None:
        case.lon, case.lat, case.cell = move.lon, move.lat, rules.cell_of(move.lon, move.lat)
    if move.region_code is not None:
        case.region_code = move.region_code
    if move.address is not None:
        case.address = move.address
    work.about["words"] = words_of(case)


def _co_hand_back(work: _Work, viewer: Viewer) -> None:
    for part in work.parts:
        if part.unit_id == work.move.unit_id:
            part.handed_back_at = work.at
            part.warn_at = None
    work.about["unit"] = work.move.unit_id


def _withdraw(work: _Work, viewer: Viewer) -> None:
    for part in work.parts:
        if part.unit_id == work.move.unit_id:
            _withdrawn(part, work.at)
    work.about["unit"] = work.move.unit_id


def _withdrawn(part: CoHandling, at: datetime) -> None:
    part.withdrawn_at = at
    part.warn_at = None


def _add_co_units(work: _Work, viewer: Viewer) -> None:
    """Each helping unit has the limit of the filing condition, from now."""
    limit = work.case_type.condition(work.case.condition).limit
    due = work.standard.calendar.deadline(work.at, limit)
    warn = work.standard.calendar.moment_at_share(work.at, due, WARN_SHARE, limit.clock)
    work.parts += [
        CoHandling(case_id=work.case.id, unit_id=c.unit_id, task=c.task, started_at=work.at, warn_at=warn, due_at=due)
        for c in work.move.co_units
    ]
    work.about["units"] = [c.unit_id for c in work.move.co_units]


def _appeal(work: _Work, viewer: Viewer) -> None:
    work.case.asked = "appeal"
    work.about["appellant"] = viewer.person_id


def _decide_appeal(work: _Work, viewer: Viewer) -> None:
    work.about["outcome"] = work.move.outcome
    work.about["reviewer"] = viewer.person_id
    granted = work.move.outcome == "grant"
    if granted and "reviewer" not in work.appeal:
        return  # the first of two opinions
    work.case.asked = ""
    work.case.exempt = granted
    work.event = e.AppealDecided
    work.about["decided"] = True


_EFFECTS: dict[str, Callable[[_Work, Viewer], None]] = {
    "accept": _accept,
    "reject_intake": _end,
    "verify": _verify,
    "refuse_filing": _end,
    "file": _file,
    "dispatch": _dispatch,
    "assign": _assign,
    "start": _start,
    "return_back": _return_back,
    "hand_back": _hand_back,
    "self_handle": _self_handle,
    "check": _check,
    "send_back": _back_to_work,
    "close": _close,
    "force_close": _end,
    "cancel": _end,
    "reopen": _reopen,
    "ask_extension": _ask("extend"),
    "extend": _extend,
    "ask_suspension": _ask("suspend"),
    "suspend": _suspend,
    "resume": _resume,
    "refuse_request": _refuse_request,
    "supervise": _supervise,
    "join": _join,
    "correct": _correct,
    "add_co_units": _add_co_units,
    "co_hand_back": _co_hand_back,
    "withdraw_co_unit": _withdraw,
    "appeal": _appeal,
    "decide_appeal": _decide_appeal,
}


def _finish(works: Sequence[_Work], viewer: Viewer) -> None:
    """Deadlines for all that entered a step, then one write per table and the events."""
    dispatched: dict[int, list[_Work]] = {}
    for work in works:
        if work.move.verb == "dispatch" and work.case.handle_due_at is None:
            dispatched.setdefault(id(work.standard), []).append(work)
    for group in dispatched.values():
        limits = [limit_of(w.case.handle_limit) for w in group]
        dues = group[0].standard.calendar.deadlines([w.at for w in group], [x for x in limits if x is not None])
        for work, due in zip(group, dues, strict=True):
            work.case.handle_due_at = due
    _set_clocks(
        [
            (w.case, w.standard)
            for w in works
            if w.new_deadline or STAGES.get(w.before["state"]) != STAGES.get(w.case.state)
        ]
    )
    told_parts = {w.case.id: w.changed_parts() for w in works}
    _store_parts([p for parts in told_parts.values() for p in parts])
    changed: set[str] = set()
    events: list[e.CaseEvent] = []
    for work in works:
        fields = _changes(work.case, work.before)
        changed |= fields.keys()
        if work.move.address is not None:
            changed.add("address")  # words stay out of the record, so they are not among the fields told
        event = work.event or work.step.event
        about = work.about
        if parts := told_parts[work.case.id]:
            about = about | {"parts": {str(p.id): part_of(p) for p in parts}}
        events.append(
            event(
                subject=f"case:{work.case.id}",
                actor=viewer.actor,
                at=work.at,
                version=work.case.version,
                set=fields,
                reason=work.move.reason,
                about=about,
            )
        )
    if changed:
        update_rows([w.case for w in works], changed)
    update_rows([_words(w.case) for w in works if w.move.address is not None], ["lexemes"])
    publish(events)


def _store_parts(parts: Sequence[CoHandling]) -> None:
    known = [p for p in parts if p.pk is not None]
    insert_rows([p for p in parts if p.pk is None])
    update_rows(known, ["warn_at", "due_at", "overdue_at", "handed_back_at", "withdrawn_at"])


# --- the record ------------------------------------------------------------------------------------------------------


def _snapshot(case: Case) -> dict[str, Any]:
    return {name: getattr(case, name) for name in FIELDS}


def _fields_set(case: Case) -> dict[str, Any]:
    return {n: stored(v) for n in FIELDS if (v := getattr(case, n)) != DEFAULTS[n]}


def _changes(case: Case, before: Mapping[str, Any]) -> dict[str, Any]:
    return {n: stored(v) for n in FIELDS if (v := getattr(case, n)) != before[n]}


# --- timers ------------------------------------------------------------------------------------------------------


def note_deadlines(*, at: datetime | None = None, limit: int = 1000) -> int:
    """Notice of which steps and of which helping parts 80 % or all of the time is used. Returns how many were.

    Each is told once. What is overdue when it is first looked at is told as overdue only.
    """
    now = at or clock.now()
    with transaction.atomic():
        late = list(_due(Case.objects.filter(overdue_at=None, due_at__lte=now), "due_at", limit))
        near = list(_due(Case.objects.filter(warn_at__lte=now, due_at__gt=now), "warn_at", limit))
        events = [_told(e.DeadlinePassed, case, now) for case in late]
        events += [_told(e.DeadlineNear, case, now) for case in near]
        update_rows([*late, *near], ["warn_at", "overdue_at"])
        # A suspended case stops its helpers' clocks as well.
        helping = CoHandling.objects.filter(handed_back_at=None, withdrawn_at=None, case__paused_at=None)
        late_parts = list(_due(helping.filter(overdue_at=None, due_at__lte=now), "due_at", limit))
        near_parts = list(_due(helping.filter(warn_at__lte=now, due_at__gt=now), "warn_at", limit))
        versions = dict(
            Case.objects.filter(id__in={p.case_id for p in [*late_parts, *near_parts]}).values_list("id", "version")
        )
        events += [_told_helper(e.DeadlinePassed, part, versions[part.case_id], now) for part in late_parts]
        events += [_told_helper(e.DeadlineNear, part, versions[part.case_id], now) for part in near_parts]
        update_rows([*late_parts, *near_parts], ["warn_at", "overdue_at"])
        publish(events)
    return len(events)


def note_deadlines_before(moments: Mapping[int, datetime]) -> int:
    """In a replay: notice what each of these cases (id -> moment) had used of its step's time before its own moment.

    As `note_deadlines`, for cases that are about to be moved at recorded moments. Returns how many were told of.
    """
    with transaction.atomic():
        timed = Case.objects.filter(id__in=moments, overdue_at=None, due_at__isnull=False)
        used = [
            case_id
            for case_id, *reached in timed.values_list("id", "warn_at", "due_at")
            if any(moment is not None and moment < moments[case_id] for moment in reached)
        ]
        rows = list(timed.filter(id__in=used).select_for_update(of=("self",)).order_by("id"))
        late = [case for case in rows if case.due_at is not None and case.due_at < moments[case.id]]
        known = {case.id for case in late}
        near = [case for case in rows if case.id not in known]
        events = [_told(e.DeadlinePassed, case, moments[case.id]) for case in late]
        events += [_told(e.DeadlineNear, case, moments[case.id]) for case in near]
        update_rows([*late, *near], ["warn_at", "overdue_at"])
        publish(events)
    return len(events)


def _due(rows: QuerySet[Any], name: str, limit: int) -> QuerySet[Any]:
    return rows.select_for_update(of=("self",), skip_locked=True).order_by(name, "id")[:limit]


def _told(event: type[e.CaseEvent], case: Case, now: datetime) -> e.CaseEvent:
    before = _snapshot(case)
    reached = case.due_at if event is e.DeadlinePassed else case.warn_at
    if reached is not None:  # in a replay it is noticed when it happened
        now = clock.replayed(max(reached, case.stage_at)) or now
    case.warn_at = None
    if event is e.DeadlinePassed:
        case.overdue_at = now
    return event(
        subject=f"case:{case.id}", actor=SYSTEM.actor, at=now, version=case.version, set=_changes(case, before),
        about={"stage": STAGES.get(case.state, ""), "due_at": stored(case.due_at)},
    )  # fmt: skip


def _told_helper(event: type[e.CaseEvent], part: CoHandling, version: int, now: datetime) -> e.CaseEvent:
    part.warn_at = None
    if event is e.DeadlinePassed:
        part.overdue_at = now
    return event(
        subject=f"case:{part.case_id}", actor=SYSTEM.actor, at=now, version=version, set={},
        about={"unit": part.unit_id, "due_at": stored(part.due_at), "parts": {str(part.id): part_of(part)}},
    )  # fmt: skip


def resume_due(*, at: datetime | None = None, limit: int = 1000) -> int:
    """Let the clocks run again of all cases whose suspension has ended. Returns how many."""
    now = at or clock.now()
    with transaction.atomic():
        ids = list(
            Case.objects.filter(state="suspended", resume_at__lte=now)
            .select_for_update(skip_locked=True)
            .order_by("resume_at")
            .values_list("id", flat=True)[:limit]
        )
        move_cases([Move(case_id=i, verb="resume") for i in ids], viewer=SYSTEM, at=now)
    return len(ids)


def tell_of_export(*, count: int, query: str, text: bool, viewer: Viewer, at: datetime | None = None) -> None:
    """Put on record that cases are taken out in a file. The words of a search stay out of the record."""
    viewer.need("export")
    narrowed = search.read_filter(query).without("q").query()
    told = e.CasesExported(
        subject=viewer.actor, actor=viewer.actor, at=at or clock.now(), count=count, query=narrowed, text=text
    )
    with transaction.atomic():
        publish([told])


# --- saved lists -----------------------------------------------------------------------------------------------------

MOST_SAVED = 30
"""Lists that one person keeps."""


def save_view(*, name: str, query: str, sort: str = "", columns: Sequence[str] = (), viewer: Viewer) -> SavedView:
    """Keep a list for oneself under a name; under a name that one has already it takes that list's place.

    Raises `Mistakes` for a filter, an order or a column that no list can have.
    """
    person = _owner(viewer)
    wanted = search.read_filter(query)
    if sort:
        search.read_sort(sort, wanted)
    with transaction.atomic():
        mine = _own_views(person)
        known = next((v for v in mine if v.name == name.strip()), None)
        if known is None and len(mine) >= MOST_SAVED:
            raise Refused(
                Sentence(
                    zh=f"最多保存 {MOST_SAVED} 个列表，请先删除一个。",
                    en=f"You can keep {MOST_SAVED} lists; remove one.",
                ),
                status=422,
                code="too_many",
            )
        view = known or SavedView(person_id=person, name=_named(name), position=len(mine))
        view.query, view.sort, view.columns = wanted.query(), sort, _known_columns(columns) if columns else []
        view.save()
    return view


def rename_view(*, view_id: int, name: str, viewer: Viewer) -> SavedView:
    """Give one of one's own lists another name."""
    with transaction.atomic():
        mine = _own_views(_owner(viewer))
        view = _own(mine, view_id)
        view.name = _named(name)
        if any(v.name == view.name and v.pk != view.pk for v in mine):
            raise Refused(
                Sentence(zh=f"已有名为“{view.name}”的列表。", en=f"You have a list named “{view.name}” already."),
                code="name_taken",
            )
        view.save(update_fields=["name"])
    return view


def move_view(*, view_id: int, by: int, viewer: Viewer) -> None:
    """Move one of one's own lists up (negative) or down among them."""
    with transaction.atomic():
        mine = _own_views(_owner(viewer))
        view = _own(mine, view_id)
        place = mine.index(view)
        mine.remove(view)
        mine.insert(max(0, place + by), view)
        for position, each in enumerate(mine):
            each.position = position
        update_rows(mine, ["position"])


def remove_view(*, view_id: int, viewer: Viewer, at: datetime | None = None) -> SavedView:
    """Take one of one's own lists away; `restore_view` brings it back."""
    with transaction.atomic():
        view = _own(_own_views(_owner(viewer)), view_id)
        view.removed_at = at or clock.now()
        view.save(update_fields=["removed_at"])
        # Only the last one taken away can be brought back; older ones are forgotten.
        gone = SavedView.objects.filter(person_id=view.person_id, removed_at__isnull=False).exclude(pk=view.pk)
        gone.delete()
    return view


def restore_view(*, view_id: int, viewer: Viewer) -> SavedView:
    """Bring back the list that was taken away last. Raises `Refused` if its name was given to another one meanwhile."""
    with transaction.atomic():
        person = _owner(viewer)
        mine = _own_views(person)
        view = SavedView.objects.filter(person_id=person, pk=view_id, removed_at__isnull=False).first()
        if view is None:
            raise not_found()
        if any(v.name == view.name for v in mine):
            raise Refused(
                Sentence(zh=f"已有名为“{view.name}”的列表。", en=f"You have a list named “{view.name}” already."),
                code="name_taken",
            )
        view.removed_at = None
        view.save(update_fields=["removed_at"])
    return view


def choose_columns(*, columns: Sequence[str], viewer: Viewer) -> list[str]:
    """Keep which columns this person's lists have; the number is always one of them."""
    chosen = _known_columns(columns)
    SavedView.objects.update_or_create(person_id=_owner(viewer), name="", removed_at=None, defaults={"columns": chosen})
    return chosen


def _known_columns(columns: Sequence[str]) -> list[str]:
    unknown = [c for c in columns if c not in search.COLUMNS]
    if unknown:
        known = ", ".join(search.COLUMNS)
        raise Mistakes(
            [
                Mistake(
                    "columns",
                    Sentence(zh=f"没有列“{c[:40]}”", en=f"there is no column “{c[:40]}”"),
                    Sentence(zh=f"可用：{known}", en=f"use: {known}"),
                )
                for c in unknown
            ]
        )
    return [c for c in search.COLUMNS if c in columns or c == "number"]


def _owner(viewer: Viewer) -> int:
    if viewer.person_id is None:
        raise not_found()
    return viewer.person_id


def _own_views(person: int) -> list[SavedView]:
    """The person's lists in their order, locked: two windows do not write over each other."""
    named = SavedView.objects.select_for_update().filter(person_id=person, removed_at=None).exclude(name="")
    return list(named.order_by("position", "id"))


def _own(mine: Sequence[SavedView], view_id: int) -> SavedView:
    view = next((v for v in mine if v.pk == view_id), None)
    if view is None:
        raise not_found()
    return view


def _named(name: str) -> str:
    said = " ".join(name.split())
    if not 1 <= len(said) <= 60:
        raise Mistakes(
            [
                Mistake(
                    "name",
                    Sentence(zh="名称为空或太长", en="the name is empty or too long"),
                    Sentence(zh="写 1 到 60 个字", en="write 1 to 60 characters"),
                )
            ]
        )
    return said


__all__ = [
    "Move",
    "NewCase",
    "choose_columns",
    "move_cases",
    "move_view",
    "note_deadlines",
    "note_deadlines_before",
    "open_cases",
    "remove_view",
    "rename_view",
    "restore_view",
    "resume_due",
    "save_view",
    "tell_of_export",
]
