"""A desk that is worked on from Slack: real records, real actions, the board and Slack itself
joined as app.py joins them, and the people in front of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.board import Board, Route
from bot.chat import Chat
from bot.commands import Commands
from bot.identity import Identity
from bot.slack.connect import Slack
from desk.change import Change
from desk.errors import Transient
from desk.ids import TicketId, UserId
from desk.places import Network
from desk.response import Response, ResponseState
from desk.rules import Job
from desk.settings import SlackSettings
from desk.steps import Step
from desk.store import Store
from tests.doubles.desk import Scene, scene
from tests.doubles.slack import BOT, CHANNEL, SECRET, SlackDoor
from tests.doubles.slack_user import Answer, SlackUser, words
from tests.doubles.waiting import WAITS, happens
from tests.services import free_port

"""Seconds that tests wait for what must happen, however busy the machine is."""


class SlowStore(Store):
    """A database that answers nobody from ``hold()`` to ``let_go()``, or is away."""

    gate: asyncio.Event | None = None
    is_away = False

    def hold(self) -> None:
        self.gate = asyncio.Event()

    def let_go(self) -> None:
        if self.gate is not None:
            self.gate.set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        await self._trouble()
        async with super().read() as connection:
            yield connection

    @asynccontextmanager
    async def change(self, actor: UserId | None = None) -> AsyncIterator[Change]:
        await self._trouble()
        async with super().change(actor) as change:
            yield change

    async def _trouble(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise Transient("The database does not answer")


@dataclass
class BoardQueue:
    """Shows at once what is to be shown; nothing else is done here."""

    board: Board | None = None
    is_away: bool = False
    showing: set[asyncio.Task[None]] = field(default_factory=set)

    async def put(self, *jobs: Job) -> None:
        if self.is_away:
            raise Transient("Redis did not answer")
        for job in jobs:
            if job.step is Step.SHOW and self.board is not None:
                self.showing.add(asyncio.create_task(self._show(self.board, TicketId(job.id))))

    async def _show(self, board: Board, id: TicketId) -> None:
        """Until it is shown, as the runner does."""
        while True:
            try:
                return await board.show(id)
            except Transient:
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """What cannot be shown any more, because the other side has gone, is left."""
        if self.showing:
            _, late = await asyncio.wait(self.showing, timeout=5)
            for task in late:
                task.cancel()


@dataclass
class Office:
    store: SlowStore
    scene: Scene
    door: SlackDoor
    queue: BoardQueue
    board: Board
    slack: Slack
    channel: str
    ann: SlackUser
    omar: SlackUser
    zoe: SlackUser

    @property
    def ts(self) -> str:
        """Of the newest card."""
        posts = [c for c in self.door.of("chat.postMessage") if "thread_ts" not in c.args]
        return str(posts[-1].answer["ts"])

    async def show(self) -> str:
        await self.board.show(self.scene.ticket.id)
        return self.ts

    async def reads(self) -> str:
        """What one reads on the card."""
        return words(await self.ann.card(self.channel, self.ts))

    async def response(self) -> Response:
        found = await self.scene.response()
        assert found is not None
        return found

    async def until(self, says: str) -> str:
        """The card's words, as soon as they say this."""
        deadline = time.monotonic() + WAITS
        while says not in (said := await self.reads()):
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.02)
        return said

    async def whispered(self, user: SlackUser, count: int = 1) -> str:
        """What the bot told this person alone."""
        await happens(lambda: len(self.door.whispers(user.id)) >= count)
        return words(self.door.whispers(user.id)[-1]["blocks"])

    async def becomes(self, state: ResponseState) -> None:
        deadline = time.monotonic() + WAITS
        while (await self.response()).state is not state:
            assert time.monotonic() < deadline, f"it does not become {state}"
            await asyncio.sleep(0.02)

    async def opened(self, count: int = 1) -> None:
        """So many forms were opened, one of them in front of Ann, and it is known who edits."""
        await happens(lambda: len(self.door.of("views.open")) >= count)
        await self.slack.finish()
        self.ann.opened()


@asynccontextmanager
async def slack_office(
    store: SlowStore, door: SlackDoor, app_token: str = "", patience: float = WAITS
) -> AsyncIterator[Office]:
    made = await scene(store)
    queue = BoardQueue()
    actions = replace(made.actions, queue=queue)
    secrets = {"bot_token": BOT, "signing_secret": SECRET, "app_token": app_token}
    settings = SlackSettings.model_validate({**secrets, "api_url": door.api})
    commands, identity = Commands(store, actions), Identity(store)
    chats: dict[Network, Chat] = {}
    routes: list[Route] = []
    board = Board(store, chats, routes, routes, nobody_looks)
    slack = Slack(settings, store, actions, commands, board, identity, ZoneInfo("UTC"), patience)
    chats[Network.SLACK] = slack.chat
    async with AsyncExitStack() as stack:
        channels = (await door.ask("conversations.list"))["channels"]
        channel = next(c["id"] for c in channels if c["name"] == CHANNEL)
        routes.append(Route(Network.SLACK, channel))
        queue.board = board
        bot = await stack.enter_async_context(_served(slack))
        members = (await door.ask("users.list"))["members"]
        ids = {member["name"]: member["id"] for member in members}
        ann, omar, zoe = (SlackUser(name, ids[name], door, bot) for name in ("ann", "omar", "zoe"))
        yield Office(store, made, door, queue, board, slack, channel, ann, omar, zoe)
        await slack.settle()
        await queue.stop()


async def nobody_looks(_: TicketId) -> None:
    """No console is open."""


@asynccontextmanager
async def _served(slack: Slack) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(slack.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    running = asyncio.create_task(slack.run())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()


def was_taken(answer: Answer) -> bool:
    return answer.status == 200
