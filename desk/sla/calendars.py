"""Business hours: working time counted on the clock that hangs on the office's wall. Pure.

Hours are local: where summer time skips or repeats an hour, it is skipped or repeated here, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from desk.errors import Misconfigured

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
FAR = timedelta(days=20 * 366)
"""Whoever is not open within twenty years never is."""

SOME_YEAR = 2026
"""Whichever year: the holidays of a country are known, or not."""

HOURS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?\s+(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")

Span = tuple[int, int]
"""Minutes since local midnight, from and until."""

Week = tuple[tuple[Span, ...], ...]
ALWAYS: Week = (((0, MIDNIGHT),),) * 7


@dataclass(frozen=True, slots=True)
class Calendar:
    """When somebody is there. ``hours`` are seven days of spans, Monday first; public holidays of
    ``country`` (ISO 3166, with its ``subdivision``) and the days in ``closed`` are free."""

    zone: str = "UTC"
    hours: Week = ALWAYS
    country: str = ""
    subdivision: str = ""
    closed: tuple[date, ...] = ()

    @property
    def is_always_open(self) -> bool:
        return self.hours == ALWAYS and not self.country and not self.closed

    def add(self, start: datetime, work: timedelta) -> datetime:
        """The first moment at which ``work`` has passed since ``start``, in UTC."""
        start = start.astimezone(UTC)
        if self.is_always_open or work <= timedelta():
            return start + max(work, timedelta())
        for since, until in self.open_between(start, start + FAR):
            if until - since >= work:
                return since + work
            work -= until - since
        raise Misconfigured("A calendar has no working hours within twenty years")

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """The working time between two moments; none when they are in the wrong order."""
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if end <= start:
            return timedelta()
        if self.is_always_open:
            return end - start
        spans = self.open_between(start, end)
        return sum((until - since for since, until in spans), timedelta())

    def opening(self, at: datetime) -> datetime:
        """``at`` itself when it is open then, else the next moment at which it is."""
        at = at.astimezone(UTC)
        return at if self.is_always_open else next(self.open_between(at, at + FAR), (at, at))[0]

    def open_between(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The open spans between two moments, in order and in UTC."""
        zone = ZoneInfo(self.zone)
        at = start
        while at < end:
            until = _same_offset(zone, at, min(at + WEEK, end))
            yield from self._open(at, until, offset(zone, at))
            at = until

    def _open(
        self, start: datetime, end: datetime, shift: timedelta
    ) -> Iterator[tuple[datetime, datetime]]:
        """While the zone's offset is ``shift``."""
        first, last = (moment.replace(tzinfo=None) + shift for moment in (start, end))
        day = first.date()
        while day <= last.date():
            midnight = datetime.combine(day, time())
            for since, until in self._spans(day):
                opens = max(midnight + timedelta(minutes=since), first)
                closes = min(midnight + timedelta(minutes=until), last)
                if opens < closes:
                    yield (opens - shift).replace(tzinfo=UTC), (closes - shift).replace(tzinfo=UTC)
            day += timedelta(days=1)

    def _spans(self, day: date) -> tuple[Span, ...]:
        spans = self.hours[day.weekday()]
        return () if spans and self.is_free(day) else spans

    def is_free(self, day: date) -> bool:
        """A day on which nobody works, whatever the hours say."""
        if day in self.closed:
            return True
        return bool(self.country) and day in public_holidays(
            self.country, self.subdivision, day.year
        )


def offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _same_offset(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """The moment up to which the zone keeps the offset it has at ``start``, at most ``end``."""
    shift = offset(zone, start)
    if offset(zone, end) == shift:
        return end
    while end - start > SECOND:
        middle = start + (end - start) / 2
        middle = middle.replace(microsecond=0) if middle - start >= SECOND else start + SECOND
        if middle >= end:
            break
        if offset(zone, middle) == shift:
            start = middle
        else:
            end = middle
    return end.replace(microsecond=0)


@lru_cache(maxsize=256)
def public_holidays(country: str, subdivision: str, year: int) -> frozenset[date]:
    """Raises Misconfigured when the country or its part is not known."""
    import holidays

    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=year)
    except NotImplementedError as error:
        raise Misconfigured(f"The holidays are not known: {error}") from error
    return frozenset(found)


def read_hours(lines: Iterable[str]) -> Week:
    """From lines like ``mon-fri 09:00-12:30``; ValueError names the one that is wrong. Hours may
    pass midnight.

    >>> read_hours(["fri 22:00-02:00"])[4:6]
    (((1320, 1440),), ((0, 120),))
    """
    days: list[list[Span]] = [[] for _ in DAYS]
    for line in lines:
        for day, span in _read_line(line):
            days[day % 7].append(span)
    if not any(days):
        raise ValueError("a calendar needs hours, for example  mon-fri 09:00-17:00")
    return tuple(_merged(spans) for spans in days)


def _read_line(line: str) -> Iterator[tuple[int, Span]]:
    found = HOURS.fullmatch(line.strip().lower())
    days = [found[1], found[2] or found[1]] if found else []
    if found is None or not set(days) <= set(DAYS):
        raise ValueError(f"{line!r} is not like  mon-fri 09:00-17:00")
    since, until = (int(found[i]) * 60 + int(found[i + 1]) for i in (3, 5))
    is_time = int(found[4]) < 60 and int(found[6]) < 60
    if not is_time or since >= MIDNIGHT or until > MIDNIGHT or since == until:
        raise ValueError(f"{line!r} holds no time of the day")
    first, last = (DAYS.index(day) for day in days)
    for day in range(first, last + 1 + (7 if last < first else 0)):
        if since < until:
            yield day, (since, until)
        else:
            yield day, (since, MIDNIGHT)
            yield day + 1, (0, until)


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """In order, and none twice."""
    merged: list[Span] = []
    for since, until in sorted(span for span in spans if span[0] < span[1]):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return tuple(merged)


def calendar_json(calendar: Calendar) -> dict[str, object]:
    """For a snapshot; ``read_calendar`` is the way back."""
    return {
        "zone": calendar.zone,
        "hours": calendar.hours,
        "country": calendar.country,
        "subdivision": calendar.subdivision,
        "closed": [day.isoformat() for day in calendar.closed],
    }


def read_calendar(given: Mapping[str, Any]) -> Calendar:
    """Raises when its zone or its holidays are not known here, or a day of the week is missing."""
    ZoneInfo(given["zone"])
    if len(given["hours"]) != 7:
        raise ValueError("a week has seven days")
    if given["country"]:
        public_holidays(given["country"], given["subdivision"], SOME_YEAR)
    return Calendar(
        zone=given["zone"],
        hours=tuple(tuple((since, until) for since, until in day) for day in given["hours"]),
        country=given["country"],
        subdivision=given["subdivision"],
        closed=tuple(date.fromisoformat(day) for day in given["closed"]),
    )
