"""SLA clocks: what was promised, how much of the time is gone, and which rung is next. Pure.

A clock runs on working time towards one goal. At half of its time a rung nudges, at 80 % it warns,
at the end it is a breach, and from then on it says so again until somebody takes care.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from desk.errors import Misconfigured
from desk.sla.calendars import FAR, Calendar, calendar_json, read_calendar

SHARES = (0.5, 0.8, 1.0)
RUNGS = ("half", "soon", "breach")
WARNING, BREACH, AGAIN = 1, 2, 3
"""Places on the ladder: from ``AGAIN`` on it is the breach said once more."""

DAY_AND_NIGHT = Calendar()

UNCOMPUTABLE = (Misconfigured, LookupError, TypeError, ValueError, ArithmeticError)
"""What a clock raises whose record somebody changed, or whose calendar is not known here."""

MANY = 20
"""After so many repeats nobody is watching: then it is said that many times less often."""


class Goal(StrEnum):
    """What a clock counts towards."""

    FIRST = "first reply"
    NEXT = "next reply"
    RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True)
class Pace:
    """How insistent a breach is: the working time until it is said again, by itself, after an
    acknowledgement that nothing came of, and while somebody has claimed the ticket."""

    repeat: timedelta = timedelta(minutes=15)
    acknowledged: timedelta = timedelta(minutes=30)
    claimed: timedelta = timedelta(minutes=120)

    @property
    def longest(self) -> timedelta:
        return max(self.repeat * MANY, self.acknowledged, self.claimed)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised when a clock started; later settings do not change it."""

    target: timedelta
    calendar: Calendar = DAY_AND_NIGHT
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Escalation:
    """A rung of a ticket's clock that has come. ``moot`` says why nobody had to be told, None when
    they were or are to be; ``fired_at`` is when they were."""

    id: int
    ticket_id: int
    rung: str
    clock: int
    due_at: datetime
    moot: str | None = None
    fired_at: datetime | None = None
    acknowledged_by: int | None = None
    acknowledged_at: datetime | None = None

    @property
    def is_loud(self) -> bool:
        """Whether it asks for an acknowledgement."""
        return self.moot is None and self.rung != RUNGS[0]


@dataclass(frozen=True, slots=True)
class SlaClock:
    """One promise to the writer of one ticket. ``number`` counts the ticket's clocks. ``spent`` is
    the working time of earlier runs; ``running_since`` is None while it pauses. ``rung`` is the
    place of the next one, which comes at ``next_at``. Until it ``is_aimed`` nobody has read the
    mail, and the terms are those of a normal one."""

    ticket_id: int
    number: int
    goal: Goal
    terms: Terms
    started_at: datetime
    running_since: datetime | None
    spent: timedelta = timedelta()
    rung: int = 0
    next_at: datetime | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None
    is_aimed: bool = False
    id: int = 0

    @property
    def is_breached(self) -> bool:
        return self.rung >= AGAIN

    def used(self, now: datetime) -> timedelta:
        """Working time that has passed on this clock."""
        if self.running_since is None:
            return self.spent
        return self.spent + self.terms.calendar.elapsed(self.running_since, now)

    def left(self, now: datetime) -> timedelta:
        """Working time until it is due; negative when it is late."""
        return self.terms.target - self.used(now)


def name_of(rung: int) -> str:
    """
    >>> name_of(0), name_of(2), name_of(4)
    ('half', 'breach', 'again 2')
    """
    return RUNGS[rung] if rung < AGAIN else f"again {rung - BREACH}"


def place_of(name: str) -> int:
    """
    >>> place_of("soon"), place_of("again 2")
    (1, 4)
    """
    return RUNGS.index(name) if name in RUNGS else BREACH + int(name.removeprefix("again "))


def started(ticket: int, number: int, goal: Goal, terms: Terms, at: datetime) -> SlaClock:
    return _planned(SlaClock(ticket, number, goal, terms, at, at))


def aimed(clock: SlaClock, terms: Terms, *, by_hand: bool = False) -> SlaClock:
    """With the terms of a mail that was read. Once it was aimed they can only make it earlier: a
    second mail never puts the first one off. A person may, but what was broken stays broken."""
    may_wait = not clock.is_aimed or (by_hand and not clock.is_breached)
    changed = replace(clock, terms=terms, is_aimed=True)
    if clock.running_since is None:
        return changed if may_wait or terms.target < clock.terms.target else clock
    changed = _planned(changed)
    if not may_wait and clock.due_at and changed.due_at and changed.due_at >= clock.due_at:
        return clock
    return replace(changed, next_at=clock.next_at) if clock.is_breached else changed


def due_under(clock: SlaClock, terms: Terms) -> datetime:
    """When a running clock would be due if this had been promised from its start."""
    return _time_of(replace(clock, terms=terms), BREACH)


def paused(clock: SlaClock, at: datetime) -> SlaClock:
    return replace(clock, spent=clock.used(at), running_since=None, next_at=None, due_at=None)


def resumed(clock: SlaClock, at: datetime) -> SlaClock:
    running = replace(clock, running_since=at)
    if clock.is_breached:
        later = clock.terms.calendar.add(at, clock.terms.pace.repeat)
        return replace(running, next_at=later, due_at=at)
    return _planned(running)


def stopped(clock: SlaClock, at: datetime) -> SlaClock:
    return replace(paused(clock, at), ended_at=at, due_at=clock.due_at)


def passed(clock: SlaClock, now: datetime) -> tuple[list[tuple[int, datetime]], SlaClock]:
    """The rungs that have come up to ``now``, with their times, and the clock after them."""
    come = []
    while clock.next_at is not None and clock.next_at <= now:
        come.append((clock.rung, clock.next_at))
        clock = _after(clock, clock.next_at)
    return come, clock


def quiet(clock: SlaClock, wait: timedelta, at: datetime) -> SlaClock:
    """A breach that somebody has seen is not said again for ``wait`` of working time. One that is
    still to come comes nevertheless."""
    if not clock.is_breached or clock.running_since is None:
        return clock
    return replace(clock, next_at=clock.terms.calendar.add(at, wait))


def quiet_until(clock: SlaClock, until: datetime) -> SlaClock:
    if not clock.is_breached or clock.running_since is None:
        return clock
    return replace(clock, next_at=clock.terms.calendar.opening(until))


def quieted(
    clock: SlaClock, verb: str, is_claimed: bool, until: datetime | None, at: datetime
) -> SlaClock:
    """What a person's act does to a breach that is said again and again."""
    if verb == "snooze" and until is not None:
        return quiet_until(clock, until)
    if verb == "release":
        return hurried(clock, at)
    pace = clock.terms.pace
    return quiet(clock, pace.claimed if is_claimed else pace.acknowledged, at)


def hurried(clock: SlaClock, at: datetime) -> SlaClock:
    """Something happened meanwhile: a breach is not kept quiet for longer than usual."""
    sooner = quiet(clock, clock.terms.pace.repeat, at)
    if clock.next_at is None or sooner.next_at is None or clock.next_at <= sooner.next_at:
        return clock
    return sooner


def _after(clock: SlaClock, at: datetime) -> SlaClock:
    """Past its next rung, which came at ``at``."""
    rung = clock.rung + 1
    if rung < AGAIN:
        return replace(clock, rung=rung, next_at=_time_of(clock, rung))
    pause = clock.terms.pace.repeat * (1 if rung - BREACH <= MANY else MANY)
    return replace(clock, rung=rung, next_at=clock.terms.calendar.add(at, pause))


def _planned(clock: SlaClock) -> SlaClock:
    return replace(clock, next_at=_time_of(clock, clock.rung), due_at=_time_of(clock, BREACH))


def _time_of(clock: SlaClock, rung: int) -> datetime:
    """When a running clock comes to one of its first three rungs."""
    since = clock.running_since or clock.started_at
    share = SHARES[min(rung, BREACH)]
    return clock.terms.calendar.add(since, clock.terms.target * share - clock.spent)


def alarm_of(clocks: Sequence[SlaClock], told: Sequence[Escalation]) -> Escalation | None:
    """The latest escalation of a clock that still counts."""
    running = {clock.number for clock in clocks if clock.ended_at is None}
    return next((one for one in reversed(told) if one.clock in running), None)


def leading(clocks: Sequence[SlaClock]) -> SlaClock | None:
    """The clock that counts towards a reply, if one runs; else the other."""
    running = [clock for clock in clocks if clock.ended_at is None]
    return min(running, key=lambda clock: clock.goal is Goal.RESOLUTION, default=None)


def prove(clock: SlaClock, now: datetime) -> None:
    """Raises one of UNCOMPUTABLE when its times cannot be computed."""
    if clock.spent < timedelta() or clock.rung < 0:
        raise ValueError("time does not run backwards")
    (clock.running_since or now) + FAR
    _require_possible(clock.terms, now.date())


def possible(terms: Terms, at: datetime) -> Terms | None:
    """By day and night when its calendar cannot be computed, rather too early than never; None when
    that does not help."""
    for given in (terms, replace(terms, calendar=DAY_AND_NIGHT)):
        with suppress(*UNCOMPUTABLE):
            _require_possible(given, at.date())
            return given
    return None


@lru_cache(maxsize=256)
def _require_possible(terms: Terms, day: date) -> None:
    """All that were promised the same are looked at once a day."""
    start = datetime.combine(day, time(), UTC)
    terms.calendar.add(start, max(terms.target, terms.pace.longest))


def terms_json(terms: Terms) -> dict[str, Any]:
    """For the record and the audit log; ``read_terms`` is the way back."""
    pace = terms.pace
    return {
        "target": terms.target.total_seconds(),
        "calendar": calendar_json(terms.calendar),
        "pace": [t.total_seconds() for t in (pace.repeat, pace.acknowledged, pace.claimed)],
    }


def read_terms(given: Mapping[str, Any]) -> Terms:
    """Raises ValueError for a pace that would say the same breach for ever."""
    if given["pace"][0] <= 0:
        raise ValueError("a breach is repeated after some time")
    return Terms(
        timedelta(seconds=given["target"]),
        read_calendar(given["calendar"]),
        Pace(*(timedelta(seconds=seconds) for seconds in given["pace"])),
    )
