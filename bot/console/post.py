"""The open pages, and telling each what changed: its queue, and the ticket that it shows."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import orjson
import structlog

from bot.console import draw
from bot.console.hub import Hub
from bot.console.lanes import Lanes
from bot.once import Once
from desk import access
from desk.errors import DeskError, Refused
from desk.ids import TicketId, UserId
from desk.people import User
from desk.store import Store
from desk.ticket_view import TicketView

log = structlog.get_logger()

COALESCE = 0.3  # seconds until the pages are told again; what changes meanwhile goes together
REREAD = 15.0  # seconds after which the pages are brought up to date without being told
PATIENCE = 5.0  # seconds for a browser to take a message


class Wire(Protocol):
    """The WebSocket of a page."""

    async def send_str(self, data: str) -> None: ...
    async def close(self) -> bool: ...


@dataclass(eq=False, slots=True)
class Page:
    """One browser window. Reading and sending go together under ``_turn``, so that what was read
    earlier is never sent later. ``asked`` numbers what the person opened: a card that was on its
    way before the page asked for another one is known by it."""

    wire: Wire
    user_id: UserId
    store: Store
    shown: TicketId | None = None
    asked: int = 0
    lanes: Lanes = field(default_factory=Lanes)
    _queue: bytes = b""
    _drawn: tuple[TicketId, int] | None = None
    _mail: int = 0
    _is_mail_open: bool = False
    _is_due: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _once: Once = field(default_factory=Once)

    async def send(self, message: draw.Json) -> None:
        await self._send(orjson.dumps(message))

    async def _send(self, message: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.wire.send_str(message.decode())

    async def show_queue(self) -> None:
        """The queue, if it is another one than the page has."""
        async with self._turn:
            user = await self.store.user(self.user_id)
            views = await access.queue(self.store, user, draw.QUEUE_LENGTH + 1)
            counts = await access.counts(self.store, user)
            message = orjson.dumps(draw.queue(views, counts, user.id))
            if message != self._queue:
                await self._send(message)
                self._queue = message

    async def tell(self, *, is_shown: bool) -> None:
        """What is new in its queue, and with ``is_shown`` in the ticket that it shows."""
        self._is_due |= is_shown
        await self._once.do("changes", self._tell_changes)

    async def _tell_changes(self) -> None:
        await self.show_queue()
        if self._is_due:
            self._is_due = False
            await self.show_card()

    def select(
        self, id: TicketId, *, asked: int | None = None, with_mail_open: bool = False
    ) -> None:
        """Show this ticket from now on."""
        self.asked = self.asked if asked is None else asked
        self.shown, self._is_mail_open = id, with_mail_open
        self._forget()

    def _forget(self) -> None:
        self._drawn, self._mail = None, 0

    async def show_card(self) -> None:
        """The shown ticket, if it changed since. Refused when the user may not see it. Many who ask
        for it at once have it drawn once."""
        await self._once.do("card", self._draw_card)

    async def _draw_card(self) -> None:
        async with self._turn:
            id = self.shown
            if id is None:
                return
            user = await self.store.user(self.user_id)
            try:
                view = await access.ticket(self.store, user, id)
            except Refused:
                if id == self.shown:
                    self.shown = None
                raise
            if id != self.shown:
                return  # another one was opened meanwhile, and is drawn next
            try:
                await self._send_changes(view, user)
            except BaseException:
                self._forget()  # nobody knows how much of it arrived
                raise

    async def _send_changes(self, view: TicketView, user: User) -> None:
        """Noted before it is sent: who opens the ticket again meanwhile is sent it again."""
        id = view.ticket.id
        drawn = (id, view.ticket.version)
        if drawn != self._drawn:
            self._drawn = drawn
            card = draw.card(view, user, self.store.clock.now())
            await self.send({**card, "asked": self.asked})
        if id == self.shown and view.email.id != self._mail:
            self._mail = view.email.id
            await self.send(draw.mail(view, is_open=self._is_mail_open))


class Pages:
    """All pages that this process serves."""

    def __init__(self) -> None:
        self._pages: set[Page] = set()
        self._changed: set[TicketId] = set()
        self._is_missing = False
        self._wake = asyncio.Event()

    def add(self, page: Page) -> None:
        self._pages.add(page)

    def remove(self, page: Page) -> None:
        self._pages.discard(page)

    def changed(self, ticket: TicketId | None) -> None:
        """A ticket changed; None: any of them may have."""
        if ticket is None:
            self._is_missing = True
        else:
            self._changed.add(ticket)
        self._wake.set()

    async def run(self, hub: Hub) -> None:
        """Until cancelled; then the pages are closed, and connect anew when they can."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(hub))
                group.create_task(self._keep_up_to_date(group))
        finally:
            await asyncio.gather(*(page.wire.close() for page in self._pages))

    async def _listen(self, hub: Hub) -> None:
        async with aclosing(hub.subscribe()) as tickets:
            async for ticket in tickets:
                self.changed(ticket)

    async def _keep_up_to_date(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        rested = 0.0
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), REREAD)
            except TimeoutError:
                self._is_missing = True
            await asyncio.sleep(rested - loop.time())  # a change after a quiet time is told at once
            self._wake.clear()
            changed, everything = self._changed, self._is_missing
            self._changed, self._is_missing = set(), False
            told = [
                group.create_task(self._tell(page, everything or page.shown in changed))
                for page in self._pages
            ]
            if told:  # a browser that takes nothing holds up nobody else
                await asyncio.wait(told, timeout=COALESCE)
            rested = loop.time() + COALESCE

    async def _tell(self, page: Page, is_shown: bool) -> None:
        try:
            await page.tell(is_shown=is_shown)
        except Refused:
            pass  # it shows this ticket no more
        except DeskError as error:
            log.warning("page not told", error=str(error))
        except (TimeoutError, ConnectionError):
            # it connects anew and reads everything
            await page.wire.close()
