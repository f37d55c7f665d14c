"""Mailboxes and their sign-ins."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from desk.tables.schema import id_column, metadata

mailboxes = Table(
    "mailboxes",
    metadata,
    id_column(),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", String(320), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("team", String(64), nullable=False, default=""),
    Column("checkpoint", Text, nullable=False, default=""),
    Column("problem", Text, nullable=False, default=""),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("mailbox_id", ForeignKey(mailboxes.c.id), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
