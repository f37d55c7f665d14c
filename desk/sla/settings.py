"""The settings of business hours, of what is promised, and of how insistent a breach is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from desk.classification import Urgency
from desk.errors import Misconfigured
from desk.section import Section
from desk.sla.calendars import ALWAYS, Calendar, public_holidays, read_hours
from desk.sla.promises import Policies, Policy
from desk.sla.rungs import Pace

MINUTE = timedelta(minutes=1)
PACE = Pace()
TEN_YEARS = 5_256_000
Minutes = dict[Urgency, Annotated[float, Field(ge=0, le=TEN_YEARS)]]
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
Wait = Annotated[float, Field(ge=1, le=TEN_YEARS)]


class CalendarSettings(Section):
    """Business hours by name; without ``hours`` it is always open but on its holidays."""

    name: str
    timezone: str = "UTC"
    hours: tuple[str, ...] = ()
    country: str = ""
    subdivision: str = ""
    closed: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.calendar()
        return self

    def calendar(self) -> Calendar:
        try:
            ZoneInfo(self.timezone)
            if self.country:
                public_holidays(self.country, self.subdivision, 2026)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("write a time zone like Europe/Berlin") from None
        except Misconfigured as error:
            raise ValueError(str(error)) from None
        hours = read_hours(self.hours) if self.hours else ALWAYS
        return Calendar(self.timezone, hours, self.country, self.subdivision, self.closed)


class PolicySettings(Section):
    """What is promised to the writers of ``mailbox`` ("": of all that have no policy of their
    own); what it does not say is that of ``sla_minutes``."""

    mailbox: str = ""
    calendar: str = ""
    first_reply_minutes: Minutes = Field(default_factory=dict)
    next_reply_minutes: Minutes = Field(default_factory=dict)
    resolution_minutes: Minutes = Field(default_factory=dict)

    def policy(self, usual: Mapping[Urgency, timedelta], calendar: Calendar) -> Policy:
        first = {**usual, **spans(self.first_reply_minutes)}
        following = {**first, **spans(self.next_reply_minutes)}
        return Policy(first, following, spans(self.resolution_minutes), calendar)


class EscalationSettings(Section):
    """How a breach is said again, and who comes after the managers."""

    repeat_minutes: Wait = PACE.repeat / MINUTE
    acknowledged_minutes: Wait = PACE.acknowledged / MINUTE
    claimed_minutes: Wait = PACE.claimed / MINUTE
    on_call: tuple[str, ...] = ()

    @property
    def pace(self) -> Pace:
        given = (self.repeat_minutes, self.acknowledged_minutes, self.claimed_minutes)
        return Pace(*(timedelta(minutes=minutes) for minutes in given))


def _require_possible(policy: Policy, calendar: str, pace: Pace) -> None:
    promised = (*policy.first.values(), *policy.next.values(), *policy.resolution.values())
    waits = {"this promise": max(promised), "what [escalation] says": pace.longest}
    for what, wait in waits.items():
        try:
            policy.calendar.add(SOME_DAY, wait)
        except Misconfigured:
            raise ValueError(f"the calendar {calendar!r} has too few hours for {what}") from None


def _require_distinct(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what} {twice[0]!r}")


def require_mailboxes(given: Sequence[PolicySettings], names: Sequence[str]) -> None:
    """ValueError names a mailbox that there is not, and those that there are."""
    missing = sorted({policy.mailbox for policy in given} - {"", *names})
    if missing:
        known = ", ".join(names)
        raise ValueError(f"a policy is for the mailbox {missing[0]!r}: there is only {known}")


def spans(minutes: Mapping[Urgency, float]) -> dict[Urgency, timedelta]:
    return {urgency: timedelta(minutes=number) for urgency, number in minutes.items()}


def read_policies(
    given: Sequence[PolicySettings],
    calendars: Sequence[CalendarSettings],
    usual: Mapping[Urgency, timedelta],
    pace: Pace,
) -> Policies:
    """ValueError names a calendar that does not exist, and what is said twice."""
    _require_distinct("calendars are named", [one.name for one in calendars])
    _require_distinct("policies are for the mailbox", [one.mailbox for one in given])
    known = {"": Calendar()} | {one.name: one.calendar() for one in calendars}
    missing = sorted({policy.calendar for policy in given} - set(known))
    if missing:
        raise ValueError(f"there is no calendar {missing[0]!r}")
    of = {one.mailbox: one.policy(usual, known[one.calendar]) for one in given}
    for policy in given:
        _require_possible(of[policy.mailbox], policy.calendar, pace)
    otherwise = of.pop("", Policy(usual, usual))
    return Policies(otherwise, of, pace)
