"""Clocks, what they came to, and the messages about it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from desk.tables.people import users
from desk.tables.schema import Instant, id_column, metadata, of
from desk.tables.tickets import tickets

escalations = Table(
    "escalations",
    metadata,
    id_column(),
    of(tickets, index=False),
    Column("rung", String(32), nullable=False),
    Column("clock", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("moot", String(32)),
    Column("fired_at", Instant),
    Column("acknowledged_by", ForeignKey(users.c.id)),
    Column("acknowledged_at", Instant),
    UniqueConstraint("ticket_id", "rung", "clock"),
)

sla_clocks = Table(
    "sla_clocks",
    metadata,
    id_column(),
    of(tickets, index=False),
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
    of(escalations, index=False),
    Column("network", String(16), nullable=False),
    Column("channel", String(255), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("shown", String(64), nullable=False, default=""),
    Column("posted_at", Instant),
    UniqueConstraint("escalation_id", "network", "channel"),
)
