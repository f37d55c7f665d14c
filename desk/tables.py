"""The tables. Values cross from and to rows in desk.records; nothing else knows columns.

``LargeBinary`` columns named ``sealed`` hold JSON sealed by the vault for their row.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must carry its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id() -> Column[int]:
    # SQLite numbers rows by itself only for a column of type INTEGER
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _of(table: str, *, nullable: bool = False, index: bool = True) -> Column[int]:
    name = "mailbox" if table == "mailboxes" else table.removesuffix("s")
    return Column(f"{name}_id", ForeignKey(f"{table}.id"), nullable=nullable, index=index)


def read_columns(table: Table) -> list[Column[Any]]:
    """All columns but the raw mail, which may weigh 40 MB and no reader of rows needs."""
    return [column for column in table.c if column.name != "raw"]


LIVE_ONLY = "state IN ('draft', 'approved', 'sending', 'unknown', 'failed')"

users = Table(
    "users",
    metadata,
    _id(),
    Column("email_index", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("team", String(64), nullable=False, default=""),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("network", String(16), primary_key=True),
    Column("external_id", String(128), primary_key=True),
    _of("users"),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", String(320), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("team", String(64), nullable=False, default=""),
    Column("checkpoint", Text, nullable=False, default=""),
    Column("problem", Text, nullable=False, default=""),
)

tickets = Table(
    "tickets",
    metadata,
    _id(),
    _of("mailboxes"),
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
    Column("assignee", ForeignKey("users.id")),
    Column("editing", ForeignKey("users.id")),
    Column("editing_since", Instant),
    Column("snoozed_until", Instant),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_tickets_state_score", "state", "score"),
    Index("ix_tickets_subject", "mailbox_id", "subject_index", "updated_at"),
)

emails = Table(
    "emails",
    metadata,
    _id(),
    _of("mailboxes", index=False),
    _of("tickets"),
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
    _id(),
    _of("mailboxes", index=False),
    _of("tickets"),
    _of("emails", index=False),
    Column("provider_key", String(1000), nullable=False),
    Column("message_index", String(64), nullable=False, index=True),
    Column("sent_at", Instant, nullable=False),
    UniqueConstraint("mailbox_id", "provider_key"),
)

classifications = Table(
    "classifications",
    metadata,
    _id(),
    _of("emails"),
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

responses = Table(
    "responses",
    metadata,
    _id(),
    _of("tickets"),
    _of("emails"),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("writer", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("prompt", String(32), nullable=False),
    Column("score", Integer, nullable=False),
    Column("message_id", String(255), nullable=False, default=""),
    Column("earlier_ids", Text, nullable=False, server_default=""),
    Column("edited_by", ForeignKey("users.id")),
    Column("approved_by", ForeignKey("users.id")),
    Column("approved_at", Instant),
    Column("send_after", Instant),
    Column("sent_at", Instant),
    Column("tries", Integer, nullable=False, default=0),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_responses_state", "state", "send_after"),
    # at most one response of a ticket still wants something
    Index(
        "uq_responses_live",
        "ticket_id",
        unique=True,
        sqlite_where=text(LIVE_ONLY),
        postgresql_where=text(LIVE_ONLY),
    ),
)

files = Table(
    "files",
    metadata,
    _id(),
    _of("responses", index=False),
    Column("sha256", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("response_id", "sha256"),
)

cards = Table(
    "cards",
    metadata,
    _of("tickets", index=False),
    Column("network", String(16), nullable=False),
    Column("channel", String(255), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False, default=0),
    Column("posted_at", Instant, nullable=False),
    UniqueConstraint("ticket_id", "network", "channel"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("mailbox_id", ForeignKey("mailboxes.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("network", String(16), primary_key=True),
    Column("channel", String(255), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

knowledge_base = Table(
    "knowledge_base",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("passages", Integer, nullable=False),
    Column("added_at", Instant, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _id(),
    Column("step", String(16), nullable=False),
    Column("target", BigInteger, nullable=False),
    # no foreign key: what was given up is told even when its ticket was erased
    Column("ticket_id", BigInteger, index=True),
    Column("error", String(255), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("reported_at", Instant),
    Column("ending", String(16)),
    Column("closed_by", ForeignKey("users.id")),
    Column("closed_at", Instant),
    Column("sealed", LargeBinary, nullable=False),
    # a job is given up once at a time
    Index(
        "uq_dead_letters_open",
        "step",
        "target",
        unique=True,
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("step", String(16), nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("error", String(255), nullable=False),
    Column("trace", Text, nullable=False),
    Index("ix_attempts_job", "step", "target"),
)

vips = Table(
    "vips",
    metadata,
    # of an address, or of a domain with its @
    Column("key", String(64), primary_key=True),
    Column("added_by", ForeignKey("users.id")),
    Column("added_at", Instant, nullable=False),
)

escalations = Table(
    "escalations",
    metadata,
    _id(),
    _of("tickets", index=False),
    Column("rung", String(32), nullable=False),
    Column("clock", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("moot", String(32)),
    Column("fired_at", Instant),
    Column("acknowledged_by", ForeignKey("users.id")),
    Column("acknowledged_at", Instant),
    UniqueConstraint("ticket_id", "rung", "clock"),
)

sla_clocks = Table(
    "sla_clocks",
    metadata,
    _id(),
    _of("tickets", index=False),
    Column("number", Integer, nullable=False),
    Column("goal", String(16), nullable=False),
    Column("terms", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("running_since", Instant),
    Column("spent", BigInteger, nullable=False),  # microseconds
    Column("rung", Integer, nullable=False),
    Column("next_at", Instant, index=True),
    Column("due_at", Instant),
    Column("ended_at", Instant),
    Column("is_aimed", Boolean, nullable=False),
    UniqueConstraint("ticket_id", "number"),
)

alerts = Table(
    "alerts",
    metadata,
    _of("escalations", index=False),
    Column("network", String(16), nullable=False),
    Column("channel", String(255), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("shown", String(64), nullable=False, default=""),
    Column("posted_at", Instant),
    UniqueConstraint("escalation_id", "network", "channel"),
)

action_keys = Table(
    "action_keys",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("at", Instant, nullable=False),
)

audit_logs = Table(
    "audit_logs",
    metadata,
    # The number comes from audit_heads inside its lock: a sequence would fork the chain.
    Column(
        "n", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("at", Instant, nullable=False),
    Column("actor", BigInteger),
    Column("verb", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("ticket_id", BigInteger, index=True),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
