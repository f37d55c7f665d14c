"""Sending: an approved reply leaves exactly once, or is reported as unknown; never twice.

The state says what may be done: ``approved`` was never handed over; ``sending`` was, by somebody
who may have died in between, so it is unknown; only the sent mail or a person can tell more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from desk import files, troubles
from desk.change import Change
from desk.delivery import give_way
from desk.email import Address, Mailbox
from desk.errors import (
    Ambiguous,
    Away,
    Conflict,
    DeskError,
    Misconfigured,
    Permanent,
    Refused,
    Throttled,
    Transient,
)
from desk.failpoints import failpoint
from desk.ids import MailboxId, ResponseId
from desk.moves import Verb
from desk.ports import Queue
from desk.response import Response, ResponseState
from desk.rules import looks_for_earlier
from desk.signature import Signature
from desk.store import Store
from desk.troubles import Part
from inference.sentences import MARK
from mail.compose import compose, receiving_address, spelled
from mail.provider import Origin, Provider
from workers.fence import Fence
from workers.sent_mail import SentMail

MAX_TRIES = 8
PAUSE = timedelta(seconds=10)
"""21 minutes in all; greylisting asks for up to 15."""
SKEW = timedelta(seconds=1)
PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Letter:
    """What is handed over, and which mail it answers."""

    mime: bytes
    sender: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Sending:
    """``display_names`` are what customers see as the sender, ``aliases`` further addresses of a
    mailbox, ``signatures`` how its replies end, all by its name. ``pause`` comes before the second
    try, and before the second look into the sent mail; it is doubled each time."""

    store: Store
    queue: Queue
    providers: Mapping[MailboxId, Provider]
    display_names: Mapping[str, str]
    aliases: Mapping[str, Collection[str]] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    pause: timedelta = PAUSE

    async def __call__(self, id: int) -> None:
        # a person or another worker was faster: whoever was has queued what follows
        with suppress(Conflict):
            await self._advance(await self.store.response(ResponseId(id)))

    async def _advance(self, response: Response) -> None:
        match response.state:
            case ResponseState.APPROVED:
                await self._send(response)
            case ResponseState.SENDING:
                # we hold the only lease, so whoever was sending is gone
                await self._lose(response)
            case ResponseState.UNKNOWN:
                await self._sent_mail.look_for(response)
            case ResponseState.DRAFT if looks_for_earlier(response):
                await self._sent_mail.keep_looking(response)

    @property
    def _sent_mail(self) -> SentMail:
        return SentMail(self.store, self.queue, self.providers, self.pause)

    async def _send(self, response: Response) -> None:
        now = self.store.clock.now()
        if response.send_after is None or response.send_after > now:
            # woken early: our clock is behind that of Redis
            later = response.send_after or now + SKEW
            await asyncio.sleep(min(later - now, SKEW).total_seconds())
            await self._sent_mail.put(replace(response, send_after=later))
            return
        try:
            mailbox, letter = await self._compose(response)
            if looks_for_earlier(response) and await self._sent_mail.look_for_earlier(response):
                return
        except Transient as error:
            await self._put_back(response, error)
            return
        except Permanent as error:  # for example an address that no mail can go to
            await self._fail(response, error)
            return
        await failpoint("sending.approved")
        response = await self._move(response, Verb.SEND)
        await failpoint("sending.marked")
        await self._hand_over(response, mailbox, letter)

    async def _hand_over(self, response: Response, mailbox: Mailbox, letter: Letter) -> None:
        envelope = response.envelope
        recipients = [spelled(one.address) for one in (*envelope.to, *envelope.cc)]
        provider, fence = self.providers[mailbox.id], Fence(self.store, response)
        try:
            await provider.send(letter.mime, letter.sender, recipients, letter.origin, fence)
        except asyncio.CancelledError:  # this process ends, or its lease has ended
            if not fence.is_passed:
                with suppress(Refused, Transient):
                    await self._move(response, Verb.DEFER)
            raise
        except Ambiguous:
            await self._lose(response)
        except Transient as error:
            await insist(partial(self._put_back, response, error, mailbox.id))
        except Permanent as error:
            await insist(partial(self._fail, response, error, mailbox.id))
        else:
            await failpoint("sending.handed_over")
            await insist(partial(self._sent_mail.note, response.id, response.message_id))
            await self._end_trouble(mailbox.id)

    async def _lose(self, response: Response) -> None:
        """From now on it is unknown; it is looked for at once."""
        lost = {"tries": 0, "send_after": None}
        response = await self._move(response, Verb.LOSE, lost)
        await failpoint("sending.lost")
        await self._sent_mail.look_for(response)

    async def _compose(self, response: Response) -> tuple[Mailbox, Letter]:
        """The marks of citations are for whoever approves; the customer has no list of sources.
        Other numbers in brackets are the reply's own."""
        ticket = await self.store.ticket(response.ticket_id)
        mailbox = await self.store.mailbox(ticket.mailbox_id)
        if mailbox.id not in self.providers:
            raise Permanent(f"The mailbox {mailbox.name} is no longer in the settings")
        email = await self.store.email(response.email_id)
        name = self.display_names.get(mailbox.name, "")
        aliases = self.aliases.get(mailbox.name, ())
        sender = Address(name, receiving_address(email.parsed, mailbox.address, aliases))
        cited = {citation.n for citation in response.draft.citations}
        text = MARK.sub(
            lambda mark: "" if int(mark[1]) in cited else mark[0], response.envelope.text
        )
        content = replace(response.envelope, text=text)
        now = self.store.clock.now()
        attached = await files.read(self.store, response)
        ending = self.signatures.get(mailbox.name, Signature())
        mime = await asyncio.to_thread(  # base64 of large files takes a while
            compose, content, email.parsed, sender, response.message_id, now, attached, ending
        )
        origin = Origin(email.key, email.thread)
        return mailbox, Letter(mime, spelled(sender.address), origin)

    async def _put_back(
        self, response: Response, error: Transient, met_at: MailboxId | None = None
    ) -> None:
        """Nothing was handed over: later again. After many tries a person decides. The record says
        when, for the queue's own tries end sooner than many a server is back."""
        tries = response.tries + 1
        if tries >= MAX_TRIES:
            await self._fail(response, error, met_at)
            return
        asked = timedelta(seconds=error.seconds) if isinstance(error, Throttled) else self.pause
        later = self.store.clock.now() + max(asked, self.pause * 2**response.tries)
        async with self.store.change() as change:
            changes = {"tries": tries, "send_after": later}
            response = await change.move_response(response, Verb.DEFER, changes)
            await _note_trouble(change, met_at, error)
            is_latest = response.email_id == await change.latest_email(response.ticket_id)
            if not is_latest:
                await give_way(change, response)
        if is_latest:
            await self._sent_mail.put(response)
        await self._sent_mail.show(response)

    async def _fail(
        self, response: Response, error: DeskError, met_at: MailboxId | None = None
    ) -> None:
        """A person decides."""
        async with self.store.change() as change:
            moved = await change.move_response(response, Verb.FAIL, {"failure": str(error)})
            await _note_trouble(change, met_at, error)
        await self._sent_mail.show(moved)

    async def _end_trouble(self, id: MailboxId) -> None:
        """A reply has left. Should this be cut off, the next one says so."""
        known = {one.part for one in await self.store.troubles(id)} - {Part.READING}
        if known:
            async with self.store.change() as change:
                for part in known:
                    await troubles.end(change, id, part)

    async def _move(
        self, response: Response, verb: Verb, changes: Mapping[str, object] | None = None
    ) -> Response:
        async with self.store.change() as change:
            moved = await change.move_response(response, verb, changes)
        await self._sent_mail.show(moved)
        return moved


async def _note_trouble(change: Change, id: MailboxId | None, error: DeskError) -> None:
    """Of a mailbox that does not let us send at all, or whose server is away; one refused mail says
    nothing of either."""
    if id is not None and isinstance(error, Misconfigured):
        await troubles.note(change, id, error, Part.SENDING)
    elif id is not None and isinstance(error, Away):
        await troubles.note(change, id, error, Part.SERVER)


async def insist(note: Callable[[], Awaitable[object]]) -> None:
    """What became of a mail is known now: a database that is away for a moment must not make it
    unknown."""
    for _ in range(PATIENCE):
        try:
            await note()
        except Transient:
            await asyncio.sleep(SKEW.total_seconds())
        else:
            return
    await note()
