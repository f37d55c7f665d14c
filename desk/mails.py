"""Where a mail belongs: what was received, sent and answered before, found inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, or_, select

from desk import records
from desk.email import Email, ParsedEmail, Relation
from desk.ids import EmailId, MailboxId, TicketId
from desk.registry import Registry
from desk.response import Response
from desk.rules import response_of
from desk.tables.responses import responses
from desk.tables.schema import read_columns
from desk.tables.tickets import answers, emails, tickets
from desk.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as intake hands it over. ``subject_key`` is its subject without prefixes,
    ``content_key`` equal for mails with the same words ("" when there are too few to tell)."""

    key: str
    raw: bytes
    sha256: str
    received_at: datetime
    parsed: ParsedEmail
    subject_key: str
    content_key: str = ""
    thread: str = ""


class Mails(Registry):
    """Questions that intake asks about mails."""

    async def has_mail(self, mailbox: MailboxId, key: str, sha256: str) -> bool:
        """By its key, or byte for byte: an IMAP server that is rebuilt gives every mail a new key
        (RFC 3501 §2.3.1.1)."""
        is_same = (emails.c.provider_key == key) | (emails.c.sha256 == sha256)
        query = select(emails.c.id).where(emails.c.mailbox_id == mailbox, is_same).limit(1)
        return (await self.connection.execute(query)).first() is not None

    async def latest_email(self, id: TicketId) -> EmailId:
        """The newest mail of a ticket that wants an answer."""
        newest = select(func.max(emails.c.id)).where(
            emails.c.ticket_id == id, emails.c.relation == Relation.MAIL
        )
        return EmailId((await self.connection.execute(newest)).scalar_one())

    async def same_message(self, message_id: str, sender: str) -> list[Email]:
        """The mails of this sender under this Message-ID, in all mailboxes, oldest first."""
        if not message_id:
            return []
        return await self._emails(
            emails.c.message_id == message_id,
            emails.c.sender_index == self.vault.blind(sender),
        )

    async def same_content(
        self, mailbox: MailboxId, content_key: str, sender: str, since: datetime
    ) -> list[Email]:
        """The mails of this sender with the same words, received since, oldest first."""
        if not content_key:
            return []
        return await self._emails(
            emails.c.mailbox_id == mailbox,
            emails.c.content_index == self.vault.blind(content_key),
            emails.c.sender_index == self.vault.blind(sender),
            emails.c.received_at >= since,
        )

    async def _emails(self, *conditions: Any) -> list[Email]:
        query = select(*read_columns(emails)).where(*conditions).order_by(emails.c.id).limit(20)
        rows = (await self.connection.execute(query)).mappings().all()
        return [records.email(row, self.vault) for row in rows]

    async def response_of_message(self, mailbox: MailboxId, message_id: str) -> Response | None:
        """Our reply that carries this Message-ID."""
        if not message_id:
            return None
        query = (
            select(responses)
            .join(tickets, tickets.c.id == responses.c.ticket_id)
            .where(tickets.c.mailbox_id == mailbox, sent_as([message_id]))
        )
        row = (await self.connection.execute(query.limit(1))).mappings().one_or_none()
        return records.response(row, self.vault) if row else None

    async def ticket_of_messages(self, mailbox: MailboxId, ids: Sequence[str]) -> Ticket | None:
        """The newest ticket that a mail or reply with one of these Message-IDs belongs to."""
        received = select(emails.c.ticket_id).where(
            emails.c.mailbox_id == mailbox, emails.c.message_id.in_(ids)
        )
        sent = (
            select(responses.c.ticket_id)
            .join(tickets, tickets.c.id == responses.c.ticket_id)
            .where(tickets.c.mailbox_id == mailbox, sent_as(ids))
        )
        elsewhere = select(answers.c.ticket_id).where(
            answers.c.mailbox_id == mailbox,
            answers.c.message_index.in_([self.vault.blind(id) for id in ids]),
        )
        return await self._newest_ticket(tickets.c.id.in_(received.union(sent, elsewhere)))

    async def ticket_of_thread(self, mailbox: MailboxId, thread: str) -> Ticket | None:
        """The newest ticket with a mail of this conversation of the provider."""
        known = select(emails.c.ticket_id).where(
            emails.c.mailbox_id == mailbox, emails.c.thread == thread
        )
        return await self._newest_ticket(tickets.c.id.in_(known)) if thread else None

    async def ticket_of_subject(
        self, mailbox: MailboxId, subject_key: str, sender: str, since: datetime
    ) -> Ticket | None:
        """The newest ticket with this subject to which this sender has written since."""
        from_sender = select(emails.c.ticket_id).where(
            emails.c.sender_index == self.vault.blind(sender)
        )
        return await self._newest_ticket(
            tickets.c.mailbox_id == mailbox,
            tickets.c.subject_index == self.vault.blind(subject_key),
            tickets.c.updated_at >= since,
            tickets.c.id.in_(from_sender),
        )

    async def _newest_ticket(self, *conditions: Any) -> Ticket | None:
        newest: Select[Any] = select(tickets).where(*conditions).order_by(tickets.c.id.desc())
        row = (await self.connection.execute(newest.limit(1))).mappings().one_or_none()
        return records.ticket(row, self.vault) if row else None

    async def note_answer(self, ticket: Ticket, email: EmailId, answer: Received) -> bool:
        """That somebody answered a ticket's mail from another mail client; False when it is known
        already."""
        row = {
            "mailbox_id": ticket.mailbox_id,
            "ticket_id": ticket.id,
            "email_id": email,
            "provider_key": answer.key,
            "message_index": self.vault.blind(answer.parsed.message_id),
            "sent_at": answer.received_at,
        }
        known = select(answers.c.id).where(
            answers.c.mailbox_id == ticket.mailbox_id, answers.c.provider_key == answer.key
        )
        if (await self.connection.execute(known)).first():
            return False
        await self.connection.execute(insert(answers).values(row))
        return True


def sent_as(ids: Sequence[str]) -> ColumnElement[bool]:
    """Responses that carry one of these Message-IDs, or carried it in an earlier version of which
    nobody knew whether it had left."""
    earlier = [
        (responses.c.id == response) & responses.c.earlier_ids.contains(id, autoescape=True)
        for id in ids
        if (response := response_of(id)) is not None
    ]
    return or_(responses.c.message_id.in_(ids), *earlier)
