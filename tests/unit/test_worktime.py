"""The five clocks, against the vectors of the handbook and against a loop that walks minute by minute."""

from __future__ import annotations

import csv
import json
import time as stopwatch
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridloop.kernel.worktime import SHANGHAI, Clock, Limit, WorkCalendar, china

LISTS = Path(__file__).parents[3] / "shared" / "data" / "calendar"
CHINA = china()
MINUTE = timedelta(minutes=1)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


# --- the vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "limit", "due"),
    [
        ("2022-09-16 17:30", Limit(2, Clock.WORK_HOUR), "2022-09-19 09:30"),  # Friday evening runs on on Monday
        ("2022-09-16 17:30", Limit(2, Clock.URGENT_HOUR), "2022-09-16 19:30"),
        ("2022-09-30 16:00", Limit(1, Clock.WORK_DAY), "2022-10-08 18:00"),  # a Saturday, but a make-up workday
        ("2022-09-30 17:30", Limit(2, Clock.WORK_HOUR), "2022-10-08 09:30"),
        ("2022-09-16 08:00", Limit(4, Clock.WORK_HOUR), "2022-09-16 12:00"),  # at the close, not at the next opening
        ("2022-09-16 12:30", Limit(4, Clock.WORK_HOUR), "2022-09-16 18:00"),
        ("2022-09-17 11:00", Limit(1, Clock.WORK_DAY), "2022-09-19 18:00"),  # from a Saturday: Monday is the first
        ("2022-09-16 23:59", Limit(3, Clock.WORK_DAY), "2022-09-21 18:00"),
        ("2022-09-16 17:30", Limit(2, Clock.URGENT_DAY), "2022-09-18 17:30"),
        ("2022-09-30 16:00", Limit(7, Clock.NATURAL_DAY), "2022-10-07 16:00"),
        ("2022-09-16 14:00", Limit(Decimal("0.5"), Clock.WORK_DAY), "2022-09-16 18:00"),  # half the hours of a day
        ("2022-09-16 14:00", Limit(Decimal("1.5"), Clock.URGENT_HOUR), "2022-09-16 15:30"),
    ],
)
def test_a_limit_falls_due_as_the_handbook_says(start: str, limit: Limit, due: str) -> None:
    assert CHINA.deadline(local(start), limit) == local(due)


def test_work_days_can_be_read_as_hours() -> None:
    by_hours = CHINA.overridden(work_day_as_hours=True)
    assert by_hours.deadline(local("2022-09-30 16:00"), Limit(1, Clock.WORK_DAY)) == local("2022-10-08 16:00")


def test_a_district_may_close_work_and_keep_other_hours() -> None:
    snow, sunday = date(2022, 9, 19), date(2022, 9, 18)
    ours = CHINA.overridden(closed=[snow], worked=[sunday], hours=((time(9), time(17)),))
    assert ours.deadline(local("2022-09-16 10:00"), Limit(2, Clock.WORK_DAY)) == local("2022-09-20 17:00")
    assert ours.is_workday(sunday)
    assert not ours.is_workday(snow)


def test_a_night_watch_may_end_at_midnight() -> None:
    late = WorkCalendar(hours=((time(20), time(0)),))
    assert late.deadline(local("2022-09-16 23:00"), Limit(2, Clock.WORK_HOUR)) == local("2022-09-19 21:00")
    assert late.deadline(local("2022-09-15 09:00"), Limit(1, Clock.WORK_DAY)) == local("2022-09-17 00:00")


def test_every_mistake_in_a_calendar_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"overlap.*both a holiday and a make-up workday.*weekend.*covers") as told:
        WorkCalendar(
            hours=((time(8), time(12)), (time(11), time(10))),
            holidays=frozenset({date(2022, 1, 3)}),
            make_up_workdays=frozenset({date(2022, 1, 3)}),
            weekend=frozenset(range(7)),
            covers=(date(2023, 1, 1), date(2022, 1, 1)),
        )
    assert "close later than you open" in str(told.value)


@pytest.mark.parametrize("amount", [0, -1, 10**7])
def test_a_limit_is_positive_and_within_a_life(amount: int) -> None:
    with pytest.raises(ValueError, match="write a number above 0"):
        Limit(amount, Clock.WORK_DAY)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        CHINA.deadline(datetime(2022, 9, 16, 17, 30), Limit(2, Clock.WORK_HOUR))  # noqa: DTZ001


# --- shares and pauses ------------------------------------------------------------------------------------------------


def test_four_fifths_of_a_limit_are_used_up_in_office_time() -> None:
    start = local("2022-09-30 16:00")
    due = CHINA.deadline(start, Limit(1, Clock.WORK_DAY))
    warning = CHINA.moment_at_share(start, due, 0.8, Clock.WORK_DAY)
    assert warning == local("2022-10-08 16:00")  # 8 of 10 office hours: 2 on Friday, 6 on the make-up Saturday
    assert CHINA.share_used(start, due, warning, Clock.WORK_DAY) == pytest.approx(0.8)
    assert CHINA.moment_at_share(start, due, 1, Clock.WORK_DAY) == due
    assert CHINA.share_used(start, due, due, Clock.WORK_DAY) == 1
    assert CHINA.share_used(start, due, due + timedelta(days=1, hours=15), Clock.WORK_DAY) > 1
    assert CHINA.share_used(start, due, start - timedelta(days=1), Clock.WORK_DAY) == 0


def test_a_pause_gives_back_exactly_what_was_left() -> None:
    start = local("2022-09-28 09:00")
    due = CHINA.deadline(start, Limit(2, Clock.WORK_DAY))  # Friday 18:00
    paused, resumed = local("2022-09-29 10:00"), local("2022-10-09 15:00")
    assert CHINA.remaining(paused, due, Clock.WORK_DAY) == (2 + 4 + 8) * 3600
    moved = CHINA.moved_by_pause(due, paused, resumed, Clock.WORK_DAY)
    assert moved == local("2022-10-11 11:00")  # 3 h on the make-up Sunday, 8 on Monday, 3 on Tuesday
    assert CHINA.remaining(resumed, moved, Clock.WORK_DAY) == CHINA.remaining(paused, due, Clock.WORK_DAY)


def test_a_pause_does_not_heal_what_was_overdue() -> None:
    due = local("2022-09-28 09:00")
    late = due + timedelta(hours=1)
    assert CHINA.moved_by_pause(due, late, late + timedelta(days=9), Clock.URGENT_HOUR) == due


@given(
    start=st.datetimes(datetime(2021, 12, 1), datetime(2023, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    amount=st.integers(1, 60),
    clock=st.sampled_from(Clock),
    share=st.floats(0, 1),
)
def test_the_share_used_at_the_moment_of_a_share_is_that_share(
    start: datetime, amount: int, clock: Clock, share: float
) -> None:
    due = CHINA.deadline(start, Limit(amount, clock))
    at = CHINA.moment_at_share(start, due, share, clock)
    assert start <= at <= due
    assert CHINA.share_used(start, due, at, clock) == pytest.approx(share, abs=1e-6)


@given(
    start=st.datetimes(datetime(2021, 12, 1), datetime(2023, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    amount=st.integers(1, 20),
    clock=st.sampled_from(Clock),
    until_pause=st.timedeltas(timedelta(0), timedelta(days=40)),
    pause=st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_no_pause_takes_or_gives_time(
    start: datetime, amount: int, clock: Clock, until_pause: timedelta, pause: timedelta
) -> None:
    due = CHINA.deadline(start, Limit(amount, clock))
    paused = start + until_pause
    resumed = paused + pause
    moved = CHINA.moved_by_pause(due, paused, resumed, clock)
    assert moved >= due
    if paused < due:
        left = CHINA.remaining(paused, due, clock)
        assert CHINA.remaining(resumed, moved, clock) == pytest.approx(left, abs=1e-5)


# --- the oracle: a loop over minutes ----------------------------------------------------------------------------------


def works(calendar: WorkCalendar, minute: datetime) -> bool:
    wall = minute.astimezone(calendar.zone)
    day, at = wall.date(), wall.time()
    if day in calendar.holidays or (day.weekday() >= 5 and day not in calendar.make_up_workdays):
        return False
    return any(opens <= at < closes for opens, closes in calendar.hours)


def walked_seconds(calendar: WorkCalendar, start: datetime, end: datetime, clock: Clock) -> int:
    seconds = 0
    while start < end:
        if clock in (Clock.URGENT_HOUR, Clock.URGENT_DAY, Clock.NATURAL_DAY) or works(calendar, start):
            seconds += 60
        start += MINUTE
    return seconds


def walked_deadline(calendar: WorkCalendar, start: datetime, limit: Limit) -> datetime:
    at, minutes, days, last = start, 0, 0, start.astimezone(calendar.zone).date()
    while True:
        working = works(calendar, at)
        today = at.astimezone(calendar.zone).date()
        if working and today > last:
            days, last = days + 1, today
        at += MINUTE
        minutes += working
        if limit.clock is Clock.WORK_HOUR and minutes == limit.amount * 60:
            return at
        if limit.clock is Clock.WORK_DAY and days == limit.amount and working:
            close = max(closes for _, closes in calendar.hours)
            if at.astimezone(calendar.zone).time() == close:
                return at
        if limit.clock is Clock.URGENT_HOUR and at - start == timedelta(hours=int(limit.amount)):
            return at
        if limit.clock in (Clock.URGENT_DAY, Clock.NATURAL_DAY) and at - start == timedelta(days=int(limit.amount)):
            return at


def minutes_between(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    return st.integers(0, (last - first) // MINUTE).map(lambda n: first + n * MINUTE)


CALENDARS = [
    CHINA,
    CHINA.overridden(hours=((time(9), time(11, 30)), (time(13), time(17, 15)), (time(19), time(20)))),
    WorkCalendar(zone=ZoneInfo("America/Chicago"), hours=((time(7, 30), time(16)),)),
]


@settings(max_examples=120, deadline=None)
@given(
    calendar=st.sampled_from(CALENDARS),
    start=minutes_between(datetime(2022, 9, 20, tzinfo=UTC), datetime(2022, 11, 8, tzinfo=UTC)),
    clock=st.sampled_from(Clock),
    amount=st.integers(1, 12),
)
def test_deadlines_equal_those_of_a_walk_minute_by_minute(
    calendar: WorkCalendar, start: datetime, clock: Clock, amount: int
) -> None:
    limit = Limit(amount, clock)
    assert calendar.deadline(start, limit) == walked_deadline(calendar, start, limit)


@settings(max_examples=60, deadline=None)
@given(
    calendar=st.sampled_from(CALENDARS),
    start=minutes_between(datetime(2022, 9, 20, tzinfo=UTC), datetime(2022, 11, 8, tzinfo=UTC)),
    minutes=st.integers(0, 20_000),
    clock=st.sampled_from(Clock),
)
def test_worked_seconds_equal_those_of_a_walk_minute_by_minute(
    calendar: WorkCalendar, start: datetime, minutes: int, clock: Clock
) -> None:
    end = start + minutes * MINUTE
    assert calendar.worked_seconds(start, end, clock) == walked_seconds(calendar, start, end, clock)


def test_a_hundred_thousand_deadlines_equal_a_count_over_every_minute_of_three_years() -> None:
    rng = np.random.default_rng(2022)
    begin, size = datetime(2020, 12, 31, 16, tzinfo=UTC), 3 * 365 * 1440  # midnight in Shanghai
    working = np.zeros(size, dtype=bool)
    closing_of_day = {}
    for n in range(size // 1440):
        day = date(2021, 1, 1) + timedelta(n)
        if CHINA.is_workday(day):
            working[n * 1440 + 480 : n * 1440 + 720] = working[n * 1440 + 840 : n * 1440 + 1080] = True
            closing_of_day[n] = n * 1440 + 1080
    counted = np.concatenate([[0], np.cumsum(working)])
    closings = np.array(list(closing_of_day.values()))
    starts = rng.integers(0, size - 200 * 1440, 50_000)
    moments = [begin + int(s) * MINUTE for s in starts]

    amounts = rng.integers(1, 200, len(starts))
    due = CHINA.deadlines(moments, [Limit(int(a), Clock.WORK_HOUR) for a in amounts])
    expected = np.searchsorted(counted, counted[starts] + amounts * 60, side="left")
    assert [(d - begin) // MINUTE for d in due] == expected.tolist()

    amounts = rng.integers(1, 60, len(starts))
    due = CHINA.deadlines(moments, [Limit(int(a), Clock.WORK_DAY) for a in amounts])
    tomorrow = (starts // 1440 + 1) * 1440
    expected = closings[np.searchsorted(closings, tomorrow, side="left") + amounts - 1]
    assert [(d - begin) // MINUTE for d in due] == expected.tolist()


# --- the calendar -----------------------------------------------------------------------------------------------------


def test_our_calendar_agrees_day_by_day_with_two_independent_lists() -> None:
    if not LISTS.is_dir():
        pytest.skip("the two public lists of Chinese workdays are not at hand (../shared/data/calendar)")
    with (LISTS / "china_workdays_2004_2026.csv").open(encoding="utf-8") as file:
        first_list = {row["date"]: row["is_workday"] == "1" for row in csv.DictReader(file)}
    second = json.loads((LISTS / "china_holidays_chinese-days.json").read_text("utf-8"))
    day, last = CHINA.covers
    checked = 0
    while day <= last:
        name = str(day)
        by_second = name in second["workdays"] or (day.weekday() < 5 and name not in second["holidays"])
        assert CHINA.is_workday(day) == first_list[name] == by_second, name
        day += timedelta(1)
        checked += 1
    assert checked == 17 * 365 + 4


def test_years_have_as_many_working_days_as_published() -> None:
    """A check that needs no other list: 2022 had 249 working days, 2024 and 2025 had 251 and 248."""
    for year, known in {2022: 249, 2023: 249, 2024: 251, 2025: 248}.items():
        days = [date(year, 1, 1) + timedelta(n) for n in range(366)]
        assert sum(CHINA.is_workday(d) for d in days if d.year == year) == known, year


def test_beyond_the_known_years_the_clock_goes_on_and_says_that_it_assumes() -> None:
    due = CHINA.deadline(local("2026-12-31 16:00"), Limit(1, Clock.WORK_DAY))
    assert due == local("2027-01-04 18:00")  # the first is a holiday by the regulation itself, then a weekend
    assert CHINA.is_certain(local("2026-12-31 23:59"))
    assert not CHINA.is_certain(due)
    assert CHINA.deadline(local("2040-06-01 10:00"), Limit(1, Clock.WORK_DAY)) == local("2040-06-04 18:00")


def test_ten_thousand_deadlines_cost_a_small_part_of_one_second() -> None:
    starts = [datetime(2022, 1, 1, tzinfo=UTC) + timedelta(minutes=7 * n) for n in range(10_000)]
    limits = [Limit(1 + n % 5, clock) for n, clock in enumerate(list(Clock) * 2_000)]
    CHINA.deadlines(starts, limits)
    took = []
    for _ in range(5):
        began = stopwatch.perf_counter()
        batch = CHINA.deadlines(starts, limits)
        took.append(stopwatch.perf_counter() - began)
    assert min(took) < 0.1
    assert batch[:200] == [CHINA.deadline(s, one) for s, one in zip(starts[:200], limits[:200], strict=True)]


def test_a_batch_may_mix_clocks() -> None:
    starts = [local("2022-09-16 17:30")] * 5
    dues = CHINA.deadlines(starts, [Limit(2, clock) for clock in Clock])
    clocks = list(Clock)
    alone = [CHINA.moment_at_share(s, d, 0.8, c) for s, d, c in zip(starts, dues, clocks, strict=True)]
    assert CHINA.moments_at_share(starts, dues, 0.8, clocks) == alone
    ran = [CHINA.worked_seconds(s, d, c) for s, d, c in zip(starts, dues, clocks, strict=True)]
    assert CHINA.worked(starts, dues, clocks).tolist() == ran
    with pytest.raises(ValueError, match="one for all"):
        CHINA.worked(starts, dues, clocks[:2])


def test_an_empty_batch_is_an_empty_answer() -> None:
    assert WorkCalendar().deadlines([], Limit(1, Clock.WORK_DAY)) == []
    assert WorkCalendar().deadlines([], []) == []
    assert WorkCalendar().moments_at_share([], [], 0.8, Clock.WORK_HOUR) == []
