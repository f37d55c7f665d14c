"""Clocks follow their tickets, and each rung is noted once, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from desk import audit, burial
from desk.classification import Urgency
from desk.email import Relation
from desk.ids import EmailId, TicketId
from desk.moves import Verb
from desk.sla.calendars import Calendar, read_hours
from desk.sla.promises import USUAL, Policies, Policy
from desk.sla.records import clocks_of, escalation, rows
from desk.sla.rungs import Escalation, Goal, SlaClock
from desk.steps import Ending, Failure, Step
from desk.store import Store
from desk.tables.sla import escalations, sla_clocks
from desk.tables.tickets import classifications
from desk.ticket import Ticket, TicketState
from tests.doubles.desk import START, FastClock, ListQueue, Scene, mail, overdue, received, scene
from workers.watch import Watch

HOUR = timedelta(hours=1)


async def clocks(store: Store, id: int = 1) -> list[SlaClock]:
    async with store.read() as connection:
        return await clocks_of(connection, [TicketId(id)])


async def noted(store: Store) -> list[Escalation]:
    async with store.read() as connection:
        query = select(escalations).order_by(escalations.c.id)
        return [escalation(row) for row in await rows(connection, query)]


async def rungs(store: Store) -> list[tuple[str, str | None]]:
    return [(one.rung, one.moot) for one in await noted(store)]


def watch(at: Scene) -> Watch:
    return Watch(at.store, at.queue)


async def sent(at: Scene) -> None:
    """The reply leaves, as sending writes it down."""
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with at.store.change() as change:
        response = await change.move_response(response, Verb.SEND)
    async with at.store.change() as change:
        ticket = await change.ticket(at.ticket.id)
        if ticket.state is TicketState.OPEN:
            await change.move_ticket(ticket, Verb.DELIVER)
        await change.move_response(response, Verb.DELIVER, {"sent_at": change.now})


async def writes(at: Scene, key: str) -> EmailId:
    """The customer writes again."""
    async with at.store.change() as change:
        ticket = await change.ticket(at.ticket.id)
        email = await change.receive(ticket, received(mail(key), key, change.now))
    return email.id


async def test_a_clock_runs_from_the_arrival_and_triage_aims_it(any_store: Store) -> None:
    at = await scene(any_store)
    [clock] = await clocks(any_store)
    assert (clock.goal, clock.started_at, clock.is_aimed) == (Goal.FIRST, START, True)
    assert clock.due_at == START + USUAL[Urgency.CRITICAL] == at.ticket.due_at
    assert (await any_store.view(at.ticket.id)).clock == clock


async def test_a_mail_that_nobody_reads_has_a_clock_all_the_same(
    any_store: Store, clock: FastClock
) -> None:
    async with any_store.change() as change:
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
        ticket = await change.open_ticket(box.id, received(mail()), 1.0)
        await change.receive(ticket, received(mail()))
    clock.forward(hours=25)
    assert await Watch(any_store, ListQueue())() == 1
    *missed, last = await rungs(any_store)
    names = ["half", "soon", "breach", "again 1", "again 2", "again 3"]
    assert missed == [(name, "overtaken") for name in names]
    assert last == ("again 4", None)


async def test_each_rung_is_noted_once(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    seen = []
    for _ in range(65):
        clock.forward(minutes=1)
        await watch(at)()
        await watch(at)()
        seen.append(len(await noted(any_store)))
    # nobody could be told of the first ones before the next one came
    assert await rungs(any_store) == [
        ("half", "overtaken"),
        ("soon", "overtaken"),
        ("breach", None),
    ]
    assert [seen.index(n) + 1 for n in (1, 2, 3)] == [30, 48, 60]


async def test_four_watches_at_once_note_each_rung_once(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    async with any_store.change() as change:
        for number in range(2, 12):
            new = received(mail(f"Number {number}"), str(number))
            ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
            await change.receive(ticket, new)
    for hours in (1, 12, 8, 6):
        clock.forward(hours=hours)
        await asyncio.gather(*(watch(at)() for _ in range(4)))
    found = [(one.ticket_id, one.rung, one.clock) for one in await noted(any_store)]
    assert len(found) == len(set(found))
    breached = {ticket for ticket, rung, _ in found if rung == "breach"}
    assert breached == set(range(1, 12))
    async with any_store.read() as connection:
        said = [entry.verb async for entry in audit.entries(connection)]
    assert said.count("escalate") == len(found)


async def test_a_reply_ends_the_clock_and_the_next_mail_starts_the_next(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    clock.forward(minutes=20)
    await sent(at)
    clock.forward(days=3)
    assert await watch(at)() == 0
    assert await noted(any_store) == []
    await writes(at, "2")
    first, second = await clocks(any_store)
    assert (first.goal, first.ended_at) == (Goal.FIRST, START + timedelta(minutes=20))
    assert (second.goal, second.started_at) == (Goal.NEXT, clock.now())
    assert second.ended_at is None


async def test_a_mail_that_comes_while_the_reply_leaves_starts_a_clock_of_its_own(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        response = await change.move_response(response, Verb.SEND)
    clock.forward(minutes=5)
    await writes(at, "2")
    assert len(await clocks(any_store)) == 1
    clock.forward(minutes=5)
    async with any_store.change() as change:
        await change.move_response(response, Verb.DELIVER, {"sent_at": change.now})
    first, second = await clocks(any_store)
    assert first.ended_at == START + timedelta(minutes=10)
    assert (second.started_at, second.terms) == (START + timedelta(minutes=5), first.terms)


async def test_a_second_mail_never_puts_the_first_one_off(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    clock.forward(minutes=20)
    await writes(at, "2")
    async with any_store.change() as change:
        due = await change.aim_clocks(at.ticket, clock.now(), Urgency.LOW)
    assert due == START + HOUR


@pytest.mark.parametrize("verb", [Verb.CLOSE, Verb.ANSWER])
async def test_what_is_done_before_it_was_told_is_moot(
    any_store: Store, clock: FastClock, verb: Verb
) -> None:
    at = await scene(any_store)
    clock.forward(minutes=50)
    async with any_store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), verb)
    why = {"close": "closed", "answer": "answered"}[verb]
    assert await rungs(any_store) == [("half", why), ("soon", why)]
    assert await watch(at)() == 0
    assert await any_store.untold() == []


async def test_a_reply_that_is_on_its_way_alerts_nobody(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    clock.forward(minutes=59, seconds=50)
    await at.actions.act(await at.request(Verb.APPROVE))
    clock.forward(seconds=20)
    assert await watch(at)() == 0
    assert (await rungs(any_store))[-1] == ("breach", "a reply is on its way")
    # it hangs: then it is said
    clock.forward(minutes=40)
    assert await watch(at)() == 1


async def test_the_clock_to_the_solution_waits_for_the_customer(
    any_store: Store, clock: FastClock
) -> None:
    slow = {urgency: 8 * HOUR for urgency in Urgency}
    office = Calendar("UTC", read_hours(["mon-fri 09:00-17:00"]))
    any_store.promises = Policies(Policy(USUAL, USUAL, slow, office))
    at = await scene(any_store)  # on a Friday at nine
    clock.forward(hours=2)
    await sent(at)
    clock.forward(days=4)
    assert await watch(at)() == 0
    resolution = (await clocks(any_store))[1]
    assert (resolution.running_since, resolution.spent) == (None, 2 * HOUR)
    await writes(at, "2")  # on Tuesday at eleven
    resolution = (await clocks(any_store))[1]
    assert resolution.due_at == START + timedelta(days=4, hours=8)
    assert resolution.next_at == START + timedelta(days=4, hours=4)
    async with any_store.change() as change:
        ticket = await change.ticket(at.ticket.id)
        await change.move_ticket(ticket, Verb.ANSWER)
        await change.move_ticket(await change.ticket(ticket.id), Verb.CLOSE)
    assert all(one.ended_at for one in await clocks(any_store))


async def test_our_reply_that_came_back_starts_a_clock(any_store: Store, clock: FastClock) -> None:
    at = await scene(any_store)
    await sent(at)
    clock.forward(minutes=5)
    async with any_store.change() as change:
        await change.move_ticket(await change.ticket(at.ticket.id), Verb.BOUNCE)
    assert [one.goal for one in await clocks(any_store) if not one.ended_at] == [Goal.NEXT]


async def test_mail_that_was_imported_counts_from_its_import(
    any_store: Store, clock: FastClock
) -> None:
    clock.forward(days=9)
    async with any_store.change() as change:
        box = await change.add_mailbox("support", "support@lanewright.example", "maildir")
        ticket: Ticket = await change.open_ticket(box.id, received(mail()), 1.0)
        await change.receive(ticket, received(mail()))
    [one] = await clocks(any_store)
    assert one.started_at == clock.now()


async def test_settings_that_change_later_do_not_change_what_was_promised(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    quick = {urgency: timedelta(minutes=1) for urgency in Urgency}
    any_store.promises = Policies(Policy(quick, quick))
    clock.forward(minutes=29)
    assert await watch(at)() == 0
    [one] = await clocks(any_store)
    assert one.due_at == START + HOUR


async def without_its_clock(at: Scene) -> None:
    """As a version left it that knew no clocks."""
    async with at.store.change() as change:
        await change.connection.execute(delete(sla_clocks))


async def test_a_ticket_from_before_there_were_clocks_gets_one(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    await without_its_clock(at)
    clock.forward(minutes=20)
    assert await watch(at)() == 0
    [one] = await clocks(any_store)
    assert (one.due_at, one.is_aimed) == (START + USUAL[Urgency.CRITICAL], True)
    await watch(at)()
    assert await clocks(any_store) == [one]
    # one that waited for days is not late at once
    await without_its_clock(at)
    clock.forward(days=3)
    assert await watch(at)() == 0
    [late] = await clocks(any_store)
    assert late.due_at == clock.now() + USUAL[Urgency.CRITICAL]


async def test_a_newsletter_from_before_there_were_clocks_gets_none_that_runs(
    any_store: Store,
) -> None:
    at = await scene(any_store)
    await without_its_clock(at)
    async with any_store.change() as change:
        await change.connection.execute(update(classifications).values(model="form"))
    await watch(at)()
    [one] = await clocks(any_store)
    assert one.ended_at is not None


async def test_an_alert_that_was_answered_is_not_acknowledged_any_more(any_store: Store) -> None:
    at = await scene(any_store)
    await overdue(at)
    await sent(at)
    await writes(at, "2")
    outcome = await at.actions.act(await at.request(Verb.ACKNOWLEDGE))
    assert outcome.note == "There is no alert to acknowledge"


async def test_what_nobody_was_told_yet_is_dropped_when_the_ticket_is_closed(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    clock.forward(minutes=31)
    assert await watch(at)() == 1
    assert await any_store.untold() == [1]
    await at.actions.act(await at.request(Verb.CLOSE))
    assert await any_store.untold() == []
    assert await rungs(any_store) == [("half", "closed")]


async def test_a_later_rung_takes_the_place_of_one_that_nobody_was_told(
    any_store: Store, clock: FastClock
) -> None:
    at = await scene(any_store)
    clock.forward(minutes=31)
    await watch(at)()
    clock.forward(minutes=18)
    await watch(at)()
    assert await rungs(any_store) == [("half", "overtaken"), ("soon", None)]


async def test_a_reply_that_came_back_twice_starts_one_clock(any_store: Store) -> None:
    at = await scene(any_store)
    await sent(at)
    for _ in range(2):
        async with any_store.change() as change:
            await change.move_ticket(await change.ticket(at.ticket.id), Verb.BOUNCE)
    assert len([one for one in await clocks(any_store) if not one.ended_at]) == 1


async def test_a_copy_that_comes_while_the_reply_leaves_starts_no_clock(any_store: Store) -> None:
    at = await scene(any_store)
    await at.actions.act(await at.request(Verb.APPROVE))
    response = await at.response()
    assert response is not None
    async with any_store.change() as change:
        response = await change.move_response(response, Verb.SEND)
        copy = received(mail(), "copy")
        await change.receive(at.ticket, copy, Relation.COPY, response.email_id)
        await change.move_response(response, Verb.DELIVER, {"sent_at": change.now})
    assert [one.ended_at is None for one in await clocks(any_store)] == [False]


async def test_what_is_promised_for_urgent_mail_alone_runs_once_it_is_read(store: Store) -> None:
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.CRITICAL: 8 * HOUR}))
    await scene(store)
    assert [(one.goal, one.due_at) for one in await clocks(store)] == [
        (Goal.FIRST, START + HOUR),
        (Goal.RESOLUTION, START + 8 * HOUR),
    ]


async def test_what_is_not_promised_for_a_mail_ends_once_it_is_read(
    store: Store, clock: FastClock
) -> None:
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.NORMAL: 8 * HOUR}))
    at = await scene(store)
    assert [one.goal for one in await clocks(store) if one.ended_at is None] == [Goal.FIRST]
    # a second mail, that is read as a usual one, is promised something
    await sent(at)
    await writes(at, "2")
    running = [one.goal for one in await clocks(store) if one.ended_at is None]
    assert running == [Goal.NEXT, Goal.RESOLUTION]
    # and what was promised once is not taken back by a third one
    async with store.change() as change:
        await change.aim_clocks(at.ticket, clock.now(), Urgency.NORMAL)
        await change.aim_clocks(at.ticket, clock.now(), Urgency.LOW)
    assert [one.goal for one in await clocks(store) if one.ended_at is None] == running


async def test_a_person_who_knows_better_takes_back_no_broken_promise(
    store: Store, clock: FastClock
) -> None:
    store.promises = Policies(Policy(USUAL, USUAL, {Urgency.NORMAL: 2 * HOUR}))
    at = await scene(store)

    async def corrected(to: Urgency) -> list[Goal]:
        async with store.change() as change:
            await change.aim_clocks(at.ticket, START, to, by_hand=True)
        return [one.goal for one in await clocks(store) if one.ended_at is None]

    assert await corrected(Urgency.NORMAL) == [Goal.FIRST, Goal.RESOLUTION]
    assert await corrected(Urgency.LOW) == [Goal.FIRST]
    assert await corrected(Urgency.NORMAL) == [Goal.FIRST, Goal.RESOLUTION]
    clock.forward(hours=3)
    await watch(at)()
    assert await corrected(Urgency.LOW) == [Goal.FIRST, Goal.RESOLUTION]


@pytest.mark.parametrize("verb", [Verb.CLOSE, Verb.ANSWER])
async def test_what_is_done_asks_nobody_about_its_draft(store: Store, verb: Verb) -> None:
    at = await scene(store)
    async with store.change() as change:
        why = Failure("Permanent", "The model refuses.")
        letter = await burial.bury(change, Step.DRAFTING, at.ticket.id, why, 1)
        await change.move_ticket(await change.ticket(at.ticket.id), verb)
    assert (await store.view(at.ticket.id)).given_up == ()
    found = await store.dead_letter(letter)
    assert found is not None
    assert found.ending is Ending.OVERTAKEN
