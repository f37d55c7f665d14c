"""Reading all that cards and commands say about tickets, in one transaction and few queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records, sla, sla_records
from desk.dead_letters import read_of_tickets
from desk.email import Email, Relation
from desk.ids import EmailId, TicketId, UserId
from desk.moves import Verb
from desk.records import Row
from desk.response import Response, ResponseState
from desk.sla import Escalation, SlaClock
from desk.tables.audit import audit_logs
from desk.tables.mailboxes import mailboxes
from desk.tables.people import users
from desk.tables.responses import responses
from desk.tables.schema import read_columns
from desk.tables.tickets import answers, classifications, emails, tickets
from desk.ticket import Ticket
from desk.ticket_view import TicketView
from desk.vault import Vault

ASIDE = (
    *(Verb.REQUEUE, Verb.DISCARD, Verb.BUMP, Verb.VIP, Verb.CORRECT),
    *(Verb.ACKNOWLEDGE, Verb.TAKE, Verb.ASSIGN, Verb.SNOOZE, Verb.WAKE),
)
"""What people do that no card tells as the last thing that happened."""

Condition = ColumnElement[bool]


async def read_views(
    connection: AsyncConnection, vault: Vault, ids: Sequence[TicketId]
) -> list[TicketView]:
    """Views in the order of ``ids``; unknown ids are left out."""
    rows = await _rows(connection, select(tickets).where(tickets.c.id.in_(ids)))
    found = {row["id"]: records.ticket(row, vault) for row in rows}
    latest = await _latest(connection, emails, ids, emails.c.relation == Relation.MAIL)
    mails = {id: records.email(row, vault) for id, row in latest.items()}
    replies = {
        id: records.response(row, vault)
        for id, row in (await _latest(connection, responses, ids)).items()
    }
    known = await _rows(
        connection,
        select(classifications).where(
            classifications.c.email_id.in_([mail.id for mail in mails.values()])
        ),
    )
    labels = {row["email_id"]: records.classification(row, vault) for row in known}
    boxes = {row["id"]: records.mailbox(row) for row in await _rows(connection, select(mailboxes))}
    counts, unanswered = await _counts(connection, ids), await _unanswered(connection, ids)
    shown = [mail.id for mail in mails.values()]
    answered_at = await _answered_at(connection, shown)
    resends = await _resends(connection, shown)
    bounces = await _bounces(connection, vault, shown)
    last = await _last(connection, ids)
    dead = await read_of_tickets(connection, vault, ids)
    clocks, told = await _clocks(connection, ids)
    alarms = {id: sla.alarm_of(clocks.get(id, []), told.get(id, [])) for id in ids}
    people = _mentioned(found, replies, last)
    people |= {
        UserId(one.acknowledged_by) for one in alarms.values() if one and one.acknowledged_by
    }
    names = await _names(connection, vault, people)
    return [
        TicketView(
            ticket=found[id],
            mailbox=boxes[found[id].mailbox_id],
            email=mails[id],
            mails=counts[id],
            classification=labels.get(mails[id].id),
            response=_current(replies.get(id), mails[id]),
            names=names,
            last=last.get(id),
            unanswered=unanswered.get(id, 0),
            given_up=tuple(letter for letter in dead if letter.ticket_id == id),
            answered_at=answered_at.get(mails[id].id),
            resends=resends.get(mails[id].id, 0),
            bounce=bounces.get(mails[id].id, ""),
            clock=sla.leading(clocks.get(id, [])),
            alarm=alarms[id],
        )
        for id in ids
        if id in found
    ]


def _current(response: Response | None, email: Email) -> Response | None:
    """A response to an earlier mail says nothing about this one, unless it may still leave."""
    if response is None or response.email_id == email.id:
        return response
    return response if response.state in ("sending", "unknown", "failed") else None


async def _rows(connection: AsyncConnection, query: Select[tuple[object, ...]]) -> list[Row]:
    return list((await connection.execute(query)).mappings().all())


async def _latest(
    connection: AsyncConnection, table: Table, ids: Sequence[TicketId], *conditions: Condition
) -> dict[TicketId, Row]:
    newest = (
        select(func.max(table.c.id))
        .where(table.c.ticket_id.in_(ids), *conditions)
        .group_by(table.c.ticket_id)
    )
    rows = await _rows(connection, select(*read_columns(table)).where(table.c.id.in_(newest)))
    return {row["ticket_id"]: row for row in rows}


async def _counts(connection: AsyncConnection, ids: Sequence[TicketId]) -> dict[TicketId, int]:
    written = emails.c.relation.in_((Relation.MAIL, Relation.RESEND))
    query = (
        select(emails.c.ticket_id, func.count())
        .where(emails.c.ticket_id.in_(ids), written)
        .group_by(emails.c.ticket_id)
    )
    return {id: n for id, n in (await connection.execute(query)).all()}


async def _unanswered(connection: AsyncConnection, ids: Sequence[TicketId]) -> dict[TicketId, int]:
    """The customer's mails since the one that we answered last."""
    sent = select(responses.c.ticket_id, responses.c.email_id).where(
        responses.c.state == ResponseState.SENT
    )
    either = sent.union(select(answers.c.ticket_id, answers.c.email_id)).subquery()
    answered = (
        select(either.c.ticket_id, func.max(either.c.email_id).label("email_id"))
        .group_by(either.c.ticket_id)
        .subquery()
    )
    query = (
        select(emails.c.ticket_id, func.count())
        .outerjoin(answered, answered.c.ticket_id == emails.c.ticket_id)
        .where(emails.c.ticket_id.in_(ids), emails.c.relation == Relation.MAIL)
        .where(emails.c.id > func.coalesce(answered.c.email_id, 0))
        .group_by(emails.c.ticket_id)
    )
    return {id: n for id, n in (await connection.execute(query)).all()}


async def _answered_at(
    connection: AsyncConnection, ids: Sequence[EmailId]
) -> dict[EmailId, datetime]:
    """When these mails were answered from another mail client."""
    query = select(answers.c.email_id, answers.c.sent_at).where(answers.c.email_id.in_(ids))
    return {id: at for id, at in (await connection.execute(query.order_by(answers.c.id))).all()}


async def _resends(connection: AsyncConnection, ids: Sequence[EmailId]) -> dict[EmailId, int]:
    query = (
        select(emails.c.copy_of, func.count())
        .where(emails.c.copy_of.in_(ids), emails.c.relation == Relation.RESEND)
        .group_by(emails.c.copy_of)
    )
    return {id: n for id, n in (await connection.execute(query)).all()}


async def _bounces(
    connection: AsyncConnection, vault: Vault, ids: Sequence[EmailId]
) -> dict[EmailId, str]:
    """Why our replies to these mails came back, in the other servers' words."""
    query = select(*read_columns(emails)).where(
        emails.c.copy_of.in_(ids), emails.c.relation == Relation.BOUNCE
    )
    found = [records.email(row, vault) for row in await _rows(connection, query)]
    return {
        mail.copy_of: mail.parsed.bounce.diagnostic or mail.parsed.subject
        for mail in found
        if mail.copy_of is not None and mail.parsed.bounce is not None
    }


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
    """The newest entry by a person, of each ticket."""
    newest = (
        select(func.max(audit_logs.c.n))
        .where(audit_logs.c.ticket_id.in_(ids), audit_logs.c.actor.is_not(None))
        .where(audit_logs.c.verb.not_in(ASIDE))
        .group_by(audit_logs.c.ticket_id)
    )
    rows = await _rows(connection, select(audit_logs).where(audit_logs.c.n.in_(newest)))
    return {row["ticket_id"]: (Verb(row["verb"]), row["actor"], row["at"]) for row in rows}


def _mentioned(
    found: dict[TicketId, Ticket],
    answers: dict[TicketId, Response],
    last: dict[TicketId, tuple[Verb, UserId | None, datetime]],
) -> set[UserId]:
    by_ticket = (id for t in found.values() for id in (t.assignee, t.editing))
    by_response = (id for r in answers.values() for id in (r.edited_by, r.approved_by))
    by_entry = (actor for _, actor, _ in last.values())
    return {id for ids in (by_ticket, by_response, by_entry) for id in ids if id is not None}


async def _names(
    connection: AsyncConnection, vault: Vault, ids: Iterable[UserId]
) -> dict[UserId, str]:
    rows = await _rows(connection, select(users).where(users.c.id.in_(ids)))
    return {row["id"]: records.user(row, vault).name for row in rows}
