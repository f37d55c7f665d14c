"""What a person decides about a ticket itself: who has it, how it ends, its place in the queue, and
what becomes of its jobs that were given up."""

from __future__ import annotations

from desk import dead_letters, letter_office, ranking
from desk.action import (
    ActionRequest,
    Desk,
    Late,
    NeedsConfirmation,
    ask_if_somebody_else,
    refuse_if_closed,
)
from desk.change import Change
from desk.classification import Urgency
from desk.errors import Refused
from desk.moves import Verb
from desk.response import ResponseState
from desk.steps import DeadLetter
from desk.ticket import Ticket

DISCARD = "It is not run again, and whatever it was for is left to people. Discard it?"


async def claim(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    refuse_if_closed(ticket)
    if ticket.assignee == request.user.id:
        raise Refused("You have claimed it already")
    ask_if_somebody_else(request, ticket)
    await change.set_ticket(ticket, Verb.CLAIM, {"assignee": request.user.id})


async def release(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    if ticket.assignee is None:
        raise Refused("Nobody has claimed it")
    ask_if_somebody_else(request, ticket)
    await change.set_ticket(ticket, Verb.RELEASE, {"assignee": None})


async def close(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """No reply is needed. One that was approved leaves nevertheless: undo it first."""
    refuse_if_closed(ticket)
    response = await change.live_response(ticket.id)
    if response is not None and response.state not in (ResponseState.DRAFT, ResponseState.FAILED):
        raise Late
    ask_if_somebody_else(request, ticket)
    ticket = await change.move_ticket(ticket, Verb.CLOSE)
    if response is not None:
        await change.move_response(response, Verb.RETIRE)


async def bump(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await ranking.bump(change, ticket, desk.weights, is_off=request.text == "off")


async def vip(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    word = request.text.strip().lower()
    if word not in ("", "domain", "off"):
        raise Refused("Write vip, vip domain for everybody there, or vip off")
    await ranking.mark_vip(
        change, ticket, desk.weights, is_domain=word == "domain", is_off=word == "off"
    )


async def correct(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    try:
        urgency = Urgency(request.text.strip().lower())
    except ValueError:
        raise Refused(f"Write one of {', '.join(Urgency)}") from None
    await ranking.correct(change, ticket, urgency, desk.weights)


async def requeue(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    for letter in await given_up(change, request, ticket):
        await letter_office.requeue(change, letter.id)


async def discard(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    letters = await given_up(change, request, ticket)
    if not request.confirmed:
        raise NeedsConfirmation(DISCARD)
    for letter in letters:
        await letter_office.discard(change, letter.id)


async def given_up(change: Change, request: ActionRequest, ticket: Ticket) -> list[DeadLetter]:
    """All of a ticket, or the one that ``text`` tells."""
    letters = await dead_letters.read_of_tickets(change.connection, change.vault, [ticket.id])
    if not letters:
        raise Refused("Somebody has decided about it already: nothing of this ticket is given up")
    chosen = [one for one in letters if request.text in ("", str(one.id))]
    if not chosen:
        raise Refused("Somebody has decided about this job already")
    return chosen
