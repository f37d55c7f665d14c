"""Who may see and do what. Every read on behalf of a person goes through here; rights come from the
database, never from a button."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.change import Change
from desk.email import Mailbox
from desk.errors import Refused, said
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import Role, User
from desk.store import Store
from desk.tables.mailboxes import mailboxes
from desk.tables.tickets import tickets
from desk.ticket import Ticket
from desk.ticket_view import TicketView

log = structlog.get_logger()

LARGEST = 2**63 - 1

NEEDS: Mapping[Verb, Role] = MappingProxyType(
    {
        Verb.APPROVE: Role.AGENT,
        Verb.START_EDIT: Role.AGENT,
        Verb.EDIT: Role.AGENT,
        Verb.ATTACH: Role.AGENT,
        Verb.DETACH: Role.AGENT,
        Verb.CLAIM: Role.AGENT,
        Verb.RELEASE: Role.AGENT,
        Verb.REJECT: Role.AGENT,
        Verb.REGENERATE: Role.AGENT,
        Verb.UNDO: Role.AGENT,
        Verb.CLOSE: Role.AGENT,
        Verb.BUMP: Role.AGENT,
        Verb.VIP: Role.MANAGER,
        Verb.CORRECT: Role.AGENT,
        Verb.REQUEUE: Role.MANAGER,
        Verb.DISCARD: Role.MANAGER,
        # a reply that may have left already takes a manager: see actions.send_again
        Verb.SEND_AGAIN: Role.AGENT,
        Verb.MARK_SENT: Role.MANAGER,
        Verb.ACKNOWLEDGE: Role.AGENT,
        Verb.TAKE: Role.AGENT,
        Verb.ASSIGN: Role.MANAGER,
        Verb.SNOOZE: Role.AGENT,
        Verb.WAKE: Role.AGENT,
    }
)


def check(user: User, verb: Verb) -> None:
    """Refused when the user's role does not reach."""
    needed = NEEDS.get(verb)
    if needed is None:
        raise Refused(f"Nobody can {verb} by hand")
    if user.role.rank < needed.rank:
        raise Refused(f"Only a {needed} can do this, and you are registered as {user.role}")


def sees(user: User, mailbox: Mailbox) -> bool:
    """Managers and admins see every mailbox, agents those of their team."""
    return user.role is not Role.AGENT or mailbox.team in ("", user.team) or user.team == ""


async def ticket(store: Store, user: User, id: TicketId) -> TicketView:
    """The ticket, or Refused: in the same words whether it is hidden or missing."""
    _require_number(id)
    try:
        view = await store.view(id)
    except records.SPOILED as error:
        async with store.read() as connection:
            raise await _refusal(connection, user, id, error) from error
    if not sees(user, view.mailbox):
        raise Refused(_hidden(id))
    return view


async def writable(change: Change, user: User, id: TicketId) -> Ticket:
    """The same inside of a write transaction."""
    _require_number(id)
    try:
        found = await change.ticket(id)
    except records.SPOILED as error:
        raise await _refusal(change.connection, user, id, error) from error
    if not sees(user, await change.mailbox(found.mailbox_id)):
        raise Refused(_hidden(id))
    return found


async def _refusal(
    connection: AsyncConnection, user: User, id: TicketId, error: Exception
) -> Refused:
    """A ticket of theirs that cannot be opened is not passed off as missing."""
    query = select(mailboxes).join(tickets).where(tickets.c.id == id)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None or not sees(user, records.mailbox(row)):
        return Refused(_hidden(id))
    log.error("ticket not readable", ticket=id, error=said(error))
    return Refused(
        f"Ticket #{id} cannot be opened: its record was changed, or was sealed with a key that is"
        " not in the key file. Whoever runs Maildesk finds the record in the log"
    )


def _require_number(id: TicketId) -> None:
    """Refused when no database would take it for one."""
    if id > LARGEST:
        raise Refused(_hidden(id))


def _hidden(id: TicketId) -> str:
    return f"There is no ticket #{id} in your mailboxes"


async def queue(
    store: Store, user: User, limit: int = 50, *, mine: bool = False
) -> list[TicketView]:
    """The tickets that wait for a person, first the one to take next; rather without one that
    cannot be read than none."""
    visible = [box.id for box in await store.mailboxes() if sees(user, box)]
    ids = await store.waiting(visible, limit, user.id if mine else None)
    try:
        return await store.views(ids)
    except records.SPOILED:
        return [view for id in ids for view in await _readable(store, id)]


async def counts(store: Store, user: User) -> dict[str, int]:
    """``Store.counts`` of the mailboxes that the user sees."""
    boxes = await store.mailboxes()
    visible = [box.id for box in boxes if sees(user, box)]
    return await store.counts(visible if len(visible) < len(boxes) else None)


async def _readable(store: Store, id: TicketId) -> list[TicketView]:
    try:
        return await store.views([id])
    except records.SPOILED as error:
        log.error("ticket not readable", ticket=id, error=said(error))
        return []
