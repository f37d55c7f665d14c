"""One write transaction. Every write is compare-and-set on ``version`` and leaves an audit entry in
the same transaction; states move only along the tables of desk.moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select, update

from desk import records
from desk.classification import Classification, Urgency
from desk.email import Email, Relation
from desk.errors import Refused
from desk.ids import EmailId, MailboxId, ResponseId, TicketId
from desk.mails import Mails, Received
from desk.moves import RESPONSE_MOVES, TICKET_MOVES, Verb
from desk.response import LIVE, Draft, Envelope, Response, ResponseState
from desk.rows import inserted
from desk.sla.clocks import Clocks
from desk.steps import Ending, Step
from desk.tables.jobs import dead_letters
from desk.tables.responses import responses
from desk.tables.tickets import classifications, emails, tickets
from desk.ticket import Ticket, TicketState

OVERTAKING = frozenset(
    {
        (ResponseState.DRAFT, Verb.APPROVE),
        (ResponseState.APPROVED, Verb.UNDO),
        (ResponseState.APPROVED, Verb.RETIRE),
        (ResponseState.UNKNOWN, Verb.MARK_SENT),
        (ResponseState.UNKNOWN, Verb.SEND_AGAIN),
    }
)
"""After these moves nothing that was given up about sending is to be decided any more."""

AFRESH = (Verb.RECEIVE, Verb.REGENERATE, Verb.REQUEUE)
"""What has a mail read or drafted anew."""


class Change(Clocks, Mails):
    """Made by ``Store.change``; commits when its block ends, and not at all when it raises."""

    # -- reading inside of the transaction

    async def ticket(self, id: TicketId) -> Ticket:
        return records.ticket(await self.row(tickets, id), self.vault)

    async def response(self, id: ResponseId) -> Response:
        return records.response(await self.row(responses, id), self.vault)

    async def email(self, id: EmailId) -> Email:
        return records.email(await self.row(emails, id), self.vault)

    async def live_response(self, id: TicketId) -> Response | None:
        """The response of a ticket that still wants something."""
        query = select(responses).where(responses.c.ticket_id == id, responses.c.state.in_(LIVE))
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return records.response(row, self.vault) if row else None

    async def latest_response(self, id: TicketId) -> Response | None:
        """The newest response of a ticket, in whatever state."""
        newest = (
            select(responses).where(responses.c.ticket_id == id).order_by(responses.c.id.desc())
        )
        row = (await self.connection.execute(newest.limit(1))).mappings().one_or_none()
        return records.response(row, self.vault) if row else None

    # -- tickets and their mails

    async def open_ticket(self, mailbox: MailboxId, received: Received, score: float) -> Ticket:
        """A new ticket for a mail that belongs to none."""
        row = {
            "mailbox_id": mailbox,
            "state": TicketState.NEW.value,
            "version": 1,
            "shown_version": 0,
            "subject_index": self.vault.blind(received.subject_key),
            "created_at": self.now,
            "updated_at": self.now,
            "urgency": Urgency.NORMAL.value,
            "score": score,
        }
        sealed = {"subject": received.parsed.subject, "instruction": ""}
        id = await self.insert_sealed(tickets, row, sealed)
        return await self.ticket(TicketId(id))

    async def receive(
        self,
        ticket: Ticket,
        received: Received,
        relation: Relation = Relation.MAIL,
        copy_of: EmailId | None = None,
        mailbox: MailboxId | None = None,
    ) -> Email:
        """Add a mail to its ticket. A MAIL has the ticket worked on afresh; a draft that answered
        an earlier one is the caller's to retire. ``mailbox``: where it arrived, if not in the
        ticket's."""
        row = {
            "mailbox_id": mailbox or ticket.mailbox_id,
            "ticket_id": ticket.id,
            "provider_key": received.key,
            "message_id": received.parsed.message_id,
            "sender_index": self.vault.blind(received.parsed.sender.address),
            "sha256": received.sha256,
            "kind": received.parsed.kind.value,
            "received_at": received.received_at,
            "raw": b"",
            "relation": relation.value,
            "copy_of": copy_of,
            "content_index": self.vault.blind(received.content_key) if received.content_key else "",
            "thread": received.thread,
        }
        id = await self.insert_sealed(emails, row, received.parsed)
        raw = self.vault.seal(received.raw, f"emails.raw:{id}")
        await self.connection.execute(update(emails).where(emails.c.id == id).values(raw=raw))
        if relation is Relation.MAIL:
            # what an agent said of an earlier question says nothing about this one
            is_answered = ticket.state in (TicketState.WAITING, TicketState.CLOSED)
            changes = {"boosts": ()} if is_answered else {}
            moved = await self.move_ticket(ticket, Verb.RECEIVE, changes, email=id)
            await self.start_clocks(moved, received.received_at)
        else:
            self.audit(relation, f"email:{id}", ticket.id, {"copy_of": copy_of})
        return await self.email(EmailId(id))

    async def move_ticket(
        self, ticket: Ticket, verb: Verb, changes: Mapping[str, Any] | None = None, **detail: object
    ) -> Ticket:
        """Along the table of moves, or Refused; Conflict when somebody was faster."""
        state = TICKET_MOVES.get((ticket.state, verb))
        if state is None:
            raise Refused(f"Ticket #{ticket.id} is {ticket.state}: it cannot {verb} now")
        if verb in AFRESH:
            await self._overtake((Step.TRIAGE, Step.DRAFTING, Step.SHOW), ticket.id)
        elif state in (TicketState.WAITING, TicketState.CLOSED):
            await self._overtake((Step.TRIAGE, Step.DRAFTING), ticket.id)
        return await self.set_ticket(ticket, verb, {**(changes or {}), "state": state}, **detail)

    async def set_ticket(
        self, ticket: Ticket, verb: Verb, changes: Mapping[str, Any], **detail: object
    ) -> Ticket:
        """Change attributes of a ticket without looking at the table of moves."""
        changed = replace(
            ticket, **{**changes, "version": ticket.version + 1, "updated_at": self.now}
        )
        if changed.state is not TicketState.SNOOZED:
            changed = replace(changed, snoozed_until=None)
        if changed.state not in (TicketState.OPEN, TicketState.SNOOZED):
            changed = replace(changed, editing=None)
        row = records.ticket_row(changed, self.vault)
        await self.compare_and_set(tickets, ticket.id, ticket.version, row)
        self.audit(verb, f"ticket:{ticket.id}", ticket.id, detail)
        await self.follow(ticket, changed, verb)
        return changed

    async def classify(self, email: EmailId, known: Classification) -> None:
        row = {**records.classification_row(known), "email_id": email, "created_at": self.now}
        await self.insert_sealed(classifications, row, {"reasons": known.reasons})

    # -- responses

    async def add_response(
        self, ticket: Ticket, email: EmailId, envelope: Envelope, draft: Draft
    ) -> Response:
        """A draft. The ticket's own move is the caller's."""
        new = Response(
            id=ResponseId(0),
            ticket_id=ticket.id,
            email_id=email,
            state=ResponseState.DRAFT,
            version=1,
            hash=records.envelope_hash(envelope),
            envelope=envelope,
            draft=draft,
            created_at=self.now,
        )
        row = {**records.response_row(new, self.vault), "sealed": b""}
        result = await self.connection.execute(insert(responses).values(row))
        made = replace(new, id=ResponseId(inserted(result)))
        sealed = records.response_row(made, self.vault)["sealed"]
        await self.connection.execute(
            update(responses).where(responses.c.id == made.id).values(sealed=sealed)
        )
        return made

    async def move_response(
        self,
        response: Response,
        verb: Verb,
        changes: Mapping[str, Any] | None = None,
        **detail: object,
    ) -> Response:
        """Along the table of moves, or Refused; Conflict when somebody was faster. The ticket's
        version grows with it, so that its cards are drawn anew."""
        state = RESPONSE_MOVES.get((response.state, verb))
        if state is None:
            raise Refused(f"The reply to #{response.ticket_id} is {response.state} already")
        if (response.state, verb) in OVERTAKING:
            await self._overtake((Step.SENDING,), response.id)
        changed = replace(
            response, **{**(changes or {}), "state": state, "version": response.version + 1}
        )
        changed = replace(changed, hash=records.envelope_hash(changed.envelope))
        row = records.response_row(changed, self.vault)
        await self.compare_and_set(responses, response.id, response.version, row)
        await self.connection.execute(
            update(tickets)
            .where(tickets.c.id == response.ticket_id)
            .values(version=tickets.c.version + 1, updated_at=self.now)
        )
        said = {"hash": changed.hash, **detail}
        self.audit(verb, f"response:{response.id}", response.ticket_id, said)
        await self.follow_response(changed, verb)
        return changed

    async def _overtake(self, steps: Collection[Step], id: int) -> None:
        """What was given up before is wanted anew: something changed."""
        names = [step.value for step in steps]
        await self.connection.execute(
            update(dead_letters)
            .where(dead_letters.c.is_open)
            .where(dead_letters.c.step.in_(names), dead_letters.c.target == id)
            .values(is_open=False, ending=Ending.OVERTAKEN.value, closed_at=self.now)
        )
