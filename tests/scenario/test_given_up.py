"""Faults of the database, and jobs that are given up, through the real runner on a real Redis: what
fails is tried again and never counted as done; what is requeued runs once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from desk.burial import Grave
from desk.errors import Permanent, Refused, Transient
from desk.ids import TicketId
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.desk import FastClock, Scene, job, mail, new_vault, received, scene
from workers.lanes import Service
from workers.queue import RedisQueue
from workers.runner import Runner
from workers.sweep import Sweep

MANY = 12


@pytest.fixture
async def hasty(tmp_path: Path, sqlite_url: str, clock: FastClock) -> AsyncIterator[Store]:
    """A store that does not wait for a locked database."""
    async with Store.open(f"{sqlite_url}?timeout=0.05", new_vault(tmp_path), clock) as opened:
        yield opened


def runner_of(queue: RedisQueue, store: Store, handler: Callable[[int], Awaitable[None]]) -> Runner:
    service = Service(handler, slots=4)
    return Runner(queue, {Step.TRIAGE: service}, Grave(store), grace=0.5, delay=lambda _: 0.02)


async def new_tickets(at: Scene, number: int) -> list[TicketId]:
    ids = []
    async with at.store.change() as change:
        for n in range(number):
            new = received(mail(f"Number {n}"), key=f"n{n}")
            ticket = await change.open_ticket(at.ticket.mailbox_id, new, float(n))
            await change.receive(ticket, new)
            ids.append(ticket.id)
    return ids


class Effect:
    """A step with one effect: it opens a new ticket, and the audit log counts how often."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs = 0

    async def __call__(self, id: int) -> None:
        self.runs += 1
        async with self.store.change() as change:
            ticket = await change.ticket(TicketId(id))
            if ticket.state is TicketState.NEW:
                await change.move_ticket(ticket, Verb.GIVE_UP)

    async def count(self, id: TicketId) -> int:
        return [entry.verb for entry in await self.store.history(id)].count(Verb.GIVE_UP)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process writes and does not end."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Disk:
    """SQLite's own limit: a full disk gives a database no more pages."""

    def __init__(self, store: Store) -> None:
        self.is_full = False
        event.listen(store.engine.sync_engine, "checkout", self._limit)

    def _limit(self, connection: sqlite3.Connection, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA page_count")
        [pages] = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count={pages if self.is_full else 1 << 30}")
        cursor.close()


async def test_a_locked_database_costs_tries_and_no_job(
    hasty: Store, queue: RedisQueue, tmp_path: Path
) -> None:
    at = await scene(hasty)
    [id] = await new_tickets(at, 1)
    effect = Effect(hasty)
    await queue.put(job(Step.TRIAGE, id, 1.0))
    runner = runner_of(queue, hasty, effect)
    task = asyncio.create_task(runner.run())
    with locked(tmp_path / "desk.db"):
        await until(lambda: effect.runs >= 2)
        depth = (await queue.depth())[Step.TRIAGE]
        assert depth.ready + depth.delayed + depth.leased == 1  # never acked
        assert await effect.count(id) == 0
    await until_async(lambda: is_empty(queue))
    runner.stop()
    await task
    assert await effect.count(id) == 1
    assert await hasty.dead_letters() == []


async def test_what_fails_too_often_is_kept_until_it_can_be_buried(
    hasty: Store, queue: RedisQueue, tmp_path: Path
) -> None:
    """The dead letter cannot be written either: the job stays, and is buried later."""
    at = await scene(hasty)
    [id] = await new_tickets(at, 1)

    async def fail(_: int) -> None:
        raise Permanent("The model is gone")

    await queue.put(job(Step.TRIAGE, id, 1.0))
    runner = runner_of(queue, hasty, fail)
    task = asyncio.create_task(runner.run())
    with locked(tmp_path / "desk.db"):
        await asyncio.sleep(0.4)
        assert not await is_empty(queue)
    await until_async(lambda: is_empty(queue))
    runner.stop()
    await task
    [letter] = await hasty.dead_letters()
    assert (letter.target, letter.failure.reason) == (id, "The model is gone")


async def test_a_full_disk_costs_tries_and_no_job(
    store: Store, queue: RedisQueue, clock: FastClock
) -> None:
    at = await scene(store)
    [id] = await new_tickets(at, 1)
    said: list[str] = []

    async def fill(_: int) -> None:
        try:
            async with store.change() as change:
                for n in range(40):
                    new = received(mail(f"Long {n}", text="x" * 5000), key=f"f{n}")
                    ticket = await change.open_ticket(at.ticket.mailbox_id, new, 1.0)
                    await change.receive(ticket, new)
        except Transient as error:
            said.append(f"{error}: {error.__cause__}")
            raise

    await queue.put(job(Step.TRIAGE, id, 1.0))
    runner = runner_of(queue, store, fill)
    disk = Disk(store)
    disk.is_full = True
    task = asyncio.create_task(runner.run())
    await until(lambda: len(said) >= 2)
    assert not await is_empty(queue)
    disk.is_full = False
    await until_async(lambda: is_empty(queue))
    runner.stop()
    await task
    assert "database or disk is full" in said[0]
    assert (await store.counts())["new"] == 41
    assert await store.dead_letters() == []


async def test_four_sweeps_at_once_double_no_effect(store: Store, queue: RedisQueue) -> None:
    at = await scene(store)
    ids = await new_tickets(at, MANY)
    effect = Effect(store)
    runner = runner_of(queue, store, effect)
    task = asyncio.create_task(runner.run())
    sweeps = [Sweep(store, queue) for _ in range(4)]
    for _ in range(4):
        await asyncio.gather(*(sweep() for sweep in sweeps))
    await until_async(lambda: is_empty(queue))
    runner.stop()
    await task
    assert [await effect.count(id) for id in ids] == [1] * MANY
    assert effect.runs <= 2 * MANY
    assert await store.dead_letters() == []


async def test_what_four_requeue_at_once_runs_once_and_from_the_beginning(
    store: Store, queue: RedisQueue
) -> None:
    at = await scene(store)
    [id] = await new_tickets(at, 1)
    runs: list[int] = []

    async def fail(target: int) -> None:
        runs.append(target)
        raise Transient("The model does not answer")

    await queue.put(job(Step.TRIAGE, id, 1.0))
    runner = runner_of(queue, store, fail)
    task = asyncio.create_task(runner.run())
    await until_async(lambda: is_empty(queue))
    runner.stop()
    await task
    [letter] = await store.dead_letters()
    assert (len(runs), letter.tries, len(letter.attempts)) == (5, 5, 5)
    assert all(attempt.error == "Transient" for attempt in letter.attempts)
    assert (await store.ticket(id)).state is TicketState.OPEN

    office, effect = LetterOffice(store, queue), Effect(store)
    asked = (office.requeue(at.omar, letter.id) for _ in range(4))
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, Refused) for one in told) == 3
    [claim] = await queue.claim(Step.TRIAGE, 10, 30.0)
    assert (claim.id, claim.tries, claim.lost) == (id, 0, 0)
    await queue.release(claim)
    await runner_of(queue, store, effect).drain()
    assert effect.runs == 1
    assert await Sweep(store, queue)() == 2  # the cards of both tickets, and nothing to triage
    assert await queue.claim(Step.TRIAGE, 10, 30.0) == []


async def test_what_is_given_up_is_not_swept_until_it_is_decided(
    store: Store, queue: RedisQueue
) -> None:
    at = await scene(store)
    async with store.change() as change:
        await change.record_shown(at.ticket.id, at.ticket.version)

    async def fail(_: int) -> None:
        raise Permanent("Slack is gone")

    await act(at)
    services = {Step.SHOW: Service(fail)}
    await queue.put(job(Step.SHOW, at.ticket.id, 1.0))
    await Runner(queue, services, Grave(store), grace=0.5).drain()
    assert await Sweep(store, queue)() == 0
    [letter] = await store.dead_letters()
    await LetterOffice(store, queue).discard(at.omar, letter.id)
    assert await Sweep(store, queue)() == 0


async def act(at: Scene) -> None:
    await at.actions.act(await at.request(Verb.CLAIM))


async def is_empty(queue: RedisQueue) -> bool:
    depth = (await queue.depth())[Step.TRIAGE]
    return depth.ready + depth.delayed + depth.leased == 0


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - others work meanwhile
            await asyncio.sleep(0.01)


async def until_async(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - others work meanwhile
            await asyncio.sleep(0.01)
