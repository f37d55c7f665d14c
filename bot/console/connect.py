"""The doors of the console: its page, the way in, and the WebSocket behind it."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from aiohttp import WSMsgType, web

from bot.commands import Commands, read_command
from bot.console import draw
from bot.console.hub import Hub
from bot.console.lanes import Work
from bot.console.post import Page, Pages
from bot.console.read_action import Act, Line, Open, read_message
from bot.console.session import Sessions
from bot.console.upload import read_upload
from bot.messages import NOT_REACHED
from bot.once import AT_ONCE
from desk.action import Result
from desk.actions import Actions
from desk.errors import DeskError, Misconfigured, Refused
from desk.ids import UserId
from desk.store import Store

log = structlog.get_logger()

PAGE = Path(__file__).with_name("page")
FILES = ("page.js", "card.js", "queue.js", "look.js", "pointer.js", "page.css", "icon.svg")
SCRIPT = "adaptivecards.min.js"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_MESSAGE = 1024 * 1024
HEARTBEAT = 20.0
GOODBYE = 1.0  # seconds for a browser to answer that the line closes

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Inline styles are how adaptivecards lays cards out."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
SECRET = {"Cache-Control": "no-store"}
FRESH = {"Cache-Control": "no-cache"}

NO_SESSION = (
    "Open the address that Maildesk printed when it started. It works once: if it was used"
    " already, start Maildesk again for a new one."
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Console:
    """Serves the page. ``scripts_folder`` is ``dist`` of the npm package adaptivecards; ``hosts``
    are names besides those of loopback under which a browser may ask for it."""

    store: Store
    actions: Actions
    commands: Commands
    hub: Hub
    scripts_folder: Path
    hosts: Sequence[str] = ()
    sessions: Sessions = field(default_factory=Sessions)
    pages: Pages = field(default_factory=Pages)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def routes(self) -> list[web.RouteDef]:
        """Misconfigured when the script that draws the cards is not installed."""
        script = self.scripts_folder / SCRIPT
        if not script.is_file():
            raise Misconfigured(
                f"The console draws cards with {SCRIPT}, which is not in {self.scripts_folder}:"
                " run  make setup"
            )
        files = {SCRIPT: script, **{name: PAGE / name for name in FILES}}
        return [
            web.get("/", self._guarded(self._index)),
            # HEAD, as link checkers send it, must not use the token up
            web.get("/login", self._guarded(self._login), allow_head=False),
            web.get("/ws", self._guarded(self._socket)),
            web.post("/attach", self._guarded(self._attach)),
            *(
                web.get(f"/static/{name}", self._guarded(_file(path)))
                for name, path in files.items()
            ),
        ]

    def new_token(self, user_id: UserId) -> str:
        """For ``/login?token=…``; opens one session of this user, once."""
        return self.sessions.new_token(user_id)

    async def run(self) -> None:
        """Keeps the pages up to date until cancelled."""
        await self.pages.run(self.hub)

    # -- the way in

    def _guarded(self, handler: Handler) -> Handler:
        """Only under our own names: a foreign name that resolves to this machine (DNS rebinding)
        would make our page part of a foreign site."""
        names = {*LOOPBACK, *(_name(host) for host in self.hosts)}

        async def guard(request: web.Request) -> web.StreamResponse:
            if _name(request.host) not in names:
                return _plain(421, "This name is not one of Maildesk's (see the setting host).")
            return await handler(request)

        return guard

    async def _index(self, request: web.Request) -> web.StreamResponse:
        if self._user(request) is None:
            return _no_session(request)
        return web.FileResponse(PAGE / "index.html", headers={**HEADERS, **SECRET})

    async def _login(self, request: web.Request) -> web.StreamResponse:
        session = self.sessions.redeem(request.query.get("token", ""))
        if session is None and self._user(request) is None:
            return _plain(403, NO_SESSION)
        answer = web.Response(status=303, headers={"Location": "/", **HEADERS, **SECRET})
        if session is not None:
            answer.set_cookie(
                _cookie(request), session, httponly=True, samesite="Strict", secure=request.secure
            )
        return answer

    def _user(self, request: web.Request) -> UserId | None:
        return self.sessions.user(request.cookies.get(_cookie(request), ""))

    # -- the line to an open page

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        user = self._user(request)
        if user is None or not _is_same_origin(request):
            return _plain(403, NO_SESSION)
        wire = web.WebSocketResponse(
            heartbeat=HEARTBEAT, timeout=GOODBYE, max_msg_size=LARGEST_MESSAGE
        )
        await wire.prepare(request)
        page = Page(wire, user, self.store)
        self.pages.add(page)
        try:
            await self._greet(page)
            async for message in wire:
                if message.type is WSMsgType.TEXT:
                    await self._hear(page, message.data)
        except (TimeoutError, ConnectionError):
            await wire.close()
        finally:
            self.pages.remove(page)
            # what it asked for and is not told of any more is done nevertheless
            await page.lanes.finish()
        return wire

    async def _greet(self, page: Page) -> None:
        try:
            await page.show_queue()
        except DeskError as error:
            log.warning("page without a queue", error=str(error))
            await page.send(draw.note(NOT_REACHED))

    async def _hear(self, page: Page, raw: str) -> None:
        """Acknowledged at once, then worked on beside what the page says next."""
        try:
            said = read_message(raw)
        except Refused as refusal:
            await page.send(draw.note(str(refusal)))
            return
        match said:
            case Open(id, number):
                page.select(id, asked=number)
                await page.lanes.begin(None, said, partial(self._served, page, page.show_card))
            case Act():
                await page.send(draw.taken(said.key))
                act = partial(self._served, page, partial(self._act, page, said), said.key)
                await page.lanes.begin(said.press.ticket_id, said.press, act)
            case Line():
                run = partial(self._served, page, partial(self._run, page, said))
                await page.lanes.begin(read_command(said.line).ticket, said, run)

    async def _served(self, page: Page, work: Work, key: str = "") -> None:
        """``key`` is of the click that the page waits for."""
        try:
            try:
                await work()
            except Refused as refusal:
                await page.send(draw.note(str(refusal), key))
            except DeskError as error:
                log.warning("page not served", error=str(error))
                await page.send(draw.note(NOT_REACHED, key))
        except (TimeoutError, ConnectionError):
            await page.wire.close()

    async def _act(self, page: Page, act: Act) -> None:
        async with self.turns:
            user = await self.store.user(page.user_id)
            outcome = await self.actions.act(act.press.request(f"console:{act.key}", user))
        if outcome.result in (Result.DONE, Result.DUPLICATE):
            await page.send(draw.done(act.key))
            self.pages.changed(act.press.ticket_id)
        else:
            is_question = outcome.result is Result.CONFIRM
            await page.send(draw.note(outcome.note, act.key, confirm=is_question))
        await page.show_card()

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        """A file that a person dropped on the reply; the answer is empty, or why not."""
        user_id = self._user(request)
        if user_id is None or not _is_same_origin(request):
            return _plain(403, NO_SESSION)
        try:
            key, press, file = await read_upload(request)
            asked = press.request(f"console:{key}", await self.store.user(user_id))
            outcome = await self.actions.act(replace(asked, file=file))
        except Refused as refusal:
            return _told(400, str(refusal))
        except DeskError as error:
            log.warning("file not taken", error=str(error))
            return _told(503, NOT_REACHED)
        self.pages.changed(press.ticket_id)
        is_done = outcome.result in (Result.DONE, Result.DUPLICATE)
        return _told(200, "") if is_done else _told(409, outcome.note)

    async def _run(self, page: Page, line: Line) -> None:
        user = await self.store.user(page.user_id)
        reply = await self.commands.run(user, line.line, f"console:{line.key}")
        if not reply.cards:
            await page.send(draw.reply(reply.text))
            return
        card = reply.cards[0]
        # with the card comes its whole mail: the page shows it below
        await page.send(draw.reply(""))
        page.select(card.ticket_id, with_mail_open=bool(reply.text))
        await page.show_card()
        self.pages.changed(card.ticket_id)


def _file(path: Path) -> Handler:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={**HEADERS, **FRESH})

    return serve


def _name(host: str) -> str:
    """Without port and brackets.

    >>> _name("127.0.0.1:8080"), _name("[::1]:8080"), _name("Localhost")
    ('127.0.0.1', '::1', 'localhost')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same_origin(request: web.Request) -> bool:
    """A page of another site may open a WebSocket to us; only its Origin tells (RFC 6455 §10.2)."""
    origin = urlsplit(request.headers.get("Origin", ""))
    return origin.netloc.lower() == request.host.lower() and origin.scheme in ("http", "https")


def _cookie(request: web.Request) -> str:
    """Cookies know no ports: two desks on one machine would log each other out."""
    return f"maildesk-{request.url.port or 0}"


def _told(status: int, sentence: str) -> web.Response:
    return web.json_response({"text": sentence}, status=status, headers={**HEADERS, **SECRET})


def _no_session(request: web.Request) -> web.Response:
    """A link on another site brings no SameSite=Strict cookie along; asking again from our own
    page does (RFC 6265bis, SameSite)."""
    is_from_elsewhere = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return _plain(403, NO_SESSION, reload=is_from_elsewhere)


def _plain(status: int, sentence: str, *, reload: bool = False) -> web.Response:
    refresh = '<meta http-equiv="refresh" content="0">' if reload else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{refresh}'
        '<meta name="viewport" content="width=device-width"><title>Maildesk</title>'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/page.css">'
        f'<body class="plain"><h1>Maildesk</h1><p>{html.escape(sentence)}</p></body></html>'
    )
    return web.Response(
        status=status, text=body, content_type="text/html", headers={**HEADERS, **SECRET}
    )
