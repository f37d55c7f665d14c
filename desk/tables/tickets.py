"""Tickets, their mails, and where they are shown."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from desk.tables.mailboxes import mailboxes
from desk.tables.people import users
from desk.tables.schema import Instant, id_column, metadata, of

tickets = Table(
    "tickets",
    metadata,
    id_column(),
    of(mailboxes),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("shown_version", Integer, nullable=False, default=0),
    Column("subject_index", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("due_at", Instant),
    Column("score", Float(53), nullable=False, default=0.0),
    Column("boosts", Text, nullable=False, default="[]"),
    Column("assignee", ForeignKey(users.c.id)),
    Column("editing", ForeignKey(users.c.id)),
    Column("editing_since", Instant),
    Column("snoozed_until", Instant),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_tickets_state_score", "state", "score"),
    Index("ix_tickets_subject", "mailbox_id", "subject_index", "updated_at"),
)

emails = Table(
    "emails",
    metadata,
    id_column(),
    of(mailboxes, index=False),
    of(tickets),
    Column("provider_key", String(1000), nullable=False),
    Column("message_id", String(998), nullable=False),
    Column("sender_index", String(64), nullable=False, index=True),
    Column("sha256", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("relation", String(16), nullable=False, default="mail"),
    Column("copy_of", BigInteger().with_variant(Integer, "sqlite")),
    Column("content_index", String(64), nullable=False, default=""),
    Column("thread", String(255), nullable=False, default=""),
    UniqueConstraint("mailbox_id", "provider_key"),
    Index("ix_emails_message", "message_id"),
    Index("ix_emails_bytes", "mailbox_id", "sha256"),
    Index("ix_emails_content", "mailbox_id", "content_index"),
    Index("ix_emails_thread", "mailbox_id", "thread"),
)

answers = Table(
    # mails that left this mailbox by another mail client and answered a ticket's latest mail
    "answers",
    metadata,
    id_column(),
    of(mailboxes, index=False),
    of(tickets),
    of(emails, index=False),
    Column("provider_key", String(1000), nullable=False),
    Column("message_index", String(64), nullable=False, index=True),
    Column("sent_at", Instant, nullable=False),
    UniqueConstraint("mailbox_id", "provider_key"),
)

classifications = Table(
    "classifications",
    metadata,
    id_column(),
    of(emails),
    Column("sentiment", String(16), nullable=False),
    Column("sentiment_confidence", Float, nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("urgency_confidence", Float, nullable=False),
    Column("category", String(16), nullable=False),
    Column("category_confidence", Float, nullable=False),
    Column("unsure", Text, nullable=False),
    Column("model", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

cards = Table(
    "cards",
    metadata,
    of(tickets, index=False),
    Column("network", String(16), nullable=False),
    Column("channel", String(255), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False, default=0),
    Column("posted_at", Instant, nullable=False),
    UniqueConstraint("ticket_id", "network", "channel"),
)

action_keys = Table(
    "action_keys",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("at", Instant, nullable=False),
)
