"""A rainy working day in district 410104, played through the product's own actions: reports come in, the staff works.

Only actions are called, under the eyes of the same guards as everybody; what they refuse is counted and told. The day
ends in the middle of the work, so that every state of the workflow holds cases. Everything is invented and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

from django.db import transaction

from gridloop.cases.actions import NewCase, move_cases, open_cases
from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import cases_for
from gridloop.cases.rules import Move
from gridloop.cases.workflow import ENDS, STATES
from gridloop.discover.actions import Answer, receive_reports, settle_reports
from gridloop.discover.models import Report
from gridloop.discover.queries import model_path, reconciliation
from gridloop.discover.rules.classify import Classifier
from gridloop.dispatch.reactions import watch_the_clock
from gridloop.evaluate.queries import rates
from gridloop.feedback.actions import answer, token_of
from gridloop.feedback.models import Callback
from gridloop.gateways.demo.pictures import photograph
from gridloop.gateways.demo.staff import Staff, hire
from gridloop.gateways.demo.writing import ZONE, Truth, case_types, labelled, write_day
from gridloop.handle.actions import add_evidence, check, hand_back
from gridloop.handle.queries import photographs
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.events import Worker
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import open_table
from gridloop.people.actions import import_units
from gridloop.people.models import Unit
from gridloop.people.viewer import ANONYMOUS, SYSTEM, Viewer
from gridloop.standard import queries as standard
from gridloop.standard.actions import activate_packs
from gridloop.standard.rules.standard import Rate
from gridloop.territory.actions import draw_district
from gridloop.territory.queries import locate
from gridloop.territory.rules.places import NamedPlace, read_places

CLIENT = "demo"
HANDED_OVER = "other_office"
STEP = timedelta(minutes=30)
OPENING, CLOSING = 7, 22
"""The hours in which somebody looks at the screens; what comes at night waits for the morning."""
MORNING_AFTER = 11
"""The hour of the next day at which the demonstration stops."""
LESSONS = 2_000
"""Invented reports from which the demonstration's classifier learns; another seed than the day's."""
Progress = Callable[[int, int], None]
"""(steps done, steps in all)."""


@dataclass(slots=True)
class Summary:
    """What the day came to."""

    day: date
    reports: int
    reconciliation: Mapping[str, object]
    states: Mapping[str, int]
    on_time: Mapping[str, Rate]
    """By the name of the unit."""
    moves: Mapping[str, int]
    refused: Mapping[str, int]
    codes: Mapping[str, str] = field(repr=False)
    """User name -> one-time code of the invented staff, for who wants to look through their eyes."""

    def lines(self) -> list[Sentence]:
        """The summary as a person reads it."""
        r = self.reconciliation
        told = [
            Sentence(
                zh=f"演示数据（全部虚构）：{self.day} 一个雨天", en=f"Demonstration, all invented: a rainy {self.day}"
            ),
            Sentence(
                zh=f"收到 {r['accepted']} 条：立为案件 {r['in_cases']}，并入 {r['joined']}，待甄别 {r['triage']}，"
                f"不予受理 {r['refused']}，待处理 {r['waiting']}",
                en=f"{r['accepted']} reports: {r['in_cases']} became cases, {r['joined']} joined one, {r['triage']} "
                f"wait for a person, {r['refused']} refused, {r['waiting']} waiting",
            ),
            *(
                Sentence(zh=f"  {STATES[state].zh} {count}", en=f"  {STATES[state].en}: {count}")
                for state, count in self.states.items()
            ),
            Sentence(zh="按期处置率（按单位）", en="handled on time, by unit"),
        ]
        for unit, rate in sorted(self.on_time.items(), key=lambda pair: -pair[1].out_of):
            told.append(Sentence(zh=f"  {unit} {rate}（{rate.out_of} 件）", en=f"  {unit}: {rate} of {rate.out_of}"))
        return told


def prepare(*, district: Path, packs: Sequence[Path], at: datetime) -> dict[str, str]:
    """The standard, and as of `at` the map, the units and the invented staff; returns the staff's one-time codes.

    A data folder without a trained classifier gets one that learned from invented reports.
    """
    activate_packs(folders=packs, district=district, actor=SYSTEM.actor)
    draw_district(folder=district, actor=SYSTEM.actor, at=at)
    with open_table(district / "units.csv") as table:
        import_units(rows=table.rows, viewer=SYSTEM, at=at)
    _teach(read_places(district / "gazetteer.csv"))
    return hire(since=at.date(), at=at)


def _teach(places: Sequence[NamedPlace]) -> None:
    if model_path().exists():
        return
    known = set(standard.current().case_types)
    texts, types, groups = labelled(places, count=LESSONS, types=[t for t in case_types() if t in known])
    model_path().parent.mkdir(parents=True, exist_ok=True)
    Classifier.train(texts, types, groups).save(model_path())


def play_demo(
    *,
    district: Path,
    packs: Sequence[Path],
    count: int = 400,
    seed: int = 410104,
    progress: Progress | None = None,
) -> Summary:
    """Prepare the district and play its last finished working day and the morning after, up to the recent past.

    Played once: a second call with the same seed and day adds no report. Takes about a quarter of a second a report.
    """
    day = _last_full_day(clock.now())
    codes = prepare(district=district, packs=packs, at=clock.now() - timedelta(days=60))
    return _Day(read_places(district / "gazetteer.csv"), day, count, seed).play(progress, codes)


def _last_full_day(now: datetime) -> date:
    """The last working day whose next morning is over."""
    calendar = standard.current().calendar
    day = (now.astimezone(ZONE) - timedelta(days=1, hours=MORNING_AFTER + 1)).date()
    for _ in range(10):
        if calendar.is_workday(day):
            break
        day -= timedelta(days=1)
    return day


@dataclass(frozen=True, slots=True)
class _Habit:
    """How likely somebody does this with a case of these states at one look, and who."""

    states: tuple[str, ...]
    verb: str
    chance: float
    outcome: str = ""


_HABITS = (
    _Habit(("reported",), "accept", 0.5),
    _Habit(("reported",), "reject_intake", 0.04),
    _Habit(("pending_verify",), "verify", 0.30, "true"),
    _Habit(("pending_verify",), "verify", 0.03, "false"),
    _Habit(("pending_filing",), "file", 0.5),
    _Habit(("pending_filing",), "refuse_filing", 0.02),
    _Habit(("pending_dispatch", "returned"), "dispatch", 0.4),
    _Habit(("dispatched", "rework"), "start", 0.45),
    _Habit(("dispatched", "handling"), "return_back", 0.012),
    _Habit(("handling",), "ask_extension", 0.012),
    _Habit(("handling",), "ask_suspension", 0.012),
    _Habit(("handling",), "hand_back", 0.16),
    _Habit(("handled",), "check", 0.30, "passed"),
    _Habit(("handled",), "check", 0.04, "failed"),
    _Habit(("pending_close",), "close", 0.35),
    _Habit(("pending_close",), "send_back", 0.01),
    _Habit(("handling", "dispatched"), "supervise", 0.004),
    _Habit(("handling", "dispatched"), "remind", 0.01),
    _Habit(("pending_filing", "dispatched"), "cancel", 0.004),
    _Habit(("handling",), "force_close", 0.003),
    _Habit(("suspended",), "resume", 0.02),
)
_REASONS = {
    "reject_intake": "不属于城市管理事项，已告知反映渠道",
    "verify": "现场未发现所述问题",
    "refuse_filing": "未达到立案条件",
    "return_back": "不在本单位管养范围，建议派往街道办事处",
    "ask_extension": "雨天无法施工，申请延期",
    "ask_suspension": "需等待材料到货，申请挂账",
    "check": "现场仍有残留，未达到结案条件",
    "send_back": "处置后照片与现场不一致",
    "supervise": "群众多次反映，请加快办理",
    "cancel": "与已办案件重复",
    "force_close": "经协调由产权单位长期整治，先行结案",
    "refuse_request": "时限内可以完成，不予批准",
    "suspend": "材料到货前挂账",
    "appeal": "超期由连续降雨造成，申请剔除",
    "decide_appeal": "气象记录属实",
}


class _Day:
    def __init__(self, places: Sequence[NamedPlace], day: date, count: int, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a demonstration must be repeatable
        self.day = day
        known = set(standard.current().case_types)
        types = [t for t in case_types() if t in known]
        self.written = [
            *write_day(places, count=count, seed=seed, day=day, types=types, channel_keys=f"demo-{day}"),
            *write_day(
                places,
                count=count // 3,
                seed=seed + 1,
                day=day + timedelta(days=1),
                types=types,
                channel_keys=f"demo-{day}-after",
            ),
        ]
        self.truth: dict[str, Truth] = {w.report.key: w.truth for w in self.written}
        self.worker = Worker(mortal=False)
        self.moves: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.units = list(Unit.objects.all())
        self.staff = Staff.at_work(self.random)

    def play(self, progress: Progress | None, codes: Mapping[str, str]) -> Summary:
        times = list(self._steps())
        sent = 0
        for done, now in enumerate(times, 1):
            with clock.frozen(now):
                due = sent
                while due < len(self.written) and (self.written[due].report.reported_at or now) <= now:
                    due += 1
                receive_reports([w.report for w in self.written[sent:due]], client=CLIENT, viewer=SYSTEM)
                sent = due
                self.worker.drain()  # also of what the last look and the clock brought
                if done in (3, len(times)):
                    self._handed_over(now)
                if done < len(times):  # what came in the last half hour is still untouched when the day ends
                    self._look(now, last=now >= times[-4])
                watch_the_clock()
            if progress:
                progress(done, len(times))
        with clock.frozen(times[-1]):
            self._fill_the_gaps(times[-1])
            self.worker.drain()
            self._file_one(times[-1])
        return self._summary(sent, codes)

    def _steps(self) -> Iterable[datetime]:
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=ZONE)
        at = midnight + timedelta(hours=OPENING)
        while at <= midnight + timedelta(hours=CLOSING):
            yield at
            at += STEP
        at = midnight + timedelta(days=1, hours=OPENING)
        while at <= midnight + timedelta(days=1, hours=MORNING_AFTER):
            yield at
            at += STEP

    # --- one look at the screens ------------------------------------------------------------------------------------

    def _look(self, now: datetime, *, last: bool) -> None:
        self._settle(now, 0.5 if not last else 0.1)
        self._habits(now)
        self._decide_requests(now)
        self._helpers(now)
        self._callbacks(now)
        self._appeals(now)

    def _settle(self, now: datetime, chance: float) -> None:
        """An intake officer goes through the triage list and knows better than the machine."""
        officer = self.staff.one("intake_officer")
        open_now = dict(
            Report.objects.filter(client=CLIENT, state=Report.State.OPENED)
            .exclude(case_id__in=Case.objects.filter(state__in=ENDS).values("id"))
            .values_list("key", "case_id")
        )
        case_of = {self.truth[key].group: case_id for key, case_id in open_now.items()}
        answers = []
        for report in Report.objects.filter(state=Report.State.TRIAGE, client=CLIENT).order_by("id"):
            if self.random.random() > chance:
                continue
            truth = self.truth[report.key]
            if truth.kind == "vague":
                answers.append(Answer(report_id=report.id, refuse="内容不清，已回电告知请补充地点和情况"))
            elif truth.kind == "outside":
                answers.append(Answer(report_id=report.id, refuse="地点不在本区，已转相邻区"))
            else:
                answers.append(
                    Answer(
                        report_id=report.id,
                        case_type=truth.case_type,
                        lon=truth.lon,
                        lat=truth.lat,
                        case_id=case_of.get(truth.group) if truth.kind == "duplicate" else None,
                    )
                )
        self._try("settle", lambda: settle_reports(answers, viewer=officer, at=now), len(answers))

    def _habits(self, now: datetime) -> None:
        """Whoever holds a case may do something with it, each as its habit is."""
        wanted: dict[tuple[str, int], tuple[Viewer, list[Move]]] = {}
        for case in Case.objects.filter(state__in=[s for h in _HABITS for s in h.states]).order_by("id"):
            for habit in _HABITS:
                if case.state in habit.states and self.random.random() < habit.chance * self._haste(case):
                    viewer = self._whoever(case, habit.verb)
                    if viewer is not None:
                        moves = wanted.setdefault((habit.verb, viewer.id), (viewer, []))[1]
                        moves.append(self._move(case, habit))
                    break
        for (verb, _), (viewer, moves) in wanted.items():
            self._do(verb, moves, viewer, now)

    def _haste(self, case: Case) -> float:
        return 1.6 if case.urgent else 1.0

    def _whoever(self, case: Case, verb: str) -> Viewer | None:
        match verb:
            case "accept" | "reject_intake":
                return self.staff.one("intake_officer")
            case "verify" | "check":
                return self.staff.walking(case.region_code, verb)
            case "dispatch" | "remind" | "resume":
                return self.staff.one("dispatcher")
            case "supervise":
                return self.staff.one("district_leader")
            case "file" | "refuse_filing" | "close" | "send_back" | "cancel" | "force_close":
                return self.staff.one("shift_lead")
            case _:
                return self.staff.in_unit(case.unit_id, verb)

    def _move(self, case: Case, habit: _Habit) -> Move:
        unit = self._unit_for(case) if habit.verb == "dispatch" else None
        why = Sentence(zh="派遣员按属地指定", en="the dispatcher chose by the place") if unit else None
        needs_reason = habit.outcome in ("", "false", "failed")
        return Move(
            case_id=case.id,
            verb=habit.verb,
            outcome=habit.outcome,
            reason=_REASONS.get(habit.verb, "") if needs_reason else "",
            unit_id=unit,
            why=why,
        )

    def _unit_for(self, case: Case) -> int:
        """The street office of the place: what nobody else does, it does."""
        for unit in self.units:
            if unit.function == "street_office" and unit.region_code and case.region_code.startswith(unit.region_code):
                return unit.id
        return next(u.id for u in self.units if u.function == "city_management")

    def _do(self, verb: str, moves: Sequence[Move], viewer: Viewer, now: datetime) -> None:
        if verb == "hand_back":
            self._photograph(moves, viewer, now)
            act: Callable[[Sequence[Move]], object] = lambda some: hand_back(some, viewer=viewer, at=now)  # noqa: E731
        elif verb == "check":
            act = lambda some: check(some, viewer=viewer, at=now)  # noqa: E731
        else:
            act = lambda some: move_cases(some, viewer=viewer, at=now)  # noqa: E731
        for move in moves:  # a person does one thing after another, and a refusal stops nothing else
            self._try(verb, lambda move=move: act([move]), 1)  # type: ignore[misc]

    def _try(self, name: str, act: Callable[[], object], count: int) -> bool:
        if not count:
            return False
        try:
            with transaction.atomic():
                act()
        except (Refused, Mistakes) as refused:
            self.refused[f"{name}: {refused.code if isinstance(refused, Refused) else 'mistakes'}"] += 1
            return False
        self.moves[name] += count
        return True

    def _photograph(self, moves: Sequence[Move], viewer: Viewer, now: datetime) -> None:
        """The pictures that the pack asks for, as far as they are missing."""
        taken = photographs([m.case_id for m in moves])
        for case in cases_for(viewer).filter(id__in=[m.case_id for m in moves]):
            rule = standard.release(case.pack_release_id).case_type(case.case_type).evidence
            for stage, needed, have in zip(
                ("before", "after"), (rule.before, rule.after), taken.get(case.id, (0, 0)), strict=True
            ):
                for number in range(have, needed):
                    content = photograph(case.number, stage, number + 1)
                    self._try(
                        "evidence",
                        lambda case=case, stage=stage, content=content: add_evidence(  # type: ignore[misc]
                            case_id=case.id, stage=stage, content=content, viewer=viewer, at=now
                        ),
                        1,
                    )

    def _decide_requests(self, now: datetime) -> None:
        for case in Case.objects.filter(asked__in=("extend", "suspend")).order_by("id"):
            if self.random.random() > 0.5:
                continue
            dispatcher = self.staff.one("dispatcher")
            if self.random.random() < 0.25:
                move = Move(case_id=case.id, verb="refuse_request", reason=_REASONS["refuse_request"])
            elif case.asked == "extend":
                move = Move(case_id=case.id, verb="extend")
            else:
                until = now + timedelta(days=self.random.randint(1, 5))
                move = Move(case_id=case.id, verb="suspend", reason=_REASONS["suspend"], until=until)
            self._do(move.verb, [move], dispatcher, now)

    def _helpers(self, now: datetime) -> None:
        """Helping units hand their part back, most of them before the lead does."""
        for part in CoHandling.objects.filter(handed_back_at=None, withdrawn_at=None).order_by("id"):
            viewer = self.staff.in_unit(part.unit_id, "co_hand_back")
            if viewer is not None and self.random.random() < 0.35:
                self._do(
                    "co_hand_back", [Move(case_id=part.case_id, verb="co_hand_back", unit_id=part.unit_id)], viewer, now
                )

    def _callbacks(self, now: datetime) -> None:
        """Reporters answer the question whether it is solved; some say no."""
        for callback in Callback.objects.filter(answered_at=None).order_by("id"):
            if self.random.random() > 0.25:
                continue
            solved = self.random.random() < 0.87
            grade = self.random.choice((5, 5, 4, 4, 3)) if solved else self.random.choice((1, 2, 2, 3))
            token = token_of(callback.report_id, callback.round)
            self._try(
                "answer",
                lambda token=token, solved=solved, grade=grade: answer(  # type: ignore[misc]
                    token=token, resolved=solved, satisfied=grade, viewer=ANONYMOUS, at=now
                ),
                1,
            )

    def _appeals(self, now: datetime) -> None:
        """Units appeal against cases that count as late; two shift leads review."""
        for case in Case.objects.filter(state="closed", exempt=False).order_by("id"):
            late = case.handled_at and case.handle_due_at and case.handled_at > case.handle_due_at
            if case.asked == "appeal" and self.random.random() < 0.3:
                outcome = "grant" if self.random.random() < 0.8 else "refuse"
                move = Move(case_id=case.id, verb="decide_appeal", outcome=outcome, reason=_REASONS["decide_appeal"])
                self._do("decide_appeal", [move], self.staff.one("shift_lead"), now)
            elif late and case.asked == "" and self.random.random() < 0.1:
                viewer = self.staff.in_unit(case.unit_id, "appeal")
                if viewer is not None:
                    self._do("appeal", [Move(case_id=case.id, verb="appeal", reason=_REASONS["appeal"])], viewer, now)

    # --- what a day does not bring by itself ------------------------------------------------------------------------

    def _handed_over(self, now: datetime) -> None:
        """Other offices hand matters over by a list: they wait for acceptance like any report."""
        if Case.objects.filter(source=HANDED_OVER, reported_at=now).exists():
            return  # a demonstration that was interrupted is played again from the start
        wanted = [w for w in self.written if w.truth.kind == "problem"][:: max(1, len(self.written) // 12)]
        codes = locate([w.truth.lon for w in wanted], [w.truth.lat for w in wanted])
        new = [
            NewCase(
                case_type=w.truth.case_type,
                region_code=str(code),
                state="reported",
                source=HANDED_OVER,
                text=f"部门转办（演示）：{w.report.text}",
                address=w.truth.place,
                lon=w.truth.lon,
                lat=w.truth.lat,
                reported_at=now,
            )
            for w, code in zip(wanted, codes, strict=True)
        ]
        self._try("handed over", lambda: open_cases(new, viewer=SYSTEM, at=now), len(new))

    def _fill_the_gaps(self, now: datetime) -> None:
        """No state stays empty, whatever the dice said: the missing move is made with a case that allows it."""
        for state, origin, verb, outcome in (
            ("pending_filing", "reported", "accept", ""),
            ("pending_filing", "pending_verify", "verify", "true"),
            ("not_accepted", "reported", "reject_intake", ""),
            ("cancelled", "pending_filing", "cancel", ""),
            ("cancelled", "dispatched", "cancel", ""),
            ("forced_close", "handling", "force_close", ""),
            ("returned", "dispatched", "return_back", ""),
            ("returned", "handling", "return_back", ""),
            ("suspended", "handling", "suspend", ""),
            ("handled", "handling", "hand_back", ""),
            ("rework", "handled", "check", "failed"),
            ("pending_close", "handled", "check", "passed"),
            ("closed", "pending_close", "close", ""),
        ):
            if Case.objects.filter(state=state).exists():
                continue
            for case in Case.objects.filter(state=origin).order_by("id")[:12]:
                viewer = self.staff.one("dispatcher") if verb == "suspend" else self._whoever(case, verb)
                move = Move(
                    case_id=case.id, verb=verb, outcome=outcome, reason=_REASONS.get(verb, ""),
                    until=now + timedelta(days=2) if verb == "suspend" else None,
                )  # fmt: skip
                if viewer is not None:
                    self._do(verb, [move], viewer, now)
                if Case.objects.filter(state=state).exists():
                    break

    def _file_one(self, now: datetime) -> None:
        """The last act: a case is filed, and nobody has sent it anywhere yet."""
        for case in Case.objects.filter(state="pending_filing").order_by("id")[1:2]:
            self._do("file", [Move(case_id=case.id, verb="file")], self.staff.one("shift_lead"), now)

    def _summary(self, sent: int, codes: Mapping[str, str]) -> Summary:
        counted = Counter(Case.objects.values_list("state", flat=True))
        indicator = standard.current().indicators["on_time_rate"]
        names = {str(u.id): u.name for u in self.units}
        on_time = {
            names.get(group, group): found["on_time_rate"]
            for group, found in rates([indicator], by="unit", viewer=SYSTEM).items()
            if group and found["on_time_rate"].out_of
        }
        return Summary(
            day=self.day,
            reports=sent,
            reconciliation=reconciliation(),
            states={state: counted[state] for state in STATES},
            on_time=on_time,
            moves=dict(self.moves),
            refused=dict(self.refused),
            codes=codes,
        )
