"""The auditor finds, in the audit log alone, what should have been told and was not."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from desk.classification import Urgency
from desk.moves import Verb
from desk.sla.auditor import Fault, Finding
from desk.sla.promises import USUAL, Policies, Policy
from desk.store import Store
from desk.tables.sla import alerts, escalations, sla_clocks
from tests.doubles.desk import START, FastClock, Scene, mail, received, scene
from workers.watch import Watch


async def minutes(at: Scene, clock: FastClock, number: int, *, tells: bool = True) -> None:
    """The watch looks every half minute (it finds nothing where no clock is due), and whoever is to
    be told is told."""
    for _ in range(2 * number):
        clock.forward(seconds=30)
        if await at.store.due_clocks():
            await Watch(at.store, at.queue)()
        for id in await at.store.untold() if tells else []:
            noted = await at.store.escalation(id)
            async with at.store.change() as change:
                await change.record_fired(noted, 1)


async def faults(store: Store) -> list[tuple[Fault, str]]:
    _, findings = await store.audit_clocks()
    return [(found.fault, found.rung) for found in findings]


async def test_a_desk_that_tells_in_time_has_no_fault(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    await minutes(at, clock, 65)
    await at.actions.act(await at.request(Verb.CLAIM))
    await minutes(at, clock, 10)
    await at.actions.act(await at.request(Verb.CLOSE))
    await minutes(at, clock, 5)
    assert await any_store.audit_clocks() == (3, [])


async def test_a_watch_that_was_down_is_found(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    await minutes(at, clock, 31)
    clock.forward(minutes=31)
    count, findings = await any_store.audit_clocks()
    assert count == 1
    due = START + timedelta(minutes=48)
    assert findings[0] == Finding(Fault.MISSING, at.ticket.id, 1, "soon", due, "it was never noted")
    assert await faults(any_store) == [(Fault.MISSING, "soon"), (Fault.MISSING, "breach")]
    # when it is back, it was late; what came later is told instead of what came before
    await minutes(at, clock, 1)
    assert await faults(any_store) == [(Fault.UNTOLD, "soon"), (Fault.LATE, "breach")]


async def test_what_was_answered_while_the_watch_was_down_is_found(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    await minutes(at, clock, 31)
    clock.forward(minutes=25)
    await at.actions.act(await at.request(Verb.CLOSE))
    assert await faults(any_store) == [(Fault.UNTOLD, "soon")]


async def test_a_network_that_nobody_heard_is_found(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    await minutes(at, clock, 59, tells=False)
    # half of it was overtaken after 18 minutes in which nobody was told
    assert await faults(any_store) == [(Fault.UNTOLD, "half"), (Fault.UNTOLD, "soon")]


async def test_a_rung_that_was_noted_twice_or_too_early_is_found(
    store: Store, clock: FastClock
) -> None:
    at = await scene(store)
    await minutes(at, clock, 31)
    async with store.change() as change:
        [running] = await change.running_clocks(at.ticket.id)
        said = {"rung": "half", "moot": None}
        change._note(running, "escalate", said)
        change._note(running, "escalate", {**said, "rung": "breach"})
    assert (await faults(store))[:2] == [(Fault.TWICE, "half"), (Fault.EARLY, "breach")]


async def test_a_tick_and_half_a_minute_are_no_fault_and_more_is(
    store: Store, clock: FastClock
) -> None:
    at = await scene(store)
    clock.forward(minutes=30, seconds=35)
    assert await faults(store) == []
    await Watch(store, at.queue)()
    assert await faults(store) == []
    clock.forward(minutes=17, seconds=25 + 35 + 1)
    await Watch(store, at.queue)()
    assert await faults(store) == [(Fault.LATE, "soon"), (Fault.UNTOLD, "half")]


async def test_what_nobody_could_know_in_time_is_no_fault(store: Store, clock: FastClock) -> None:
    """A mail that was read late, and is urgent: its rungs lie in the past."""
    at = await scene(store)
    async with store.change() as change:
        new = received(mail("Read late"), "2", START)
        ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
        await change.receive(ticket, new)
        await change.end_clocks(at.ticket.id, "closed")
    clock.forward(hours=2)
    async with store.change() as change:
        await change.aim_clocks(await change.ticket(ticket.id), START, Urgency.CRITICAL)
    assert await faults(store) == []
    clock.forward(seconds=36)
    assert (Fault.MISSING, "breach") in await faults(store)


async def test_a_breach_that_a_failed_reply_lets_be_heard_is_not_early(
    store: Store, clock: FastClock
) -> None:
    at = await scene(store)
    await minutes(at, clock, 61)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with store.change() as change:
        await change.move_response(response, Verb.FAIL, {"failure": "Refused."})
    await minutes(at, clock, 16)
    assert await store.audit_clocks() == (4, [])


async def test_it_needs_nothing_but_the_log(store: Store, clock: FastClock) -> None:
    at = await scene(store)
    await minutes(at, clock, 31)
    async with store.change() as change:
        for table in (alerts, escalations, sla_clocks):
            await change.connection.execute(delete(table))
    assert await store.audit_clocks() == (1, [])


async def test_a_breach_is_as_quiet_as_people_wanted_it(store: Store, clock: FastClock) -> None:
    at = await scene(store)
    await minutes(at, clock, 61)
    await at.actions.act(await at.request(Verb.SNOOZE, text="2d"))
    clock.forward(hours=5)
    assert await store.audit_clocks() == (3, [])
    await at.actions.act(await at.request(Verb.WAKE))
    await minutes(at, clock, 16)
    for verb in (Verb.CLAIM, Verb.RELEASE):
        await at.actions.act(await at.request(verb))
    await minutes(at, clock, 16)
    await at.actions.act(await at.request(Verb.ACKNOWLEDGE))
    await minutes(at, clock, 31)
    assert await store.audit_clocks() == (6, [])


async def test_a_claim_holds_though_its_ticket_wakes_at_its_time(
    store: Store, clock: FastClock
) -> None:
    at = await scene(store)
    await minutes(at, clock, 61)
    await at.actions.act(await at.request(Verb.SNOOZE, text="1h"))
    await at.actions.act(await at.request(Verb.CLAIM))
    clock.forward(minutes=60)
    await Watch(store, at.queue)()
    await minutes(at, clock, 30)
    assert await store.audit_clocks() == (3, [])


async def test_what_was_not_told_of_one_clock_is_found_though_another_ended(
    store: Store, clock: FastClock
) -> None:
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.CRITICAL: timedelta(hours=1)}))
    at = await scene(store)
    await minutes(at, clock, 31, tells=False)
    async with store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.ANSWER)
    clock.forward(minutes=11)
    _, [found] = await store.audit_clocks()
    assert (found.fault, found.rung, found.clock) == (Fault.UNTOLD, "half", 2)
