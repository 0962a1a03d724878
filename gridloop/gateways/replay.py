"""A recorded stream of service requests played through the loop with its own clock: reports come in when they were
made, the recorded offices hand back when the record says, other persons check and close, and the outcome is scored.

What is played is history: the reports enter by `receive_reports`, everything else is done by invented staff through
the same actions as on any day, at the recorded moments. The machine still looks for types, places and duplicates.

Time goes in windows of many requests, and a window in rounds. What happens at far places may be played in any order,
so a round takes all the requests at once, then all the closings; but a request that lies beside a case which the record
has closed by then must find it closed, and one that lies beside a case which is closed later must find it open. It
waits for a later round than the closing, or comes no later than it. Most windows need a dozen rounds, nearly all of
them short (decision 0110).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

from gridloop.cases.actions import move_cases, note_deadlines_before
from gridloop.cases.models import Case
from gridloop.cases.rules import Move
from gridloop.discover.actions import Answer, NewReport, receive_reports, settle_reports
from gridloop.discover.imports import load_mapping, type_alias
from gridloop.discover.models import Report
from gridloop.discover.rules.mapping import TableMapping, apply, moment_of, wanted
from gridloop.dispatch.reactions import watch_the_clock
from gridloop.handle.actions import check, hand_back
from gridloop.kernel import clock
from gridloop.kernel.events import Worker
from gridloop.kernel.tables import Row, open_table
from gridloop.people.actions import import_people, import_units
from gridloop.people.models import Person, Unit
from gridloop.people.queries import viewers_for
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard
from gridloop.standard.actions import activate_packs
from gridloop.territory import synthetic
from gridloop.territory.actions import draw_areas
from gridloop.territory.models import Region

WINDOW = 4_000
"""Requests played at a time. Between windows the clock of the whole district is looked at."""
BEFORE_ALL = datetime(1999, 1, 1, tzinfo=UTC)
"""From when the areas, offices and persons of a replay are there."""
CITIES = {
    "chicago": ("900101", "Chicago"),
    "los_angeles": ("900102", "Los Angeles"),
    "baltimore": ("900103", "Baltimore"),
}
"""Code and name of each city's region. No Chinese authority codes them: they begin with 9."""
ELSE = "city311:E1004"
"""The type that a person chooses for a request of which neither its name nor its words tell one."""
CANCELLED = ("Cancelled", "Closed (Transferred)", "Referred Out")
STARTED = ("In Progress",)
TRIAGE = "discover.triage"
_SQUARE = 0.002
"""Degrees: the squares in which a contradiction is looked for are wider than any duplicate's reach."""
Progress = Callable[[int, int], None]
"""(requests played, requests in all)"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it was recorded, and as it will be reported."""

    city: str
    report: NewReport
    created: datetime
    closed: datetime | None
    """Not before `created`: a request cannot have been closed before it was made (`Summary.closed_before`)."""
    status: str
    agency: str
    area: str

    @property
    def flagged(self) -> bool:
        """Whether the city itself called it a duplicate."""
        return self.report.extra.get("flagged_duplicate") == "1"


@dataclass(slots=True)
class Summary:
    """What a replay came to."""

    requests: int = 0
    rejected: int = 0
    """Rows that are no reports; none in the known stream."""
    closed_before: int = 0
    """Recorded as closed before they were made; taken as closed at once."""
    moves: Counter[str] = field(default_factory=Counter)
    windows: int = 0
    rounds: int = 0
    settled: int = 0
    """Requests that the machine was not sure of; a person placed or typed them."""


def read_recording(path: Path, mappings: Path) -> tuple[list[Recorded], Summary]:
    """The requests of a stream in the order in which they were made. One mapping file for each city, named after it."""
    alias = type_alias()
    by_city = {file.stem: load_mapping(file) for file in sorted(mappings.glob("*.yaml"))}
    summary = Summary()
    found: list[Recorded] = []
    with open_table(path) as table:
        for row in table.rows:
            for city, mapping in by_city.items():
                if row.broken is None and wanted(mapping, row.cells):
                    mapped = apply(mapping, row.number, row.cells, alias=alias, now=clock.now())
                    if mapped.mistakes:
                        summary.rejected += 1
                    else:
                        found.append(_recorded(city, mapping, NewReport(**mapped.values), row, summary))
    found.sort(key=attrgetter("created"))
    summary.requests = len(found)
    return found, summary


def _recorded(city: str, mapping: TableMapping, report: NewReport, row: Row, summary: Summary) -> Recorded:
    created = report.reported_at
    assert created is not None, "the mapping reads it"
    closed = moment_of(row.cells["closed"], (), mapping.zone)
    if closed is not None and closed < created:
        summary.closed_before += 1
        closed = created
    return Recorded(city, report, created, closed, row.cells["status"], row.cells["agency"], row.cells["area"])


def prepare(recording: Sequence[Recorded], *, district: Path, packs: Sequence[Path]) -> None:
    """The standard, the areas (made from the requests' own), the offices and their invented staff."""
    activate_packs(folders=packs, district=district, actor=SYSTEM.actor)
    for city, (code, name) in CITIES.items():
        own = [r for r in recording if r.city == city]
        if own:
            drawn = synthetic.areas_from_points(
                [r.report.lon if r.report.lon is not None else float("nan") for r in own],
                [r.report.lat if r.report.lat is not None else float("nan") for r in own],
                [r.area for r in own],
                code=code,
                name=name,
            )
            draw_areas(regions=drawn, actor=SYSTEM.actor, at=BEFORE_ALL)
    offices = sorted({(r.city, r.agency) for r in recording})
    head = {"code": "us311", "name": "Replay office", "kind": "district"}
    units = [head] + [
        {
            "code": unit_code(city, agency),
            "name": f"{CITIES[city][1]}: {agency}",
            "kind": "department",
            "parent": "us311",
            "region_code": CITIES[city][0],
        }
        for city, agency in offices
    ]
    import_units(rows=_rows(units), viewer=SYSTEM, at=BEFORE_ALL)
    people = [
        {"username": f"replay-{role.replace('_', '-')}", "name": "Replay", "role": role, "unit": "us311"}
        for role in ("intake_officer", "shift_lead", "dispatcher", "inspector")
    ] + [
        {
            "username": _handler(city, agency),
            "name": "Replay",
            "role": "department_handler",
            "unit": unit_code(city, agency),
        }
        for city, agency in offices
    ]
    import_people(rows=_rows(people), viewer=SYSTEM, at=BEFORE_ALL)


def unit_code(city: str, agency: str) -> str:
    """The code of the unit that stands for a city's agency."""
    return f"{city}.{''.join(c if c.isalnum() else '-' for c in agency.lower())}"


def _handler(city: str, agency: str) -> str:
    return f"replay-{unit_code(city, agency)}".replace("_", "-")


def _rows(cells: Iterable[Mapping[str, str]]) -> list[Row]:
    more = {"starts_on": BEFORE_ALL.date().isoformat(), "synthetic": "yes"}
    return [Row(number, {**more, **one}) for number, one in enumerate(cells, 2)]


def replay(
    recording: Sequence[Recorded],
    summary: Summary,
    *,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Play a recording in a district that `prepare` made. `until`: the moment at which the replay looks last (UTC);
    the last recorded one otherwise. What is open then stays open, and late where its deadline has passed.
    """
    player = _Player(summary)
    played = 0
    for window, end in windows(recording):
        player.play(window, until=end)
        played += len(window)
        if progress:
            progress(played, len(recording))
    last = max(r.closed or r.created for r in recording)
    player.play([], until=until or last)
    return summary


def windows(recording: Sequence[Recorded]) -> Iterator[tuple[Sequence[Recorded], datetime]]:
    """Requests to be played together, and the moment up to which: that of the request after them."""
    for start in range(0, len(recording), WINDOW):
        window = recording[start : start + WINDOW]
        following = recording[start + WINDOW : start + WINDOW + 1] or window[-1:]
        yield window, following[0].created


@dataclass(slots=True)
class Round:
    """What is played at once: these requests, then the closings of these."""

    requests: list[Recorded] = field(default_factory=list)
    closings: list[Recorded] = field(default_factory=list)


class _Player:
    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.worker = Worker(mortal=False, bulk=10 * WINDOW)  # a case is noted once a window
        self.near: dict[tuple[str, int, int], list[_Beside]] = defaultdict(list)
        """The placed requests, by type and square."""
        self.gates = {
            key: (1.05 * t.duplicate.meters, timedelta(hours=t.duplicate.hours))
            for key, t in standard.current().case_types.items()
        }
        """How far in place and time the machine looks for duplicates, by type (a little more, to be safe)."""
        self.widest = (max(m for m, _ in self.gates.values()), max(h for _, h in self.gates.values()))
        self.cases: dict[tuple[str, str], int] = {}
        """(city, key) -> case, of the requests that opened one and are not closed."""
        self.open: list[_Beside] = []
        """The requests that the record has not closed yet."""
        people = dict(Person.objects.filter(username__startswith="replay-").values_list("username", "id"))
        seen = viewers_for(people.values())
        self.viewer: dict[str, Viewer] = {name: seen[person] for name, person in people.items()}
        self.units = dict(Unit.objects.values_list("code", "id"))
        self.areas = {(r.code[:6], r.name): r.code for r in Region.objects.filter(code__startswith="9")}

    # --- rounds -----------------------------------------------------------------------------------------------------

    def rounds(self, window: Sequence[Recorded], until: datetime) -> list[Round]:
        """The requests of a window and the closings up to its end, in an order that contradicts the record nowhere."""
        known = [b for b in self.open if b.request.closed is not None and b.request.closed <= until]
        for beside in known:
            beside.level = 0
        fresh = [_Beside(r) for r in window]
        moments: list[tuple[datetime, int, int, _Beside]] = []
        """What happens when. At one moment: closings first, except of what was made at that very moment."""
        for n, beside in enumerate([*known, *fresh]):
            request = beside.request
            at_once = request.closed is not None and request.closed <= request.created
            if n >= len(known):
                moments.append((request.created, 1 + n, 0, beside))
            if request.closed is not None and request.closed <= until:
                moments.append((request.closed, 1 + n, 1, beside) if at_once else (request.closed, 0, n, beside))
        moments.sort(key=lambda m: m[:3])
        found: list[Round] = []
        for moment, order, is_closing, beside in moments:
            closing = order == 0 or is_closing == 1
            if closing:
                level = beside.closed_in = max(beside.level, *(b.level for b in beside.followed), 0)
            else:
                level = beside.level = self._level(beside, moment)
            found += [Round() for _ in range(level + 1 - len(found))]
            (found[level].closings if closing else found[level].requests).append(beside.request)
        self.open = [b for b in [*self.open, *fresh] if b.request.closed is None or b.request.closed > until]
        for beside in [*known, *fresh]:
            beside.level = 0
            beside.closed_in = -1 if beside.closed_in is not None else None
            beside.followed.clear()
        return found

    def _level(self, new: _Beside, moment: datetime) -> int:
        """The first round in which a request may be played: after what is closed beside it, not before what is open."""
        square = _square(new.request)
        if square is None:
            return 0
        kind, row, column = square
        meters, memory = self.gates.get(new.request.report.case_type, self.widest)
        level = 0
        for r in (row - 1, row, row + 1):
            for c in (column - 1, column, column + 1):
                there = self.near.get((kind, r, c))
                if not there:
                    continue
                there[:] = [b for b in there if b.request.created >= moment - memory]
                for beside in there:
                    if _apart(beside.request, new.request) <= meters:
                        after = beside.level if beside.closed_in is None else beside.closed_in + 1
                        level = max(level, after)
                        beside.followed.append(new)
        self.near[square].append(new)
        return level

    # --- one window -------------------------------------------------------------------------------------------------

    def play(self, window: Sequence[Recorded], *, until: datetime) -> None:
        """Play these requests and everything else up to a moment. Deadlines and reactions are dealt with at the end."""
        self.summary.windows += 1
        with clock.replaying(until):
            for one in self.rounds(window, until):
                self.summary.rounds += 1
                self._receive(one.requests, until)
                for start in range(0, len(one.closings), WINDOW):
                    self._close(one.closings[start : start + WINDOW])
            watch_the_clock()
            self.worker.drain()

    def _receive(self, requests: Sequence[Recorded], until: datetime) -> None:
        made: dict[int, Recorded] = {}
        for city in sorted({r.city for r in requests}):
            own = [r for r in requests if r.city == city]
            receipts = receive_reports([r.report for r in own], client=f"us311-{city}", viewer=SYSTEM, at=until)
            made |= {receipt.report_id: r for receipt, r in zip(receipts, own, strict=True)}
        if made:
            self.worker.drain([TRIAGE])  # the other reactions deal with the whole window at its end
            self._settle(made)
            self._dispatch(made)

    def _settle(self, made: Mapping[int, Recorded]) -> None:
        """A person places by its area what has no point, and types what the machine could not."""
        answers = []
        for report in Report.objects.filter(id__in=made, state=Report.State.TRIAGE).order_by("id"):
            request = made[report.id]
            city = CITIES[request.city][0]
            region = (report.guess or {}).get("region") or self.areas.get((city, " ".join(request.area.split())), city)
            answers.append(Answer(report_id=report.id, case_type=request.report.case_type or ELSE, region_code=region))
        if answers:
            settle_reports(answers, viewer=self.viewer["replay-intake-officer"])
            self.summary.settled += len(answers)

    def _dispatch(self, made: Mapping[int, Recorded]) -> None:
        """File what has to be filed, and send each case to the office that had it."""
        opened = Report.objects.filter(id__in=made, state=Report.State.OPENED).order_by("id")
        case_of = {case: made[report] for report, case in opened.values_list("id", "case_id") if case is not None}
        states = dict(Case.objects.filter(id__in=case_of).order_by("id").values_list("id", "state"))
        self._move(
            "replay-shift-lead",
            [
                Move(case_id=case_id, verb="file", at=case_of[case_id].created)
                for case_id, state in states.items()
                if state == "pending_filing"
            ],
        )
        self._move(
            "replay-dispatcher",
            [
                Move(
                    case_id=case_id,
                    verb="dispatch",
                    unit_id=self.units[unit_code(request.city, request.agency)],
                    at=request.created,
                )
                for case_id, request in case_of.items()
            ],
        )
        self.cases |= {(r.city, r.report.key): case_id for case_id, r in case_of.items()}
        by_office: dict[str, list[Move]] = defaultdict(list)
        for case_id, request in case_of.items():
            if request.status in STARTED:
                office = _handler(request.city, request.agency)
                by_office[office].append(Move(case_id=case_id, verb="start", at=request.created))
        for office, moves in by_office.items():
            self._move(office, moves)

    def _close(self, requests: Sequence[Recorded]) -> None:
        """Do what the record says was done with those of the requests that opened a case."""
        known = {(r.city, r.report.key): r for r in requests}
        cases = [(self.cases.pop(key), r) for key, r in known.items() if key in self.cases]
        if not cases:
            return
        note_deadlines_before({i: r.closed for i, r in cases if r.closed is not None})
        dropped = [
            (i, r, "the city's own record calls it a duplicate" if r.flagged else f"recorded as: {r.status}")
            for i, r in cases
            if r.flagged or r.status in CANCELLED
        ]
        self._move(
            "replay-shift-lead",
            [Move(case_id=i, verb="cancel", reason=reason, at=r.closed) for i, r, reason in dropped],
        )
        gone = {i for i, _, _ in dropped}
        done = [(i, r) for i, r in cases if i not in gone]
        by_office: dict[str, list[Move]] = defaultdict(list)
        for case_id, request in done:
            office = _handler(request.city, request.agency)
            by_office[office].append(Move(case_id=case_id, verb="hand_back", at=request.closed))
        for office, moves in by_office.items():
            hand_back(moves, viewer=self.viewer[office])
            self.summary.moves["hand_back"] += len(moves)
        checks = [Move(case_id=i, verb="check", outcome="passed", at=r.closed) for i, r in done]
        if checks:
            check(checks, viewer=self.viewer["replay-inspector"])
            self.summary.moves["check"] += len(checks)
        self._move("replay-shift-lead", [Move(case_id=i, verb="close", at=r.closed) for i, r in done])

    def _move(self, who: str, moves: Sequence[Move]) -> None:
        if moves:
            move_cases(moves, viewer=self.viewer[who])
            self.summary.moves[moves[0].verb] += len(moves)


@dataclass(slots=True, eq=False)
class _Beside:
    """A request and, while a window is put in order, its place in it."""

    request: Recorded
    level: int = 0
    """The round in which it is played; 0 = this window's first, or an earlier window."""
    closed_in: int | None = None
    """The round in which it is closed; -1 = an earlier window; None = not yet."""
    followed: list[_Beside] = field(default_factory=list)
    """The requests of this window that came beside it while it was open, or after."""


def _square(request: Recorded) -> tuple[str, int, int] | None:
    report = request.report
    if report.lon is None or report.lat is None:
        return None
    return f"{request.city}{report.case_type}", int(report.lat // _SQUARE), int(report.lon // _SQUARE)


def _apart(a: Recorded, b: Recorded) -> float:
    """Metres between two placed requests."""
    (x, y), (u, v) = (a.report.lon or 0.0, a.report.lat or 0.0), (b.report.lon or 0.0, b.report.lat or 0.0)
    return 111_320 * math.hypot((x - u) * math.cos(math.radians(y)), y - v)


def sample(recording: Sequence[Recorded], every: Mapping[str, int]) -> list[Recorded]:
    """Every n-th request of each city, with all that are unusual: a short replay that meets all the dirt."""
    chosen, counted = [], Counter[str]()
    usual, promising = {"Completed", "Closed"}, {r.city for r in recording if r.report.due_at is not None}
    for request in recording:
        counted[request.city] += 1
        odd = request.status not in usual or request.report.lon is None or request.closed == request.created
        odd = odd or (request.report.due_at is None and request.city in promising)
        step = every[request.city]
        if counted[request.city] % step == 0 or (odd and counted[request.city] % max(1, step // 5) == 0):
            chosen.append(request)
    return chosen
