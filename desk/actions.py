"""What a person does to a ticket, whichever network it came from: one ``act`` behind all of them.

Who clicks, may click twice, late, at the same time as a colleague, or on a card of yesterday. The
rights come from the database; the content that an approval covers from the hash the card carried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from desk import access, alarms, dead_letters, files, ranking
from desk.change import Change
from desk.delivery import deliver, give_way
from desk.errors import Conflict, Refused
from desk.files import NewFile
from desk.handing_on import hand_on
from desk.model import (
    Address,
    Citation,
    DeadLetter,
    Finding,
    ParsedEmail,
    Response,
    ResponseId,
    ResponseState,
    Role,
    Severity,
    Ticket,
    TicketId,
    TicketState,
    Urgency,
    User,
    Verb,
)
from desk.ports import Queue
from desk.priority import USUAL, Weights
from desk.rules import LEFT_BEFORE, jobs, message_id
from desk.standing import standing
from desk.store import Store

MAX_TEXT = 100_000
"""Characters of an edited reply."""

CLAIMED = "A colleague has claimed this ticket. Go on anyway?"
AGAIN = "It may have left already. Make it a draft that can go again?"
INSTEAD = (
    "It may have left already, and the customer has written again. Throw it away, and have a reply"
    " to the new mail drafted?"
)
IT_LEFT = (
    "Is it in the Sent folder of the mailbox, or does the customer have it? Then it counts as sent."
)


class Review(Protocol):
    """Checks a text before a person sends it: (findings, score 0..100)."""

    def __call__(
        self,
        text: str,
        citations: tuple[Citation, ...],
        email: ParsedEmail,
        recipients: tuple[Address, ...],
    ) -> tuple[tuple[Finding, ...], int]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """The response as the card showed it when the person decided."""

    id: ResponseId
    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A click or command in our words.

    ``key`` is the same when a network delivers the same click twice. ``text`` is the edited reply
    (EDIT) or what the next draft should do (REGENERATE). ``confirmed`` says that the person has
    read the blocking findings; ``then_send`` approves what was just edited. For ASSIGN ``text`` is
    who, for SNOOZE how long.
    """

    key: str
    user: User
    verb: Verb
    ticket_id: TicketId
    seen: Seen | None = None
    text: str = ""
    confirmed: bool = False
    then_send: bool = False
    file: NewFile | None = None


class Result(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    CONFIRM = "confirm"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``note`` is for the person alone; empty when the redrawn card says it all."""

    result: Result
    note: str = ""


class NeedsConfirmation(Refused):
    """The person must say yes to this first."""


class Late(Refused):
    """Somebody did something before; the answer says who did what when."""


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
            await access.ticket(self.store, request.user, request.ticket_id)
            is_first = await self._commit(request)
        except NeedsConfirmation as question:
            return Outcome(Result.CONFIRM, str(question))
        except Late:
            return Outcome(Result.REFUSED, await self._why_late(request.ticket_id))
        except Refused as refusal:
            return Outcome(Result.REFUSED, str(refusal))
        if not is_first:
            return Outcome(Result.DUPLICATE)
        await self.requeue(request.ticket_id)
        return Outcome(Result.DONE)

    async def requeue(self, id: TicketId) -> None:
        """Queue what the ticket's state asks for now."""
        view = await self.store.view(id)
        await hand_on(self.queue, *jobs(view.ticket, view.response))

    async def _why_late(self, id: TicketId) -> str:
        line = standing(await self.store.view(id))
        return line or "This draft is no longer there; the card shows how it is now"

    async def _commit(self, request: ActionRequest, tries: int = 3) -> bool:
        """False when this very click was done before. A write of somebody else between our read
        and ours is looked at again; then the rules decide."""
        while True:
            try:
                async with self.store.change(request.user.id) as change:
                    if not await change.first_time(request.key):
                        return False
                    ticket = await change.ticket(request.ticket_id)
                    await HANDLERS[request.verb](self, change, request, ticket)
                    return True
            except Conflict:
                tries -= 1
                if not tries:
                    raise


Handler = Callable[[Actions, Change, ActionRequest, Ticket], Awaitable[None]]


async def approve(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await send_off(desk, change, request, ticket, await shown(change, request))


async def start_edit(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    if ticket.editing not in (None, request.user.id) and not request.confirmed:
        raise NeedsConfirmation("Somebody is editing this draft. Take over?")
    if ticket.editing == request.user.id:
        return
    changes = {"editing": request.user.id, "editing_since": change.now}
    await change.set_ticket(ticket, request.verb, changes)


async def edit(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Save the text; with ``then_send`` approve it in the same transaction."""
    text = request.text.replace("\r\n", "\n").strip()
    if not text:
        raise Refused("The reply is empty: to send nothing, reject the draft instead")
    if len(text) > MAX_TEXT:
        raise Refused(f"The reply is longer than {MAX_TEXT:,} characters: shorten it, please")
    response = await rejected(change, request, ticket) or await shown(change, request)
    if response.email_id != await change.latest_email(ticket.id):
        raise Refused("The customer has written again: have a reply to the new mail drafted")
    email = await change.email(response.email_id)
    findings, score = desk.review(
        text, response.draft.citations, email.parsed, response.envelope.to
    )
    left = tuple(f for f in response.draft.findings if f.check == LEFT_BEFORE)
    findings = (*left, *findings)
    changes = {
        "envelope": replace(response.envelope, text=text),
        "draft": replace(response.draft, findings=findings, score=score, needs_human=False),
        "edited_by": request.user.id,
        "failure": "",
    }
    if ticket.editing is not None:
        ticket = await change.set_ticket(ticket, Verb.START_EDIT, {"editing": None}, ended=True)
    response = await change.move_response(response, Verb.EDIT, changes)
    if request.then_send:
        ticket = await change.ticket(ticket.id)
        await send_off(desk, change, request, ticket, response)


async def send_off(
    desk: Actions, change: Change, request: ActionRequest, ticket: Ticket, response: Response
) -> None:
    """The approval itself: the text stands, the undo window begins. All questions are asked at
    once, for there is one yes to them."""
    questions = [f.reason for f in response.draft.findings if f.severity is Severity.BLOCKING]
    if is_somebody_elses(request, ticket):
        questions.append(CLAIMED)
    if questions and not request.confirmed:
        raise NeedsConfirmation(" ".join(questions))
    if not response.envelope.text.strip():
        raise Refused("There is no draft yet: write the reply with Edit")
    mailbox = await change.mailbox(ticket.mailbox_id)
    changes = {"assignee": ticket.assignee or request.user.id, "editing": None}
    if (ticket.assignee, ticket.editing) != (changes["assignee"], None):
        await change.set_ticket(ticket, Verb.CLAIM, changes)
    domain = mailbox.address.rpartition("@")[2]
    await change.move_response(
        response,
        Verb.APPROVE,
        {
            "approved_by": request.user.id,
            "approved_at": change.now,
            "send_after": change.now + desk.undo,
            "message_id": message_id(response, domain),
            "tries": 0,
        },
        confirmed=request.confirmed,
    )


async def attach(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """A file for the reply; an approval covers it from then on."""
    if request.file is None:
        raise Refused("No file came with it: choose it once more")
    response = await shown(change, request)
    envelope = files.attached(response.envelope, request.file)
    await files.keep(change, response.id, request.file)
    await change.move_response(response, Verb.ATTACH, {"envelope": envelope})


async def detach(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    response = await shown(change, request)
    envelope = files.detached(response.envelope, request.text.strip())
    await change.move_response(response, Verb.DETACH, {"envelope": envelope})


async def undo(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    response = await change.live_response(ticket.id)
    if response is None or response.state is not ResponseState.APPROVED:
        raise Late
    changes = {"approved_by": None, "approved_at": None, "send_after": None, "message_id": ""}
    await change.move_response(response, Verb.UNDO, changes)


async def reject(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await change.move_response(await shown(change, request), Verb.REJECT)


async def regenerate(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Retire the draft, if any, and have another written."""
    response = await change.live_response(ticket.id)
    if response is not None:
        # not what a colleague has written meanwhile
        response = await shown(change, request)
    await change.move_ticket(ticket, Verb.REGENERATE, {"instruction": request.text.strip()[:500]})
    if response is not None:
        await change.move_response(response, Verb.REGENERATE)


async def claim(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    if ticket.assignee == request.user.id:
        raise Refused("You have claimed it already")
    ask_if_somebody_else(request, ticket)
    await change.set_ticket(ticket, Verb.CLAIM, {"assignee": request.user.id})


async def release(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    if ticket.assignee is None:
        raise Refused("Nobody has claimed it")
    ask_if_somebody_else(request, ticket)
    await change.set_ticket(ticket, Verb.RELEASE, {"assignee": None})


async def close(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """No reply is needed. One that was approved leaves nevertheless: undo it first."""
    response = await change.live_response(ticket.id)
    if response is not None and response.state not in (ResponseState.DRAFT, ResponseState.FAILED):
        raise Late
    ticket = await change.move_ticket(ticket, Verb.CLOSE)
    if response is not None:
        await change.move_response(response, Verb.RETIRE)


async def send_again(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Back to a draft: whoever then approves it decides that it leaves (again)."""
    response = await change.live_response(ticket.id)
    if response is None:
        raise Late
    is_unknown = response.state is ResponseState.UNKNOWN
    if is_unknown and request.user.role is Role.AGENT:
        raise Refused("Only a manager can do this, because it may reach the customer twice")
    is_latest = response.email_id == await change.latest_email(ticket.id)
    if is_unknown and not request.confirmed:
        raise NeedsConfirmation(AGAIN if is_latest else INSTEAD)
    # a version that may have left is looked for further on
    earlier = (*response.earlier_ids, *((response.message_id,) if is_unknown else ()))
    changes = {"failure": "", "message_id": "", "earlier_ids": earlier, "send_after": None}
    response = await change.move_response(response, Verb.SEND_AGAIN, changes)
    if not is_latest:
        await give_way(change, response)


async def mark_sent(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """A person knows that a reply left of which the desk does not."""
    response = await change.live_response(ticket.id)
    seen = request.seen
    if response is None or response.state is not ResponseState.UNKNOWN:
        raise Late
    if seen is None or seen.id != response.id:
        raise Late
    if not request.confirmed:
        raise NeedsConfirmation(IT_LEFT)
    await deliver(change, response, Verb.MARK_SENT, {"sent_at": change.now})


async def bump(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await ranking.bump(change, ticket, desk.weights, is_off=request.text == "off")


async def vip(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    word = request.text.strip().lower()
    if word not in ("", "domain", "off"):
        raise Refused("Write vip, vip domain for everybody there, or vip off")
    await ranking.mark_vip(
        change, ticket, desk.weights, is_domain=word == "domain", is_off=word == "off"
    )


async def correct(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    try:
        urgency = Urgency(request.text.strip().lower())
    except ValueError:
        raise Refused(f"Write one of {', '.join(Urgency)}") from None
    await ranking.correct(change, ticket, urgency, desk.weights)


async def requeue(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """All that was given up of a ticket is tried again."""
    for letter in await given_up(change, ticket):
        await dead_letters.requeue(change, letter.id, request.text)


async def discard(desk: Actions, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    for letter in await given_up(change, ticket):
        await dead_letters.discard(change, letter.id, request.text)


async def given_up(change: Change, ticket: Ticket) -> list[DeadLetter]:
    letters = await dead_letters.read_of_tickets(change.connection, change.vault, [ticket.id])
    if not letters:
        raise Refused("Somebody has decided about it already: nothing of this ticket is given up")
    return letters


def ask_if_somebody_else(request: ActionRequest, ticket: Ticket) -> None:
    if is_somebody_elses(request, ticket) and not request.confirmed:
        raise NeedsConfirmation(CLAIMED)


def is_somebody_elses(request: ActionRequest, ticket: Ticket) -> bool:
    return ticket.assignee not in (None, request.user.id)


async def rejected(change: Change, request: ActionRequest, ticket: Ticket) -> Response | None:
    """The draft that was rejected, if nothing came after it: a person may write it after all."""
    if request.seen is None or ticket.state is not TicketState.OPEN:
        return None
    response = await change.latest_response(ticket.id)
    if response is None or response.state is not ResponseState.RETIRED:
        return None
    is_seen = (response.id, response.version) == (request.seen.id, request.seen.version)
    answers_the_latest = response.email_id == await change.latest_email(ticket.id)
    return response if is_seen and answers_the_latest else None


async def shown(change: Change, request: ActionRequest) -> Response:
    """The ticket's response, if it is still the one that the person saw; else Late."""
    response = await change.live_response(request.ticket_id)
    seen = request.seen
    if response is None or seen is None or response.id != seen.id:
        raise Late
    if (response.version, response.hash) == (seen.version, seen.hash):
        return response
    if response.state is ResponseState.DRAFT:
        raise Refused("The draft was changed after this card was drawn: read it again, please")
    raise Late


HANDLERS: Mapping[Verb, Handler] = MappingProxyType(
    {
        Verb.APPROVE: approve,
        Verb.START_EDIT: start_edit,
        Verb.EDIT: edit,
        Verb.ATTACH: attach,
        Verb.DETACH: detach,
        Verb.UNDO: undo,
        Verb.REJECT: reject,
        Verb.REGENERATE: regenerate,
        Verb.CLAIM: claim,
        Verb.RELEASE: release,
        Verb.CLOSE: close,
        Verb.SEND_AGAIN: send_again,
        Verb.MARK_SENT: mark_sent,
        Verb.BUMP: bump,
        Verb.VIP: vip,
        Verb.CORRECT: correct,
        Verb.REQUEUE: requeue,
        Verb.DISCARD: discard,
        Verb.ACKNOWLEDGE: alarms.acknowledge,
        Verb.TAKE: alarms.take,
        Verb.ASSIGN: alarms.assign,
        Verb.SNOOZE: alarms.snooze,
        Verb.WAKE: alarms.wake,
    }
)
