"""Working time: the five clocks by which a limit may run, over a calendar with holidays and make-up workdays (调休).

Pure: dates and moments in, moments and seconds out. Moments are aware datetimes; answers are UTC.

The clocks and their Chinese names are those of real city tables. How each one counts is *our reading* (Gridloop
design, see docs/explanation/working-time.md); where cities differ there is a switch:

==============  ==========  ==========================================================================
clock           table name  a limit of N is due
==============  ==========  ==========================================================================
`URGENT_HOUR`   紧急工作时  N x 3600 s after the start, day and night
`URGENT_DAY`    紧急工作日  N x 24 h after the start, as `NATURAL_DAY`
`WORK_HOUR`     工作时      when N hours inside office hours have passed
`WORK_DAY`      工作日      at the close of the N-th working day after the day of the start
`NATURAL_DAY`   自然日      N x 24 h after the start
==============  ==========  ==========================================================================
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Moments = NDArray[np.int64]
"""Moments as whole microseconds since 1970-01-01 UTC."""

SHANGHAI = ZoneInfo("Asia/Shanghai")
OFFICE_HOURS = ((time(8), time(12)), (time(14), time(18)))
CHINA_WORKDAYS = "gridloop/kernel/data/china_workdays.toml"
"""The file to extend when the State Council has published the next year."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_HUNDRED_YEARS = {"hour": 876_600, "day": 36_525}


class Clock(StrEnum):
    """By which time a limit runs."""

    URGENT_HOUR = "urgent_hour"
    URGENT_DAY = "urgent_day"
    WORK_HOUR = "work_hour"
    WORK_DAY = "work_day"
    NATURAL_DAY = "natural_day"

    @property
    def sleeps(self) -> bool:
        """Whether it stands still outside office hours."""
        return self in (Clock.WORK_HOUR, Clock.WORK_DAY)

    @property
    def unit(self) -> str:
        """``hour`` or ``day``."""
        return "hour" if self in (Clock.URGENT_HOUR, Clock.WORK_HOUR) else "day"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many hours or days by a clock: ``Limit(2, Clock.WORK_DAY)``. Positive, and at most a hundred years."""

    amount: int | Decimal
    clock: Clock

    def __post_init__(self) -> None:
        if not 0 < self.amount <= _HUNDRED_YEARS[self.clock.unit]:
            raise ValueError(
                f"a limit of {self.amount} {self.clock}: write a number above 0 and at most a hundred years "
                f"({_HUNDRED_YEARS[self.clock.unit]} {self.clock.unit}s)"
            )


@dataclass(frozen=True)
class WorkCalendar:
    """When a district works: its zone, office hours, weekdays, holidays and make-up workdays.

    `hours` are the office periods of a working day in local wall time, in order, not overlapping; a period that ends
    at ``time(0)`` ends at midnight. A date in `make_up_workdays` is worked whatever its weekday, a date in `holidays`
    is not, any other follows `weekend` (Monday is 0). A date in both is a mistake. `covers` is the first and last date
    for which the holidays are known for certain: outside it the calendar goes on with what it has, because a case
    filed on New Year's Eve must get its deadline, and `is_certain` says so. `work_day_as_hours` reads N 工作日 as
    N times a day's office hours, as some cities do.

    Raises `ValueError` that names every mistake.
    """

    zone: ZoneInfo = SHANGHAI
    hours: tuple[tuple[time, time], ...] = OFFICE_HOURS
    holidays: frozenset[date] = frozenset()
    make_up_workdays: frozenset[date] = frozenset()
    covers: tuple[date, date] = (date.min, date.max)
    work_day_as_hours: bool = False
    weekend: frozenset[int] = frozenset({5, 6})
    _tables: list[_Table] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wrong = []
        if not self.hours:
            wrong.append("no office hours: write at least one period, such as 08:00-12:00")
        minutes = [(_minute(opens), _minute(closes) or 1440) for opens, closes in self.hours]
        wrong += [
            f"office hours {o:%H:%M}-{c:%H:%M}: close later than you open" for o, c in self.hours if time(0) != c <= o
        ]
        if any(earlier[1] > later[0] for earlier, later in pairwise(minutes)):
            wrong.append("office hours overlap or are out of order: write them from morning to evening")
        if any(t.second or t.microsecond or t.tzinfo for period in self.hours for t in period):
            wrong.append("office hours with seconds or a zone: write whole minutes of local time")
        both = sorted(self.holidays & self.make_up_workdays)
        wrong += [f"{day} is both a holiday and a make-up workday: write one of the two" for day in both]
        if not self.weekend < frozenset(range(7)):
            wrong.append("weekend: name weekdays from 0 (Monday) to 6 (Sunday) and leave at least one to work on")
        if self.covers[0] > self.covers[1]:
            wrong.append("covers: the first date comes after the last")
        if wrong:
            raise ValueError("; ".join(wrong))

    # --- the days -------------------------------------------------------------------------------------------------

    def is_workday(self, day: date) -> bool:
        """Whether people work on this local date."""
        if day in self.make_up_workdays:
            return True
        return day not in self.holidays and day.weekday() not in self.weekend

    def is_certain(self, when: date | datetime) -> bool:
        """Whether the holidays of this date (or of the local date of this moment) are known, not assumed."""
        day = when.astimezone(self.zone).date() if isinstance(when, datetime) else when
        return self.covers[0] <= day <= self.covers[1]

    def overridden(
        self,
        *,
        hours: tuple[tuple[time, time], ...] | None = None,
        closed: Iterable[date] = (),
        worked: Iterable[date] = (),
        work_day_as_hours: bool | None = None,
    ) -> WorkCalendar:
        """This calendar with a district's own rules over it: other hours, days on which it closes or works."""
        closed, worked = frozenset(closed), frozenset(worked)
        return replace(
            self,
            hours=self.hours if hours is None else hours,
            holidays=(self.holidays - worked) | closed,
            make_up_workdays=(self.make_up_workdays - closed) | worked,
            work_day_as_hours=self.work_day_as_hours if work_day_as_hours is None else work_day_as_hours,
        )

    # --- deadlines ------------------------------------------------------------------------------------------------

    def deadline(self, start: datetime, limit: Limit) -> datetime:
        """The moment at which `limit`, counted from `start`, is used up (UTC)."""
        return self.deadlines([start], limit)[0]

    def deadlines(self, starts: Sequence[datetime], limits: Limit | Sequence[Limit]) -> list[datetime]:
        """The deadline of each start: under one limit for all, or one each. One pass over all, in order."""
        moments = _moments(starts)
        if isinstance(limits, Limit):
            return _datetimes(self._due(moments, limits))
        if len(limits) != len(starts):
            raise ValueError(f"{len(starts)} starts and {len(limits)} limits: give one limit each, or one for all")
        due = np.empty_like(moments)
        which: dict[Limit, list[int]] = {}
        for place, limit in enumerate(limits):
            which.setdefault(limit, []).append(place)
        for limit, places in which.items():
            due[places] = self._due(moments[places], limit)
        return _datetimes(due)

    def _due(self, starts: Moments, limit: Limit) -> Moments:
        if limit.clock is Clock.WORK_DAY and not self.work_day_as_hours and limit.amount == int(limit.amount):
            return self._close_of_workday(starts, int(limit.amount))
        if limit.clock is Clock.WORK_DAY:  # also a part of a working day: half a day is half its hours
            hour = Decimal(sum((_minute(c) or 1440) - _minute(o) for o, c in self.hours)) / 60
        else:
            hour = Decimal(1 if limit.clock.unit == "hour" else 24)
        need = np.full_like(starts, int((limit.amount * hour * 3600 * _SECOND).to_integral_value()))
        return self._after(starts, need, _sleepers(limit.clock, starts))

    def _after(self, starts: Moments, need: Moments, sleeps: NDArray[np.bool_]) -> Moments:
        """The first moment at which `need` microseconds by its clock have passed since each start."""
        ends = starts + need
        at = np.flatnonzero(sleeps & (need > 0))
        if at.size:
            starts, need = starts[at], need[at]
            table = self._table(starts)
            while (goal := table.worked_until(starts) + need).max() > table.worked[-1]:
                table = self._longer(table)
            ends[at] = table.when_worked(goal)
        return ends

    def _close_of_workday(self, starts: Moments, count: int) -> Moments:
        if not starts.size:
            return starts
        table = self._table(starts)
        while (wanted := table.workdays_through(starts) + count - 1).max() >= len(table.last_close):
            table = self._longer(table)
        return table.last_close[wanted]

    # --- how much has run -----------------------------------------------------------------------------------------

    def worked_seconds(self, start: datetime, end: datetime, clock: Clock) -> float:
        """Seconds that this clock ran from `start` to `end`; 0 if `end` is not later.

        Both office clocks count the seconds inside office hours: they differ only in where a limit falls due.
        """
        return float(self.worked([start], [end], clock)[0])

    def worked(
        self, starts: Sequence[datetime], ends: Sequence[datetime], clocks: Clock | Sequence[Clock]
    ) -> NDArray[np.float64]:
        """`worked_seconds` of many pairs at once, by one clock or by one each."""
        begin = _moments(starts)
        return self._ran(begin, _moments(ends), _sleepers(clocks, begin)) / _SECOND

    def _ran(self, starts: Moments, ends: Moments, sleeps: NDArray[np.bool_]) -> Moments:
        ran: Moments = np.maximum(ends - starts, 0)
        at = np.flatnonzero(sleeps & (ran > 0))
        if at.size:
            table = self._table(starts[at], ends[at])
            ran[at] = table.worked_until(ends[at]) - table.worked_until(starts[at])
        return ran

    def share_used(self, start: datetime, due: datetime, at: datetime, clock: Clock) -> float:
        """Which part of the time from `start` to `due` has run at `at`: 0 before the start, 1 at `due`, more after.

        After `due` the share goes on by the same clock. Where no time lies between start and due, it is 1 from `due`.
        """
        whole = self.worked_seconds(start, due, clock)
        if not whole:
            return 1.0 if at >= due else 0.0
        return self.worked_seconds(start, at, clock) / whole

    def moment_at_share(self, start: datetime, due: datetime, share: float, clock: Clock) -> datetime:
        """When `share` (0.8 for a warning at 80 %) of the time from `start` to `due` is used up."""
        return self.moments_at_share([start], [due], share, clock)[0]

    def moments_at_share(
        self, starts: Sequence[datetime], dues: Sequence[datetime], share: float, clocks: Clock | Sequence[Clock]
    ) -> list[datetime]:
        """`moment_at_share` of many pairs at once, by one clock or by one each. A share of 1 is the deadline itself."""
        if not 0 <= share <= 1:
            raise ValueError(f"a share of {share}: write a number from 0 to 1")
        begin, end = _moments(starts), _moments(dues)
        if share == 1:
            return _datetimes(end)
        sleeps = _sleepers(clocks, begin)
        part = np.rint(self._ran(begin, end, sleeps) * share).astype(np.int64)
        return _datetimes(self._after(begin, part, sleeps))

    # --- pauses ---------------------------------------------------------------------------------------------------

    def remaining(self, at: datetime, due: datetime, clock: Clock) -> float:
        """Seconds by this clock left at `at`; 0 once `due` has passed. Keep it when a case is suspended (挂账)."""
        return self.worked_seconds(at, due, clock)

    def deadline_from_remaining(self, at: datetime, seconds: float, clock: Clock) -> datetime:
        """The deadline of a case that goes on at `at` with so many seconds left by its clock."""
        if seconds < 0:
            raise ValueError(f"{seconds} seconds left: write 0 or more")
        start = _moments([at])
        return _datetimes(self._after(start, np.full_like(start, round(seconds * _SECOND)), _sleepers(clock, start)))[0]

    def moved_by_pause(self, due: datetime, paused: datetime, resumed: datetime, clock: Clock) -> datetime:
        """The deadline after a pause: what was left when it began is left when it ends. What was overdue stays so."""
        if paused >= due:
            return due
        return self.deadline_from_remaining(resumed, self.remaining(paused, due, clock), clock)

    # --- tables ---------------------------------------------------------------------------------------------------

    def _table(self, *moments: Moments) -> _Table:
        """A table that holds all these moments; kept, since nearly all questions concern the same few years."""
        first = _year(min(int(m.min()) for m in moments)) - 1
        last = _year(max(int(m.max()) for m in moments)) + 1
        table = self._tables[0] if self._tables else None
        if table is None or first < table.first or last > table.last:
            if table is not None:
                first, last = min(first, table.first), max(last, table.last)
            table = self._keep(_Table(self, first, last))
        return table

    def _longer(self, table: _Table) -> _Table:
        return self._keep(_Table(self, table.first, table.last + max(2, table.last - table.first)))

    def _keep(self, table: _Table) -> _Table:
        self._tables[:] = [table]  # one assignment: another thread sees the old table or the new one
        return table


class _Table:
    """The office periods of whole years, laid end to end, with how much is worked until each of them ends."""

    opens: Moments
    closes: Moments
    last_close: Moments
    worked: Moments
    workdays: Moments

    def __init__(self, calendar: WorkCalendar, first: int, last: int) -> None:
        if first < 2 or last > 9997:
            raise ValueError(f"working time in the years {first} to {last}: the calendar ends at the year 9997")
        self.first, self.last = first, last
        days = [date(first, 1, 1) + timedelta(n) for n in range((date(last + 1, 1, 1) - date(first, 1, 1)).days)]
        workdays = [day for day in days if calendar.is_workday(day)]
        zone = calendar.zone
        self.midnights = _local(days, time(0), zone)
        bounds = [_local(workdays, at, zone, closes=n == 1) for period in calendar.hours for n, at in enumerate(period)]
        # Where the clock jumps (summer time) a period may shrink or vanish; it must never make time run backwards.
        self.opens, self.closes = np.maximum.accumulate(np.stack(bounds, axis=1).ravel()).reshape(-1, 2).T.copy()
        self.worked = np.cumsum(self.closes - self.opens)
        self.last_close = self.closes[len(calendar.hours) - 1 :: len(calendar.hours)]
        works = np.array([calendar.is_workday(day) for day in days])
        self.workdays = np.cumsum(works)

    def worked_until(self, moments: Moments) -> Moments:
        """Office microseconds from the table's beginning to each moment."""
        period = np.searchsorted(self.opens, moments, side="right") - 1
        unfinished = np.maximum(self.closes[period] - moments, 0)
        return np.where(period < 0, 0, self.worked[period] - unfinished)

    def when_worked(self, amount: Moments) -> Moments:
        """The first moment at which so many office microseconds have passed since the table's beginning."""
        period = np.searchsorted(self.worked, amount, side="left")
        return self.closes[period] - (self.worked[period] - amount)

    def workdays_through(self, moments: Moments) -> Moments:
        """How many working days the table holds up to and including the local day of each moment."""
        return self.workdays[np.searchsorted(self.midnights, moments, side="right") - 1]


@cache
def china() -> WorkCalendar:
    """The working calendar of mainland China: our data file of the State Council's yearly notices.

    Certain for its `covers`; the year after may be there provisionally, with the statutory days alone.
    """
    text = resources.files("gridloop.kernel").joinpath("data", "china_workdays.toml").read_text("utf-8")
    table = tomllib.loads(text)
    notices = table["notices"].values()
    return WorkCalendar(
        holidays=frozenset(day for n in notices for r in n["rest"] for day in _days(r["from"], r["to"])),
        make_up_workdays=frozenset(day for n in notices for day in n["work"]),
        covers=(table["first"], table["last"]),
    )


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _local(days: Sequence[date], at: time, zone: ZoneInfo, *, closes: bool = False) -> Moments:
    if closes and at == time(0):
        days = [day + timedelta(1) for day in days]
    return _moments([datetime.combine(day, at, tzinfo=zone) for day in days])


def _sleepers(clocks: Clock | Sequence[Clock], moments: Moments) -> NDArray[np.bool_]:
    """For each moment, whether its clock stands still outside office hours."""
    if isinstance(clocks, Clock):
        return np.full(moments.shape, clocks.sleeps)
    if len(clocks) != len(moments):
        raise ValueError(f"{len(moments)} moments and {len(clocks)} clocks: give one clock each, or one for all")
    return np.array([clock.sleeps for clock in clocks], dtype=bool)


def _moments(datetimes: Sequence[datetime]) -> Moments:
    try:
        return np.array([(d - _EPOCH) // _MICROSECOND for d in datetimes], dtype=np.int64)
    except TypeError:
        raise ValueError("a moment without a zone: working time needs aware datetimes") from None


def _datetimes(moments: Moments) -> list[datetime]:
    return [_EPOCH + timedelta(microseconds=m) for m in moments.tolist()]


def _year(moment: int) -> int:
    return (_EPOCH + timedelta(microseconds=moment)).year
