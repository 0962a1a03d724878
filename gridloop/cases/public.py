"""What everybody may see of cases, and what a reporter is told of theirs. `public_cases` is the public's one door.

What comes out of it holds no word that anybody wrote, no address and no exact place: a number, a type, a street and a
community, a state, days, and the square of about 100 m in which it lies. A case is public once it is filed (立案):
until then it is what somebody says. Types that the pack calls private never come out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet

from gridloop.cases.models import Case
from gridloop.cases.rules import DUPLICATE_CELL, cells_around
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.standard import queries as standard_queries

PAGE = 20
MOST_ON_MAP = 2_000
COMMUNITY = 12
"""Digits of the code of a community: the finest place by name that the public sees."""
SOLVED_LATELY = timedelta(days=30)

GROUPS: Mapping[str, Sentence] = {
    "open": Sentence(zh="办理中", en="in progress"),
    "solved": Sentence(zh="已解决", en="solved"),
    "stopped": Sentence(zh="暂不能办", en="cannot be done for now"),
}
"""What the public can ask for."""
PLAIN: Mapping[str, tuple[str, Sentence]] = {
    "pending_dispatch": ("open", Sentence(zh="已立案，正在派给办理单位", en="accepted; a unit is being found")),
    "returned": ("open", Sentence(zh="正在重新确定办理单位", en="another unit is being found")),
    "dispatched": ("open", Sentence(zh="已派给办理单位", en="with the unit that does it")),
    "handling": ("open", Sentence(zh="正在办理", en="being worked on")),
    "rework": ("open", Sentence(zh="没有办好，正在重新办理", en="was not good enough; being done again")),
    "suspended": ("open", Sentence(zh="暂停办理，到期自动恢复", en="paused until a set day")),
    "handled": ("open", Sentence(zh="单位说已办好，正由另一人核查", en="said to be done; another person checks it")),
    "pending_close": ("open", Sentence(zh="核查通过，即将结案", en="checked; about to be closed")),
    "closed": ("solved", Sentence(zh="已办结并经核查", en="done and checked")),
    "forced_close": ("stopped", Sentence(zh="暂不能办，已说明原因", en="cannot be done for now; the reason was given")),
}
"""State of a case -> what the public can ask for, and its plain word."""


def zone() -> ZoneInfo:
    """The district's zone: the public counts in its days."""
    return ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))


@dataclass(frozen=True, slots=True)
class PublicCase:
    """A case as everybody sees it."""

    id: int
    """For asking other stages about it; no page shows it."""
    number: str
    case_type: str
    name: Sentence
    state: str
    region_code: str
    """Of the community, or of the street where it lies in none."""
    opened_at: datetime
    due_at: datetime | None
    """The promise: when the unit has to be done."""
    closed_at: datetime | None
    on_time: bool | None
    callers: int
    lon: float | None
    """The middle of the square of about 100 m, WGS-84."""
    lat: float | None

    @property
    def group(self) -> str:
        return PLAIN[self.state][0]

    @property
    def word(self) -> Sentence:
        return PLAIN[self.state][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicFilter:
    """What part of the public's cases is asked for; what is empty asks nothing."""

    region: str = ""
    """The code of a street or community."""
    major: str = ""
    """A class of types: ``urban:E01``."""
    case_type: str = ""
    group: str = ""
    """A key of `GROUPS`."""
    month: str = ""
    """``2026-11``: opened in that month."""
    on_time: bool = False
    """Only what was done within its time."""
    number: str = ""
    near: tuple[float, float, float] | None = None
    """Longitude, latitude, metres."""
    since: datetime | None = None


def _private() -> list[str]:
    standard = standard_queries.current()
    return [t.key for t in (*standard.case_types.values(), *standard.older.values()) if t.private]


def _public() -> QuerySet[Case]:
    return Case.objects.filter(filed_at__isnull=False, state__in=PLAIN).exclude(case_type__in=_private())


def _asked(asked: PublicFilter) -> QuerySet[Case]:
    rows = _public()
    if asked.region:
        rows = rows.filter(region_code__startswith=asked.region[:COMMUNITY])
    if asked.case_type:
        rows = rows.filter(case_type=asked.case_type)
    elif asked.major:
        rows = rows.filter(case_type__in=types_of(asked.major))
    if asked.group:
        rows = rows.filter(state__in=[state for state, (group, _) in PLAIN.items() if group == asked.group])
    if asked.month and (span := month_of(asked.month)):
        rows = rows.filter(opened_at__gte=span[0], opened_at__lt=span[1])
    if asked.on_time:
        rows = rows.filter(state="closed", handled_at__lte=F("handle_due_at"))
    if asked.number:
        rows = rows.filter(number=asked.number)
    if asked.near is not None:
        rows = rows.filter(cell__in=cells_around(*asked.near))
    if asked.since is not None:
        rows = rows.filter(opened_at__gte=asked.since)
    return rows


_COLUMNS = (
    "id", "number", "case_type", "catalog_version", "state", "region_code", "opened_at", "handle_due_at", "handled_at",
    "closed_at", "callers", "cell",
)  # fmt: skip
"""All that is ever read for the public: neither text nor address nor coordinates are among them."""


def public_cases(asked: PublicFilter, *, after: str = "", limit: int = PAGE) -> list[PublicCase]:
    """The public's cases, newest first, from behind the case `after` (a number; "" = from the first). One query."""
    rows = _asked(asked)
    if after:
        last = Case.objects.filter(number=after).values_list("opened_at", "id").first()
        if last is not None:
            at, key = last
            # The first condition alone says where the index begins; the second cuts off those of the same moment.
            rows = rows.filter(opened_at__lte=at).filter(Q(opened_at__lt=at) | Q(id__lt=key))
    return _shown(rows.order_by("-opened_at", "-id").values(*_COLUMNS)[:limit])


def public_case(number: str) -> PublicCase | None:
    """One case as everybody sees it; None where there is none for the public."""
    found = public_cases(PublicFilter(number=number), limit=1)
    return found[0] if found else None


def public_squares(asked: PublicFilter) -> list[tuple[float, float, str, int, str]]:
    """Where the public's cases are: (longitude, latitude, group, how many, newest number), by square. Newest first."""
    rows = _asked(asked).exclude(cell=None).order_by("-opened_at", "-id").values_list("cell", "state", "number")
    found: dict[tuple[int, str], tuple[int, str]] = {}
    for cell, state, number in rows[:MOST_ON_MAP]:
        assert cell is not None, "left out above"
        count, newest = found.get((cell, PLAIN[state][0]), (0, number))
        found[cell, PLAIN[state][0]] = (count + 1, newest)
    return [(*_middle(cell), group, count, newest) for (cell, group), (count, newest) in found.items()]


def solved_lately(asked: PublicFilter, *, now: datetime, limit: int = 50) -> list[PublicCase]:
    """Of the cases that were taken on last, those that were solved in the last thirty days, the newest end first."""
    rows = _asked(asked).filter(state="closed", closed_at__gte=now - SOLVED_LATELY)
    found = _shown(rows.order_by("-opened_at", "-id").values(*_COLUMNS)[: 4 * limit])
    found.sort(key=lambda case: (case.closed_at or now, case.id), reverse=True)
    return found[:limit]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of one month's cases. Each is the length of a list that `public_cases` gives."""

    month: str
    opened: int
    solved: int
    on_time: int


def figures(month: str) -> Figures:
    """How many cases of a month (``2026-11``) were taken on, solved, and solved within their time. One query."""
    row = _asked(PublicFilter(month=month)).aggregate(
        opened=Count("id"),
        solved=Count("id", filter=Q(state="closed")),
        on_time=Count("id", filter=Q(state="closed", handled_at__lte=F("handle_due_at"))),
    )
    return Figures(month, row["opened"], row["solved"], row["on_time"])


def month_of(text: str) -> tuple[datetime, datetime] | None:
    """The month as moments of the district; None where the text is no month."""
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
        return None
    year, month = map(int, text.split("-"))
    begin = datetime(year, month, 1, tzinfo=zone())
    return begin, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone())


def classes() -> dict[str, Sentence]:
    """The classes of types of which the public may see cases: ``urban:E01`` -> its name."""
    found: dict[str, Sentence] = {}
    for kind in standard_queries.current().case_types.values():
        if not kind.private:
            found.setdefault(f"{kind.pack}:{kind.code[:3]}", kind.major_name)
    return found


def types_of(major: str) -> list[str]:
    """The keys of the types of a class."""
    return [key for key in standard_queries.current().case_types if key.startswith(major)] if major else []


def _shown(rows: Iterable[Mapping[str, Any]]) -> list[PublicCase]:
    standard = standard_queries.current()
    found = []
    for row in rows:
        kind = standard.case_types.get(row["case_type"]) or standard.older.get(row["case_type"])
        name = kind.name if kind is not None else Sentence(zh=row["case_type"], en=row["case_type"])
        lon, lat = _middle(row["cell"])
        due, handled = row["handle_due_at"], row["handled_at"]
        found.append(
            PublicCase(
                id=row["id"], number=row["number"], case_type=row["case_type"], name=name, state=row["state"],
                region_code=row["region_code"][:COMMUNITY], opened_at=row["opened_at"], due_at=due,
                closed_at=row["closed_at"], on_time=handled <= due if due and handled else None,
                callers=row["callers"], lon=lon, lat=lat,
            )
        )  # fmt: skip
    return found


def _middle(cell: int | None) -> tuple[float, float] | tuple[None, None]:
    """The middle of a square of `rules.cell_of`, to four digits."""
    if cell is None:
        return None, None
    row, column = divmod(cell, 1_000_000)
    return round((column + 0.5) * DUPLICATE_CELL - 180, 4), round((row + 0.5) * DUPLICATE_CELL - 90, 4)


# --- what a reporter is told -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story: when, what, and the words that were written for it, if the reporter may read them."""

    at: datetime
    what: Sentence
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """A deadline that was given, and why it is not the one before."""

    at: datetime
    due_at: datetime | None
    """None: the clock stands still."""
    why: Sentence
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the five steps, and when it was reached; None = not yet."""

    name: Sentence
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Story:
    """A case as its reporter is told of it: never who did something, always what and when."""

    state: str
    number: str
    name: Sentence
    region_code: str
    now: Sentence
    """How it stands, in one plain sentence."""
    ended: bool
    solved: bool
    callers: int
    unit_id: int | None
    steps: tuple[Step, ...]
    promises: tuple[Promise, ...]
    """Oldest first; the last one holds."""
    lines: tuple[Told, ...]
    answer: str
    """What the unit wrote when it handed the case back for the last time."""
    answered_at: datetime | None
    reason: str
    """Why it ended otherwise than done, in the words of who decided."""

    @property
    def due_at(self) -> datetime | None:
        return self.promises[-1].due_at if self.promises else None


ENDED: Mapping[str, Sentence] = {
    "CaseClosed": Sentence(
        zh="已经办好，并由另一人到现场核查过。", en="It is done, and another person has looked at it on the spot."
    ),
    "CaseForceClosed": Sentence(
        zh="现在办不成，已先行结案。原因写在下面；情况变化后可以重办。",
        en="It cannot be done now and was closed. The reason is given below; it can be taken up again.",
    ),
    "CaseRejected": Sentence(
        zh="这件事不归我们管，没有受理。原因和该找谁写在下面。",
        en="It is not ours to do and was not taken on. Why, and who can help, is given below.",
    ),
    "CaseRefuted": Sentence(
        zh="我们到现场看过，没有看到所说的情况：可能已经恢复，也可能位置有出入。",
        en="Somebody went and did not find it: it may be right again already, or the place may be another one.",
    ),
    "FilingRefused": Sentence(
        zh="没有达到立案的条件，没有立案。原因写在下面。",
        en="It does not meet the conditions for a case. The reason is below.",
    ),
    "CaseCancelled": Sentence(
        zh="已作废：与另一件重复，或提出的人撤回了。", en="It was cancelled: it doubles another one, or was withdrawn."
    ),
}
"""The end states, each in words of its own: closed is not the same as solved."""
STANDS: Mapping[str, Sentence] = {
    "reported": Sentence(zh="我们收到了，正在看是否受理。", en="We have it and are looking whether to take it on."),
    "pending_verify": Sentence(zh="会有人到现场看一看。", en="Somebody will go and look."),
    "pending_filing": Sentence(zh="正在决定是否立案。", en="It is being decided whether it becomes a case."),
    "pending_dispatch": Sentence(zh="已立案，正在确定由谁来办。", en="It is a case now; who does it is being decided."),
    "returned": Sentence(
        zh="原单位说不归它办，正在重新确定由谁来办。", en="The unit says it is another's; that is being settled."
    ),
    "dispatched": Sentence(zh="已经派给办理单位。", en="It was sent to the unit that does it."),
    "handling": Sentence(zh="办理单位正在处理。", en="The unit is working on it."),
    "rework": Sentence(zh="上一次没有办好，正在重新办理。", en="It was not good enough and is being done again."),
    "suspended": Sentence(zh="因故暂停办理，到日子自动恢复。", en="It is paused, and goes on by itself on a set day."),
    "handled": Sentence(
        zh="单位说已经办好，正由另一人到现场核查。", en="The unit says it is done; another person goes to look."
    ),
    "pending_close": Sentence(zh="核查通过，马上结案。", en="It was checked and is about to be closed."),
}
_LINES: Mapping[str, Sentence] = {
    "CaseOpened": Sentence(zh="受理您的反映", en="Your report was taken on"),
    "CaseVerified": Sentence(zh="到现场核实：情况属实", en="Somebody went to look: it is so"),
    "CaseFiled": Sentence(zh="立案", en="It became a case"),
    "CaseDispatched": Sentence(zh="派给办理单位", en="Sent to the unit that does it"),
    "CaseSigned": Sentence(zh="办理单位签收，开始处理", en="The unit has begun"),
    "CaseReturned": Sentence(zh="单位退回：不归它办", en="The unit gave it back: not its business"),
    "CaseHandedBack": Sentence(zh="单位报告已经办好", en="The unit reports that it is done"),
    "CaseSelfHandled": Sentence(zh="网格员当场办好", en="Put right on the spot"),
    "CheckPassed": Sentence(zh="另一人到现场核查：已解决", en="Another person looked: it is solved"),
    "CheckFailed": Sentence(
        zh="另一人到现场核查：没有办好，退回重办", en="Another person looked: not solved; to be done again"
    ),
    "CaseSentBack": Sentence(zh="值班长退回重办", en="Sent back to be done again"),
    "CaseExtended": Sentence(zh="办理时间延长", en="The time was extended"),
    "CaseSuspended": Sentence(zh="暂停办理", en="Paused"),
    "CaseResumed": Sentence(zh="恢复办理", en="Going on again"),
    "CaseReopened": Sentence(zh="反映人说没有解决，重新办理", en="A reporter says it is not solved: taken up again"),
    "CaseSupervised": Sentence(zh="领导督办", en="A leader watches it"),
    "DeadlinePassed": Sentence(
        zh="超过了承诺的时间，已报上一级", en="The promised time has passed; the next level knows"
    ),
    "CallerJoined": Sentence(zh="又有人反映同一问题", en="Others reported the same"),
    **ENDED,
}
"""What a reporter is told of an event. Those that are not here are inner matters."""
_READABLE = frozenset(
    {"CaseRejected", "CaseRefuted", "FilingRefused", "CaseCancelled", "CaseForceClosed", "CaseHandedBack",
     "CheckFailed", "CaseSuspended", "CaseExtended", "CaseSentBack"}
)  # fmt: skip
"""The events whose words were written for the outside, or would be an insult if they were kept back."""
_PROMISES: Mapping[str, Sentence] = {
    "CaseDispatched": Sentence(zh="派给单位时的承诺", en="the promise when it was sent to the unit"),
    "CaseSelfHandled": Sentence(zh="当场办理", en="put right on the spot"),
    "CaseExtended": Sentence(zh="延长一次", en="extended"),
    "CaseSuspended": Sentence(zh="暂停计时", en="the clock stands still"),
    "CaseResumed": Sentence(zh="恢复计时", en="the clock runs again"),
    "CheckFailed": Sentence(zh="没有办好，退回重办", en="not solved, to be done again"),
    "CaseSentBack": Sentence(zh="退回重办", en="sent back to be done again"),
    "CaseReopened": Sentence(zh="您说没有解决，重新起算", en="a reporter says it is not solved: a new time"),
    "CaseCorrected": Sentence(zh="更正了类型，时间随之改变", en="its type was corrected, and the time with it"),
}
_LONG_NUMBER = re.compile(r"\d[\d\s-]{5,}\d")
"""Telephone and identity numbers, as people write them into a reason."""


def readable(words: str) -> str:
    """Words of the staff as a reporter may read them: without telephone and identity numbers."""
    return _LONG_NUMBER.sub("＊", words).strip()


@dataclass(slots=True)
class _Telling:
    promises: list[Promise] = field(default_factory=list)
    lines: list[Told] = field(default_factory=list)
    answer: str = ""
    answered_at: datetime | None = None
    asked: str = ""
    reason: str = ""

    def tell(self, event: Event) -> None:
        name, data = event.name, event.data
        reason = readable(data.get("reason", "")) if name in _READABLE else ""
        if "unit" in data.get("about", {}) and name == "DeadlinePassed":
            return  # a helper's clock
        if name == "ExtensionAsked":
            self.asked = readable(data.get("reason", ""))
        elif name == "CaseExtended":
            reason = self.asked or reason  # why it was needed says more than why it was granted
        if name in ("CaseHandedBack", "CaseSelfHandled"):
            self.answer, self.answered_at = reason, event.at
        if name in ENDED:
            self.reason = reason
        if name in _LINES:
            self.lines.append(Told(event.at, _LINES[name], reason))
        fields = data.get("set", {})
        if name in _PROMISES and name == "CaseSuspended":
            self.promises.append(Promise(event.at, None, _PROMISES[name], reason))
        elif name in _PROMISES and fields.get("handle_due_at"):
            due = datetime.fromisoformat(fields["handle_due_at"])
            self.promises.append(Promise(event.at, due, _PROMISES[name], reason))


def story_of(case_id: int) -> Story | None:
    """A case as one of its reporters is told of it. The caller has made sure that it is a reporter. Two queries."""
    case = Case.objects.filter(id=case_id).first()
    if case is None:
        return None
    telling = _Telling()
    last = ""
    for event in Event.objects.filter(subject=f"case:{case_id}").order_by("id")[:2_000]:
        telling.tell(event)
        last = event.name if event.name in ENDED else last
    standard = standard_queries.release(case.pack_release_id)
    ended = case.closed_at is not None
    return Story(
        state=case.state,
        number=case.number,
        name=standard.case_type(case.case_type, case.catalog_version).name,
        region_code=case.region_code,
        now=ENDED[last] if ended and last in ENDED else STANDS.get(case.state, ENDED["CaseClosed"]),
        ended=ended,
        solved=case.state == "closed",
        callers=case.callers,
        unit_id=case.unit_id,
        steps=steps_of(case),
        promises=tuple(telling.promises),
        lines=tuple(telling.lines),
        answer=telling.answer if case.handled_at is not None else "",
        answered_at=telling.answered_at if case.handled_at is not None else None,
        reason=telling.reason if ended else "",
    )


_STEPS = (
    Sentence(zh="收到", en="Received"),
    Sentence(zh="立案", en="Taken on"),
    Sentence(zh="派单", en="Sent to a unit"),
    Sentence(zh="办理", en="Handled"),
    Sentence(zh="核查办结", en="Checked and closed"),
)


def steps_of(case: Case) -> tuple[Step, ...]:
    """The five steps of a case and when each was reached."""
    done: Sequence[datetime | None] = (
        case.reported_at,
        case.filed_at,
        case.dispatched_at,
        case.handled_at,
        case.closed_at if case.state == "closed" else None,
    )
    return tuple(Step(name, at) for name, at in zip(_STEPS, done, strict=True))
