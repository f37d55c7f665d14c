"""Intake: new mail of a mailbox becomes tickets; it is safe before the mailbox is told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from desk.change import Change, Received
from desk.errors import DeskError, Transient
from desk.failpoints import failpoint
from desk.model import (
    RESPONSE_MOVES,
    Mailbox,
    MailboxId,
    ParsedEmail,
    Response,
    Ticket,
    Verb,
)
from desk.ports import Queue
from desk.rules import jobs
from desk.store import Store
from mail.provider import Arrival, Provider
from mail.threads import ancestors, belongs, subject_key

log = structlog.get_logger()

SUBJECT_DAYS = 14
"""A reply without references joins a ticket of the same subject and sender not older than this."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Reads mailboxes. ``parse`` takes whatever the bytes are; ``providers`` are open."""

    store: Store
    queue: Queue
    providers: Mapping[MailboxId, Provider]
    parse: Callable[[bytes], Awaitable[ParsedEmail]]

    async def __call__(self, id: int) -> None:
        """Take in everything that is new in one mailbox. One that cannot be read says so in its
        record; the schedule looks again soon, whatever was wrong."""
        mailbox = await self.store.mailbox(MailboxId(id))
        provider = self.providers.get(mailbox.id)
        if provider is None:
            return  # it is no longer in the settings
        is_more = True
        while is_more:
            try:
                page = await provider.fetch(mailbox.checkpoint)
            except DeskError as error:
                log.warning("mailbox not read", mailbox=mailbox.id, error=type(error).__name__)
                await self._report(mailbox, str(error))
                return
            await failpoint("intake.fetched")
            tickets = await self._take_in(mailbox, page.arrivals, page.checkpoint)
            await failpoint("intake.stored")
            for ticket in tickets:
                await self._queue(ticket)
            mailbox = await self.store.mailbox(mailbox.id)
            is_more = page.more

    async def _take_in(
        self, mailbox: Mailbox, arrivals: tuple[Arrival, ...], checkpoint: str
    ) -> list[Ticket]:
        """The mails and the checkpoint that covers them, in one transaction."""
        incoming = [arrival for arrival in arrivals if not arrival.is_sent]
        received = await asyncio.gather(*(self._read(arrival) for arrival in incoming))
        tickets = []
        async with self.store.change() as change:
            for mail in received:
                if not await change.has_mail(mailbox.id, mail.key, mail.sha256):
                    tickets.append(await self._add(change, mailbox, mail))
            if checkpoint != mailbox.checkpoint or mailbox.problem:
                await change.save_checkpoint(mailbox.id, checkpoint)
        return tickets

    async def _read(self, arrival: Arrival) -> Received:
        parsed = await self.parse(arrival.raw)
        return Received(
            key=arrival.key,
            raw=arrival.raw,
            sha256=hashlib.sha256(arrival.raw).hexdigest(),
            received_at=arrival.received_at,
            parsed=parsed,
            subject_key=subject_key(parsed.subject),
        )

    async def _add(self, change: Change, mailbox: Mailbox, mail: Received) -> Ticket:
        score = mail.received_at.timestamp() * 1000
        ticket = await self._existing(change, mailbox, mail)
        if ticket is None:
            ticket = await change.open_ticket(mailbox.id, mail, score)
        else:
            await self._retire(change, await change.live_response(ticket.id))
            ticket = await change.ticket(ticket.id)
        await change.receive(ticket, mail)
        return await change.ticket(ticket.id)

    async def _existing(self, change: Change, mailbox: Mailbox, mail: Received) -> Ticket | None:
        parsed = mail.parsed
        if known := ancestors(parsed):
            found = await change.ticket_of_messages(mailbox.id, known)
            if found:
                return found
        since = change.now - timedelta(days=SUBJECT_DAYS)
        similar = await change.ticket_of_subject(
            mailbox.id, mail.subject_key, parsed.sender.address, since
        )
        if similar is None:
            return None
        age = change.now - similar.updated_at
        return similar if belongs(parsed, mail.subject_key, True, age) else None

    async def _retire(self, change: Change, response: Response | None) -> None:
        """The customer wrote again: what answers the earlier mail must not leave unread."""
        if response is not None and (response.state, Verb.RETIRE) in RESPONSE_MOVES:
            await change.move_response(response, Verb.RETIRE)

    async def _queue(self, ticket: Ticket) -> None:
        try:
            for job in jobs(ticket, None):
                await self.queue.put(job.step, job.id, job.score)
        except Transient as error:
            log.warning("not queued, left to the sweep", ticket=ticket.id, error=str(error))

    async def _report(self, mailbox: Mailbox, problem: str) -> None:
        async with self.store.change() as change:
            await change.save_checkpoint(mailbox.id, mailbox.checkpoint, problem)
