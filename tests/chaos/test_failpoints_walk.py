"""One mail's walk, with the worker killed at each fail point in turn: exactly one ticket, one card,
one reply. Real processes, queue, mail server; ``MAILDESK_CHAOS=full`` kills at every passing.
"""

from __future__ import annotations

import ast
import asyncio
import os
import random
import shutil
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from desk.action import ActionRequest, Result, Seen
from desk.actions import Actions
from desk.engine import upgrade
from desk.errors import Transient
from desk.failpoints import POINTS, arm, armed, failpoint
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.response import ResponseState
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from desk.ticket_view import TicketView
from mail.maildir import deliver
from tests.doubles.crew import OWN, FileWall, Post, Worker
from tests.doubles.desk import new_vault, review
from tests.doubles.redis import RealRedis
from tests.doubles.smtp_fates import Fate, Fates
from tests.doubles.smtpd import Smtpd, smtpd
from workers.queue import RedisQueue

ROOT = Path(__file__).parent.parent.parent
IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
SEED = int(os.environ.get("MAILDESK_SEED", "7"))
AT_ONCE = 6
ALERTS = {"alerts.posted", "alerts.nudged", "board.told", "reports.posted"}
"""Not on a mail's way to its answer; an alert that is repeated is no harm (tests of the board)."""

PASSINGS = {"change.committing": 9, "change.committed": 9, "job.claimed": 5, "job.ran": 5}
"""Points that one walk passes more than once, and how often at the least."""


def kills() -> list[str]:
    """``point@passing``: every point; those passed more than once at a passing by the seed."""
    chance = random.Random(SEED)  # noqa: S311 - it chooses passings
    found = []
    for point in POINTS.keys() - ALERTS:
        last = PASSINGS.get(point, 1)
        passings = range(1, last + 1) if IS_FULL else [chance.randint(1, last)]
        found += [f"{point}@{passing}" for passing in passings]
    return sorted(found)


@dataclass
class Walk:
    """A desk with one mail, its workers, and the people in front of it."""

    kill: str
    post: Post
    store: Store
    queue: RedisQueue
    actions: Actions
    ann: User
    omar: User
    server: Smtpd
    was_killed: bool = False
    said: list[str] = field(default_factory=list)

    @property
    def customer(self) -> str:
        return f"{self.kill.replace('@', '-')}@customer.example"

    async def run(self) -> None:
        """A worker that is killed at the point, then one that is not, until all is done."""
        point, _, passing = self.kill.partition("@")
        worker = Worker(replace(self.post, faults=f"{point}=kill@{passing}"))
        try:
            deadline = time.monotonic() + 40
            while not await self._is_done(worker):
                assert time.monotonic() < deadline, (self.kill, await self._view())
                if worker.has_died:
                    assert not self.was_killed, "it was killed once and cannot go on"
                    self.was_killed = worker.was_killed
                    worker.kill()
                    worker = Worker(self.post)
                await self._people()
                await asyncio.sleep(0.15)
        finally:
            worker.kill()

    async def _view(self) -> TicketView | None:
        views = await self.store.views([TicketId(1)])
        return views[0] if views else None

    async def _is_done(self, worker: Worker) -> bool:
        """Answered and shown, and the queue is empty but for the fetching of mail."""
        view = await self._view()
        if view is None or view.ticket.state is not TicketState.WAITING or worker.has_died:
            return False
        depth = await self.queue.depth()
        rows = [row for step, row in depth.items() if step is not Step.INTAKE]
        is_idle = not any(row.ready or row.delayed or row.leased for row in rows)
        return is_idle and view.ticket.shown_version == view.ticket.version

    async def _people(self) -> None:
        """Ann approves what she sees on a card. Omar asks the customer when nobody knows."""
        view = await self._view()
        if view is None or view.response is None or not FileWall(self.post.wall).messages():
            return
        if view.response.state is ResponseState.DRAFT:
            await self._do(view, self.ann, Verb.APPROVE)
        if view.response.state is ResponseState.UNKNOWN and view.response.tries > 1:
            has_it = self.taken == 1
            await self._do(view, self.omar, Verb.MARK_SENT if has_it else Verb.SEND_AGAIN)

    async def _do(self, view: TicketView, user: User, verb: Verb) -> None:
        assert view.response is not None
        response = view.response
        seen = Seen(response.id, response.version, response.hash)
        key = f"{verb}-{response.version}"
        request = ActionRequest(key, user, verb, view.ticket.id, seen, confirmed=True)
        self.said.append(verb)
        assert (await self.actions.act(request)).result in (Result.DONE, Result.REFUSED)

    @property
    def taken(self) -> int:
        assert self.server.fates is not None
        return self.server.fates.count()[self.customer]


@dataclass
class Walks:
    """All of them, a few at once: each has its own desk; Redis and the mail server are shared."""

    redis: RealRedis
    template: Path
    folder: Path
    server: Smtpd
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def walk(self, kill: str) -> Walk:
        async with self.turn:
            folder = self.folder / kill
            shutil.copytree(self.template, folder)
            port = self.server.port
            post = Post(folder, self.redis.url, f"{{{kill}}}", port)
            async with post.store() as store, RedisQueue(post.redis, post.prefix) as queue:
                actions = Actions(store, queue, review, timedelta(milliseconds=100))
                ann, omar = await store.users()
                walk = Walk(kill, post, store, queue, actions, ann, omar, self.server)
                deliver(post.mail, raw_mail(walk.customer))
                if kill.startswith("sending.lost"):
                    assert self.server.fates is not None
                    self.server.fates.coming[walk.customer] = [Fate.LOST]
                await walk.run()
                await self._check(walk)
                return walk

    async def _check(self, walk: Walk) -> None:
        counts = await walk.store.counts()
        assert {state: n for state, n in counts.items() if n} == {"waiting": 1, "sent": 1}
        assert len(await walk.store.conversation(TicketId(1))) == 1
        cards = FileWall(walk.post.wall).messages()
        assert len(cards) == 1, cards
        assert walk.taken == 1
        assert await walk.store.dead_letters() == []
        assert (await walk.store.verify()).ok


def raw_mail(sender: str) -> bytes:
    number = zlib.crc32(sender.encode())
    return (
        f"From: Priya <{sender}>\nTo: {OWN}\nSubject: Scanner\nMessage-ID: <{number}@c.example>\n"
        "Date: Fri, 20 Nov 2026 10:00:00 +0100\n\nMy scanner is broken.\n"
    ).encode()


@pytest_asyncio.fixture
async def walks(tmp_path: Path, real_redis: RealRedis) -> AsyncIterator[Walks]:
    template = tmp_path / "template"
    for name in ("tmp", "new", "cur"):
        (template / "mail" / name).mkdir(parents=True)
    url = f"sqlite+aiosqlite:///{template / 'desk.db'}"
    await upgrade(url)
    async with Store.open(url, new_vault(template)) as store, store.change() as change:
        await change.add_user("ann@lanewright.example", "Ann", Role.AGENT)
        await change.add_user("omar@lanewright.example", "Omar", Role.MANAGER)
        await change.add_mailbox("support", OWN, "maildir")
    async with smtpd() as server:
        server.fates = Fates()
        yield Walks(real_redis, template, tmp_path, server)


@pytest.mark.slow
@pytest.mark.timeout(600 if IS_FULL else 120)
async def test_killed_at_every_point_there_is_one_ticket_one_card_and_one_reply(
    walks: Walks,
) -> None:
    done = await asyncio.gather(*(walks.walk(kill) for kill in kills()))
    assert [walk.kill for walk in done if not walk.was_killed] == [], "nothing passes there"
    unsure = {walk.kill.partition("@")[0] for walk in done if Verb.MARK_SENT in walk.said}
    assert unsure >= {"mail.accepted"}, "the mail server has it and nothing shows it"
    again = {walk.kill.partition("@")[0] for walk in done if Verb.SEND_AGAIN in walk.said}
    assert again >= {"sending.marked", "sending.lost"}


# -- the points themselves


def passed() -> Iterator[tuple[str, str]]:
    """Every call of ``failpoint`` in the code: its name and its file."""
    for package in ("bot", "cli", "desk", "inference", "kb", "mail", "workers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoint":
                    [name] = node.args
                    assert isinstance(name, ast.Constant), path
                    yield str(name.value), str(path.relative_to(ROOT))


def test_every_point_is_in_the_code_and_in_the_list() -> None:
    assert {name for name, _ in passed()} == set(POINTS)


async def test_a_point_does_what_it_was_armed_for_and_only_at_its_passing() -> None:
    await failpoint("job.ran")
    with armed("job.ran=raise@2"):
        await failpoint("job.ran")
        with pytest.raises(Transient):
            await failpoint("job.ran")
        await failpoint("job.ran")
    await failpoint("job.ran")
    before = time.monotonic()
    with armed("job.ran=delay:0.05"):
        await failpoint("job.ran")
    assert time.monotonic() - before >= 0.05


@pytest.mark.parametrize("faults", ["job.ran", "nowhere=kill", "job.ran=explode", "job.ran=kill@x"])
def test_a_fault_that_cannot_be_is_refused(faults: str) -> None:
    with pytest.raises(Exception, match="does not understand"):
        arm(faults)
