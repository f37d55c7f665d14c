"""Moving tickets in the queue, in the records; the queue itself follows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.change import Change
from desk.classification import Urgency
from desk.email import Relation
from desk.errors import Refused
from desk.moves import Verb
from desk.priority import (
    Because,
    Boost,
    Weights,
    earlier,
    has_boost,
    score,
    vip_keys,
    with_boost,
)
from desk.sla.rungs import RUNGS
from desk.tables.people import vips
from desk.tables.schema import part_of, read_columns
from desk.tables.sla import escalations
from desk.tables.tickets import emails, tickets
from desk.ticket import Rank, Ticket, TicketState
from desk.vault import Vault

WAITING = (TicketState.NEW, TicketState.TRIAGED, TicketState.OPEN, TicketState.SNOOZED)


async def is_vip(connection: AsyncConnection, vault: Vault, address: str) -> bool:
    """Whether a manager said so of this address, or of its domain."""
    keys = [vault.blind(key) for key in vip_keys(address)]
    found = await connection.execute(select(vips.c.key).where(vips.c.key.in_(keys)).limit(1))
    return found.first() is not None


async def ranked(
    change: Change, ticket: Ticket, boosts: Iterable[Boost], verb: Verb, most: int, **said: object
) -> Ticket:
    """The ticket with other boosts and the score that follows from them."""
    boosts = tuple(boosts)
    if ticket.due_at is not None:
        rank = score(ticket.due_at, boosts, most)
    else:  # not triaged yet: it has its place by its arrival
        moved = earlier(boosts, most) - earlier(ticket.boosts, most)
        rank = ticket.score - moved * 60_000
    return await change.set_ticket(ticket, verb, {"boosts": boosts, "score": rank}, **said)


async def bump(change: Change, ticket: Ticket, weights: Weights, *, is_off: bool = False) -> None:
    """Somebody says that it cannot wait, or takes that back."""
    if ticket.state not in WAITING:
        raise Refused(f"Ticket #{ticket.id} waits for nobody: there is nothing to move")
    if has_boost(ticket.boosts, Because.BUMPED) != is_off:
        raise Refused("It was not moved up" if is_off else "It was moved up already")
    minutes = 0 if is_off else weights.bump
    boosts = with_boost(ticket.boosts, Because.BUMPED, minutes)
    await ranked(change, ticket, boosts, Verb.BUMP, weights.most, minutes=minutes)


async def correct(change: Change, ticket: Ticket, urgency: Urgency, weights: Weights) -> None:
    """A person knows better how urgent it is than triage and its rules: what is promised for that
    urgency holds from the mail's arrival, and its place with it, sooner or later than before. A
    promise that is broken already stays broken."""
    if ticket.state not in WAITING or ticket.due_at is None:
        raise Refused(f"Ticket #{ticket.id} waits for nobody, or was not read yet")
    if urgency is ticket.urgency:
        raise Refused(f"It is {urgency} already")
    email = await change.email(await change.latest_email(ticket.id))
    due = await change.aim_clocks(ticket, email.received_at, urgency, by_hand=True)
    boosts = with_boost(ticket.boosts, Because.LATE, 0)
    changes = {
        "urgency": urgency,
        "due_at": due,
        "boosts": boosts,
        "score": score(due, boosts, weights.most),
    }
    await change.set_ticket(
        ticket, Verb.CORRECT, changes, was=ticket.urgency.value, urgency=urgency.value
    )


async def mark_vip(
    change: Change, ticket: Ticket, weights: Weights, *, is_domain: bool, is_off: bool
) -> None:
    """The writer of a ticket, or everybody at their domain, is an important customer, or no longer:
    all that they wait for moves."""
    email = await change.email(await change.latest_email(ticket.id))
    own, domain = vip_keys(email.parsed.sender.address)
    if is_off:
        keys = [change.vault.blind(key) for key in (own, domain)]
        await change.connection.execute(delete(vips).where(vips.c.key.in_(keys)))
    else:
        key = change.vault.blind(domain if is_domain else own)
        row = {"key": key, "added_by": change.actor, "added_at": change.now}
        await change.insert_or_ignore(vips, row, ["key"])
    said = {"is_domain": is_domain, "is_off": is_off}
    change.audit(Verb.VIP, f"ticket:{ticket.id}", ticket.id, said)
    await _rank_writers(change, own if not is_domain and not is_off else domain, weights)


async def _rank_writers(change: Change, key: str, weights: Weights) -> None:
    """The waiting tickets of an address or a domain."""
    known = set((await change.connection.scalars(select(vips.c.key))).all())
    for ticket, address in await _waiting_with_writers(change, key):
        keys = map(change.vault.blind, vip_keys(address))
        is_important = weights.is_vip(address) or not known.isdisjoint(keys)
        if is_important == has_boost(ticket.boosts, Because.VIP):
            continue
        boosts = with_boost(ticket.boosts, Because.VIP, weights.vip if is_important else 0)
        await ranked(change, ticket, boosts, Verb.RANK, weights.most)


async def _waiting_with_writers(change: Change, key: str) -> list[tuple[Ticket, str]]:
    """With the address of each one's latest mail. Senders are stored blinded, so those of a domain
    are found by reading."""
    newest = select(func.max(emails.c.id)).where(emails.c.relation == Relation.MAIL)
    query = (
        select(tickets, *read_columns(emails))
        .join(emails, emails.c.ticket_id == tickets.c.id)
        .where(tickets.c.state.in_([state.value for state in WAITING]))
        .where(emails.c.id.in_(newest.group_by(emails.c.ticket_id)))
    )
    if not key.startswith("@"):
        written = select(emails.c.ticket_id).where(emails.c.sender_index == change.vault.blind(key))
        query = query.where(tickets.c.id.in_(written))
    rows = (await change.connection.execute(query)).mappings().all()
    return [
        (
            records.ticket(part_of(row, tickets), change.vault),
            records.email(part_of(row, emails), change.vault).parsed.sender.address,
        )
        for row in rows
    ]


async def find_late(connection: AsyncConnection, vault: Vault, now: datetime) -> list[Ticket]:
    """Open tickets of low and normal urgency whose promise is broken, whose managers were told,
    and that still stand in front."""
    told = (
        select(escalations.c.ticket_id)
        .where(escalations.c.rung == RUNGS[-1], escalations.c.fired_at.is_not(None))
        .where(escalations.c.ticket_id == tickets.c.id)
        .where(escalations.c.due_at >= tickets.c.due_at)
    )
    query = select(tickets).where(
        tickets.c.state == TicketState.OPEN,
        tickets.c.urgency.in_([Urgency.LOW.value, Urgency.NORMAL.value]),
        tickets.c.due_at < now,
        told.exists(),
    )
    rows = (await connection.execute(query)).mappings().all()
    found = records.readable(rows, records.ticket, vault, "tickets")
    return [ticket for ticket in found if not has_boost(ticket.boosts, Because.LATE)]


async def read_rank(connection: AsyncConnection, ticket: Ticket, now: datetime) -> Rank | None:
    """Where a ticket stands among all that wait for a person now."""
    if ticket.state is not TicketState.OPEN:
        return None
    before = (tickets.c.score < ticket.score) | (
        (tickets.c.score == ticket.score) & (tickets.c.id <= ticket.id)
    )
    counted = select(func.count().filter(before), func.count())
    query = counted.where(tickets.c.state == TicketState.OPEN)
    place, waiting = (await connection.execute(query)).one()
    return Rank(place, waiting, now)
