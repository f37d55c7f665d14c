"""A year of tickets in simulated time: processes are thrown away and built anew, the watch is down
for hours, the database fails in between. What was noted is exactly what an oracle says that counts
every half minute and knows nothing of desk.sla, each rung once; and the auditor finds no fault that
an outage does not explain.

``make chaos`` (MAILDESK_CHAOS=full) runs the whole year; else it is twelve days.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import event, func, select

from bot.board import Board
from desk import audit
from desk.action import ActionRequest, Result, Seen
from desk.actions import Actions
from desk.change import Change
from desk.classification import Urgency
from desk.delivery import deliver
from desk.engine import upgrade
from desk.errors import Transient
from desk.ids import EmailId, MailboxId, TicketId, UserId
from desk.moves import Verb
from desk.people import Role, User
from desk.response import LIVE, Draft, Envelope, ResponseState
from desk.sla import records as sla_records
from desk.sla.auditor import PATIENCE
from desk.sla.calendars import Calendar, read_hours
from desk.sla.promises import Policies, Policy
from desk.store import Store
from desk.tables.sla import escalations, sla_clocks
from desk.tables.tickets import tickets
from desk.ticket import Ticket, TicketState
from tests.doubles.desk import (
    CUSTOMER,
    FastClock,
    ListQueue,
    classified,
    mail,
    new_vault,
    received,
    review,
)
from tests.unit.test_calendars import is_open
from workers.watch import Watch

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
DAYS, TICKETS = (365, 150) if IS_FULL else (12, 6)
START = datetime(2026, 3, 2, tzinfo=UTC)
HALF = timedelta(seconds=30)
TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

CALENDARS = {
    "office": Calendar("Europe/Berlin", read_hours(["mon-fri 09:00-17:00"]), "DE", "BY"),
    "shifts": Calendar(
        "America/New_York", read_hours(["mon-fri 08:00-12:00", "mon-sat 13:00-18:30"]), "US"
    ),
    "always": Calendar(),
}
REPLY = {
    Urgency.LOW: 40 * HOUR,
    Urgency.NORMAL: 16 * HOUR,
    Urgency.HIGH: 4 * HOUR,
    Urgency.CRITICAL: HOUR,
}
NEXT = {urgency: time / 2 for urgency, time in REPLY.items()}
SOLVED = {urgency: 3 * time for urgency, time in REPLY.items()}
PROMISES = Policies(
    Policy(REPLY, NEXT), {name: Policy(REPLY, NEXT, SOLVED, c) for name, c in CALENDARS.items()}
)
ACTS = (
    *(Verb.ACKNOWLEDGE, Verb.CLAIM, Verb.RELEASE, Verb.TAKE, Verb.ASSIGN, Verb.SNOOZE),
    *(Verb.DELIVER, Verb.RECEIVE, Verb.RECEIVE, Verb.CLOSE),
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that took effect."""

    at: datetime
    verb: Verb
    until: datetime | None = None


@dataclass(slots=True)
class Plan:
    """One ticket: where, how urgent, and what happened to it."""

    mailbox: str
    urgency: Urgency
    events: list[Event] = field(default_factory=list)


# -- the oracle: half minutes, one after the other


class Hours:
    """Whether somebody is there, for every half minute of the time."""

    def __init__(self, calendar: Calendar, days: int) -> None:
        minutes = (is_open(calendar, START + n * MINUTE) for n in range(days * 1440))
        self.open = [there for there in minutes for _ in range(2)]

    def after(self, at: int, work: int) -> int:
        """The half minute at whose begin so many have been worked since ``at``."""
        while work:
            work -= self.open[at]
            at += 1
        return at

    def opening(self, at: int) -> int:
        while not self.open[at]:
            at += 1
        return at


@cache
def hours_of(calendar: str) -> Hours:
    return Hours(CALENDARS[calendar], DAYS + 30)


@dataclass
class Counted:
    """A clock as somebody with a tally would run it. All numbers are half minutes."""

    number: int
    is_reply: bool
    target: int
    worked: int = 0
    again: int = 0
    next: int = -1
    runs: bool = True
    ended: bool = False

    @property
    def is_late(self) -> bool:
        return self.worked >= self.target

    def tick(self, at: int, hours: Hours) -> Iterator[str]:
        """The rungs that come at the begin of the half minute ``at``."""
        while self.is_late and self.next == at:
            self.again += 1
            yield f"again {self.again}"
            self.next = hours.after(at, 30 if self.again < 20 else 30 * 20)

    def work(self, at: int, hours: Hours) -> Iterator[str]:
        """One half minute of work, which ends at ``at``."""
        if not self.runs or self.is_late or not hours.open[at - 1]:
            return
        self.worked += 1
        for name, tenths in (("half", 5), ("soon", 8), ("breach", 10)):
            if self.worked * 10 == self.target * tenths:
                yield name
        if self.is_late:
            self.next = hours.after(at, 30)


def index(at: datetime) -> int:
    return (at - START) // HALF


def expected(plan: Plan, hours: Hours, end: int) -> Iterator[tuple[int, str, int]]:
    """(clock, rung, half minute) of all that should be noted."""
    events = sorted(plan.events, key=lambda event: event.at)
    clocks: list[Counted] = []
    is_claimed = False
    at = index(events[0].at)
    while at <= end:
        for clock in clocks:
            if clock.runs:
                for rung in (*clock.work(at, hours), *clock.tick(at, hours)):
                    yield clock.number, rung, at
        while events and index(events[0].at) == at:
            is_claimed = happened(events.pop(0), plan, clocks, at, hours, is_claimed)
        if not events and all(clock.ended for clock in clocks):
            return
        at += 1


def happened(
    event: Event, plan: Plan, clocks: list[Counted], at: int, hours: Hours, is_claimed: bool
) -> bool:
    running = [clock for clock in clocks if not clock.ended]
    if event.verb is Verb.RECEIVE:
        heard(plan, clocks, running, at, hours)
    for clock in running:
        if event.verb is Verb.CLOSE or (event.verb is Verb.DELIVER and clock.is_reply):
            clock.ended, clock.runs = True, False
        elif event.verb is Verb.DELIVER:
            clock.runs = False
        elif clock.runs and clock.is_late:
            quieted(event, clock, at, hours, is_claimed)
    if event.verb in (Verb.CLAIM, Verb.TAKE, Verb.ASSIGN, Verb.DELIVER):
        return True
    return is_claimed and event.verb is not Verb.RELEASE


def heard(plan: Plan, clocks: list[Counted], running: list[Counted], at: int, hours: Hours) -> None:
    """The customer wrote."""
    for clock in running:
        sooner = hours.after(at, 30)
        if clock.is_late and (not clock.runs or sooner < clock.next):
            clock.next = sooner
        clock.runs = True
    times = REPLY if not clocks else NEXT
    if not any(clock.is_reply for clock in running):
        clocks.append(Counted(len(clocks) + 1, True, times[plan.urgency] // HALF))
    if not any(not clock.is_reply for clock in running):
        clocks.append(Counted(len(clocks) + 1, False, SOLVED[plan.urgency] // HALF))


def quieted(event: Event, clock: Counted, at: int, hours: Hours, is_claimed: bool) -> None:
    if event.verb is Verb.SNOOZE and event.until is not None:
        clock.next = hours.opening(index(event.until))
    elif event.verb is Verb.RELEASE:
        clock.next = min(clock.next, hours.after(at, 30))
    elif event.verb is Verb.ACKNOWLEDGE:
        clock.next = hours.after(at, 240 if is_claimed else 60)
    elif event.verb in (Verb.CLAIM, Verb.TAKE, Verb.ASSIGN):
        clock.next = hours.after(at, 240)


# -- the desk, with trouble


class FlakyStore(Store):
    """A database that fails now and then at the end of a transaction, which is undone."""

    random = Random(7)  # noqa: S311
    failures = 0
    share = 0.03

    @asynccontextmanager
    async def change(self, actor: UserId | None = None) -> AsyncIterator[Change]:
        async with super().change(actor) as change:
            yield change
            if self.random.random() < self.share:
                FlakyStore.failures += 1
                raise Transient("The database did not answer: it was stopped")


def do_not_wait_for_the_disk(store: Store) -> None:
    """Nobody pulls the plug here, and a year has many commits."""

    @event.listens_for(store.engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()


@dataclass
class Year:
    folder: Path
    clock: FastClock
    random: Random
    plans: dict[int, Plan] = field(default_factory=dict)
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)
    restarts: int = 0
    ticks: int = 0

    async def open(self) -> None:
        url = f"sqlite+aiosqlite:///{self.folder / 'desk.db'}"
        await upgrade(url)
        self.url, self.vault = url, new_vault(self.folder)
        self._build()
        self.calm = Store.open(url, self.vault, self.clock, PROMISES)
        do_not_wait_for_the_disk(self.calm)
        async with self.calm.change() as change:
            self.ann = await change.add_user("ann@lanewright.example", "Ann", Role.AGENT)
            self.omar = await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
            self.boxes: dict[str, MailboxId] = {}
            for name in CALENDARS:
                box = await change.add_mailbox(name, f"{name}@lanewright.example", "maildir")
                self.boxes[name] = box.id

    def _build(self) -> None:
        self.store = FlakyStore.open(self.url, self.vault, self.clock, PROMISES)
        do_not_wait_for_the_disk(self.store)
        self.actions = Actions(self.store, ListQueue(), review)
        self.watch = Watch(self.store, ListQueue())
        self.board = Board(self.store, {}, [], [], nobody)

    async def close(self) -> None:
        await self.store.engine.dispose()
        await self.calm.engine.dispose()

    async def restart(self) -> None:
        """Nothing but the database is left."""
        self.restarts += 1
        await self.store.engine.dispose()
        self._build()

    # -- time

    async def until(self, end: datetime) -> None:
        """The watch looks every five seconds; what cannot change anything is skipped."""
        while (due := await self._next()) is not None and due <= end:
            at = max(self.clock.now(), due) + TICK * self.random.random()
            at = self._after_outages(at)
            if at > end:
                break
            self._set(at)
            await self.tick()
        self._set(end)

    async def tick(self) -> None:
        self.ticks += 1
        if self.random.random() < 0.05:
            await self.restart()
        try:
            await self.watch()
            for id in await self.store.untold():
                await self.board.alert(id)
        except Transient:
            self._set(self.clock.now() + TICK)

    async def _next(self) -> datetime | None:
        """When something is to be noted, told, or woken."""
        async with self.store.read() as connection:
            if await sla_records.untold(connection):
                return self.clock.now()
            times = [
                await connection.scalar(select(func.min(sla_clocks.c.next_at))),
                await connection.scalar(
                    select(func.min(tickets.c.snoozed_until)).where(tickets.c.state == "snoozed")
                ),
            ]
        return min((time for time in times if time is not None), default=None)

    def _after_outages(self, at: datetime) -> datetime:
        for begin, end in self.outages:
            if begin <= at < end:
                return end
        return at

    def _set(self, at: datetime) -> None:
        if at > self.clock.now():
            self.clock.forward(seconds=(at - self.clock.now()).total_seconds())

    # -- people

    async def arrive(self, number: int, plan: Plan) -> None:
        new = received(mail(f"Number {number}"), f"n{number}", self.clock.now())
        async with self._patient() as change:
            ticket = await change.open_ticket(self.boxes[plan.mailbox], new, 1.0)
            email = await change.receive(ticket, new)
            await self._read(change, ticket.id, email.id, plan.urgency)
        plan.events.append(Event(self.clock.now(), Verb.RECEIVE))
        self.plans[ticket.id] = plan

    @asynccontextmanager
    async def _patient(self) -> AsyncIterator[Change]:
        """Without failures: what the steps do is repeated until it works, elsewhere tested."""
        async with self.calm.change() as change:
            yield change

    async def _read(self, change: Change, id: TicketId, email: EmailId, to: Urgency) -> None:
        """Triage and drafting."""
        ticket = await change.ticket(id)
        await change.classify(email, classified(to))
        due = await change.aim_clocks(ticket, self.clock.now(), to)
        ticket = await change.move_ticket(ticket, Verb.TRIAGE, {"due_at": due})
        ticket = await change.move_ticket(ticket, Verb.DRAFT)
        await change.add_response(
            ticket, email, Envelope((CUSTOMER,), (), "Re", "Hello"), Draft("Hello")
        )

    async def act(self, id: int, verb: Verb) -> None:
        plan, at = self.plans[id], self.clock.now()
        ticket = await self.store.ticket(TicketId(id))
        if verb is Verb.RECEIVE:
            await self._write_again(TicketId(id), plan)
        elif verb is Verb.DELIVER:
            if not await self._reply(TicketId(id)):
                return
        elif is_waiting(ticket, verb) or not await self._press(TicketId(id), verb):
            return
        hours = timedelta(hours=4)
        plan.events.append(Event(at, verb, at + hours if verb is Verb.SNOOZE else None))

    async def _press(self, id: TicketId, verb: Verb) -> bool:
        """Again and again, as people do when the desk does not answer."""
        user: User = self.omar if verb is Verb.ASSIGN else self.ann
        key = f"{verb}{id}{self.clock.now()}"
        view = await self.store.view(id)
        response = view.response
        seen = Seen(response.id, response.version, response.hash) if response else None
        text = {Verb.ASSIGN: "Ann", Verb.SNOOZE: "4h"}.get(verb, "")
        request = ActionRequest(key, user, verb, id, seen, text, confirmed=True)
        while True:
            try:
                return (await self.actions.act(request)).result is Result.DONE
            except Transient:
                continue

    async def _write_again(self, id: TicketId, plan: Plan) -> None:
        new = received(mail(f"More {id} {self.clock.now()}"), f"m{id}{self.clock.now()}")
        async with self._patient() as change:
            live = await change.live_response(id)
            if live is not None:
                await change.move_response(live, Verb.RETIRE)
            ticket = await change.ticket(id)
            email = await change.receive(ticket, replace(new, received_at=self.clock.now()))
            await self._read(change, id, email.id, plan.urgency)

    async def _reply(self, id: TicketId) -> bool:
        """Approved, and sent at once."""
        response = (await self.store.view(id)).response
        if response is None or response.state not in LIVE:
            return False
        if not await self._press(id, Verb.APPROVE):
            return False
        async with self._patient() as change:
            live = await change.live_response(id)
            assert live is not None
            assert live.state is ResponseState.APPROVED
            sending = await change.move_response(live, Verb.SEND)
            await deliver(change, sending, Verb.DELIVER, {"sent_at": change.now})
        return True


def is_waiting(ticket: Ticket, verb: Verb) -> bool:
    """Nothing is late while we wait for the customer."""
    return ticket.state in (TicketState.WAITING, TicketState.CLOSED) and verb is not Verb.CLOSE


async def nobody(_: TicketId) -> None:
    pass


def script(random: Random) -> list[tuple[datetime, int, int, Verb]]:
    """(when, order, ticket, what) of a year; the first of each ticket is its arrival."""
    found: list[tuple[datetime, int, int, Verb]] = []
    order = itertools.count()
    for number in range(1, TICKETS + 1):
        at = START + MINUTE * random.randrange((DAYS - 8) * 1440)
        heapq.heappush(found, (at, next(order), number, Verb.TRIAGE))
        for _ in range(random.randrange(2, 13)):
            at += MINUTE * random.choice([7, 31, 62, 190, 400, 1100]) + HALF
            heapq.heappush(found, (at, next(order), number, random.choice(ACTS)))
        # in the end everything is done
        at += MINUTE * random.choice([90, 1500, 3000])
        heapq.heappush(found, (at, next(order), number, Verb.CLOSE))
    return found


def outages(random: Random) -> list[tuple[datetime, datetime]]:
    made = []
    at = START
    while at < START + timedelta(days=DAYS):
        at += timedelta(hours=random.uniform(4, 60))
        end = at + timedelta(minutes=random.choice([0.3, 2, 20, 90, 400]))
        made.append((at, end))
        at = end
    return made


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("has_outages", [True, False] if IS_FULL else [True])
async def test_a_year_of_rungs_is_exactly_what_was_promised(
    tmp_path: Path, has_outages: bool
) -> None:
    random = Random(20260302)  # noqa: S311
    year = Year(tmp_path, FastClock(START), random)
    year.outages = outages(random) if has_outages else []
    FlakyStore.share, FlakyStore.failures = (0.03 if has_outages else 0.0), 0
    await year.open()
    ids: dict[int, int] = {}
    steps = script(random)
    while steps:
        at, _, number, verb = heapq.heappop(steps)
        await year.until(at)
        if verb is Verb.TRIAGE:
            urgency = random.choice([*Urgency] if IS_FULL else [Urgency.HIGH, Urgency.CRITICAL])
            plan = Plan(random.choice([*CALENDARS]), urgency)
            await year.arrive(number, plan)
            ids[number] = len(year.plans)
        else:
            await year.act(ids[number], verb)
    end = START + timedelta(days=DAYS + 3)
    await year.until(end)
    await year.close()

    hours = {name: hours_of(name) for name in CALENDARS}
    wanted = {
        (id, clock, rung): START + at * HALF
        for id, plan in year.plans.items()
        for clock, rung, at in expected(plan, hours[plan.mailbox], index(end))
    }
    async with Store.open(year.url, year.vault, year.clock) as store:
        async with store.read() as connection:
            rows = (await connection.execute(select(escalations))).all()
            entries = [entry async for entry in audit.entries(connection)]
        count, findings = await store.audit_clocks()
        assert (await store.verify()).ok
    noted = {(row.ticket_id, row.clock, row.rung): row.due_at for row in rows}
    assert noted == wanted
    said = Counter(
        (entry.ticket_id, int(entry.subject[6:]), orjson.loads(entry.detail)["rung"])
        for entry in entries
        if entry.verb == "escalate"
    )
    assert (set(said), set(said.values())) == (set(wanted), {1})
    assert count == len(wanted)
    # each rung that somebody was to be told of was told
    assert all(row.fired_at is not None or row.moot is not None for row in rows)
    told = sum(row.fired_at is not None for row in rows)
    unexplained = [one for one in findings if not is_explained(one.due_at, year.outages)]
    print(
        f"{DAYS} days, {len(year.plans)} tickets, {len(wanted)} rungs, {told} told,"
        f" {year.ticks} ticks, {year.restarts} restarts, {len(year.outages)} outages,"
        f" {FlakyStore.failures} database failures, {len(findings)} found by the auditor"
    )
    assert unexplained == []
    assert bool(findings) == has_outages
    assert told > len(wanted) * (0.3 if has_outages else 0.5)


def is_explained(due: datetime, outages: list[tuple[datetime, datetime]]) -> bool:
    return any(begin - PATIENCE <= due <= end for begin, end in outages)
