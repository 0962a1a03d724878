"""A recorded stream of service requests played through the loop with its own clock: reports come in when they were
made, the recorded offices hand back when the record says, other persons check and close, and the outcome is scored.

What is played is history: the reports enter by `receive_reports`, everything else is done by invented staff through
the same actions as on any day, at the recorded moments. The machine still looks for types, places and duplicates.

Time goes in windows of many requests. A window ends early where playing on would contradict the record: where a new
request lies beside a case that the record has closed by then but the database, within this window, has not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

from gridloop.cases.actions import move_cases
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

WINDOW = 1_500
"""Requests played at a time, at most."""
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
    player = _Player(recording, summary)
    played = 0
    for window, end in player.windows():
        player.play(window, until=end)
        played += len(window)
        if progress:
            progress(played, len(recording))
    last = max([r.closed or r.created for r in recording])
    player.finish(until or last)
    return summary


class _Player:
    def __init__(self, recording: Sequence[Recorded], summary: Summary) -> None:
        self.recording, self.summary = recording, summary
        self.worker = Worker(mortal=False)
        self.executed = BEFORE_ALL
        self.near: dict[tuple[str, int, int], list[tuple[int, Recorded]]] = defaultdict(list)
        """The requests that have a closing, by type and square, each with the number of its window."""
        self.gates = {
            key: (1.05 * t.duplicate.meters, timedelta(hours=t.duplicate.hours))
            for key, t in standard.current().case_types.items()
        }
        """How far in place and time the machine looks for duplicates, by type (a little more, to be safe)."""
        self.widest = (max(m for m, _ in self.gates.values()), max(h for _, h in self.gates.values()))
        self.cases: dict[tuple[str, str], int] = {}
        """(city, key) -> case, of the requests that opened one and are not closed."""
        self.open: list[Recorded] = []
        people = dict(Person.objects.filter(username__startswith="replay-").values_list("username", "id"))
        seen = viewers_for(people.values())
        self.viewer: dict[str, Viewer] = {name: seen[person] for name, person in people.items()}
        self.units = dict(Unit.objects.values_list("code", "id"))
        self.areas = {(r.code[:6], r.name): r.code for r in Region.objects.filter(code__startswith="9")}

    # --- windows ----------------------------------------------------------------------------------------------------

    def windows(self) -> Iterator[tuple[list[Recorded], datetime]]:
        """Requests to be played together, and the moment up to which: that of the request after them."""
        window: list[Recorded] = []
        for request in self.recording:
            if len(window) >= WINDOW or (window and self._contradicts(request)):
                yield window, request.created
                window = []
            window.append(request)
            if request.closed is not None and (square := _square(request)):
                self.near[square].append((self.summary.windows, request))
        if window:
            yield window, window[-1].created

    def _contradicts(self, request: Recorded) -> bool:
        """Whether a case that it could join is closed by then in the record, but not yet in the database."""
        square = _square(request)
        if square is None:
            return False
        kind, row, column = square
        meters, memory = self.gates.get(request.report.case_type, self.widest)
        for r in (row - 1, row, row + 1):
            for c in (column - 1, column, column + 1):
                beside = self.near.get((kind, r, c))
                if beside:
                    since = request.created - memory
                    beside[:] = [(n, x) for n, x in beside if x.created >= since and not self._was_closed(n, x)]
                    for _, one in beside:
                        if one.closed is not None and one.closed <= request.created and _apart(one, request) <= meters:
                            return True
        return False

    def _was_closed(self, window: int, request: Recorded) -> bool:
        """Whether its closing was played: what came in an earlier window is closed up to `executed`."""
        return window < self.summary.windows and request.closed is not None and request.closed <= self.executed

    # --- one window -------------------------------------------------------------------------------------------------

    def play(self, window: Sequence[Recorded], *, until: datetime) -> None:
        self.summary.windows += 1
        with clock.replaying(until):
            for city in {r.city for r in window}:
                own = [r.report for r in window if r.city == city]
                receive_reports(own, client=f"us311-{city}", viewer=SYSTEM, at=until)
            self.worker.drain([TRIAGE])  # the other reactions deal with the whole window at its end
            self._settle(window)
            self._dispatch(window)
            self.open += [r for r in window if (r.city, r.report.key) in self.cases]
            self._close(until)
            self.worker.drain()
        self.executed = until

    def finish(self, until: datetime) -> None:
        """The closings after the last request, and a last look at the clock."""
        ends = sorted(r.closed for r in self.open if r.closed is not None)
        for moment in [*ends[WINDOW::WINDOW], until]:
            with clock.replaying(moment):
                self._close(moment)
                self.worker.drain()
        with clock.replaying(until):
            watch_the_clock()
            self.worker.drain()

    def _settle(self, window: Sequence[Recorded]) -> None:
        """A person places by its area what has no point, and types what the machine could not."""
        by_key = {(f"us311-{r.city}", r.report.key): r for r in window}
        waiting = Report.objects.filter(state=Report.State.TRIAGE, key__in=[r.report.key for r in window])
        answers = []
        for report in waiting.order_by("id"):
            request = by_key[report.client, report.key]
            city = CITIES[request.city][0]
            region = (report.guess or {}).get("region") or self.areas.get((city, " ".join(request.area.split())), city)
            answers.append(Answer(report_id=report.id, case_type=request.report.case_type or ELSE, region_code=region))
        if answers:
            settle_reports(answers, viewer=self.viewer["replay-intake-officer"])
            self.summary.settled += len(answers)

    def _dispatch(self, window: Sequence[Recorded]) -> None:
        """File what has to be filed, and send each case to the office that had it."""
        by_key = {(f"us311-{r.city}", r.report.key): r for r in window}
        opened = Report.objects.filter(state=Report.State.OPENED, key__in=[r.report.key for r in window])
        case_of = {
            case_id: by_key[client, key]
            for client, key, case_id in opened.values_list("client", "key", "case_id")
            if (client, key) in by_key and case_id is not None
        }
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

    def _close(self, until: datetime) -> None:
        """Do what the record says was done by then: first what was in time, then the clock, then what was late."""
        due = [r for r in self.open if r.closed is not None and r.closed <= until]
        done = {id(r) for r in due}
        self.open = [r for r in self.open if id(r) not in done]
        ids = [self.cases.pop((r.city, r.report.key)) for r in due]
        deadlines = dict(Case.objects.filter(id__in=ids).values_list("id", "handle_due_at"))
        in_time: list[tuple[int, Recorded]] = []
        late: list[tuple[int, Recorded]] = []
        for case_id, request in zip(ids, due, strict=True):
            deadline = deadlines[case_id]
            side = in_time if deadline is None or (request.closed or until) <= deadline else late
            side.append((case_id, request))
        self._finish_cases(in_time)
        watch_the_clock()
        self._finish_cases(late)

    def _finish_cases(self, cases: Sequence[tuple[int, Recorded]]) -> None:
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
