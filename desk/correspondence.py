"""What was written about a ticket, both ways: counted and found without opening any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from desk.email import Relation
from desk.ids import EmailId, TicketId
from desk.response import ResponseState
from desk.tables.responses import responses
from desk.tables.tickets import answers, emails


@dataclass(slots=True)
class Correspondence:
    """``mails`` are the customer's, oldest first, without copies; ``resends`` names for each one
    that was sent again which it repeats, ``bounces`` the report that our reply to a mail came back.
    ``answered`` is the latest mail that was answered, ``elsewhere`` when a mail was answered from
    another mail client."""

    mails: list[EmailId] = field(default_factory=list)
    resends: list[EmailId] = field(default_factory=list)
    bounces: dict[EmailId, EmailId] = field(default_factory=dict)
    answered: int = 0
    elsewhere: dict[EmailId, datetime] = field(default_factory=dict)

    @property
    def latest(self) -> EmailId:
        return self.mails[-1]

    @property
    def unanswered(self) -> int:
        return len([mail for mail in self.mails if mail > self.answered])

    def add(self, id: EmailId, relation: Relation, copy_of: EmailId | None) -> None:
        if relation is Relation.MAIL:
            self.mails.append(id)
        elif copy_of is not None and relation is Relation.RESEND:
            self.resends.append(copy_of)
        elif copy_of is not None and relation is Relation.BOUNCE:
            self.bounces[copy_of] = id


async def read_correspondence(
    connection: AsyncConnection, ids: Sequence[TicketId]
) -> dict[TicketId, Correspondence]:
    """Of each of these tickets that exists."""
    found: dict[TicketId, Correspondence] = {}
    written = (
        select(emails.c.ticket_id, emails.c.id, emails.c.relation, emails.c.copy_of)
        .where(emails.c.ticket_id.in_(ids))
        .order_by(emails.c.id)
    )
    for ticket, id, relation, copy_of in (await connection.execute(written)).all():
        found.setdefault(ticket, Correspondence()).add(id, Relation(relation), copy_of)
    elsewhere = select(answers.c.ticket_id, answers.c.email_id, answers.c.sent_at)
    ours = select(responses.c.ticket_id, responses.c.email_id, null()).where(
        responses.c.state == ResponseState.SENT
    )
    either = union_all(
        elsewhere.where(answers.c.ticket_id.in_(ids)), ours.where(responses.c.ticket_id.in_(ids))
    )
    for ticket, email, at in (await connection.execute(either)).all():
        of_ticket = found[ticket]
        of_ticket.answered = max(of_ticket.answered, email)
        if at is not None:
            of_ticket.elsewhere[email] = max(at, of_ticket.elsewhere.get(email, at))
    return found
