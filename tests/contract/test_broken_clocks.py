"""A clock that cannot be computed ends with a reason, and people work on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from bot.commands import Commands
from desk import audit
from desk.action import Outcome, Result
from desk.classification import Urgency
from desk.moves import Verb
from desk.sla.auditor import Fault
from desk.sla.calendars import Calendar
from desk.sla.promises import USUAL, Policies, Policy
from desk.sla.rungs import Goal, SlaClock, Terms, terms_json
from desk.store import Store
from desk.tables.sla import sla_clocks
from desk.ticket import TicketState
from tests.doubles.desk import START, FastClock, Scene, mail, overdue, received, scene
from workers.watch import Watch

HOUR = timedelta(hours=1)
DONE = Outcome(Result.DONE)
CLOSED = Calendar(hours=((),) * 7)
UNKNOWN = Calendar(country="XX")


def terms(calendar: Calendar) -> str:
    return orjson.dumps(terms_json(Terms(HOUR, calendar))).decode()


BROKEN = {
    "no JSON": ("{", "JSONDecodeError"),
    "no hours": (terms(CLOSED), "A calendar has no working hours within twenty years"),
    "no Sunday": (terms(Calendar(hours=((),) * 6)), "ValueError"),
    "no country": (terms(UNKNOWN), "The holidays are not known: Country XX not available"),
    "no zone": (terms(Calendar("Mars/Base")), "ZoneInfoNotFoundError"),
    "absurd": (terms(Calendar()).replace("3600.0", "1e15"), "OverflowError"),
}
broken = pytest.mark.parametrize(("written", "error"), BROKEN.values(), ids=BROKEN)


async def spoil(store: Store, written: str = "{") -> None:
    async with store.change() as change:
        await change.connection.execute(update(sla_clocks).values(terms=written))


async def running(at: Scene) -> list[SlaClock]:
    return [clock for clock in await at.store.clocks(at.ticket.id) if clock.ended_at is None]


async def failures(store: Store) -> list[tuple[str, object]]:
    """What the audit trail says of clocks that were given up."""
    async with store.read() as connection:
        return [
            (entry.subject, orjson.loads(entry.detail)["error"])
            async for entry in audit.entries(connection)
            if entry.verb == "fail_clock"
        ]


@broken
async def test_its_ticket_is_seen_claimed_and_closed(
    store: Store, written: str, error: str
) -> None:
    at = await scene(store)
    await spoil(store, written)
    assert (await store.view(at.ticket.id)).ticket.id == at.ticket.id
    with capture_logs() as logs:
        assert await at.actions.act(await at.request(Verb.CLAIM)) == DONE
    assert [(line["event"], line["ticket"], line["error"]) for line in logs] == [
        ("clock not computable", at.ticket.id, error)
    ]
    assert await failures(store) == [("clock:1", error)]
    await spoil(store, written)
    assert await at.actions.act(await at.request(Verb.CLOSE)) == DONE
    assert await running(at) == []


@pytest.mark.parametrize(
    "values",
    [{"spent": -(10**17)}, {"rung": -5}, {"running_since": datetime(9999, 1, 1, tzinfo=UTC)}],
)
async def test_times_that_no_clock_has_hold_up_nobody(
    store: Store, values: dict[str, object]
) -> None:
    at = await scene(store)
    async with store.change() as change:
        await change.connection.execute(update(sla_clocks).values(values))
    for verb in (Verb.CLAIM, Verb.CLOSE):
        assert await at.actions.act(await at.request(verb)) == DONE
    assert [subject for subject, _ in await failures(store)] == ["clock:1"]


async def test_one_on_the_terms_of_today_takes_its_place(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    any_store.promises = Policies(Policy(USUAL, {**USUAL, Urgency.CRITICAL: 2 * HOUR}))
    clock.forward(minutes=61)
    await spoil(any_store)
    watch = Watch(any_store, at.queue)
    assert [await watch(), await watch()] == [1, 0]
    [one] = await running(at)
    assert (one.number, one.goal, one.started_at) == (2, Goal.FIRST, START)
    assert (one.due_at, one.is_aimed, one.is_breached) == (START + HOUR, True, True)
    view = await any_store.view(at.ticket.id)
    assert view.alarm is not None
    assert (view.alarm.clock, view.alarm.rung) == (2, "breach")


async def test_what_is_promised_no_more_is_not_begun_again(store: Store) -> None:
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.CRITICAL: 8 * HOUR}))
    at = await scene(store)
    store.promises = Policies(Policy({}, {}))
    await spoil(store)
    assert await at.actions.act(await at.request(Verb.CLAIM)) == DONE
    assert await running(at) == []
    assert [subject for subject, _ in await failures(store)] == ["clock:1", "clock:2"]


async def test_a_promise_that_cannot_be_computed_runs_day_and_night(
    store: Store, clock: FastClock
) -> None:
    """Rather too early than never; and the mail has its ticket."""
    store.promises = Policies(Policy(USUAL, USUAL, calendar=UNKNOWN))
    with capture_logs() as logs:
        at = await scene(store)
    assert {line["event"] for line in logs} == {"calendar not computable"}
    [one] = await running(at)
    assert (one.due_at, one.terms.calendar) == (START + HOUR, Calendar())
    assert at.ticket.due_at == one.due_at
    absurd = dict.fromkeys(Urgency, timedelta.max)
    store.promises = Policies(Policy(absurd, absurd))
    async with store.change() as change:
        new = received(mail("Another"), "2")
        ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
        await change.receive(ticket, new)
    assert await store.clocks(ticket.id) == []


async def test_the_alert_of_it_is_still_drawn(store: Store) -> None:
    at = await scene(store)
    alert = await overdue(at)
    await spoil(store)
    noted = await store.escalation(alert)
    [lost] = await store.clocks(at.ticket.id)
    assert lost.number == noted.clock
    assert lost.ended_at is not None
    view = await store.view(at.ticket.id)
    assert (view.clock, view.alarm) == (None, None)
    outcome = await at.actions.act(await at.request(Verb.ACKNOWLEDGE))
    assert outcome.note == "There is no alert to acknowledge"
    assert await at.actions.act(await at.request(Verb.SNOOZE)) == DONE
    told = [await store.escalation(id) for id in await store.untold()]
    assert [(one.clock, one.rung) for one in told] == [(2, "breach")]


async def test_a_reply_that_came_back_starts_what_can_be_computed(store: Store) -> None:
    at = await scene(store)
    async with store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.CLOSE)
    await spoil(store)
    async with store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.BOUNCE)
    [one] = await running(at)
    assert (one.goal, one.terms.target) == (Goal.NEXT, USUAL[Urgency.CRITICAL])


async def test_the_audit_finds_it_and_stats_tell_managers(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    other = received(mail("Another"), "2")
    async with any_store.change() as change:
        ticket = await change.open_ticket(at.ticket.mailbox_id, other, 1.0)
        await change.receive(ticket, other)
    await spoil(any_store)
    clock.forward(minutes=31)
    await Watch(any_store, at.queue)()
    _, findings = await any_store.audit_clocks()
    assert [(one.fault, one.ticket_id, one.clock) for one in findings] == [
        (Fault.BROKEN, at.ticket.id, 1)
    ]
    assert findings[0].detail == "its times could not be computed: JSONDecodeError"
    said = (
        "The time promised for #1 could not be computed: it runs by what the settings promise"
        " today, if they do; see audit sla"
    )
    commands = Commands(any_store, at.actions)
    assert (await commands.run(at.omar, "stats")).text.splitlines()[1:] == [said]
    assert len((await commands.run(at.ann, "stats")).text.splitlines()) == 1
    await at.actions.act(await at.request(Verb.CLOSE))
    assert len((await commands.run(at.omar, "stats")).text.splitlines()) == 1


async def test_a_log_whose_terms_are_not_known_here_is_audited_to_its_end(
    store: Store, clock: FastClock
) -> None:
    at = await scene(store)
    async with store.change() as change:
        [one] = await change.running_clocks(at.ticket.id)
        strange = terms_json(replace(one.terms, calendar=Calendar("Mars/Base")))
        started = {"goal": "resolution", "started_at": START.isoformat(), "terms": strange}
        for verb, said in (("start_clock", started), ("pause_clock", {}), ("stop_clock", {})):
            change._note(replace(one, number=2), verb, said)
    clock.forward(minutes=31)
    _, findings = await store.audit_clocks()
    assert [(one.fault, one.clock, one.rung) for one in findings] == [
        (Fault.BROKEN, 2, ""),
        (Fault.MISSING, 1, "half"),
    ]


@pytest.mark.parametrize("promised", [True, False])
async def test_a_closed_ticket_whose_reply_came_back_is_to_be_resolved_again(
    any_store: Store, clock: FastClock, promised: bool
) -> None:
    any_store.promises = Policies(Policy(USUAL, USUAL, {Urgency.CRITICAL: 8 * HOUR}))
    at = await scene(any_store)
    clock.forward(hours=1)
    async with any_store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.CLOSE)
    if not promised:
        any_store.promises = Policies(Policy(USUAL, USUAL))
    clock.forward(hours=1)
    for _ in range(2):
        async with any_store.change() as change:
            ticket = await change.ticket(at.ticket.id)
            await change.move_ticket(ticket, Verb.BOUNCE)
    assert (await any_store.ticket(at.ticket.id)).state is TicketState.OPEN
    due = [(one.goal, one.due_at) for one in await running(at)]
    resolved = [(Goal.RESOLUTION, clock.now() + 8 * HOUR)] if promised else []
    assert due == [(Goal.NEXT, clock.now() + HOUR), *resolved]
