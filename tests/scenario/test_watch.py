"""The periodic rounds: what is broken fails alone, is logged by its id, and holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Table, update
from structlog.testing import capture_logs

from desk import access
from desk.errors import Conflict, Permanent, Transient
from desk.ids import TicketId
from desk.moves import Verb
from desk.rules import Job
from desk.sla.records import clock_row
from desk.steps import Step
from desk.store import Store
from desk.tables.sla import sla_clocks
from desk.tables.tickets import tickets
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, Scene, drafted, mail, received, scene
from workers.overload import Overload
from workers.rounds import IN_A_ROW, each
from workers.sweep import Sweep
from workers.watch import Watch


@pytest.fixture
async def at(store: Store) -> Scene:
    """Two tickets that wait, #1 in front."""
    made = await scene(store)
    new = received(mail("A second matter"), "2")
    async with store.change() as change:
        ticket = await change.open_ticket(made.ticket.mailbox_id, new, 2.0)
        email = await change.receive(ticket, new)
    await drafted(store, ticket.id, email.id, "We look into it.")
    return made


async def write(store: Store, table: Table, id: int, **values: object) -> None:
    async with store.change() as change:
        await change.connection.execute(update(table).where(table.c.id == id).values(values))


def left(logs: Iterable[Mapping[str, object]]) -> list[tuple[object, object, object]]:
    """What was left for the next round."""
    return [(one["what"], one["id"], one["error"]) for one in logs if "what" in one]


async def test_a_clock_that_cannot_be_computed_holds_up_nobodys_escalation(
    at: Scene, clock: FastClock
) -> None:
    clock.forward(minutes=61)
    [broken] = await at.store.clocks(at.ticket.id)
    assert (await at.store.due_clocks())[0] == broken.id
    await write(at.store, sla_clocks, broken.id, terms="{")
    await write(at.store, tickets, 1, urgency="strange")  # or today's terms would take its place
    watch = Watch(at.store, at.queue)
    with capture_logs() as logs:
        assert [await watch(), await watch()] == [1, 0]
    told = [await at.store.escalation(id) for id in await at.store.untold()]
    assert [one.ticket_id for one in told] == [2]
    assert (Step.ALERT, told[0].id) in at.queue.jobs
    assert left(logs) == [("clock", broken.id, "ValueError")] * 2
    await write(at.store, sla_clocks, broken.id, terms=clock_row(broken)["terms"])
    await write(at.store, tickets, 1, urgency="critical")
    assert await watch() == 1, "it is found again once it is put right"


async def test_terms_under_which_time_stands_still_do_not_stop_the_watch(
    at: Scene, clock: FastClock
) -> None:
    """A breach that is repeated after no time at all would be repeated for ever."""
    [broken] = await at.store.clocks(at.ticket.id)
    terms = str(clock_row(broken)["terms"]).replace("900.0", "0.0")
    assert terms != clock_row(broken)["terms"]
    await write(at.store, sla_clocks, broken.id, terms=terms)
    clock.forward(minutes=61)
    assert await Watch(at.store, at.queue)() == 2
    assert [one.number for one in await at.store.clocks(TicketId(1)) if not one.ended_at] == [2]


async def test_broken_clocks_however_many_do_not_stand_in_front_for_good(
    at: Scene, clock: FastClock
) -> None:
    [one] = await at.store.clocks(at.ticket.id)
    rows = [{**clock_row(one), "number": n, "terms": "{"} for n in range(2, 600)]
    async with at.store.change() as change:
        await change.connection.execute(sla_clocks.insert(), rows)
    clock.forward(minutes=61)
    assert len(await at.store.due_clocks()) == 600


async def test_a_ticket_that_cannot_be_read_wakes_alone_and_ends_its_edit_alone(
    at: Scene, clock: FastClock
) -> None:
    await at.actions.act(await at.request(Verb.START_EDIT))
    for id in (1, 2):
        values = {"state": "snoozed", "snoozed_until": clock.now() + timedelta(minutes=30)}
        await write(at.store, tickets, id, **values)
        values = {"editing": at.ann.id, "editing_since": clock.now()}
        await write(at.store, tickets, id, **values)
    clock.forward(minutes=20)
    await write(at.store, tickets, 1, sealed=b"spoiled")
    watch = Watch(at.store, at.queue)
    with capture_logs() as logs:
        await watch()
    assert left(logs) == [("edited ticket", 1, "Permanent")]
    second = await at.store.ticket(TicketId(2))
    assert (second.state, second.editing) == (TicketState.SNOOZED, None)
    clock.forward(minutes=11)
    with capture_logs() as logs:
        await watch()
    assert ("snoozed ticket", 1, "Permanent") in left(logs)
    assert (await at.store.ticket(TicketId(2))).state is TicketState.OPEN
    assert (Step.SHOW, 2) in at.queue.jobs


async def test_an_edit_is_not_ended_before_its_time(at: Scene, clock: FastClock) -> None:
    await at.actions.act(await at.request(Verb.START_EDIT))
    clock.forward(minutes=15)
    await Watch(at.store, at.queue)()
    assert (await at.store.ticket(at.ticket.id)).editing == at.ann.id
    clock.forward(seconds=1)
    await Watch(at.store, at.queue)()
    assert (await at.store.ticket(at.ticket.id)).editing is None


class Meanwhile(Store):
    """Somebody is faster: right after the watch has looked what is due, it is put off."""

    async def asleep(self) -> list[TicketId]:
        found = await super().asleep()
        later = self.clock.now() + timedelta(hours=1)
        for id in found:
            await write(self, tickets, id, snoozed_until=later)
        return found

    async def edited_since(self, time: datetime) -> list[TicketId]:
        found = await super().edited_since(time)
        for id in found:
            await write(self, tickets, id, editing_since=self.clock.now())
        return found


async def test_what_was_put_off_a_moment_ago_is_left_alone(at: Scene, clock: FastClock) -> None:
    before = clock.now()
    await write(at.store, tickets, 1, editing=at.ann.id, editing_since=before)
    snoozed = {"state": "snoozed", "snoozed_until": before + timedelta(minutes=5)}
    await write(at.store, tickets, 2, **snoozed)
    clock.forward(minutes=16)
    store = Meanwhile(at.store.engine, at.store.vault, clock)
    queue = Kept()
    await Watch(store, queue)()
    assert (await store.ticket(TicketId(1))).editing == at.ann.id
    assert (await store.ticket(TicketId(2))).state is TicketState.SNOOZED
    assert queue.jobs == []


class Kept:
    """Remembers jobs as they are put."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def put(self, *jobs: Job) -> None:
        self.jobs += jobs


async def test_each_change_is_drawn_and_an_alert_is_urgent(at: Scene, clock: FastClock) -> None:
    """One is woken, one breaks its promise, one is edited no more."""
    edited = received(mail("A third matter"), "3")
    async with at.store.change() as change:
        third = await change.open_ticket(at.ticket.mailbox_id, edited, 3.0)
        await change.receive(third, edited)
    await write(at.store, tickets, 2, state="snoozed", snoozed_until=clock.now())
    await write(at.store, tickets, third.id, editing=at.ann.id, editing_since=clock.now())
    [asleep] = await at.store.clocks(TicketId(2))
    await write(at.store, sla_clocks, asleep.id, next_at=None)
    clock.forward(minutes=61)
    queue = Kept()
    assert await Watch(at.store, queue)() == 1
    shown = [job.id for job in queue.jobs if job.step is Step.SHOW]
    assert shown == [1, third.id, 2]
    [alert] = [job for job in queue.jobs if job.step is Step.ALERT]
    assert alert.is_urgent
    [ended] = [e for e in await at.store.history(third.id) if e.verb == Verb.START_EDIT]
    assert ended.detail == '{"ended":true}'


class Line:
    """The jobs that a sweep asks for."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Step, int]] = []

    async def reconcile(self, jobs: Iterable[Job]) -> None:
        self.jobs = [(job.step, job.id) for job in jobs]

    async def epoch(self) -> str | None:
        return "one"

    async def rescore(self, step: Step, id: int, score: float) -> bool:
        return True


async def test_what_cannot_be_read_keeps_nobody_else_out_of_the_queue(at: Scene) -> None:
    line = Line()
    await write(at.store, tickets, 1, sealed=b"spoiled")
    with capture_logs() as logs:
        assert await Sweep(at.store, line)() == 1
    assert line.jobs == [(Step.SHOW, 2)]
    assert [(one["table"], one["id"]) for one in logs] == [("tickets", 1)]


async def test_an_error_that_nobody_thought_of_does_not_end_the_refilling(at: Scene) -> None:
    class Odd(Line):
        asked = 0

        async def epoch(self) -> str | None:
            self.asked += 1
            if self.asked == 1:
                raise ValueError("Redis said something strange")
            return "one"

    line = Odd()
    with capture_logs() as logs:
        healing = asyncio.create_task(Sweep(at.store, line).heal())
        async with asyncio.timeout(10):
            while not line.jobs:  # noqa: ASYNC110 - the sweep tells nobody
                await asyncio.sleep(0.02)
        healing.cancel()
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("queue not refilled", "ValueError"),
        ("queue_refilled", None),
    ]


async def test_the_queue_is_shown_without_what_cannot_be_read(at: Scene) -> None:
    [clock] = await at.store.clocks(at.ticket.id)
    await write(at.store, sla_clocks, clock.id, terms="{")
    assert [view.ticket.id for view in await access.queue(at.store, at.ann)] == [1, 2]
    await write(at.store, tickets, 1, sealed=b"spoiled")
    with capture_logs() as logs:
        assert [view.ticket.id for view in await access.queue(at.store, at.ann)] == [2]
    assert [(line["event"], line["ticket"]) for line in logs] == [("ticket not readable", 1)]


async def test_a_late_ticket_that_cannot_be_moved_back_holds_up_no_other(
    at: Scene, clock: FastClock
) -> None:
    for id in (1, 2):
        await write(at.store, tickets, id, urgency="low")
    clock.forward(minutes=61)
    watch = Watch(at.store, at.queue)
    await watch()
    for id in await at.store.untold():
        async with at.store.change() as change:
            await change.record_fired(await at.store.escalation(id), 1)
    await write(at.store, tickets, 1, sealed=b"spoiled")
    with capture_logs():
        assert await Overload(at.store, Line())() == 1


async def test_a_round_ends_when_the_other_side_is_away() -> None:
    seen: list[int] = []
    moods = {2: Permanent("broken"), 3: Conflict("changed"), 5: Transient("slow")}

    async def look(id: int) -> bool:
        seen.append(id)
        if id in moods:
            raise moods[id]
        if id > 6:
            raise Transient("The database did not answer")
        return id != 4

    with capture_logs() as logs:
        assert await each("thing", range(1, 7), look) == 2
    assert left(logs) == [("thing", 2, "Permanent"), ("thing", 5, "Transient")]
    assert await each("thing", [5, 6, 5, 6, 5, 6, 5], look) == 3, "one that comes and goes"
    seen.clear()
    with pytest.raises(Transient, match="did not answer"):
        await each("thing", range(6, 20), look)
    assert seen == [6, *range(7, 7 + IN_A_ROW)]
