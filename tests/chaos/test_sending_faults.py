"""Many approvals, a mail server that misbehaves in every way, workers killed at every fail point of
sending: none twice, none lost, each unclear one shown as unknown, and cleared up.

40 approvals on SQLite; with ``MAILDESK_CHAOS=full`` 500 on SQLite and 500 on PostgreSQL.
``MAILDESK_SEED`` draws what goes wrong.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bot.ticket_card import ticket_card
from desk.action import ActionRequest, Result, Seen
from desk.actions import Actions
from desk.email import Address
from desk.engine import upgrade
from desk.errors import Transient
from desk.ids import TicketId
from desk.letter_office import LetterOffice
from desk.moves import Verb
from desk.people import Role, User
from desk.places import Network, Place
from desk.response import Draft, Envelope, ResponseState
from desk.steps import Step
from desk.store import Store
from desk.ticket_view import TicketView
from mail.maildir import deliver
from tests.doubles.crew import CHANNEL, OWN, FileWall, Post, Worker
from tests.doubles.databases import new_database
from tests.doubles.desk import classified, mail, new_vault, received, review
from tests.doubles.redis import RealRedis
from tests.doubles.smtp_fates import AMBIGUOUS, FINAL, PASSING, Fate, Fates
from tests.doubles.smtpd import smtpd
from workers.queue import RedisQueue

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
APPROVALS = 500 if IS_FULL else 40
SEED = int(os.environ.get("MAILDESK_SEED", "11"))
WORKERS = 2
LOOKS = 30 if IS_FULL else 3
ONLY = frozenset({Step.SENDING, Step.SHOW})
POINTS = (
    "board.updated",
    "job.settled",
    "job.ran",
    "job.claimed",
    "change.committed",
    "change.committing",
    "sending.noted",
    "sending.approved",
    "sending.marked",
    "sending.handed_over",
    "mail.accepted",
    "sending.lost",
)
"""Where workers die: from the last to the first, and again."""

KILLS = 4 * len(POINTS) if IS_FULL else len(POINTS)
UNSURE = (
    "Not sure that it left: look into the Sent folder of the mailbox. Maildesk looks there again"
)


@dataclass
class Rush:
    """Many tickets with a draft each, two people who approve them, and workers that die."""

    post: Post
    store: Store
    queue: RedisQueue
    actions: Actions
    fates: Fates
    fate: dict[TicketId, Fate]
    chance: random.Random
    workers: list[Worker] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    requeued: int = 0
    pressed_again: int = 0

    @property
    def office(self) -> LetterOffice:
        return LetterOffice(self.store, self.queue)

    def customer(self, id: TicketId) -> str:
        return f"c{id}@customer.example"

    async def views(self) -> list[TicketView]:
        return await self.store.views(list(self.fate))

    # -- people

    async def approve_all(self) -> None:
        """Ann and Omar both press the button on every card, all at the same moment."""
        ann, omar = await self.store.users()

        async def press(view: TicketView, user: User) -> Result:
            return await self.do(view, user, Verb.APPROVE, f"{user.name}-{view.ticket.id}")

        clicks = [press(view, user) for view in await self.views() for user in (ann, omar)]
        done = await asyncio.gather(*clicks)
        assert Counter(done) == {Result.DONE: len(self.fate), Result.REFUSED: len(self.fate)}

    async def do(self, view: TicketView, user: User, verb: Verb, key: str) -> Result:
        response = view.response
        assert response is not None
        seen = Seen(response.id, response.version, response.hash)
        request = ActionRequest(key, user, verb, view.ticket.id, seen, confirmed=True)
        while True:
            try:
                return (await self.actions.act(request)).result
            except Transient:  # the desk said that it cannot now: the same person, once more
                self.pressed_again += 1

    # -- workers

    async def work(self, kills: int = 0) -> None:
        """Workers that die at one point after another; then some that do not; until it is calm."""
        points = [POINTS[n % len(POINTS)] for n in range(kills)]
        deadline = time.monotonic() + (600 if IS_FULL else 50)
        running: list[tuple[Worker, str]] = [self._start(points) for _ in range(WORKERS)]
        try:
            while not await self._is_calm():
                assert time.monotonic() < deadline, await self.states()
                for _ in range(LOOKS):  # reading all tickets takes its time
                    self._replace_the_dead(running, points)
                    await asyncio.sleep(0.1)
                if not points:
                    await self._try_again()
        finally:
            for worker, _ in running:
                worker.kill()

    def _replace_the_dead(self, running: list[tuple[Worker, str]], points: list[str]) -> None:
        for place, (worker, point) in enumerate(running):
            if worker.has_died:
                assert worker.was_killed
                self.kills[point] += 1
                worker.kill()
                running[place] = self._start(points)

    async def _try_again(self) -> None:
        """What was under way at three deaths was given up, as poison: Omar has it run again."""
        _, omar = await self.store.users()
        for letter in await self.office.listing(omar):
            await self.office.requeue(omar, letter.id)
            self.requeued += 1

    def _start(self, points: list[str]) -> tuple[Worker, str]:
        if not points:
            return Worker(self.post, ONLY), ""
        point = points.pop()
        faults = f"{point}=kill@{self.chance.randint(1, 12 if IS_FULL else 3)}"
        return Worker(replace(self.post, faults=faults), ONLY), point

    async def states(self) -> Counter[str]:
        responses = [view.response for view in await self.views()]
        return Counter(response.state for response in responses if response is not None)

    async def _is_calm(self) -> bool:
        """Nothing is on its way; what is unknown was looked for again, and all cards are drawn."""
        for ticket, response in await self.store.unfinished():
            is_unknown = response is not None and response.state is ResponseState.UNKNOWN
            is_looked_for = response is not None and response.tries > 2
            if ticket.shown_version != ticket.version or not (is_unknown and is_looked_for):
                return False
        states = await self.states()
        return not states[ResponseState.DRAFT]


def drawn(chance: random.Random, ids: list[TicketId]) -> dict[TicketId, Fate]:
    """Half are taken at once; of the rest every fate comes about."""
    others = [fate for fate in Fate if fate is not Fate.TAKEN]
    fates = [others[n // 2 % len(others)] if n % 2 else Fate.TAKEN for n in range(len(ids))]
    chance.shuffle(fates)
    return dict(zip(ids, fates, strict=True))


async def with_drafts(store: Store, count: int) -> list[TicketId]:
    """Tickets that wait with a draft and are shown on a card."""
    ids = []
    async with store.change() as change:
        await change.add_user("ann@lanewright.example", "Ann", Role.AGENT)
        await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
        box = await change.add_mailbox("support", OWN, "maildir")
        for number in range(1, count + 1):
            customer = Address("", f"c{number}@customer.example")
            parsed = mail(f"Scanner {number}", sender=customer, message_id=f"<{number}@c.example>")
            new = replace(received(parsed, str(number)), sha256=f"{number:064x}")
            ticket = await change.open_ticket(box.id, new, float(number))
            email = await change.receive(ticket, new)
            await change.classify(email.id, classified())
            ticket = await change.move_ticket(await change.ticket(ticket.id), Verb.TRIAGE)
            ticket = await change.move_ticket(ticket, Verb.DRAFT)
            content = Envelope((customer,), (), f"Re: Scanner {number}", "It is repaired.")
            await change.add_response(ticket, email.id, content, Draft("It is repaired."))
            ids.append(ticket.id)
    return ids


async def with_cards(store: Store, wall: FileWall) -> None:
    for view in await store.views([ticket.id for ticket, _ in await store.unfinished()]):
        card = ticket_card(view, datetime.now(UTC))
        message = await wall.post(CHANNEL, card)
        place = Place(Network.SLACK, CHANNEL, message, card.version)
        async with store.change() as change:
            await change.record_place(view.ticket.id, place)
            await change.record_shown(view.ticket.id, card.version)


@pytest_asyncio.fixture(params=["sqlite", "postgres"] if IS_FULL else ["sqlite"])
async def rush(
    tmp_path: Path, real_redis: RealRedis, request: pytest.FixtureRequest
) -> AsyncIterator[Rush]:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    fates = Fates(keep=lambda content: keep(tmp_path / "mail" / ".Sent", content))
    async with smtpd() as server:
        server.fates = fates
        url = ""
        if request.param == "postgres":
            url = await new_database(request.getfixturevalue("postgres_socket"))
        pause = 2.0 if IS_FULL else 0.3
        post = Post(tmp_path, real_redis.url, "{rush}", server.port, sweep=pause, database=url)
        await upgrade(post.url)
        new_vault(tmp_path)
        async with post.store() as store, RedisQueue(post.redis, post.prefix) as queue:
            ids = await with_drafts(store, APPROVALS)
            await with_cards(store, FileWall(post.wall))
            actions = Actions(store, queue, review, timedelta(milliseconds=100))
            chance = random.Random(SEED)  # noqa: S311 - it draws what goes wrong
            rush = Rush(post, store, queue, actions, fates, drawn(chance, ids), chance)
            fates.coming = {
                rush.customer(id): [fate] * (2 if fate in PASSING else 1)
                for id, fate in rush.fate.items()
            }
            yield rush


def keep(folder: Path, content: bytes) -> None:
    deliver(folder, content)


@pytest.mark.slow
@pytest.mark.timeout(900 if IS_FULL else 120)
async def test_none_leaves_twice_none_is_lost_and_what_is_unclear_is_cleared_up(
    rush: Rush,
) -> None:
    working = asyncio.create_task(rush.work(KILLS))
    await rush.approve_all()
    await working
    check_that_the_desk_says_what_is_so(rush, await rush.views())
    assert set(rush.kills) >= set(POINTS), "workers died at every point"
    rush.fates.coming.clear()  # the mail server is well again
    await clear_up(rush)
    await rush.work()
    check_that_all_are_answered_once(rush, await rush.views())
    assert await rush.store.dead_letters() == []
    assert (await rush.store.verify()).ok


def check_that_the_desk_says_what_is_so(rush: Rush, views: list[TicketView]) -> None:
    cards = {m["ticket"]: str(m["status"]) for m in FileWall(rush.post.wall).messages().values()}
    taken = rush.fates.count()
    said: Counter[str] = Counter()
    for view in views:
        assert view.response is not None
        id, state = view.ticket.id, view.response.state
        fate, count = rush.fate[id], taken[rush.customer(id)]
        assert count <= 1, f"#{id} left {count} times"
        if state is ResponseState.SENT:
            assert count == 1, f"#{id} is said to be sent and is not"
        elif state is ResponseState.FAILED:
            assert (fate in FINAL, count) == (True, 0), (id, fate)
            assert cards[id].startswith("Not sent: 127.0.0.1 ")
        else:
            assert cards[id].startswith(UNSURE), (id, fate)
        if fate is Fate.KEPT and count:
            assert state is ResponseState.SENT, "its copy in the sent mail shows that it left"
        said[state] += 1
    assert said[ResponseState.UNKNOWN] >= sum(
        f in AMBIGUOUS - {Fate.KEPT} for f in rush.fate.values()
    )
    print(
        f"{len(views)} approvals, {sum(rush.kills.values())} workers killed,"
        f" {rush.pressed_again} clicks repeated, {rush.requeued} given up and tried again:"
        f" { {str(k): n for k, n in said.items()} }"
    )


async def clear_up(rush: Rush) -> None:
    """Omar asks the customers: what arrived is marked as sent, the rest goes again."""
    ann, omar = await rush.store.users()
    taken = rush.fates.count()
    for view in await rush.views():
        assert view.response is not None
        if view.response.state is ResponseState.UNKNOWN:
            has_it = taken[rush.customer(view.ticket.id)] == 1
            verb = Verb.MARK_SENT if has_it else Verb.SEND_AGAIN
            assert await rush.do(view, omar, verb, f"m{view.ticket.id}") is Result.DONE
    for view in await rush.views():
        if view.response is not None and view.response.state is ResponseState.DRAFT:
            key = f"again-{view.ticket.id}"
            assert await rush.do(view, ann, Verb.APPROVE, key) is Result.DONE


def check_that_all_are_answered_once(rush: Rush, views: list[TicketView]) -> None:
    taken = rush.fates.count()
    for view in views:
        assert view.response is not None
        is_refused = rush.fate[view.ticket.id] in FINAL
        count = taken[rush.customer(view.ticket.id)]
        expected = (ResponseState.FAILED, 0) if is_refused else (ResponseState.SENT, 1)
        if (view.response.state, count) != expected:
            # one that died before the mail server could refuse it, and went again
            assert is_refused, (view.ticket.id, rush.fate[view.ticket.id], count)
            assert (view.response.state, count) == (ResponseState.SENT, 1)
    assert set(taken.values()) == {1}
