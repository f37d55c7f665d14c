"""Worker processes that a test kills: all steps on a real database, queue, Maildir and SMTP line.

They are forked from a server that has imported everything, so that one costs no start.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import structlog

from bot.board import Board, Route
from bot.card import Card
from desk import failpoints
from desk.burial import Grave
from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.errors import Transient
from desk.failpoints import failpoint
from desk.ids import MailboxId, TicketId
from desk.places import Network
from desk.response import Draft, Passage
from desk.steps import Step
from desk.store import Store
from desk.vault import open_vault
from inference.ladder import Question
from inference.redact import Redacted
from mail.maildir import MaildirProvider
from mail.provider import NOWHERE, Origin, Page, Ready, at_once
from mail.smtp import SmtpSender
from tests.doubles.desk import job, review
from tests.doubles.mailbox import parse_here
from workers.drafting import Drafter, Drafting
from workers.intake import Intake
from workers.lanes import Service
from workers.queue import RedisQueue
from workers.runner import Runner
from workers.sending import Sending
from workers.sweep import Sweep
from workers.triage import Triage

OWN = "support@lanewright.example"
CHANNEL = "desk"
PAUSE = timedelta(milliseconds=200)


@dataclass(frozen=True)
class Post:
    """Where a worker works: the folder of its desk, its queue, the port of the mail server."""

    folder: Path
    redis: str
    prefix: str
    smtp: int
    faults: str = ""
    lease: float = 1.0
    sweep: float = 0.3
    database: str = ""  # "" = SQLite in the folder

    @property
    def url(self) -> str:
        return self.database or f"sqlite+aiosqlite:///{self.folder / 'desk.db'}"

    @property
    def mail(self) -> Path:
        return self.folder / "mail"

    @property
    def wall(self) -> Path:
        return self.folder / "wall"

    def store(self) -> Store:
        return Store.open(self.url, open_vault(self.folder / "key"))


class PostOffice:
    """Mail comes from a Maildir and leaves by SMTP; then a copy is filed, as with IMAP."""

    def __init__(self, post: Post) -> None:
        self._maildir = MaildirProvider(post.mail, poll=0.1)
        # a stalling server is given up on soon
        self._smtp = SmtpSender("127.0.0.1", post.smtp, tls="none", timeout=5, body_timeout=0.5)

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        return await self._maildir.fetch(checkpoint, limit)

    async def wait(self, seconds: float) -> bool:
        return await self._maildir.wait(seconds)

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await self._smtp.send(mime, sender, recipients, ready)
        await failpoint("mail.accepted")
        await self._maildir.send(mime, sender, recipients, origin)

    async def find_sent(self, message_id: str) -> bool:
        return await self._maildir.find_sent(message_id)


class FileWall:
    """A network whose messages are files; many processes may post to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    async def post(self, channel: str, card: Card) -> str:
        message = uuid.uuid4().hex
        self._write(message, card)
        return message

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        return next((m for m, said in self.messages().items() if said["mark"] == mark), "")

    async def update(self, channel: str, message: str, card: Card) -> None:
        self._write(message, card)

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        """Nobody asks."""

    def _write(self, message: str, card: Card) -> None:
        said = {
            "ticket": card.ticket_id,
            "mark": card.mark,
            "version": card.version,
            "status": card.status,
        }
        draft = self._folder / f".{message}.{os.getpid()}"
        draft.write_text(json.dumps(said))
        draft.rename(self._folder / message)

    def messages(self) -> dict[str, dict[str, object]]:
        files = [f for f in self._folder.iterdir() if not f.name.startswith(".")]
        return {file.name: json.loads(file.read_text()) for file in files}


class Calm:
    """Everything is neutral support."""

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        mood, kind = Label(Sentiment.NEUTRAL, 0.95), Label(Category.SUPPORT, 0.9)
        return [Classification(mood, Label(Urgency.NORMAL, 0.8), kind) for _ in emails]


class Open:
    """Hides nothing."""

    async def redact(
        self, text: str, known: Sequence[str] = (), names: Mapping[str, str] | None = None
    ) -> Redacted:
        return Redacted(text, names or {})


class Short:
    async def write(self, question: Question) -> Draft:
        return Draft("Hello, it is repaired.", writer="short")


async def no_passages(question: str, k: int = 4) -> list[Passage]:
    return []


async def nobody_looks(_: TicketId) -> None:
    """No console is open."""


async def serve(post: Post, only: frozenset[Step] = frozenset(Step)) -> None:
    """All steps, until killed."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(post.store())
        queue = await stack.enter_async_context(RedisQueue(post.redis, post.prefix))
        boxes = [box.id for box in await store.mailboxes()]
        providers = {id: PostOffice(post) for id in boxes}
        all_of_them = services(post, store, queue, providers)
        serving = {step: service for step, service in all_of_them.items() if step in only}
        runner = Runner(queue, serving, Grave(store), delay=lambda tries: 0.05)
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run())
            group.create_task(keep_up(post, store, queue, boxes))


def services(
    post: Post, store: Store, queue: RedisQueue, providers: Mapping[MailboxId, PostOffice]
) -> dict[Step, Service]:
    drafter = Drafter(no_passages, Open(), Short(), review, [OWN])
    wall = FileWall(post.wall)
    route = Route(Network.SLACK, CHANNEL)
    board = Board(store, {Network.SLACK: wall}, [route], [], nobody_looks)
    steps = {
        Step.INTAKE: Service(Intake(store, queue, providers, parse_here), slots=1),
        Step.TRIAGE: Service(Triage(store, queue, Calm(), (), [OWN]), slots=1, batch=8),
        Step.DRAFTING: Service(Drafting(store, queue, drafter, {})),
        Step.SENDING: Service(Sending(store, queue, providers, {}, pause=PAUSE)),
        Step.SHOW: Service(board.show, is_patient=True),
    }
    return {step: replace(service, lease=post.lease) for step, service in steps.items()}


async def keep_up(post: Post, store: Store, queue: RedisQueue, boxes: list[MailboxId]) -> None:
    """What the schedule does, faster."""
    while True:
        with suppress(Transient):
            for box in boxes:
                await queue.put(job(Step.INTAKE, box, 0.0))
            await Sweep(store, queue)()
        await asyncio.sleep(post.sweep)


def work(post: Post, only: frozenset[Step]) -> None:
    """The body of a process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failpoints.arm(post.faults)
    asyncio.run(serve(post, only))


def context() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    return server


class Worker:
    """One process of them."""

    def __init__(self, post: Post, only: frozenset[Step] = frozenset(Step)) -> None:
        self._process: ForkServerProcess = context().Process(target=work, args=(post, only))
        self._process.start()

    @property
    def has_died(self) -> bool:
        return self._process.exitcode is not None

    @property
    def was_killed(self) -> bool:
        return self._process.exitcode == -signal.SIGKILL

    def freeze(self) -> None:
        """As a stopped machine does: it comes to nothing, and does not know."""
        os.kill(self._process.pid or 0, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
