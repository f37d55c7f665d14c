"""Whether a reply left: looks its Message-ID up in the sent mail, less and less often.

Found proves that it left. Not found proves nothing: then only a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from desk.change import Change
from desk.delivery import deliver
from desk.errors import DeskError, Transient
from desk.failpoints import failpoint
from desk.handing_on import hand_on
from desk.ids import MailboxId, ResponseId
from desk.moves import Verb
from desk.ports import Queue
from desk.response import Finding, Response, ResponseState, Severity
from desk.rules import LEFT_BEFORE, is_covered_by, job_for
from desk.steps import Step
from desk.store import Store
from mail.provider import Provider

log = structlog.get_logger()

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)

NOT_APPROVED = {"approved_by": None, "approved_at": None}
TOO_LATE = (
    "An earlier version of this reply has left after all: it is in the sent mail."
    " Send this one too only if the customer should get both."
)


@dataclass(frozen=True, slots=True)
class SentMail:
    """The sent mail of all mailboxes, and what follows from a reply that is found there."""

    store: Store
    queue: Queue
    providers: Mapping[MailboxId, Provider]
    pause: timedelta = FIRST_PAUSE

    async def look_for(self, response: Response) -> None:
        """Look for a reply of which nobody knows whether it left. Its record says when next."""
        now = self.store.clock.now()
        if response.send_after is not None and response.send_after > now:
            await self.put(response)
            return
        try:
            if await self.holds(response, response.message_id):
                await self.note(response.id, response.message_id)
                return
        except DeskError as error:  # a mailbox that is away, or does not let us in
            log.warning("sent mail not read", response=response.id, error=type(error).__name__)
        changes = {
            "tries": response.tries + 1,
            "send_after": now + pause(self.pause, response.tries),
        }
        async with self.store.change() as change:
            response = await change.move_response(response, Verb.LOOK, changes)
        await self.put(response)
        await self.show(response)

    async def look_for_earlier(self, response: Response) -> bool:
        """Whether an earlier version was found, which a person took back to a draft because nobody
        knew whether it had left; then that is noted. Raises as ``Provider.find_sent`` does."""
        for message_id in response.earlier_ids:
            if await self.holds(response, message_id):
                await self.note(response.id, message_id)
                return True
        return False

    async def keep_looking(self, response: Response) -> None:
        """Look for the earlier versions of a draft. Nothing is written: a draft that changes under
        a person's eyes could not be approved. So the pause follows from its age."""
        try:
            if await self.look_for_earlier(response):
                return
        except DeskError as error:
            log.warning("sent mail not read", response=response.id, error=type(error).__name__)
        now = self.store.clock.now()
        age = now - (response.approved_at or response.created_at)
        later = now + min(max(self.pause, age / 2), LONGEST_PAUSE)
        await self.put(replace(response, send_after=later))

    async def holds(self, response: Response, message_id: str) -> bool:
        ticket = await self.store.ticket(response.ticket_id)
        provider = self.providers.get(ticket.mailbox_id)
        if provider is None:
            name = (await self.store.mailbox(ticket.mailbox_id)).name
            raise Transient(f"The mailbox {name} is no longer in the settings")
        return await provider.find_sent(message_id)

    async def note(self, id: ResponseId, message_id: str) -> None:
        """The mail with this Message-ID has left, whatever became of its response meanwhile."""
        async with self.store.change() as change:
            response = await change.response(id)
            if response.message_id == message_id:
                await self._note_sent(change, response)
            elif message_id in response.earlier_ids:
                await self._note_earlier(change, response, message_id)
        await failpoint("sending.noted")
        await self.show(response)

    async def _note_sent(self, change: Change, response: Response) -> None:
        if response.state in (ResponseState.SENDING, ResponseState.UNKNOWN):
            await deliver(change, response, Verb.DELIVER, {"sent_at": change.now})

    async def _note_earlier(self, change: Change, response: Response, message_id: str) -> None:
        """The same words have left: that is all. Others are for whoever wrote them to decide."""
        if response.state not in (ResponseState.DRAFT, ResponseState.APPROVED):
            return
        if is_covered_by(response, message_id):
            changes = {"sent_at": change.now, "message_id": message_id}
            await deliver(change, response, Verb.DELIVER, changes)
            return
        found = Finding(LEFT_BEFORE, Severity.BLOCKING, TOO_LATE)
        draft = replace(response.draft, findings=(*response.draft.findings, found))
        changes = {"draft": draft, "message_id": "", "send_after": None, **NOT_APPROVED}
        await change.move_response(response, Verb.FIND, changes)

    async def show(self, response: Response) -> None:
        ticket = await self.store.ticket(response.ticket_id)
        await hand_on(self.queue, job_for(ticket, Step.SHOW))

    async def put(self, response: Response) -> None:
        """Look again when its record says so."""
        ticket = await self.store.ticket(response.ticket_id)
        await hand_on(self.queue, job_for(ticket, Step.SENDING, response.id, response.send_after))


def pause(first: timedelta, tries: int) -> timedelta:
    """Before the next look, after so many.

    >>> [str(pause(FIRST_PAUSE, n)) for n in (0, 1, 5, 9, 400)]
    ['0:00:10', '0:00:20', '0:05:20', '1:00:00', '1:00:00']
    """
    return min(first * (1 << min(tries, 16)), LONGEST_PAUSE)
