"""Failed runs, and jobs that were given up."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from desk.tables.people import users
from desk.tables.schema import Instant, id_column, metadata

dead_letters = Table(
    "dead_letters",
    metadata,
    id_column(),
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
    Column("closed_by", ForeignKey(users.c.id)),
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
    id_column(),
    Column("step", String(16), nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("error", String(255), nullable=False),
    Column("trace", Text, nullable=False),
    Index("ix_attempts_job", "step", "target"),
)
