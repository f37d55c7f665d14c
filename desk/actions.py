"""What a person does to a ticket, whichever network it came from: one ``act`` behind all of them.

Who clicks, may click twice, late, at the same time as a colleague, or on a card of yesterday. The
rights come from the database; the content that an approval covers from the hash the card carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from desk import access, alarms, decisions, replies
from desk.action import ActionRequest, Handler, Late, NeedsConfirmation, Outcome, Result, Review
from desk.errors import Conflict, Refused
from desk.handing_on import hand_on
from desk.ids import TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.priority import USUAL, Weights
from desk.rules import Job, jobs
from desk.standing import standing
from desk.store import Store

HANDLERS: Mapping[Verb, Handler] = MappingProxyType(
    {
        Verb.APPROVE: replies.approve,
        Verb.START_EDIT: replies.start_edit,
        Verb.EDIT: replies.edit,
        Verb.ATTACH: replies.attach,
        Verb.DETACH: replies.detach,
        Verb.UNDO: replies.undo,
        Verb.REJECT: replies.reject,
        Verb.REGENERATE: replies.regenerate,
        Verb.CLAIM: decisions.claim,
        Verb.RELEASE: decisions.release,
        Verb.CLOSE: decisions.close,
        Verb.SEND_AGAIN: replies.send_again,
        Verb.MARK_SENT: replies.mark_sent,
        Verb.BUMP: decisions.bump,
        Verb.VIP: decisions.vip,
        Verb.CORRECT: decisions.correct,
        Verb.REQUEUE: decisions.requeue,
        Verb.DISCARD: decisions.discard,
        Verb.ACKNOWLEDGE: alarms.acknowledge,
        Verb.TAKE: alarms.take,
        Verb.ASSIGN: alarms.assign,
        Verb.SNOOZE: alarms.snooze,
        Verb.WAKE: alarms.wake,
    }
)


@dataclass(frozen=True, slots=True)
class Actions:
    """Acts for people. ``undo`` is how long an approved reply stays here."""

    store: Store
    queue: Queue
    review: Review
    undo: timedelta = timedelta(seconds=30)
    weights: Weights = USUAL

    async def act(self, request: ActionRequest) -> Outcome:
        """Do it, or say in a sentence why not. Raises Transient when the database is away."""
        try:
            access.check(request.user, request.verb)
            wanted = await self._commit(request)
        except NeedsConfirmation as question:
            return Outcome(Result.CONFIRM, str(question))
        except Late:
            return Outcome(Result.REFUSED, await self._why_late(request.ticket_id))
        except Refused as refusal:
            return Outcome(Result.REFUSED, str(refusal))
        if wanted is None:
            return Outcome(Result.DUPLICATE)
        await hand_on(self.queue, *wanted)
        return Outcome(Result.DONE)

    async def _why_late(self, id: TicketId) -> str:
        line = standing(await self.store.view(id))
        return line or "This draft is no longer there; the card shows how it is now"

    async def _commit(self, request: ActionRequest, tries: int = 3) -> list[Job] | None:
        """What the ticket's state asks for then; None when this very click was done before. A write
        of somebody else between our read and ours is looked at again; then the rules decide."""
        while True:
            try:
                async with self.store.change(request.user.id) as change:
                    ticket = await access.writable(change, request.user, request.ticket_id)
                    if not await change.first_time(request.key):
                        return None
                    await HANDLERS[request.verb](self, change, request, ticket)
                    return jobs(
                        await change.ticket(ticket.id), await change.live_response(ticket.id)
                    )
            except Conflict:
                tries -= 1
                if not tries:
                    raise
