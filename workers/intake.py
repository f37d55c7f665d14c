"""Intake: new mail of a mailbox becomes tickets; it is safe before the mailbox is told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from desk import troubles
from desk.change import Change
from desk.email import Mailbox, ParsedEmail
from desk.errors import DeskError, Transient
from desk.failpoints import failpoint
from desk.faults import caught, kind
from desk.handing_on import hand_on
from desk.ids import MailboxId
from desk.mails import Received
from desk.ports import Queue
from desk.rules import Job, job_for, jobs
from desk.steps import Step
from desk.store import Store
from mail.duplicates import content_key
from mail.provider import Arrival, Page, Provider
from mail.threads import subject_key
from workers.arrivals import Taken, take_in, take_in_answered, take_in_sent

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mail:
    """An arrival, read."""

    received: Received
    is_sent: bool = False
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Intake:
    """Reads mailboxes. ``parse`` takes whatever the bytes are; ``providers`` are open."""

    store: Store
    queue: Queue
    providers: Mapping[MailboxId, Provider]
    parse: Callable[[bytes], Awaitable[ParsedEmail]]

    async def __call__(self, id: int) -> None:
        """Take in the next page of one mailbox, and come back for more. One that cannot be read
        says so in its record; the schedule looks again soon, whatever was wrong."""
        mailbox = await self.store.mailbox(MailboxId(id))
        provider = self.providers.get(mailbox.id)
        if provider is None:
            return  # it is no longer in the settings
        try:
            page = await provider.fetch(mailbox.checkpoint)
        except DeskError as error:
            log.warning("mailbox not read", mailbox=mailbox.id, error=type(error).__name__)
            await self._note_trouble(mailbox, error)
            return
        await failpoint("intake.fetched")
        mails = await asyncio.gather(*(self._read(arrival) for arrival in page.arrivals))
        stored = await self._take_in_page(mailbox, mails, page)
        await failpoint("intake.stored")
        await hand_on(self.queue, *(job for taken in stored for job in follow_up(taken)))
        if page.more:
            await hand_on(self.queue, Job(Step.INTAKE, mailbox.id, 0.0, is_urgent=False))

    async def _note_trouble(self, mailbox: Mailbox, error: DeskError) -> None:
        async with self.store.change() as change:
            await change.save_checkpoint(mailbox.id, mailbox.checkpoint, str(error) or kind(error))
            await troubles.note(change, mailbox.id, error)

    async def _read(self, arrival: Arrival) -> Mail:
        parsed = await self.parse(arrival.raw)
        received = Received(
            key=arrival.key,
            raw=arrival.raw,
            sha256=hashlib.sha256(arrival.raw).hexdigest(),
            received_at=arrival.received_at,
            parsed=parsed,
            subject_key=subject_key(parsed.subject),
            content_key=content_key(parsed),
            thread=arrival.thread,
        )
        return Mail(received, arrival.is_sent, arrival.is_answered)

    async def _take_in_page(
        self, mailbox: Mailbox, mails: Sequence[Mail], page: Page
    ) -> list[Taken]:
        """All at once, or, when one of them cannot be stored, one by one: a mail that breaks
        something must not hold up the mailbox."""
        problem = mailbox.problem if page.is_partial else ""
        stored = await caught(self._store(mailbox, mails, page.checkpoint, problem))
        if not isinstance(stored, Exception):
            return stored
        if isinstance(stored, Transient):
            raise stored
        log.warning("page stored mail by mail", mailbox=mailbox.id, error=kind(stored))
        taken = [await self._store_alone(mailbox, mail) for mail in mails]
        await self._store(mailbox, [], page.checkpoint, problem)
        return taken

    async def _store_alone(self, mailbox: Mailbox, mail: Mail) -> Taken:
        stored = await caught(self._store(mailbox, [mail], mailbox.checkpoint, mailbox.problem))
        if isinstance(stored, Transient):
            raise stored
        if isinstance(stored, Exception):
            log.error("mail stored unread", mailbox=mailbox.id, error=kind(stored))
            bare = unread(mail, kind(stored))
            stored = await self._store(mailbox, [bare], mailbox.checkpoint, mailbox.problem)
        return stored[0]

    async def _store(
        self, mailbox: Mailbox, mails: Sequence[Mail], checkpoint: str, problem: str
    ) -> list[Taken]:
        """The mails, the checkpoint that covers them and what is still wrong, in one
        transaction."""
        taken = []
        async with self.store.change() as change:
            for mail in mails:
                taken.append(await _taken_in(change, mailbox, mail))
            if (checkpoint, problem) != (mailbox.checkpoint, mailbox.problem):
                await change.save_checkpoint(mailbox.id, checkpoint, problem)
            if mailbox.problem and not problem:
                await troubles.end(change, mailbox.id)
        return taken


async def _taken_in(change: Change, mailbox: Mailbox, mail: Mail) -> Taken:
    if mail.is_sent:
        return await take_in_sent(change, mailbox, mail.received)
    take = take_in_answered if mail.is_answered else take_in
    return await take(change, mailbox, mail.received)


def follow_up(taken: Taken) -> list[Job]:
    if taken.ticket is None:
        return []
    found = taken.response
    if found is not None:  # its end is known now
        return [job_for(taken.ticket, Step.SENDING, found.id)]
    return jobs(taken.ticket, None)


def unread(mail: Mail, reason: str) -> Mail:
    """The mail as it came, for a person to open in a mail program: only its bytes are kept."""
    parsed = ParsedEmail(
        subject="A mail that could not be read",
        text="Open this mail in the mailbox itself.",
        defects=(f"It could not be stored as it was read ({reason})",),
    )
    received = replace(mail.received, parsed=parsed, subject_key="", content_key="")
    return replace(mail, received=received)
