"""What one arrived mail means: a new matter, an answer, a copy, a bounce, or a colleague's reply.

Nothing is dropped because it looks like something else: copies and resends are kept and linked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from desk.change import Change
from desk.email import Email, Mailbox, ParsedEmail, Relation
from desk.ids import EmailId
from desk.mails import Received
from desk.moves import RESPONSE_MOVES, TICKET_MOVES, Verb
from desk.priority import MOST, Because, with_boost
from desk.ranking import ranked
from desk.response import Response, ResponseState
from desk.ticket import Ticket, TicketState
from mail.duplicates import RESEND_WINDOW, is_copy
from mail.threads import ancestors, belongs

SUBJECT_DAYS = 14
"""A reply without references joins a ticket of the same subject and sender not older than this."""

RESENT = 15
"""Minutes that a mail sent again is worth, however often."""
DONE = (TicketState.WAITING, TicketState.CLOSED)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a mail changed: the ticket to work on, and the reply of it whose end is known now."""

    ticket: Ticket | None = None
    response: Response | None = None


NOTHING = Taken()


async def take_in(change: Change, mailbox: Mailbox, mail: Received) -> Taken:
    """Store a mail where it belongs."""
    if await change.has_mail(mailbox.id, mail.key, mail.sha256):
        return NOTHING
    if bounced := await _bounced(change, mailbox, mail):
        return Taken(await _take_bounce(change, mailbox, mail, bounced))
    if first := await _first_of_copies(change, mailbox, mail):
        return Taken(await _link_copy(change, mailbox, mail, first))
    if first := await _first_of_resends(change, mailbox, mail):
        return Taken(await _take_resend(change, mail, first))
    return Taken(await _take_mail(change, mailbox, mail))


async def take_in_sent(change: Change, mailbox: Mailbox, mail: Received) -> Taken:
    """A mail that left from this mailbox: ours, or a colleague's from another mail client, which
    answers the ticket as well as a reply of ours does."""
    own = await change.response_of_message(mailbox.id, mail.parsed.message_id)
    if own is not None:
        if own.state in (ResponseState.SENDING, ResponseState.SENT):
            return NOTHING
        return Taken(await change.ticket(own.ticket_id), own)
    ticket = await _ticket_of(change, mailbox, mail)
    if ticket is None:
        return NOTHING
    email = await change.email(await change.latest_email(ticket.id))
    is_answer = mail.received_at >= email.received_at
    if not is_answer or not await change.note_answer(ticket, email.id, mail):
        return NOTHING
    return Taken(await _answer(change, ticket, email.id))


async def take_in_answered(change: Change, mailbox: Mailbox, mail: Received) -> Taken:
    """A mail of the time before we came, which somebody answered then: it is known, in its thread,
    and nobody's work. No card is posted of what was never shown."""
    taken = await take_in(change, mailbox, mail)
    if taken.ticket is None:
        return taken
    email = await change.email(await change.latest_email(taken.ticket.id))
    if mail.received_at < email.received_at:  # a copy of one whose ticket went on
        return taken
    await change.note_answer(taken.ticket, email.id, replace(mail, parsed=ParsedEmail()))
    ticket = await _answer(change, taken.ticket, email.id)
    if ticket.shown_version:
        return Taken(ticket)
    await change.record_shown(ticket.id, ticket.version)
    return NOTHING


async def _answer(change: Change, ticket: Ticket, email: EmailId) -> Ticket:
    """Somebody answered its latest mail from a mail program."""
    ticket = await _retire(change, ticket)
    live = await change.live_response(ticket.id)
    # while a reply of ours is on its way, its own end decides
    if live is None and (ticket.state, Verb.ANSWER) in TICKET_MOVES:
        return await change.move_ticket(ticket, Verb.ANSWER, email=email)
    return ticket


async def _take_mail(
    change: Change, mailbox: Mailbox, mail: Received, copy_of: EmailId | None = None
) -> Ticket:
    """Into its ticket, or a new one; what answers an earlier mail must not leave unread."""
    ticket = await _ticket_of(change, mailbox, mail) or await _ticket_of_subject(
        change, mailbox, mail
    )
    if ticket is None:
        score = mail.received_at.timestamp() * 1000
        ticket = await change.open_ticket(mailbox.id, mail, score)
    else:
        ticket = await _retire(change, ticket)
    await change.receive(ticket, mail, Relation.MAIL, copy_of)
    return await change.ticket(ticket.id)


async def _ticket_of(change: Change, mailbox: Mailbox, mail: Received) -> Ticket | None:
    """By the mails that it answers, else by the provider's conversation."""
    known = ancestors(mail.parsed)
    found = await change.ticket_of_messages(mailbox.id, known) if known else None
    return found or await change.ticket_of_thread(mailbox.id, mail.thread)


async def _ticket_of_subject(change: Change, mailbox: Mailbox, mail: Received) -> Ticket | None:
    since = change.now - timedelta(days=SUBJECT_DAYS)
    sender = mail.parsed.sender.address
    similar = await change.ticket_of_subject(mailbox.id, mail.subject_key, sender, since)
    if similar is None:
        return None
    age = change.now - similar.updated_at
    return similar if belongs(mail.parsed, mail.subject_key, True, age) else None


async def _retire(change: Change, ticket: Ticket) -> Ticket:
    """The ticket, without a draft or an approved reply that was not handed over yet."""
    response = await change.live_response(ticket.id)
    if response is not None and (response.state, Verb.RETIRE) in RESPONSE_MOVES:
        await change.move_response(response, Verb.RETIRE)
    return await change.ticket(ticket.id)


async def _first_of_copies(change: Change, mailbox: Mailbox, mail: Received) -> Email | None:
    """The same message in this mailbox, or in one whose tickets the same people see."""
    sender = mail.parsed.sender.address
    for email in await change.same_message(mail.parsed.message_id, sender):
        is_shared = (await change.mailbox(email.mailbox_id)).team == mailbox.team
        if is_shared and is_copy(email.parsed, mail.parsed):
            return email
    return None


async def _link_copy(change: Change, mailbox: Mailbox, mail: Received, first: Email) -> Ticket:
    """It says nothing new, so nothing is worked on again."""
    ticket = await change.ticket(first.ticket_id)
    original = first.copy_of or first.id
    await change.receive(ticket, mail, Relation.COPY, original, mailbox.id)
    return ticket


async def _first_of_resends(change: Change, mailbox: Mailbox, mail: Received) -> Email | None:
    since = mail.received_at - RESEND_WINDOW
    sender = mail.parsed.sender.address
    found = await change.same_content(mailbox.id, mail.content_key, sender, since)
    return found[0] if found else None


async def _take_resend(change: Change, mail: Received, first: Email) -> Ticket:
    """The draft still answers it, and somebody waits impatiently. After our answer it is a new
    question all the same: did our answer arrive?"""
    ticket = await change.ticket(first.ticket_id)
    original = first.copy_of or first.id
    is_latest = original == await change.latest_email(ticket.id)
    if ticket.state in DONE or not is_latest:
        ticket = await _retire(change, ticket)
        await change.receive(ticket, mail, Relation.MAIL, original)
        return await change.ticket(ticket.id)
    await change.receive(ticket, mail, Relation.RESEND, original)
    boosts = with_boost(ticket.boosts, Because.RESENT, RESENT)
    return await ranked(change, ticket, boosts, Verb.RESEND, MOST)


async def _bounced(change: Change, mailbox: Mailbox, mail: Received) -> Response | None:
    """Our reply that a delivery report speaks of."""
    report = mail.parsed.bounce
    if report is None or not report.is_final:
        return None
    return await change.response_of_message(mailbox.id, report.message_id)


async def _take_bounce(change: Change, mailbox: Mailbox, mail: Received, reply: Response) -> Ticket:
    """Somebody has to reach the customer otherwise, unless they wrote again meanwhile."""
    ticket = await change.ticket(reply.ticket_id)
    await change.receive(ticket, mail, Relation.BOUNCE, reply.email_id, mailbox.id)
    is_latest = reply.email_id == await change.latest_email(ticket.id)
    if is_latest and (ticket.state, Verb.BOUNCE) in TICKET_MOVES:
        return await change.move_ticket(ticket, Verb.BOUNCE, response=reply.id)
    return ticket
