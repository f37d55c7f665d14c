"""A hundred clicks on one card at once, from Slack, Teams and the console through their real
listeners, each on a connection to the records of its own: exactly one reply leaves.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient, TestServer

from bot.board import Board, Route
from bot.commands import Commands
from bot.console.connect import SCRIPT, Console
from bot.console.hub import LocalHub
from bot.identity import Identity
from bot.slack.connect import Slack
from bot.teams.connect import PATH, Teams
from desk.actions import Actions
from desk.engine import upgrade
from desk.people import User
from desk.places import Network
from desk.response import ResponseState
from desk.settings import SlackSettings, TeamsSettings
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from tests.doubles.crew import Post, Worker
from tests.doubles.desk import CUSTOMER, Scene, new_vault, scene
from tests.doubles.redis import RealRedis
from tests.doubles.slack import BOT, CHANNEL, SECRET, SlackDoor
from tests.doubles.slack_user import SlackUser, find
from tests.doubles.smtp_fates import Fates
from tests.doubles.smtpd import smtpd
from tests.doubles.teams import GROUP, Connector, TeamsUser, action, card_of, served
from tests.doubles.waiting import until_so
from tests.scenario.conftest import door as door
from tests.scenario.conftest import slack_emulator as slack_emulator
from tests.scenario.test_console import button
from workers.lanes import Service
from workers.queue import RedisQueue
from workers.runner import Runner

CLICKS = 100
SLACK_WAITS = 3.0
"""https://docs.slack.dev/interactivity/handling-user-interaction: then it tells people of an error.
Clicks, networks and bot share one process here."""

UTC = ZoneInfo("UTC")
UNDO = timedelta(seconds=2)

Waiting = dict[str, tuple[asyncio.Future[float], asyncio.Future[float]]]
"""By key: when a press was acknowledged, and when its outcome was told."""
Click = Callable[[], Awaitable[float]]
SENDING = frozenset({Step.SENDING})


class Nobody:
    """Nothing is given up here."""

    async def remember(self, step: Step, id: int, failure: object) -> None:
        raise AssertionError(failure)

    async def bury(self, step: Step, id: int, failure: object, tries: int) -> None:
        raise AssertionError(failure)


@dataclass
class Bot:
    """Three doors to one ticket, and the board that keeps the card in each up to date."""

    scene: Scene
    fates: Fates
    slack: tuple[SlackUser, SlackUser]
    channel: str
    teams: tuple[TeamsUser, TeamsUser]
    connector: Connector
    console: Console
    client: TestClient[web.Request, web.Application]
    board: Board
    post: Post
    outcomes: list[float] = field(default_factory=list)
    """Seconds until console pages were told what became of a press."""

    # -- each way to press the button; returns the seconds until it was acknowledged

    async def slack_clicks(self, count: int) -> list[Click]:
        posts = [c for c in self.slack[0].door.of("chat.postMessage") if "thread_ts" not in c.args]
        ts = str(posts[0].answer["ts"])
        element = find(await self.slack[0].card(self.channel, ts), "Approve & send")
        container = {"type": "message", "message_ts": ts, "channel_id": self.channel}
        bodies = []
        for number in range(count):
            user = self.slack[number % 2]
            body = await user.pressing(element, self.channel, container)
            body["actions"][0]["action_ts"] = f"{time.time():.6f}{number}"
            bodies.append((user, body))

        async def click(user: SlackUser, body: dict[str, Any]) -> float:
            answer = await user.interact(body)
            assert answer.status == 200
            return answer.seconds

        return [partial(click, user, body) for user, body in bodies]

    async def teams_clicks(self, count: int) -> list[Click]:
        [(message, posted)] = self.connector.messages.items()
        approve = action(card_of(posted), "Approve & send")

        async def click(user: TeamsUser) -> float:
            start = time.monotonic()
            await user.press(approve, message)
            return time.monotonic() - start

        return [partial(click, self.teams[n % 2]) for n in range(count)]

    async def console_clicks(
        self, count: int, pages: Sequence[ClientWebSocketResponse]
    ) -> list[Click]:
        waiting: Waiting = {}
        for page in pages:
            await page.send_json({"type": "open", "id": self.scene.ticket.id})
        cards = [await heard(page, "card") for page in pages]
        self.readers = [asyncio.create_task(read(page, waiting)) for page in pages]
        data = button(cards[0]["card"], "Approve & send")["data"]

        async def click(page: ClientWebSocketResponse) -> float:
            key, start = uuid.uuid4().hex, time.monotonic()
            taken, done = (asyncio.get_running_loop().create_future() for _ in range(2))
            waiting[key] = (taken, done)
            await page.send_json({"type": "act", "key": key, "data": data})
            acknowledged: float = await taken - start
            self.outcomes.append(await done - start)
            return acknowledged

        return [partial(click, pages[n % len(pages)]) for n in range(count)]

    async def page(self, user: User) -> ClientWebSocketResponse:
        token = self.console.new_token(user.id)
        await self.client.get("/login", params={"token": token})
        origin = str(self.client.make_url("/")).rstrip("/")
        return await self.client.ws_connect("/ws", headers={"Origin": origin})


async def heard(page: ClientWebSocketResponse, type: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while (said := await page.receive_json())["type"] != type:
            pass
    return dict(said)


async def read(page: ClientWebSocketResponse, waiting: Waiting) -> None:
    """Note when each press was acknowledged, and when its outcome was told."""
    async for message in page:
        said = message.json()
        if said.get("key") in waiting:
            waiting[said["key"]][said["type"] != "taken"].set_result(time.monotonic())


@pytest_asyncio.fixture
async def bot(tmp_path: Path, real_redis: RealRedis, door: SlackDoor) -> AsyncIterator[Bot]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(smtpd())
        server.fates = Fates()
        post = Post(tmp_path, real_redis.url, "{clicks}", server.port)
        await upgrade(post.url)
        new_vault(tmp_path)
        for name in ("tmp", "new", "cur"):
            (tmp_path / "mail" / name).mkdir(parents=True)
        stores = [await stack.enter_async_context(post.store()) for _ in range(4)]
        queue = await stack.enter_async_context(RedisQueue(post.redis, post.prefix))
        made = await scene(stores[0])

        def acts(store: Store) -> Actions:
            return replace(made.actions, store=store, queue=queue, undo=UNDO)

        hub = LocalHub()
        channels = (await door.ask("conversations.list"))["channels"]
        channel = next(c["id"] for c in channels if c["name"] == CHANNEL)
        routes = [Route(Network.SLACK, channel), Route(Network.TEAMS, GROUP)]
        board = Board(stores[0], {}, routes, [], hub.publish)
        given = {"bot_token": BOT, "signing_secret": SECRET, "api_url": door.api}
        slack_settings = SlackSettings.model_validate(given)
        slack_parts = (stores[1], acts(stores[1]), Commands(stores[1], acts(stores[1])), board)
        slack = Slack(slack_settings, *slack_parts, Identity(stores[1]), UTC)
        connector = Connector()
        local = TeamsSettings.model_validate({"is_local_test": True})
        teams_parts = (stores[2], acts(stores[2]), Commands(stores[2], acts(stores[2])), board)
        teams = Teams(local, *teams_parts, Identity(stores[2]), UTC)
        board.chats = {Network.SLACK: slack.chat, Network.TEAMS: teams.chat}
        (tmp_path / SCRIPT).write_text("// cards")
        console_acts = acts(stores[3])
        commands = Commands(stores[3], console_acts)
        console = Console(stores[3], console_acts, commands, hub, tmp_path)
        connector.url = await stack.enter_async_context(served(connector.routes()))
        slack_url = await stack.enter_async_context(served(slack.routes()))
        teams_url = await stack.enter_async_context(served(teams.routes()))
        app = web.Application()
        app.add_routes(console.routes())
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        shown = {Step.SHOW: Service(board.show, is_patient=True)}
        runner = Runner(queue, shown, Nobody(), delay=lambda tries: 0.05)
        running = [
            asyncio.create_task(work()) for work in (slack.run, teams.run, console.run, runner.run)
        ]
        members = {m["name"]: m["id"] for m in (await door.ask("users.list"))["members"]}
        slack_users = [SlackUser(name, members[name], door, slack_url) for name in ("ann", "omar")]
        people = [TeamsUser(name, f"{teams_url}{PATH}", connector) for name in ("ann", "omar")]
        yield Bot(
            made,
            server.fates,
            (slack_users[0], slack_users[1]),
            channel,
            (people[0], people[1]),
            connector,
            console,
            client,
            board,
            post,
        )
        await slack.settle()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_of_a_hundred_clicks_from_three_networks_one_sends_the_reply(bot: Bot) -> None:
    store, ticket = bot.scene.store, bot.scene.ticket.id
    assert (await bot.teams[0].send(bot.teams[0].activity("conversationUpdate")))[0] == 200

    async def is_known() -> bool:
        return await store.conversation_reference(Network.TEAMS, GROUP) is not None

    await until_so(is_known)
    await bot.board.show(ticket)
    pages = [await bot.page(user) for user in (bot.scene.ann, bot.scene.omar)]
    clicks = {
        "slack": await bot.slack_clicks(CLICKS - 2 * (CLICKS // 3)),
        "teams": await bot.teams_clicks(CLICKS // 3),
        "console": await bot.console_clicks(CLICKS // 3, pages),
    }
    worker = Worker(bot.post, SENDING)
    try:
        rush = random.Random(3)  # noqa: S311 - the order of clicks
        acknowledged: dict[str, list[float]] = {name: [] for name in clicks}

        async def timed(name: str, click: Click) -> None:
            acknowledged[name].append(await click())

        pressing = [timed(name, click) for name, of in clicks.items() for click in of]
        assert len(pressing) == CLICKS
        rush.shuffle(pressing)
        await asyncio.gather(*pressing)

        async def is_sent() -> bool:
            view = await store.view(ticket)
            return (
                view.ticket.state is TicketState.WAITING
                and view.ticket.shown_version == view.ticket.version
            )

        await until_so(is_sent)
    finally:
        worker.kill()
    verbs = Counter(await bot.scene.verbs())
    assert (verbs["approve"], verbs["send"], verbs["deliver"] > 0) == (1, 1, True)
    assert bot.fates.count() == {CUSTOMER.address: 1}
    response = await bot.scene.response()
    assert response is not None
    assert response.state is ResponseState.SENT
    slowest = {name: max(taken) for name, taken in acknowledged.items()}
    print(f"{CLICKS} clicks at once; slowest acknowledgement, in seconds: {slowest}")
    print(f"slowest outcome told to a console page, in seconds: {max(bot.outcomes)}")
    assert max(slowest["slack"], slowest["console"]) < SLACK_WAITS
    for page in pages:
        await page.close()
