"""Replies and their files."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from desk.tables.people import users
from desk.tables.schema import Instant, id_column, metadata, of
from desk.tables.tickets import emails, tickets

LIVE_ONLY = "state IN ('draft', 'approved', 'sending', 'unknown', 'failed')"

responses = Table(
    "responses",
    metadata,
    id_column(),
    of(tickets),
    of(emails),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("writer", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("prompt", String(32), nullable=False),
    Column("score", Integer, nullable=False),
    Column("message_id", String(255), nullable=False, default=""),
    Column("earlier_ids", Text, nullable=False, server_default=""),
    Column("edited_by", ForeignKey(users.c.id)),
    Column("approved_by", ForeignKey(users.c.id)),
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
    id_column(),
    of(responses, index=False),
    Column("sha256", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("response_id", "sha256"),
)
