"""Mailboxes and their sign-ins."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from desk.tables.schema import Instant, Words, id_column, metadata

mailboxes = Table(
    "mailboxes",
    metadata,
    id_column(),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", String(320), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("team", String(64), nullable=False, default=""),
    Column("checkpoint", Text, nullable=False, default=""),
    Column("problem", Words, nullable=False, default=""),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("mailbox_id", ForeignKey(mailboxes.c.id), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

troubles = Table(
    "troubles",
    metadata,
    Column("mailbox_id", ForeignKey(mailboxes.c.id), primary_key=True, autoincrement=False),
    Column("part", String(16), primary_key=True),
    Column("problem", Words, nullable=False, default=""),
    Column("since", Instant, nullable=False),
    Column("tell_at", Instant, nullable=False),
    Column("told_at", Instant),
    Column("ended_at", Instant),
)
