"""The two doors Slack comes through, signed HTTP requests and Socket Mode, and what listens there.
The only file that knows Bolt."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import aiohttp
import structlog
from aiohttp import web

from bot.board import Board
from bot.commands import Commands
from bot.identity import Identity
from bot.payload import Payload
from bot.slack.attach import Attaching
from bot.slack.follow import Follow
from bot.slack.forms import PATIENCE, Forms
from bot.slack.listeners import Ack, Listeners
from bot.slack.modal import INSTRUCTION, REPLY
from bot.slack.people import People
from bot.slack.post import SlackChat, pause, translated
from bot.slack.text import COMMAND
from bot.slack.thread import Threads
from desk.actions import Actions
from desk.errors import Permanent, Transient
from desk.settings import SlackSettings
from desk.store import Store

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

log = structlog.get_logger()

PATH = "/slack/events"
"""The one address for events, interactivity and commands."""
TIMEOUT = 10
SETTLE = 10.0
ANY_BUTTON = re.compile(r"ticket\.[a-z_]+")

Listener = Callable[[Ack, Payload], Coroutine[None, None, None]]


class Slack:
    """Slack as configured: ``routes()`` for the web server, and ``run()`` beside it."""

    def __init__(
        self,
        settings: SlackSettings,
        store: Store,
        actions: Actions,
        commands: Commands,
        board: Board,
        identity: Identity,
        zone: ZoneInfo,
        patience: float = PATIENCE,
    ) -> None:
        from slack_sdk.web.async_client import AsyncWebClient

        self._settings = settings
        self._client = AsyncWebClient(
            token=settings.bot_token.get_secret_value(),
            base_url=settings.api_url,
            timeout=TIMEOUT,
        )
        self._threads = Threads(self._client, store)
        self.chat = SlackChat(self._client, self._threads.put, zone)
        people = People(self._client, identity)
        self._follow = Follow(board)
        forms = Forms(self._client, people, store, actions, self._follow, patience)
        token = settings.bot_token.get_secret_value()
        attaching = Attaching(self._client, token, store, actions)
        listeners = Listeners(
            self.chat, people, store, actions, commands, forms, self._follow, attaching
        )
        self._busy: set[asyncio.Future[None]] = set()
        secret = settings.signing_secret.get_secret_value()
        self._app = build(secret, self._client, listeners, self._busy)

    async def finish(self) -> None:
        """Until what was acknowledged is also done; Slack does not send it again."""
        if busy := set(self._busy):
            await asyncio.wait(busy, timeout=SETTLE)

    async def settle(self) -> None:
        """Finish, for good."""
        await self.finish()
        await self._follow.stop()

    def routes(self) -> list[web.RouteDef]:
        """Without a signing secret nothing can be verified, so nothing is listened to."""
        if not self._settings.signing_secret.get_secret_value():
            return []
        return [web.post(PATH, self._receive)]

    async def check(self) -> str:
        """Which workspace this is. Raises what is wrong with the token."""
        with translated():
            answer = await self._client.auth_test()
        return f"{answer.get('team')} as {answer.get('user')}"

    async def run(self) -> None:
        """Put mails into their threads; with an app token also listen by Socket Mode."""
        token = self._settings.app_token.get_secret_value()
        # one pool of connections: opening a form must not wait for a TLS handshake
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as self._client.session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._threads.run())
                    if token:
                        tasks.create_task(self._listen(token))
            finally:
                await self.settle()
                self._client.session = None

    async def _listen(self, token: str) -> None:
        """Once connected, Bolt keeps the connection up by itself. A wrong token is said once:
        Bolt would only try again and again."""
        for tries in count():
            try:
                with translated():
                    await self._client.apps_connections_open(app_token=token)
                async with socket(self._app, token, self._client):
                    await asyncio.Event().wait()
            except Transient as error:
                log.warning("Socket Mode is not connected yet", error=str(error))
                await pause(error, tries)
            except Permanent as error:
                log.error("Socket Mode is off: check slack.app_token", error=str(error))
                return

    async def _receive(self, request: web.Request) -> web.Response:
        from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request

        try:
            wanted = await to_bolt_request(request)
        except (ValueError, RecursionError, AttributeError, TypeError):
            return web.Response(status=400, text="This is not what Slack sends")
        return await to_aiohttp_response(await self._app.async_dispatch(wanted))


def build(
    signing_secret: str,
    client: AsyncWebClient,
    listeners: Listeners,
    busy: set[asyncio.Future[None]],
) -> AsyncApp:
    """Listens to everything that deploy/slack/manifest.yaml asks Slack to send; ``busy`` are the
    those at work."""
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.authorization import AuthorizeResult
    from slack_sdk.web.async_client import AsyncWebClient

    async def authorize() -> AuthorizeResult:
        # no call to Slack before a click is acknowledged; Bolt's own would ask auth.test first
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token)

    # Bolt's own client is not used, and one with a token would make it warn about ``authorize``
    idle = AsyncWebClient(base_url=client.base_url)
    app = AsyncApp(signing_secret=signing_secret, client=idle, authorize=authorize, name="maildesk")

    def watched(listener: Listener) -> Listener:
        async def listen(ack: Ack, body: Payload) -> None:
            task = asyncio.ensure_future(listener(ack, body))
            busy.add(task)
            task.add_done_callback(busy.discard)
            await task

        return listen

    app.block_action({"action_id": ANY_BUTTON})(watched(listeners.click))
    app.block_action({"action_id": "form.take_over"})(watched(listeners.take_over))
    app.view_submission(REPLY)(watched(listeners.submit))
    app.view_submission(INSTRUCTION)(watched(listeners.submit))
    app.command(COMMAND)(watched(listeners.command))
    app.event("app_mention")(watched(listeners.mention))
    return app


@asynccontextmanager
async def socket(app: AsyncApp, app_token: str, client: AsyncWebClient) -> AsyncIterator[None]:
    """Listening by Socket Mode."""
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

    handler = AsyncSocketModeHandler(app, app_token, web_client=client)
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt's own
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # Bolt's own
