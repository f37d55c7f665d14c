"""Working time: known weeks, summer time, holidays, and a count of every minute."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk.errors import Misconfigured
from desk.sla.calendars import (
    DAYS,
    MIDNIGHT,
    Calendar,
    calendar_json,
    public_holidays,
    read_calendar,
    read_hours,
)

MINUTE = timedelta(minutes=1)
OFFICE = Calendar("Europe/Berlin", read_hours(["mon-fri 09:00-17:00"]))
COUNT = 10_000 if os.environ.get("MAILDESK_CHAOS") == "full" else 200


def berlin(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo("Europe/Berlin"))


def test_one_hour_from_friday_half_past_four_ends_on_monday_at_half_past_nine() -> None:
    friday = berlin(2026, 11, 20, 16, 30)
    assert OFFICE.add(friday, timedelta(hours=1)) == berlin(2026, 11, 23, 9, 30)
    assert OFFICE.elapsed(friday, berlin(2026, 11, 23, 9, 30)) == timedelta(hours=1)


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        ((2026, 11, 20, 8, 0), 60, (2026, 11, 20, 10, 0)),  # before it opens
        ((2026, 11, 20, 16, 0), 60, (2026, 11, 20, 17, 0)),  # the last minute counts
        ((2026, 11, 21, 12, 0), 1, (2026, 11, 23, 9, 1)),  # a Saturday
        ((2026, 11, 20, 20, 0), 0, (2026, 11, 20, 20, 0)),  # no work is done at once
    ],
)
def test_known_ends(start: tuple[int, ...], minutes: int, end: tuple[int, ...]) -> None:
    assert OFFICE.add(berlin(*start), minutes * MINUTE) == berlin(*end)


def test_several_spans_a_day_and_a_holiday() -> None:
    hours = read_hours(["mon-fri 09:00-12:00", "mon-fri 13:00-17:00"])
    office = Calendar("Europe/Berlin", hours, "DE", "BY", (date(2026, 12, 24),))
    # Wednesday 11:30; Thursday is closed, Friday the 25th is Christmas in Bavaria
    assert office.add(berlin(2026, 12, 23, 11, 30), timedelta(hours=5)) == berlin(
        2026, 12, 28, 9, 30
    )
    epiphany = berlin(2026, 1, 6, 9, 0)
    assert office.elapsed(epiphany, epiphany + timedelta(hours=24)) == timedelta()
    assert OFFICE.elapsed(epiphany, epiphany + timedelta(hours=24)) == timedelta(hours=8)


def test_the_hours_around_summer_time_are_those_of_the_wall() -> None:
    night = Calendar("Europe/Berlin", read_hours(["mon-sun 01:00-04:00"]))
    spring, autumn = berlin(2026, 3, 29, 0, 0), berlin(2026, 10, 25, 0, 0)
    assert night.elapsed(spring, spring + timedelta(hours=12)) == timedelta(hours=2)
    assert night.elapsed(autumn, autumn + timedelta(hours=12)) == timedelta(hours=4)
    # the office itself keeps its eight hours
    assert OFFICE.add(berlin(2026, 3, 27, 16, 0), timedelta(hours=2)) == berlin(2026, 3, 30, 10, 0)


def test_hours_may_pass_midnight_and_overlap() -> None:
    assert read_hours(["sun 22:00-02:00"])[0] == ((0, 120),)
    assert read_hours(["mon 09:00-12:00", "mon 11:00-13:00"])[0] == ((540, 780),)
    assert read_hours(["sat-mon 10:00-24:00"])[0] == ((600, MIDNIGHT),)


@pytest.mark.parametrize("line", ["", "mon", "mon 9-17", "mond 09:00-17:00", "mon 09:00-25:00"])
def test_hours_that_are_none_are_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"mon-fri 09:00-17:00|no time of the day"):
        read_hours([line])


def test_a_country_that_is_not_known_is_named() -> None:
    with pytest.raises(Misconfigured, match="XX"):
        public_holidays("XX", "", 2026)


def test_who_is_never_there_is_told() -> None:
    monday = Calendar("UTC", read_hours(["mon 00:00-00:01"]))
    with pytest.raises(Misconfigured, match="twenty years"):
        monday.add(berlin(2026, 1, 1), timedelta(days=2))


# -- against a count that looks at every minute

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",  # its summer time is half an hour
    "Pacific/Apia",  # skipped 2011-12-30
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Santiago",  # its midnights are skipped
)
STARTS = (
    datetime(2026, 3, 6, tzinfo=UTC),
    datetime(2026, 3, 27, tzinfo=UTC),
    datetime(2026, 4, 3, tzinfo=UTC),
    datetime(2026, 9, 4, tzinfo=UTC),
    datetime(2026, 10, 23, tzinfo=UTC),
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2011, 12, 28, tzinfo=UTC),
    datetime(2026, 12, 22, tzinfo=UTC),
)


def clock_time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        day = draw(st.sampled_from(DAYS))
        since, until = draw(st.integers(0, MIDNIGHT - 1)), draw(st.integers(1, MIDNIGHT))
        lines.append(f"{day} {clock_time(since)}-{clock_time(until if until != since else 1440)}")
    country, part = draw(st.sampled_from([("", ""), ("DE", "BY"), ("US", ""), ("IN", "")]))
    closed = tuple(
        draw(st.lists(st.sampled_from([date(2026, 3, 29), date(2026, 10, 25)]), max_size=2))
    )
    return Calendar(draw(st.sampled_from(ZONES)), read_hours(lines), country, part, closed)


def is_open(calendar: Calendar, at: datetime) -> bool:
    """What somebody sees who looks at the clock, the week's plan, and the list of holidays."""
    local = at.astimezone(ZoneInfo(calendar.zone))
    minute = local.hour * 60 + local.minute
    day = local.date()
    if day in calendar.closed:
        return False
    if calendar.country and day in public_holidays(
        calendar.country, calendar.subdivision, day.year
    ):
        return False
    return any(since <= minute < until for since, until in calendar.hours[local.weekday()])


@pytest.mark.timeout(900)
@settings(max_examples=COUNT, deadline=None)
@given(calendars(), st.sampled_from(STARTS), st.integers(0, 4000), st.integers(1, 6 * 1440))
def test_it_equals_a_count_minute_by_minute(
    calendar: Calendar, week: datetime, late: int, length: int
) -> None:
    start = week + late * MINUTE
    worked = 0
    ends = [start]  # ends[n] is the moment at which n minutes have passed
    for number in range(length):
        if is_open(calendar, start + number * MINUTE):
            worked += 1
            ends.append(start + (number + 1) * MINUTE)
    assert calendar.elapsed(start, start + length * MINUTE) == worked * MINUTE
    for work in {0, 1, worked // 2, worked} & set(range(len(ends))):
        assert calendar.add(start, work * MINUTE) == ends[work]


def test_summer_time_begins_at_its_second() -> None:
    sundays = Calendar("Europe/Berlin", read_hours(["sun 03:00-04:00"]))
    one = datetime(2026, 3, 29, 1, tzinfo=UTC)  # two o'clock there, which becomes three
    half = timedelta(seconds=0.5)
    assert sundays.elapsed(one - half, one + half) == half


@given(calendars(), st.sampled_from(STARTS), st.floats(0, 100_000), st.floats(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_what_is_added_has_elapsed(
    calendar: Calendar, start: datetime, late: float, seconds: float
) -> None:
    start += timedelta(seconds=late)
    work = timedelta(seconds=seconds)
    try:
        end = calendar.add(start, work)
    except Misconfigured:
        return
    assert calendar.elapsed(start, end) == work
    assert calendar.opening(start) >= start


@given(calendars())
@settings(max_examples=50)
def test_a_snapshot_is_the_same_calendar(calendar: Calendar) -> None:
    assert read_calendar(calendar_json(calendar)) == calendar
