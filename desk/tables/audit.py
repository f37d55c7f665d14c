"""The audit log and its head."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from desk.tables.schema import Instant, metadata

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
