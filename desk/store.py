"""The records: reading them here, writing them through a Change.

SQL is the truth; Redis only says what is next. The same code runs on SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from desk import audit, dead_letters, ranking, records, sla_records
from desk.auditor import Finding, audited
from desk.change import Change
from desk.engine import Turns, create_engine, translated
from desk.errors import Permanent
from desk.failpoints import failpoint
from desk.model import (
    DeadLetter,
    Email,
    EmailId,
    Mailbox,
    MailboxId,
    Network,
    Place,
    Relation,
    Response,
    ResponseId,
    ResponseState,
    Step,
    Ticket,
    TicketId,
    TicketState,
    TicketView,
    User,
    UserId,
)
from desk.ports import Clock, SystemClock
from desk.promises import DEFAULT, Policies
from desk.sla import Escalation, SlaClock
from desk.sla_records import Alert
from desk.tables import (
    audit_logs,
    cards,
    conversations,
    emails,
    escalations,
    identities,
    mailboxes,
    read_columns,
    responses,
    sign_ins,
    tickets,
    users,
)
from desk.vault import Vault
from desk.views import read_views

ON_THE_WAY = (ResponseState.APPROVED, ResponseState.SENDING, ResponseState.UNKNOWN)


class Store:
    """Reads and writes the desk's records. ``async with Store.open(url, vault) as store``."""

    def __init__(
        self,
        engine: AsyncEngine,
        vault: Vault,
        clock: Clock | None = None,
        promises: Policies = DEFAULT,
    ) -> None:
        self.engine = engine
        self._turns = Turns(engine)
        self.promises = promises
        self.vault = vault
        self.clock = clock or SystemClock()

    @classmethod
    def open(
        cls, url: str, vault: Vault, clock: Clock | None = None, promises: Policies = DEFAULT
    ) -> Self:
        return cls(create_engine(url), vault, clock, promises)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction; database trouble is Transient."""
        with translated():
            async with self.engine.connect() as connection:
                if self.engine.dialect.name == "postgresql":  # SQLite reads one snapshot anyway
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def change(self, actor: UserId | None = None) -> AsyncIterator[Change]:
        """A write transaction by ``actor`` (None: the desk itself)."""
        with translated():
            async with self._turns.turn(), self.engine.connect() as connection:
                await connection.execution_options(writes=True)
                async with connection.begin():
                    # first, so that two that touch the same tickets cannot wait for each other
                    await audit.lock(connection)
                    yield Change(connection, self.vault, self.clock, actor, self.promises)
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

    async def mailbox(self, id: MailboxId) -> Mailbox:
        row = await self._one(select(mailboxes).where(mailboxes.c.id == id), f"mailbox {id}")
        return records.mailbox(row)

    async def mailboxes(self) -> list[Mailbox]:
        async with self.read() as connection:
            rows = (await connection.execute(select(mailboxes).order_by(mailboxes.c.id))).mappings()
            return [records.mailbox(row) for row in rows]

    async def sign_in(self, id: MailboxId) -> tuple[dict[str, Any], int] | None:
        """What Change.save_sign_in kept, and its version."""
        query = select(sign_ins).where(sign_ins.c.mailbox_id == id)
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        return records.unseal(self.vault, row["sealed"], f"sign_ins.sealed:{id}"), row["version"]

    async def user(self, id: UserId) -> User:
        row = await self._one(select(users).where(users.c.id == id), f"user {id}")
        return records.user(row, self.vault)

    async def user_by_email(self, email: str) -> User | None:
        query = select(users).where(users.c.email_index == self.vault.blind(email))
        return await self._user(query)

    async def user_by_identity(self, network: Network, external_id: str) -> User | None:
        query = (
            select(users)
            .join(identities)
            .where(identities.c.network == network, identities.c.external_id == external_id)
        )
        return await self._user(query)

    async def users(self) -> list[User]:
        async with self.read() as connection:
            rows = (await connection.execute(select(users).order_by(users.c.id))).mappings()
            return [records.user(row, self.vault) for row in rows]

    async def places(self, id: TicketId) -> list[Place]:
        """Where the cards of a ticket are shown."""
        async with self.read() as connection:
            rows = await connection.execute(select(cards).where(cards.c.ticket_id == id))
            return [
                Place(Network(row.network), row.channel, row.message, row.version) for row in rows
            ]

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

    async def late(self) -> list[Ticket]:
        """What is late already, is not urgent, and still stands in front of what is not late."""
        async with self.read() as connection:
            return await ranking.find_late(connection, self.vault, self.clock.now())

    async def unfinished(self) -> list[tuple[Ticket, Response | None]]:
        """The tickets whose state, or whose response's state, asks for a step (desk.rules.jobs)."""
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
        by_ticket = {row["ticket_id"]: records.response(row, self.vault) for row in found}
        return [(records.ticket(row, self.vault), by_ticket.get(row["id"])) for row in rows]

    async def conversation_reference(self, network: Network, channel: str) -> str | None:
        """What Change.save_conversation kept."""
        query = select(conversations.c.sealed).where(
            conversations.c.network == network, conversations.c.channel == channel
        )
        async with self.read() as connection:
            sealed = await connection.scalar(query)
        if sealed is None:
            return None
        place = f"conversations.sealed:{network}:{channel}"
        return str(records.unseal(self.vault, sealed, place))

    async def edited_since(self, time: datetime) -> list[Ticket]:
        """Tickets of which somebody began to edit the draft before ``time`` and did not end."""
        query = select(tickets).where(
            tickets.c.editing.is_not(None), tickets.c.editing_since < time
        )
        async with self.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [records.ticket(row, self.vault) for row in rows]

    async def due_clocks(self, limit: int = 500) -> list[int]:
        """The clocks that have come to a rung."""
        async with self.read() as connection:
            return await sla_records.due_clocks(connection, self.clock.now(), limit)

    async def asleep(self) -> list[TicketId]:
        """The snoozed tickets that are to wake."""
        async with self.read() as connection:
            return await sla_records.asleep(connection, self.clock.now())

    async def untold(self) -> list[int]:
        """Escalations of which somebody is still to be told, and that were not given up."""
        async with self.read() as connection:
            dead = await dead_letters.given_up(connection)
            found = await sla_records.untold(connection)
        return [id for id in found if (Step.ALERT, id) not in dead]

    async def escalation(self, id: int) -> Escalation:
        row = await self._one(select(escalations).where(escalations.c.id == id), f"escalation {id}")
        return sla_records.escalation(row)

    async def clocks(self, id: TicketId) -> list[SlaClock]:
        """All clocks of a ticket, oldest first."""
        async with self.read() as connection:
            return await sla_records.clocks_of(connection, [id])

    async def told(self, id: TicketId) -> list[Escalation]:
        """What people were told of a ticket that asks for an acknowledgement, oldest first."""
        async with self.read() as connection:
            return await sla_records.loud_escalations(connection, [id])

    async def accounts(self, ids: Sequence[UserId]) -> list[tuple[Network, str]]:
        """Where these people are known to be, each on every network."""
        query = select(identities.c.network, identities.c.external_id)
        query = query.where(identities.c.user_id.in_(ids)).order_by(identities.c.user_id)
        async with self.read() as connection:
            found = (await connection.execute(query)).all()
        return [(Network(network), external) for network, external in found]

    async def alerts(self, id: TicketId) -> list[Alert]:
        """Every message about an escalation of this ticket."""
        async with self.read() as connection:
            return await sla_records.alerts_of(connection, id)

    async def recent_replies(self, view: TicketView, since: datetime) -> tuple[int, int]:
        """How many replies left since then: on this ticket, and to this ticket's sender."""
        sender = self.vault.blind(view.email.parsed.sender.address)
        query = (
            select(responses.c.ticket_id)
            .join(emails, emails.c.id == responses.c.email_id)
            .where(emails.c.sender_index == sender, responses.c.sent_at >= since)
        )
        async with self.read() as connection:
            answered = (await connection.scalars(query)).all()
        return answered.count(view.ticket.id), len(answered)

    async def counts(self) -> dict[str, int]:
        """How many tickets are in each state, and ``sent`` replies."""
        by_state = select(tickets.c.state, func.count()).group_by(tickets.c.state)
        sent = select(func.count()).where(responses.c.state == ResponseState.SENT)
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

    async def unreported(self) -> list[int]:
        """Dead letters that managers are still to be told of."""
        async with self.read() as connection:
            return await dead_letters.unreported(connection)

    async def given_up(self) -> set[tuple[Step, int]]:
        """The jobs that wait for a manager's decision: step and id."""
        async with self.read() as connection:
            return await dead_letters.given_up(connection)

    async def audit_clocks(self) -> tuple[int, list[Finding]]:
        """How many rungs were noted, and what the audit log says went wrong with them."""
        async with self.read() as connection:
            return await audited(audit.entries(connection), self.clock.now())

    async def verify(self) -> audit.Verdict:
        async with self.read() as connection:
            return await audit.verify(connection)

    async def _one(self, query: Any, what: str) -> records.Row:
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise Permanent(f"There is no {what}")
        return row

    async def _user(self, query: Any) -> User | None:
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return records.user(row, self.vault) if row else None
