"""Sending: an approved reply leaves exactly once, or is reported as unknown; never twice.

The state says what may be done: ``approved`` was never handed over; ``sending`` was, by somebody
who may have died in between, so it is unknown; only the sent mail or a person can tell more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from desk.errors import Ambiguous, Permanent, Throttled, Transient
from desk.model import (
    Address,
    Mailbox,
    MailboxId,
    Response,
    ResponseId,
    ResponseState,
    Step,
    TicketState,
    Verb,
)
from desk.ports import Queue
from desk.store import Store
from inference.sentences import MARK
from mail.compose import compose
from mail.provider import Provider

log = structlog.get_logger()

MAX_TRIES = 8
PAUSE = timedelta(seconds=10)
"""After the first try, and doubled each time: 21 minutes in all; greylisting asks for up to 15."""
SKEW = timedelta(seconds=1)
PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Sending:
    """``display_names`` are what customers see as the sender, by mailbox name."""

    store: Store
    queue: Queue
    providers: Mapping[MailboxId, Provider]
    display_names: Mapping[str, str]

    async def __call__(self, id: int) -> None:
        response = await self.store.response(ResponseId(id))
        match response.state:
            case ResponseState.APPROVED:
                await self._send(response)
            case ResponseState.SENDING:
                # we hold the only lease, so whoever was sending is gone
                response = await self._move(response, Verb.LOSE)
                await self._look_for(response)
            case ResponseState.UNKNOWN:
                await self._look_for(response)

    async def _send(self, response: Response) -> None:
        now = self.store.clock.now()
        if response.send_after is None or response.send_after > now:
            # woken early: our clock is behind that of Redis
            later = response.send_after or now + SKEW
            await asyncio.sleep(min(later - now, SKEW).total_seconds())
            await self.queue.put(Step.SENDING, response.id, later.timestamp() * 1000, later)
            return
        try:
            mailbox, mime = await self._compose(response)
        except Permanent as error:  # for example an address that no mail can go to
            await self._move(response, Verb.FAIL, {"failure": str(error)})
            return
        recipients = [a.address for a in (*response.envelope.to, *response.envelope.cc)]
        response = await self._move(response, Verb.SEND)
        try:
            await self.providers[mailbox.id].send(mime, mailbox.address, recipients)
        except Ambiguous:
            response = await self._move(response, Verb.LOSE)
            await self._look_for(response)
        except Transient as error:
            await self._put_back(response, error)
        except Permanent as error:
            await self._move(response, Verb.FAIL, {"failure": str(error)})
        else:
            await self._note_delivery(response)

    async def _note_delivery(self, response: Response) -> None:
        """It has left: a database that is away for a moment must not make it unknown."""
        for _ in range(PATIENCE):
            try:
                return await self._deliver(response)
            except Transient:
                await asyncio.sleep(SKEW.total_seconds())
        await self._deliver(response)

    async def _compose(self, response: Response) -> tuple[Mailbox, bytes]:
        """The marks of citations are for whoever approves; the customer has no list of sources.
        Other numbers in brackets are the reply's own."""
        view = await self.store.view(response.ticket_id)
        if view.mailbox.id not in self.providers:
            raise Permanent(f"The mailbox {view.mailbox.name} is no longer in the settings")
        email = await self.store.email(response.email_id)
        name = self.display_names.get(view.mailbox.name, "")
        sender = Address(name, view.mailbox.address)
        cited = {citation.n for citation in response.draft.citations}
        text = MARK.sub(
            lambda mark: "" if int(mark[1]) in cited else mark[0], response.envelope.text
        )
        content = replace(response.envelope, text=text)
        now = self.store.clock.now()
        mime = compose(content, email.parsed, sender, response.message_id, now)
        return view.mailbox, mime

    async def _put_back(self, response: Response, error: Transient) -> None:
        """Nothing was handed over: later again. After many tries a person decides. The record says
        when, for the queue's own tries end sooner than many a server is back."""
        tries = response.tries + 1
        if tries >= MAX_TRIES:
            await self._move(response, Verb.FAIL, {"failure": str(error)})
            return
        asked = timedelta(seconds=error.seconds) if isinstance(error, Throttled) else PAUSE
        later = self.store.clock.now() + max(asked, PAUSE * 2**response.tries)
        await self._move(response, Verb.DEFER, {"tries": tries, "send_after": later})
        await self.queue.put(Step.SENDING, response.id, later.timestamp() * 1000, later)

    async def _look_for(self, response: Response) -> None:
        """Found in the sent mail: it left. Not found proves nothing: it stays unknown."""
        view = await self.store.view(response.ticket_id)
        if await self.providers[view.mailbox.id].find_sent(response.message_id):
            await self._deliver(response)

    async def _deliver(self, response: Response) -> None:
        """Now we wait for the customer, unless they wrote again while the reply was on its way:
        then that mail gets a draft of its own."""
        view = await self.store.view(response.ticket_id)
        verb = Verb.DELIVER if view.email.id == response.email_id else Verb.REGENERATE
        async with self.store.change() as change:
            ticket = await change.ticket(response.ticket_id)
            if ticket.state is TicketState.OPEN:
                await change.move_ticket(ticket, verb)
            await change.move_response(response, Verb.DELIVER, {"sent_at": change.now})
        await self._show(response)

    async def _move(
        self, response: Response, verb: Verb, changes: Mapping[str, object] | None = None
    ) -> Response:
        async with self.store.change() as change:
            moved = await change.move_response(response, verb, changes)
        await self._show(moved)
        return moved

    async def _show(self, response: Response) -> None:
        ticket = await self.store.ticket(response.ticket_id)
        try:
            await self.queue.put(Step.SHOW, ticket.id, ticket.score)
        except Transient as error:
            log.warning("not queued, left to the sweep", ticket=ticket.id, error=str(error))
