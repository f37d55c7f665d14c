"""What becomes of a ticket when its reply has left, and when it must not leave any more."""

from __future__ import annotations

from collections.abc import Mapping

from desk.change import Change
from desk.moves import Verb
from desk.response import Response
from desk.ticket import TicketState


async def deliver(
    change: Change, response: Response, verb: Verb, changes: Mapping[str, object]
) -> None:
    """Now we wait for the customer, unless they wrote again while the reply was on its way: then
    that mail gets a draft of its own."""
    ticket = await change.ticket(response.ticket_id)
    is_latest = response.email_id == await change.latest_email(ticket.id)
    if ticket.state in (TicketState.OPEN, TicketState.SNOOZED):
        await change.move_ticket(ticket, Verb.DELIVER if is_latest else Verb.REGENERATE)
    await change.move_response(response, verb, changes)


async def give_way(change: Change, response: Response) -> None:
    """The customer wrote again, and this reply has not left: the new mail gets a draft instead."""
    await change.move_response(response, Verb.RETIRE)
    ticket = await change.ticket(response.ticket_id)
    if ticket.state in (TicketState.OPEN, TicketState.SNOOZED):
        await change.move_ticket(ticket, Verb.REGENERATE)
