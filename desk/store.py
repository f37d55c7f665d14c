"""The records: reading them here, writing them through a Change.

SQL is the truth; Redis only says what is next. The same code runs on SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from desk import audit, dead_letters, ranking, records
from desk.change import Change
from desk.directory import Directory
from desk.email import Email, Relation
from desk.engine import translated
from desk.errors import Permanent
from desk.failpoints import failpoint
from desk.ids import EmailId, MailboxId, ResponseId, TicketId, UserId
from desk.lateness import Lateness
from desk.places import Network, Place
from desk.response import Response, ResponseState
from desk.steps import DeadLetter, Step
from desk.tables.audit import audit_logs
from desk.tables.responses import responses
from desk.tables.schema import read_columns
from desk.tables.tickets import cards, emails, tickets
from desk.ticket import Ticket, TicketState
from desk.ticket_view import TicketView
from desk.views import read_views

ON_THE_WAY = (ResponseState.APPROVED, ResponseState.SENDING, ResponseState.UNKNOWN)


class Store(Directory, Lateness):
    """Reads and writes the desk's records. ``async with Store.open(url, vault) as store``."""

    @asynccontextmanager
    async def change(self, actor: UserId | None = None) -> AsyncIterator[Change]:
        """A write transaction by ``actor`` (None: the desk itself)."""
        with translated():
            async with self._turns.turn(), self.engine.connect() as connection:
                await connection.execution_options(writes=True)
                async with connection.begin():
                    # first, so that two that touch the same tickets cannot wait for each other
                    chain = await audit.Chain.locked(connection)
                    yield Change(connection, chain, self.vault, self.clock, actor, self.promises)
                    await chain.write()
                    await failpoint("change.committing")
            await failpoint("change.committed")

    async def ticket(self, id: TicketId) -> Ticket:
        row = await self._one(select(tickets).where(tickets.c.id == id), f"ticket #{id}")
        return records.ticket(row, self.vault)

    async def response(self, id: ResponseId) -> Response:
        row = await self._one(select(responses).where(responses.c.id == id), f"response {id}")
        return records.response(row, self.vault)

    async def email(self, id: EmailId) -> Email:
        row = await self._one(select(*read_columns(emails)).where(emails.c.id == id), f"email {id}")
        return records.email(row, self.vault)

    async def conversation(self, id: TicketId) -> list[Email]:
        """What the customer wrote about a ticket, oldest first, without copies and resends."""
        query = (
            select(*read_columns(emails))
            .where(emails.c.ticket_id == id, emails.c.relation == Relation.MAIL)
            .order_by(emails.c.id)
        )
        async with self.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [records.email(row, self.vault) for row in rows]

    async def places(self, id: TicketId) -> list[Place]:
        """Where the cards of a ticket are shown."""
        async with self.read() as connection:
            rows = await connection.execute(select(cards).where(cards.c.ticket_id == id))
            return [
                Place(Network(row.network), row.channel, row.message, row.version) for row in rows
            ]

    async def ticket_at(self, network: Network, message: str) -> TicketId | None:
        """Whose card this message is."""
        query = select(cards.c.ticket_id).where(
            cards.c.network == network.value, cards.c.message == message
        )
        async with self.read() as connection:
            found = await connection.scalar(query)
        return None if found is None else TicketId(found)

    async def view(self, id: TicketId) -> TicketView:
        """Everything a card says about a ticket, and its rank. Raises Permanent when there is
        none."""
        async with self.read() as connection:
            views = await read_views(connection, self.vault, [id])
            if not views:
                raise Permanent(f"There is no ticket #{id}")
            rank = await ranking.read_rank(connection, views[0].ticket, self.clock.now())
            return replace(views[0], rank=rank)

    async def views(self, ids: Sequence[TicketId]) -> list[TicketView]:
        """Views in the order of ``ids``; unknown ids are left out."""
        async with self.read() as connection:
            return await read_views(connection, self.vault, ids)

    async def waiting(
        self, mailboxes: Sequence[MailboxId], limit: int, assignee: UserId | None = None
    ) -> list[TicketId]:
        """The tickets of these mailboxes that want a person, in the order of the queue."""
        query = (
            select(tickets.c.id)
            .where(tickets.c.state == TicketState.OPEN, tickets.c.mailbox_id.in_(mailboxes))
            .order_by(tickets.c.score, tickets.c.id)
            .limit(limit)
        )
        if assignee is not None:
            query = query.where(tickets.c.assignee == assignee)
        async with self.read() as connection:
            return list((await connection.scalars(query)).all())

    async def unfinished(self) -> list[tuple[Ticket, Response | None]]:
        """The tickets whose state, or whose response's state, asks for a step (desk.rules.jobs), as
        far as they can be read."""
        may_have_left = (responses.c.state == ResponseState.DRAFT) & (responses.c.earlier_ids != "")
        is_working = responses.c.state.in_(ON_THE_WAY) | may_have_left
        working = select(responses.c.ticket_id).where(is_working)
        query = select(tickets).where(
            tickets.c.state.in_((TicketState.NEW, TicketState.TRIAGED))
            | (tickets.c.shown_version < tickets.c.version)
            | tickets.c.id.in_(working)
        )
        live = select(responses).where(is_working)
        async with self.read() as connection:
            rows = (await connection.execute(query.order_by(tickets.c.score))).mappings().all()
            found = (await connection.execute(live)).mappings().all()
        known = records.readable(found, records.response, self.vault, "responses")
        by_ticket = {one.ticket_id: one for one in known}
        read = records.readable(rows, records.ticket, self.vault, "tickets")
        return [(ticket, by_ticket.get(ticket.id)) for ticket in read]

    async def progress(self, id: TicketId) -> tuple[Ticket, Response | None]:
        """A ticket and its newest response: what ``desk.rules.jobs`` goes by."""
        of_ticket = select(responses).where(responses.c.ticket_id == id)
        newest = of_ticket.order_by(responses.c.id.desc()).limit(1)
        async with self.read() as connection:
            found = (await connection.execute(newest)).mappings().one_or_none()
            row = (await connection.execute(select(tickets).where(tickets.c.id == id))).mappings()
            ticket = records.ticket(row.one(), self.vault)
        return ticket, records.response(found, self.vault) if found else None

    async def edited_since(self, time: datetime) -> list[TicketId]:
        """Tickets of which somebody began to edit the draft before ``time`` and did not end."""
        query = select(tickets.c.id).where(
            tickets.c.editing.is_not(None), tickets.c.editing_since < time
        )
        async with self.read() as connection:
            return list((await connection.scalars(query)).all())

    async def recent_replies(self, view: TicketView, since: datetime) -> tuple[int, int]:
        """How many replies left since then: on this ticket, and to this ticket's sender."""
        sender = self.vault.blind(view.email.parsed.sender.address)
        query = (
            select(responses.c.ticket_id)
            .join(emails, emails.c.id == responses.c.email_id)
            .where(responses.c.sent_at >= since)
        )
        here = query.where(responses.c.ticket_id == view.ticket.id)
        theirs = query.where(emails.c.sender_index == sender)
        async with self.read() as connection:
            on_ticket = (await connection.scalars(here)).all()
            to_sender = (await connection.scalars(theirs)).all()
        return len(on_ticket), len(to_sender)

    async def counts(self, mailboxes: Sequence[MailboxId] | None = None) -> dict[str, int]:
        """How many tickets are in each state, and ``sent`` replies: of these mailboxes, or of
        all."""
        by_state = select(tickets.c.state, func.count()).group_by(tickets.c.state)
        sent = select(func.count()).where(responses.c.state == ResponseState.SENT)
        if mailboxes is not None:
            is_theirs = tickets.c.mailbox_id.in_(mailboxes)
            by_state = by_state.where(is_theirs)
            sent = sent.where(responses.c.ticket_id == tickets.c.id, is_theirs)
        async with self.read() as connection:
            counted = {state: n for state, n in (await connection.execute(by_state)).all()}
            return {**counted, "sent": (await connection.scalar(sent)) or 0}

    async def history(self, id: TicketId) -> list[audit.AuditLog]:
        """What happened to a ticket, oldest first, without what its clocks did because of it."""
        query = select(audit_logs).where(
            audit_logs.c.ticket_id == id, audit_logs.c.subject.not_like("clock:%")
        )
        query = query.order_by(audit_logs.c.n)
        async with self.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [audit.AuditLog(**row) for row in rows]

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Jobs that were given up, the newest first."""
        async with self.read() as connection:
            return await dead_letters.read_open(connection, self.vault, limit)

    async def dead_letter(self, id: int) -> DeadLetter | None:
        """A job that was given up, also when somebody has decided about it."""
        async with self.read() as connection:
            return await dead_letters.read_one(connection, self.vault, id)

    async def reported(self, ticket: TicketId) -> list[DeadLetter]:
        """What managers were told of a ticket, also when it was decided about since."""
        async with self.read() as connection:
            return await dead_letters.read_reported(connection, self.vault, ticket)

    async def unreported(self) -> list[int]:
        """Dead letters that managers are still to be told of."""
        async with self.read() as connection:
            return await dead_letters.unreported(connection)

    async def given_up(self) -> set[tuple[Step, int]]:
        """The jobs that wait for a manager's decision: step and id."""
        async with self.read() as connection:
            return await dead_letters.given_up(connection)

    async def verify(self, known: str = "") -> audit.Verdict:
        async with self.read() as connection:
            return await audit.verify(connection, known)
