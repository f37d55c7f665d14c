"""What a person does to a reply: write, approve, take back, throw away, say what became of it."""

from __future__ import annotations

from dataclasses import replace

from desk import files
from desk.action import (
    CLAIMED,
    SIGNED,
    ActionRequest,
    Desk,
    Late,
    NeedsConfirmation,
    ask_if_somebody_else,
    is_somebody_elses,
)
from desk.change import Change
from desk.delivery import deliver, give_way
from desk.errors import Refused
from desk.moves import Verb
from desk.people import Role
from desk.records import envelope_hash
from desk.response import Response, ResponseState, Severity
from desk.rules import LEFT_BEFORE, message_id
from desk.signature import AGENT, signed, taken_back
from desk.ticket import Ticket, TicketState

MAX_TEXT = 100_000
"""Characters of an edited reply."""

AS_WRITTEN = f"“{AGENT}” stands where the signature does not have it, and leaves as it is written."
AGAIN = "It may have left already. Make it a draft that can go again?"
INSTEAD = (
    "It may have left already, and the customer has written again. Throw it away, and have a reply"
    " to the new mail drafted?"
)
IT_LEFT = (
    "Is it in the Sent folder of the mailbox, or does the customer have it? Then it counts as sent."
)


async def approve(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await send_off(desk, change, request, ticket, await shown(change, request))


def is_editable(ticket: Ticket, response: Response | None) -> bool:
    """A draft, a reply that could not be sent, or one that was rejected and is written anew."""
    match response.state if response else None:
        case ResponseState.DRAFT | ResponseState.FAILED:
            return True
        case ResponseState.RETIRED:
            return ticket.state is TicketState.OPEN
    return False


async def start_edit(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Its colleagues see who edits; whoever comes later than the reply, is told so."""
    if not is_editable(ticket, await change.latest_response(ticket.id)):
        raise Late
    if ticket.editing not in (None, request.user.id) and not request.confirmed:
        raise NeedsConfirmation("Somebody is editing this draft. Take over?")
    if ticket.editing == request.user.id:
        return
    changes = {"editing": request.user.id, "editing_since": change.now}
    await change.set_ticket(ticket, request.verb, changes)


async def edit(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
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
    desk: Desk, change: Change, request: ActionRequest, ticket: Ticket, response: Response
) -> None:
    """The approval itself: signed, the text stands, and the undo window begins. All questions are
    asked at once, for there is one yes to them."""
    written = response.envelope.text
    text = signed(written, request.user.name, response.draft.text)
    questions = [f.reason for f in response.draft.findings if f.severity is Severity.BLOCKING]
    if AGENT in signed(written, "", response.draft.text):
        questions.append(AS_WRITTEN)
    if is_somebody_elses(request, ticket):
        questions += [CLAIMED] if text == written else [SIGNED, CLAIMED]
    if questions and not request.confirmed:
        raise NeedsConfirmation(" ".join(questions))
    if not written.strip():
        raise Refused("There is no draft yet: write the reply with Edit")
    mailbox = await change.mailbox(ticket.mailbox_id)
    envelope = replace(response.envelope, text=text)
    approved = replace(response, envelope=envelope, hash=envelope_hash(envelope))
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
            "message_id": message_id(approved, domain),
            "envelope": envelope,
            "tries": 0,
        },
        confirmed=request.confirmed,
    )


async def attach(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """A file for the reply; an approval covers it from then on."""
    if request.file is None:
        raise Refused("No file came with it: choose it once more")
    response = await shown(change, request)
    envelope = files.attached(response.envelope, request.file)
    await files.keep(change, response.id, request.file)
    await change.move_response(response, Verb.ATTACH, {"envelope": envelope})


async def detach(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    response = await shown(change, request)
    envelope = files.detached(response.envelope, request.text.strip())
    await change.move_response(response, Verb.DETACH, {"envelope": envelope})


async def undo(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    response = await change.live_response(ticket.id)
    if response is None or response.state is not ResponseState.APPROVED:
        raise Late
    changes: dict[str, object] = {"approved_by": None, "approved_at": None, "send_after": None}
    envelope, drafted = response.envelope, response.draft.text
    # words that may have left before must stay known as such
    if AGENT in drafted and response.approved_by is not None and not response.earlier_ids:
        name = (await change.user(response.approved_by)).name
        envelope = replace(envelope, text=taken_back(envelope.text, name, drafted))
    changes |= {"message_id": "", "envelope": envelope}
    await change.move_response(response, Verb.UNDO, changes)


async def reject(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    response = await shown(change, request)
    ask_if_somebody_else(request, ticket)
    await change.move_response(response, Verb.REJECT)


async def regenerate(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Retire the draft, if any, and have another written."""
    response = await change.live_response(ticket.id)
    if response is not None:
        # not what a colleague has written meanwhile
        response = await shown(change, request)
    ask_if_somebody_else(request, ticket)
    await change.move_ticket(ticket, Verb.REGENERATE, {"instruction": request.text.strip()[:500]})
    if response is not None:
        await change.move_response(response, Verb.REGENERATE)


async def send_again(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
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


async def mark_sent(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
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
