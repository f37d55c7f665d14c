"""Reading all that cards and commands say about tickets, in one transaction and few queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.classification import Classification
from desk.correspondence import Correspondence, read_correspondence
from desk.dead_letters import read_of_tickets
from desk.email import Email, Mailbox
from desk.ids import EmailId, TicketId, UserId
from desk.moves import Verb
from desk.records import Row
from desk.response import Response
from desk.sla import records as sla_records
from desk.sla import rungs
from desk.sla.rungs import Escalation, SlaClock
from desk.tables.audit import audit_logs
from desk.tables.mailboxes import mailboxes
from desk.tables.people import users
from desk.tables.responses import responses
from desk.tables.schema import part_of, read_columns
from desk.tables.tickets import classifications, emails, tickets
from desk.ticket import Ticket
from desk.ticket_view import TicketView
from desk.vault import Vault

TOLD = (
    *(Verb.EDIT, Verb.APPROVE, Verb.UNDO, Verb.REJECT, Verb.REGENERATE, Verb.SEND_AGAIN),
    *(Verb.MARK_SENT, Verb.CLOSE),
)
"""What people do that a card may tell as the last thing that happened: it changed how the ticket
stands."""


async def read_views(
    connection: AsyncConnection, vault: Vault, ids: Sequence[TicketId]
) -> list[TicketView]:
    """Views in the order of ``ids``; unknown ids are left out."""
    found = await _tickets(connection, vault, ids)
    written = await read_correspondence(connection, ids)
    mails, labels = await _mails(connection, vault, written.values())
    replies = await _replies(connection, vault, ids)
    last = await _last(connection, ids)
    dead = await read_of_tickets(connection, vault, ids)
    clocks, told = await _clocks(connection, ids)
    alarms = {id: rungs.alarm_of(clocks.get(id, []), told.get(id, [])) for id in ids}
    mentioned = _mentioned([ticket for ticket, _ in found.values()], replies, last, alarms)
    names = await _names(connection, vault, mentioned)

    def view(id: TicketId) -> TicketView:
        (ticket, mailbox), letters = found[id], written[id]
        email = mails[letters.latest]
        return TicketView(
            ticket=ticket,
            mailbox=mailbox,
            email=email,
            mails=len(letters.mails) + len(letters.resends),
            classification=labels.get(email.id),
            response=_current(replies.get(id), email),
            names=names,
            last=last.get(id),
            answered=len(letters.mails) - letters.unanswered,
            unanswered=letters.unanswered,
            given_up=tuple(letter for letter in dead if letter.ticket_id == id),
            answered_at=letters.elsewhere.get(email.id),
            resends=letters.resends.count(email.id),
            bounce=_bounce(mails.get(letters.bounces.get(email.id, EmailId(0)))),
            clock=rungs.leading(clocks.get(id, [])),
            alarm=alarms[id],
        )

    return [view(id) for id in ids if id in found]


def _current(response: Response | None, email: Email) -> Response | None:
    """A response to an earlier mail says nothing about this one, unless it may still leave."""
    if response is None or response.email_id == email.id:
        return response
    return response if response.state in ("sending", "unknown", "failed") else None


async def _rows(connection: AsyncConnection, query: Select[tuple[object, ...]]) -> list[Row]:
    return list((await connection.execute(query)).mappings().all())


async def _tickets(
    connection: AsyncConnection, vault: Vault, ids: Sequence[TicketId]
) -> dict[TicketId, tuple[Ticket, Mailbox]]:
    query = select(tickets, mailboxes).join(mailboxes).where(tickets.c.id.in_(ids))
    rows = (await connection.execute(query)).mappings().all()
    found = [
        (records.ticket(part_of(row, tickets), vault), records.mailbox(part_of(row, mailboxes)))
        for row in rows
    ]
    return {ticket.id: (ticket, mailbox) for ticket, mailbox in found}


async def _mails(
    connection: AsyncConnection, vault: Vault, written: Iterable[Correspondence]
) -> tuple[dict[EmailId, Email], dict[EmailId, Classification]]:
    """The latest mail of each ticket with its labels, and the reports that our replies to these
    mails came back."""
    wanted = [id for one in written for id in (one.latest, one.bounces.get(one.latest)) if id]
    query = (
        select(*read_columns(emails), classifications)
        .outerjoin(classifications, classifications.c.email_id == emails.c.id)
        .where(emails.c.id.in_(wanted))
        .order_by(classifications.c.id)
    )
    mails, labels = dict[EmailId, Email](), dict[EmailId, Classification]()
    for row in (await connection.execute(query)).mappings().all():
        id = row[emails.c.id]
        mails[id] = records.email(part_of(row, emails), vault)
        if row[classifications.c.id] is not None:
            labels[id] = records.classification(part_of(row, classifications), vault)
    return mails, labels


def _bounce(report: Email | None) -> str:
    """Why our reply came back, in the other server's words."""
    if report is None or report.parsed.bounce is None:
        return ""
    return report.parsed.bounce.diagnostic or report.parsed.subject


async def _replies(
    connection: AsyncConnection, vault: Vault, ids: Sequence[TicketId]
) -> dict[TicketId, Response]:
    """The newest of each ticket."""
    newest = (
        select(func.max(responses.c.id))
        .where(responses.c.ticket_id.in_(ids))
        .group_by(responses.c.ticket_id)
    )
    rows = await _rows(connection, select(responses).where(responses.c.id.in_(newest)))
    return {row["ticket_id"]: records.response(row, vault) for row in rows}


async def _clocks(
    connection: AsyncConnection, ids: Sequence[TicketId]
) -> tuple[dict[int, list[SlaClock]], dict[int, list[Escalation]]]:
    """Clocks and loud escalations by ticket, oldest first."""
    clocks: dict[int, list[SlaClock]] = {}
    told: dict[int, list[Escalation]] = {}
    for clock in await sla_records.clocks_of(connection, ids):
        clocks.setdefault(clock.ticket_id, []).append(clock)
    for escalation in await sla_records.loud_escalations(connection, ids):
        told.setdefault(escalation.ticket_id, []).append(escalation)
    return clocks, told


async def _last(
    connection: AsyncConnection, ids: Sequence[TicketId]
) -> dict[TicketId, tuple[Verb, UserId | None, datetime]]:
    """The newest entry by a person that changed how the ticket stands, of each ticket."""
    newest = (
        select(func.max(audit_logs.c.n))
        .where(audit_logs.c.ticket_id.in_(ids), audit_logs.c.actor.is_not(None))
        .where(audit_logs.c.verb.in_(TOLD))
        .group_by(audit_logs.c.ticket_id)
    )
    rows = await _rows(connection, select(audit_logs).where(audit_logs.c.n.in_(newest)))
    return {row["ticket_id"]: (Verb(row["verb"]), row["actor"], row["at"]) for row in rows}


def _mentioned(
    found: Iterable[Ticket],
    replies: Mapping[TicketId, Response],
    last: Mapping[TicketId, tuple[Verb, UserId | None, datetime]],
    alarms: Mapping[TicketId, Escalation | None],
) -> set[UserId]:
    by_ticket = [id for t in found for id in (t.assignee, t.editing)]
    by_response = [id for r in replies.values() for id in (r.edited_by, r.approved_by)]
    by_entry = [actor for _, actor, _ in last.values()]
    by_alarm = [UserId(one.acknowledged_by or 0) for one in alarms.values() if one]
    return {id for ids in (by_ticket, by_response, by_entry, by_alarm) for id in ids if id}


async def _names(
    connection: AsyncConnection, vault: Vault, ids: Iterable[UserId]
) -> dict[UserId, str]:
    rows = await _rows(connection, select(users).where(users.c.id.in_(ids)))
    return {row["id"]: records.user(row, vault).name for row in rows}
